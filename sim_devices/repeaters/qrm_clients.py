"""Several clients of one SCPI twin, of which one may hold the lock: others may ask, but change nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qlab.twin.conversation import Dialogue
from qlab.twin.scpi import ScpiTwin, command, query
from sim_devices.repeaters.qrm_slots import device_error

if TYPE_CHECKING:
    from qlab.twin.conversation import Script
    from qlab.twin.scpi import Reply

__all__ = ["Clients"]

_FREE_FOR_ALL = ("*CLS", "*ESE", "*SRE", "*OPC", "*WAI", "SYST:LOCK:REL", "SYSTEM:LOCK:RELEASE")
_MEASURES = (":MEAS?", ":MEASURE?")


class _Seat(Dialogue):
    """One client's conversation."""

    def __init__(self, twin: Clients) -> None:
        super().__init__(self, twin._scpi_framer(), twin.clock)  # noqa: SLF001 - the twin's own
        self._twin = twin

    def answer(self, message: bytes) -> Script:
        """Carry out one message in this client's name."""
        script = self._twin.answer(message)
        while True:
            self._twin.speaking = self
            try:
                yield next(script)
            except StopIteration:
                return

    def refuse(self, message: bytes, kind: str, text: str) -> bytes:
        """Decline one message."""
        return self._twin.refuse(message, kind, text)

    def close(self) -> None:
        """Forget the client, and its lock."""
        super().close()
        self._twin.leave(self)


class Clients(ScpiTwin):
    """A twin with `SYSTem:LOCK`."""

    speaking: Dialogue | None = None
    _owner: Dialogue | None = None

    def connect(self) -> Dialogue:
        """Begin a conversation with one client."""
        return _Seat(self)

    def leave(self, client: Dialogue) -> None:
        """Take the lock from a client that has gone."""
        if self._owner is client:
            self._owner = None

    @query("SYSTem:LOCK:REQuest?")
    def _request(self) -> bool:
        if self._owner is None:
            self._owner = self.speaking
        return self._owner is self.speaking

    @command("SYSTem:LOCK:RELease")
    def _release(self) -> None:
        if self._owner is self.speaking:
            self._owner = None

    def _scpi_call(self, header: str, tokens: list[str], arguments: list[str]) -> Reply:
        said = header.upper().lstrip(":")
        changes = (not said.endswith("?") or said.endswith(_MEASURES)) and said not in _FREE_FOR_ALL
        if changes and self._owner is not None and self._owner is not self.speaking:
            raise device_error(111)
        return super()._scpi_call(header, tokens, arguments)
