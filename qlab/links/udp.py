"""Request and reply over UDP: a datagram is a whole message, and what was lost on the way looks like silence.

There is no connection.  Opening takes a local port that this link has not had lately, so that a late reply to an earlier
question finds nobody; closing gives it back.  Where the instrument's host says that nobody listens (ICMP), the link cannot
reach it: the datagram was not taken.  A power cycle between two questions is not noticed, and nothing is restored after it.
"""

from __future__ import annotations

import select
import socket
from collections import deque
from typing import TYPE_CHECKING, Any

from qlab.errors import BadRequestError
from qlab.links.frames import FrameLink

if TYPE_CHECKING:
    from qlab.errors import LinkClosedError

__all__ = ["UdpLink"]

LARGEST = 1 << 16
REMEMBERED_PORTS = 64


class UdpLink(FrameLink):
    """A UDP socket.

    Parameters
    ----------
    address:
        `udp://HOST:PORT`.
    """

    def __init__(self, address: str, **common: Any) -> None:
        super().__init__(address, **common)
        host, _, port = address.removeprefix("udp://").rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < LARGEST:
            msg = f"{self.name}: address {address!r} is no UDP end point; expected udp://HOST:PORT"
            raise BadRequestError(msg)
        self._end_point = (host.strip("[]"), int(port))
        self._socket: socket.socket | None = None
        self._ports: deque[int] = deque(maxlen=REMEMBERED_PORTS)

    def _open(self) -> None:
        family, _, _, _, end_point = socket.getaddrinfo(*self._end_point, type=socket.SOCK_DGRAM)[0]
        used: list[socket.socket] = []
        try:
            while self._socket is None:
                fresh = socket.socket(family, socket.SOCK_DGRAM)
                used.append(fresh)
                fresh.setblocking(False)
                fresh.connect(end_point)
                port = int(fresh.getsockname()[1])
                if port not in self._ports:
                    self._ports.append(port)
                    self._socket = used.pop()
        finally:
            for each in used:
                each.close()

    def _close(self) -> None:
        opened, self._socket = self._socket, None
        if opened is not None:
            opened.close()

    def _send(self, data: bytes) -> None:
        self._opened().send(data)

    def _receive(self, wanted: int | bytes, wall_timeout_s: float) -> bytes:
        del wanted
        opened = self._opened()
        if not select.select([opened], [], [], wall_timeout_s)[0]:
            return b""
        try:
            data = opened.recv(LARGEST)
        except BlockingIOError:  # a datagram with a wrong check sum was there and is gone
            return b""
        if data:
            self._frames.append(len(data))
        return data

    def _gone(self, error: BaseException | None) -> LinkClosedError:
        if isinstance(error, ConnectionRefusedError):
            self._unplug()  # nobody listens there, and nothing was executed
        return super()._gone(error)

    def _opened(self) -> socket.socket:
        if self._socket is None:
            msg = "the socket is closed"
            raise ConnectionError(msg)
        return self._socket
