"""VISA resources by pyvisa, as a rule with the pure Python back end pyvisa-py.

What pyvisa-py does not do for us, and why this module looks at its socket (`select` and peek; the bytes themselves go
through VISA):

- A read that times out throws away what had come.  So bytes are read only when they are there, and exactly as many.
- A connection that the instrument closed looks like a time-out, at full CPU load.  Here it is an error at once.
- Nagle's algorithm is on: the second of two short commands would wait 40 ms for an acknowledgement.
- A write to an instrument that takes nothing blocks for ever.
"""

from __future__ import annotations

import select
import socket
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from qlab.links.link import Link

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyvisa import ResourceManager
    from pyvisa.resources import MessageBasedResource

__all__ = ["VisaLink"]

CHUNK = 1 << 20
WRITE_PIECE = 4096
"""Bytes that pyvisa-py hands to a socket at once."""
SHORTEST_MS = 1


class VisaLink(Link):
    """A VISA session.

    Parameters
    ----------
    address:
        The resource name.
    backend:
        What `pyvisa.ResourceManager` is told: "@py", "@ivi" or the path of a vendor's library.
    baud:
        For serial ports.
    line:
        Their other settings, named as for `qlab.links.serial.SerialLink`; by default 8 data bits, no parity, one stop bit,
        no flow control.
    """

    def __init__(
        self,
        address: str,
        *,
        backend: str = "@py",
        baud: int = 115200,
        line: Mapping[str, Any] = MappingProxyType({}),
        **common: Any,
    ) -> None:
        super().__init__(address, **common)
        self.baud = baud
        self.line = line
        self._backend = backend
        self._manager: ResourceManager | None = None
        self._session: MessageBasedResource | None = None
        self._socket: socket.socket | None = None
        kind = address.upper()
        self._is_serial = kind.startswith("ASRL")
        self._is_stream = self._is_serial or kind.endswith("::SOCKET")

    @property
    def drains(self) -> bool:  # type: ignore[override]
        """Whether closing leaves late bytes on the wire."""
        return self._is_serial

    def _open(self) -> None:
        import pyvisa

        # One manager a process and back end: pyvisa returns the same one as long as somebody holds it.
        self._manager = pyvisa.ResourceManager(self._backend)
        wait_ms = max(round(self.clock.wall_s(self.policy.timeout_s) * 1000), SHORTEST_MS)
        try:
            session: Any = self._manager.open_resource(self.address, open_timeout=wait_ms)
        except self._lost:
            raise
        except Exception as error:  # pyvisa-py raises a bare Exception for a host that does not answer
            raise ConnectionError(str(error)) from error
        self._session = session
        session.timeout = wait_ms
        session.write_termination = ""
        session.read_termination = None
        session.chunk_size = CHUNK
        if self._is_serial:
            session.baud_rate = self.baud
            self._set_line(session, pyvisa.constants)
            session.end_input = pyvisa.constants.SerialTermination.none
        elif self._is_stream:
            self._adopt(getattr(_inner(session), "interface", None), wait_ms)
        elif self.openings:
            session.clear()  # the standard's way to make an instrument forget what it was about to say

    def _set_line(self, session: Any, constants: Any) -> None:
        """Set what is not as usual."""
        words = {"N": constants.Parity.none, "E": constants.Parity.even, "O": constants.Parity.odd}
        flow = {"rtscts": constants.ControlFlow.rts_cts, "xonxoff": constants.ControlFlow.xon_xoff}
        for key, value in self.line.items():
            if key == "parity":
                session.parity = words[value]
            elif key == "stop_bits":
                session.stop_bits = constants.StopBits(round(10 * value))
            elif key == "data_bits":
                session.data_bits = value
            elif value:
                session.flow_control = flow[key]

    def _adopt(self, inner: object, wait_ms: int) -> None:
        if not isinstance(inner, socket.socket):
            return  # another back end
        self._socket = inner
        failure = inner.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failure:
            raise ConnectionRefusedError(failure, f"errno {failure}: the connection was refused")
        inner.getpeername()  # raises where there is none
        inner.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        inner.settimeout(wait_ms / 1000)
        # Below this size, pyvisa-py asks its socket for as many bytes as it was asked for, never for more.
        vars(_inner(self._opened()))["max_recv_size"] = CHUNK + 1

    def _close(self) -> None:
        session, self._session = self._session, None
        self._socket = self._manager = None
        if session is not None:
            session.close()

    def _send(self, data: bytes) -> None:
        session = self._opened()
        if self._socket is None:
            session.write_raw(data)
            return
        for at in range(0, len(data), WRITE_PIECE):
            if not select.select([], [self._socket], [], self._socket.gettimeout())[1]:
                msg = "the instrument takes no more bytes"
                raise TimeoutError(msg)
            session.write_raw(data[at : at + WRITE_PIECE])

    def _receive(self, wanted: int | bytes, wall_timeout_s: float) -> bytes:
        if self._socket is not None:
            return self._receive_socket(self._socket, wall_timeout_s)
        session: Any = self._opened()
        session.timeout = max(round(wall_timeout_s * 1000), SHORTEST_MS)
        if self._is_serial:
            data = self._read(1)
            waiting = session.bytes_in_buffer if data else 0
            return data + self._read(waiting) if waiting else data
        if not self._is_stream:
            return self._read(CHUNK)  # a message ends by itself; pyvisa-py drops what a shorter read leaves of it
        # A vendor's socket: it stops at the terminator, or at the count where termination is off.
        session.read_termination = wanted[-1:].decode("latin-1") if isinstance(wanted, bytes) else None
        return self._read(min(wanted, CHUNK) if isinstance(wanted, int) else CHUNK)

    def _glance(self) -> bytes:
        if not self._is_stream:
            return b""  # an instrument that is read before it was asked reports an error
        if self._is_serial:
            session: Any = self._opened()
            waiting = session.bytes_in_buffer
            return self._read(waiting) if waiting else b""
        return super()._glance()

    def _receive_socket(self, raw: socket.socket, wall_timeout_s: float) -> bytes:
        if raw.fileno() < 0:
            msg = "the session was closed by another part of this program (pyvisa's resource manager is shared)"
            raise ConnectionAbortedError(msg)
        if not select.select([raw], [], [], wall_timeout_s)[0]:
            return b""
        there = len(raw.recv(CHUNK, socket.MSG_PEEK))
        if not there:
            msg = "the instrument closed the connection"
            raise ConnectionResetError(msg)
        return self._read(there)

    def _read(self, count: int) -> bytes:
        from pyvisa.constants import StatusCode
        from pyvisa.errors import VisaIOError

        session = self._opened()
        try:
            with session.ignore_warning(
                StatusCode.success_max_count_read, StatusCode.success_termination_character_read
            ):
                data, _ = session.visalib.read(session.session, count)
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


def _inner(session: MessageBasedResource) -> object:
    """Return pyvisa-py's own session object; another back end has none."""
    return getattr(session.visalib, "sessions", {}).get(session.session)
