"""Frames of the Elliptec wire: two letters after an address, hex digits as many as the command carries, no terminator."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ADDRESSES", "DATA_LENGTHS", "PARTIAL_TIMEOUT_PS", "Frame", "FrameReader"]


PARTIAL_TIMEOUT_PS = 2_000_000_000_000
"""A command that stays incomplete for this long is dropped [V2]; counted from its first byte [INF]."""

ADDRESSES = b"0123456789ABCDEF"

DATA_LENGTHS: dict[str, int] = {
    **dict.fromkeys(("in", "gs", "gp", "fw", "bw", "st", "gj", "go", "gv", "us"), 0),
    **dict.fromkeys(("i1", "i2", "i3", "s1", "s2", "s3", "c1", "c2", "c3"), 0),
    **dict.fromkeys(("ho", "ca", "ga"), 1),
    "sv": 2,
    **dict.fromkeys(("f1", "f2", "f3", "b1", "b2", "b3"), 4),
    **dict.fromkeys(("ma", "mr", "sj", "so"), 8),
}
"""Hex digits that follow the two letters of each host command; a command not in the table carries none."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One complete host command."""

    address: str
    letters: str
    data: str


class FrameReader:
    """Cut the byte stream of the host into frames by the length that each command has."""

    def __init__(self) -> None:
        self._text = ""
        self._first_ps = 0

    def expire(self, now_ps: int) -> str | None:
        """Drop a command that stayed incomplete too long and return its address."""
        if self._text and now_ps - self._first_ps >= PARTIAL_TIMEOUT_PS:
            address, self._text = self._text[0], ""
            return address
        return None

    def feed(self, data: bytes, now_ps: int) -> list[Frame]:
        """Take bytes; CR, LF and whatever cannot start a frame are swallowed."""
        frames: list[Frame] = []
        for byte in data:
            frame = self._take(byte, now_ps)
            if frame is not None:
                frames.append(frame)
        return frames

    def _take(self, byte: int, now_ps: int) -> Frame | None:
        if byte in b"\r\n":
            return None
        char = chr(byte)
        if len(self._text) == 1 and not (char.isascii() and char.islower()):
            self._text = ""  # an upper-case letter here is the reply of another module on the shared wire
        if len(self._text) == 2 and not (char.isascii() and (char.islower() or char.isdigit())):
            self._text = ""
        if not self._text:
            if byte in ADDRESSES:
                self._text, self._first_ps = char, now_ps
            return None
        self._text += char
        letters = self._text[1:3]
        if len(self._text) < 3 or len(self._text) < 3 + DATA_LENGTHS.get(letters, 0):
            return None
        frame, self._text = Frame(self._text[0], letters, self._text[3:]), ""
        return frame
