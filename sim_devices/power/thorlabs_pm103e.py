"""Twin of the Thorlabs PM103E power meter: the PM100D's commands in framed TCP.  Written from protocol sheet 17.

A message travels in segments of at most 1440 bytes: a header of four bytes (0xCA for the first, 0xCB for the others; a
running number; a little-endian 16-bit length) and the payload.  The first length is that of the whole message, the others
are those of their segments.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from sim_devices.power.thorlabs_pm100d import Parameters, PM100DTwin

if TYPE_CHECKING:
    from qlab.twin.conversation import Conversation

__all__ = ["PM103ETwin", "Parameters"]

HEADER: Final = Struct("<BBh")
FIRST, NEXT = 0xCA, 0xCB
SEGMENT: Final = 1440 - HEADER.size
"""[V1] Header, first bytes and most bytes of a segment."""
LONGEST: Final = 0x7FFF


class PM103ETwin(PM100DTwin):
    """The power meter on the network; it closes an idle connection after 30 s, which a twin cannot."""

    def connect(self) -> FramedConversation:  # type: ignore[override]
        """Begin a conversation with one client."""
        return FramedConversation(super().connect())

    def identify(self) -> str:
        """Answer `*IDN?`."""
        return f"Thorlabs,PM103E,{self._parameters.serial},{self._parameters.firmware}"


class Segments:
    """Cuts a stream of segments into messages; bytes that begin no segment are passed over."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._message = bytearray()
        self._missing = 0
        self._number = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes and return the messages that they complete."""
        self._buffer += data
        messages = []
        while len(self._buffer) >= HEADER.size:
            kind, number, length = HEADER.unpack_from(self._buffer)
            wanted = (NEXT, self._number, self._missing) if self._missing else (FIRST, 0, LONGEST)
            if (kind, number) != wanted[:2] or not 0 < length <= wanted[2]:
                self._missing = 0
                del self._buffer[0]
                continue
            size = min(length, SEGMENT)
            if len(self._buffer) < HEADER.size + size:
                break
            if kind == FIRST:
                self._message.clear()
                self._missing = length
            self._message += self._buffer[HEADER.size : HEADER.size + size]
            del self._buffer[: HEADER.size + size]
            self._missing -= size
            self._number = number + 1
            if not self._missing:
                messages.append(bytes(self._message))
        return messages


def _segmented(message: bytes) -> bytes:
    out = bytearray()
    for number, at in enumerate(range(0, len(message), SEGMENT)):
        part = message[at : at + SEGMENT]
        out += HEADER.pack(NEXT, number, len(part)) if number else HEADER.pack(FIRST, 0, len(message))
        out += part
    return bytes(out)


class FramedConversation:
    """One client: what it says and hears is wrapped, line by line."""

    def __init__(self, inner: Conversation) -> None:
        self._inner = inner
        self._segments = Segments()

    def receive(self, data: bytes) -> bytes:
        """Take bytes and return the answers that are ready."""
        return b"".join(self._wrap(self._inner.receive(message + b"\n")) for message in self._segments.feed(data))

    def due_ps(self) -> int | None:
        """Return until when the current answer waits."""
        return self._inner.due_ps()

    def wake(self) -> bytes:
        """Go on with the answer that waited."""
        return self._wrap(self._inner.wake())

    def close(self) -> None:
        """Drop what was not answered."""
        self._inner.close()

    def _wrap(self, said: bytes) -> bytes:
        return b"".join(_segmented(line) for line in said.splitlines(keepends=True))
