"""Request and reply over ZeroMQ: a REQ socket that waited in vain is thrown away (the lazy pirate)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qlab.links.link import Link

if TYPE_CHECKING:
    import zmq

__all__ = ["ZmqLink"]


class ZmqLink(Link):
    """A ZeroMQ REQ socket.  A frame is a whole message, so a terminator is put behind each reply to frame it here."""

    def __init__(self, address: str, **common: Any) -> None:
        common["command_terminator"] = b""
        super().__init__(address, **common)
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._socket: zmq.Socket[bytes] | None = None

    def _open(self) -> None:
        import zmq

        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.REQ)
        self._socket.linger = 0
        self._socket.connect(self.address)

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close(linger=0)
        if self._context is not None:
            self._context.term()
        self._socket = self._context = None

    def _send(self, data: bytes) -> None:
        self._opened().send(data)

    def _receive(self, wall_timeout_s: float, want: int | None) -> bytes:
        socket = self._opened()
        if not socket.poll(round(wall_timeout_s * 1000)):
            return b""
        return socket.recv() + self.terminator

    def _take(self, data: bytes) -> None:
        super()._take(data)
        if data:
            self._taken -= len(self.terminator)  # ours, not the peer's

    def _opened(self) -> zmq.Socket[bytes]:
        if self._socket is None:
            msg = "the socket is closed"
            raise ConnectionError(msg)
        return self._socket

    @property
    def _lost(self) -> tuple[type[Exception], ...]:
        import zmq

        return (zmq.ZMQError, OSError)
