"""VISA resources by pyvisa with the pure Python back end pyvisa-py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qlab.links.link import Link

if TYPE_CHECKING:
    from pyvisa.resources import MessageBasedResource

__all__ = ["VisaLink"]

CHUNK = 1 << 20


class VisaLink(Link):
    """A VISA session.

    Blocks are read by exact counts with termination off: with it on, pyvisa-py stops at every 0x0A of the binary data
    and is 50 times slower.  What had arrived before a time-out is lost with it; the link then resynchronises anyway.
    """

    def __init__(self, address: str, *, backend: str = "@py", **common: Any) -> None:
        super().__init__(address, **common)
        self._backend = backend
        self._session: MessageBasedResource | None = None

    def _open(self) -> None:
        import pyvisa

        manager = pyvisa.ResourceManager(self._backend)
        session = manager.open_resource(self.address, open_timeout=2000)
        self._session = session  # type: ignore[assignment]
        self._opened().read_termination = None
        self._opened().write_termination = ""
        self._opened().chunk_size = CHUNK

    def _close(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            session.close()

    def _send(self, data: bytes) -> None:
        self._opened().write_raw(data)

    def _receive(self, wall_timeout_s: float, want: int | None) -> bytes:
        from pyvisa.constants import StatusCode
        from pyvisa.errors import VisaIOError

        session = self._opened()
        session.timeout = max(round(wall_timeout_s * 1000), 1)
        session.read_termination = self.terminator.decode("latin-1")[-1:] if want is None else None
        try:
            with session.ignore_warning(
                StatusCode.success_max_count_read, StatusCode.success_termination_character_read
            ):
                data, _ = session.visalib.read(session.session, min(want or CHUNK, CHUNK))
        except VisaIOError as error:
            if error.error_code == StatusCode.error_timeout:
                return b""
            raise
        return bytes(data)

    def _opened(self) -> MessageBasedResource:
        if self._session is None:
            msg = "the session is closed"
            raise ConnectionError(msg)
        return self._session

    @property
    def _lost(self) -> tuple[type[Exception], ...]:
        from pyvisa.errors import InvalidSession, VisaIOError

        return (VisaIOError, InvalidSession, OSError)
