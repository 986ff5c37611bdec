"""The APT wire as an instrument sees it: a header of six bytes, and data behind it where bit 7 of the destination is set."""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import Final

from qlab.twin.framing import FixedFramer

__all__ = ["HOST", "UNIT", "Message", "framer", "pack_long", "pack_short"]

HOST: Final = 0x01
UNIT: Final = 0x50
_SHORT = Struct("<HBBBB")
_LONG = Struct("<HHBB")
_LONGEST = 255


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the host: two parameters, or data."""

    id: int
    p1: int
    p2: int
    data: bytes

    @classmethod
    def parse(cls, frame: bytes) -> Message:
        """Read a whole frame."""
        number, p1, p2, _, _ = _SHORT.unpack_from(frame)
        return cls(number, p1, p2, frame[_SHORT.size :])


def framer() -> FixedFramer:
    """Cut the host's messages; without a check sum, what begins no message for this unit is passed over byte by byte."""

    def body(head: bytes) -> int:
        length, destination, source = _LONG.unpack(head)[1:]
        if destination & 0x7F != UNIT or source != HOST:
            return -1
        if not destination & 0x80:
            return 0
        return length if length <= _LONGEST else -1

    return FixedFramer(_SHORT.size, body)


def pack_short(number: int, p1: int = 0, p2: int = 0) -> bytes:
    """Write a message of the unit without data."""
    return _SHORT.pack(number, p1, p2, HOST, UNIT)


def pack_long(number: int, data: bytes) -> bytes:
    """Write a message of the unit with data."""
    return _LONG.pack(number, len(data), HOST | 0x80, UNIT) + data
