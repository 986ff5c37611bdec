"""The APT wire as a host sees it: messages of six bytes, or six bytes and data; motors speak unasked when they arrive."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from qlab.errors import BadReplyError, InstrumentError

if TYPE_CHECKING:
    from qlab.links.link import Link

__all__ = ["INFO", "STATUS", "AptDialogue"]

HOST, UNIT = 0x01, 0x50
HEADER, LENGTH = Struct("<HBBBB"), Struct("<HHBB")
INFO = Struct("<i8sH4B60sHHH")
STATUS = Struct("<Hi4xI")
"""Channel, counts, status bits; between them encoder counts, or velocity and current."""
RICH = Struct("<HH64s")
UNASKED = (0x0444, 0x0464, 0x0466, 0x0481, 0x0491)
"""Homed, move completed, stopped, status updates: they come when they come."""
ERRORS = (0x0080, 0x0081)
MOST_UNASKED = 64
LONGEST = 255


class AptDialogue:
    """Messages to one controller and back.

    Parameters
    ----------
    link:
        The link.
    device:
        The device's name, for messages.
    """

    def __init__(self, link: Link, device: str) -> None:
        self.link = link
        self.device = device

    def tell(self, number: int, p1: int = 0, p2: int = 0, data: bytes = b"") -> None:
        """Send a message that is not answered, or much later."""
        with self.link.transaction():
            self.link.write(_pack(number, p1, p2, data))

    def ask(self, number: int, p1: int = 0, p2: int = 0, *, reply: int | None = None, size: int = 0) -> bytes:
        """Send a request and return its reply's data; what motors say meanwhile is passed over.

        Parameters
        ----------
        number, p1, p2:
            The request.
        reply, size:
            Id of the reply, by default the next one, and bytes of its data.
        """
        wanted = number + 1 if reply is None else reply
        command = _pack(number, p1, p2, b"")
        with self.link.transaction():
            self.link.discard()  # what a motor said since then, or a second copy of an older reply
            self.link.write(command)
            for _ in range(MOST_UNASKED):
                found, data = self._read(command)
                if found == wanted and len(data) == size:
                    return data
                if found in ERRORS:
                    text = RICH.unpack(data)[2].rstrip(b"\0") if len(data) == RICH.size else data
                    what = "the controller reports an error"
                    raise InstrumentError(what, device=self.device, command=command, found=text)
                if found not in UNASKED:
                    break
            self.link.distrust()
            what, expected = "the reply is not what was asked for", f"message {wanted:04X} with {size} bytes"
            raise BadReplyError(what, device=self.device, command=command, found=f"{found:04X}", expected=expected)

    def _read(self, command: bytes) -> tuple[int, bytes]:
        header = self.link.read_exact(HEADER.size)
        number, length, destination, source = LENGTH.unpack(header)
        if destination & 0x7F != HOST or source != UNIT or (destination & 0x80 and length > LONGEST):
            self.link.distrust()
            what = "the reply is no message for a host"
            raise BadReplyError(what, device=self.device, command=command, found=header.hex(" "))
        return number, self.link.read_exact(length) if destination & 0x80 else b""


def _pack(number: int, p1: int, p2: int, data: bytes) -> bytes:
    if data:
        return LENGTH.pack(number, len(data), UNIT | 0x80, HOST) + data
    return HEADER.pack(number, p1, p2, UNIT, HOST)
