"""The SIM900's host: lines in turn, a transparent stream while it is connected to a module, and messages unasked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from qlab.twin.conversation import Dialogue
from sim_devices.detectors.sim900_arguments import QUEUE

if TYPE_CHECKING:
    from qlab.clock import Clock
    from qlab.twin.conversation import Speaker

__all__ = ["HostConversation", "Mainframe"]


class Mainframe(Protocol):
    """What the conversation asks of the twin beside answers."""

    @property
    def connected(self) -> bool:
        """Whether bytes go straight to a module."""
        ...

    def pass_on(self, data: bytes) -> bytes:
        """Take bytes for the module; return what stood behind the escape string."""
        ...

    def unasked_due_ps(self) -> int | None:
        """Return when something is to be said unasked."""
        ...

    def unasked(self) -> bytes:
        """Return what is to be said now without having been asked."""
        ...


class HostFramer:
    """Lines that end with CR or LF, but not inside a definite-length block outside quotes."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._quote = 0
        self._header = b""
        self._block = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes and return the lines that they complete."""
        lines = []
        for byte in data:
            if self._takes(byte):
                continue
            if self._line:
                lines.append(bytes(self._line))
            self._line.clear()
            self._quote, self._header = 0, b""
        return lines

    def _takes(self, byte: int) -> bool:
        """Tell whether a byte belongs to the line; what is too long is not kept, but known to be too long."""
        if not self._block and byte in b"\r\n":
            return False
        if len(self._line) <= QUEUE:
            self._line.append(byte)
        if self._block:
            self._block -= 1
        elif self._quote:
            self._quote = 0 if byte == self._quote else self._quote
        elif byte in b"\"'":
            self._quote, self._header = byte, b""
        else:
            self._count(byte)
        return True

    def _count(self, byte: int) -> None:
        """Read a block's header, `#` and as many digits as the first one says."""
        if byte in b"#":
            self._header = b"#"
        elif self._header and 0x30 <= byte <= 0x39:
            self._header += bytes([byte])
            if len(self._header) == 2 + int(self._header[1:2]):
                self._block, self._header = int(self._header[2:] or b"0"), b""
        else:
            self._header = b""


class HostConversation(Dialogue):
    """The one host."""

    def __init__(self, mainframe: Mainframe, speaker: Speaker, clock: Clock) -> None:
        super().__init__(speaker, HostFramer(), clock)
        self._mainframe = mainframe

    def receive(self, data: bytes) -> bytes:
        """Take bytes and return the answers that are ready."""
        out = b""
        while data:
            if self._mainframe.connected:
                data = self._mainframe.pass_on(data)
                continue
            size = next((i for i, byte in enumerate(data, 1) if byte in b"\r\n"), len(data))
            out += super().receive(data[:size])
            data = data[size:]
        return out

    def due_ps(self) -> int | None:
        """Return when an answer goes on, or something is said unasked."""
        times = [due for due in (super().due_ps(), self._mainframe.unasked_due_ps()) if due is not None]
        return min(times, default=None)

    def wake(self) -> bytes:
        """Go on."""
        return super().wake() + self._mainframe.unasked()
