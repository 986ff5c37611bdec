"""Request and reply over ZeroMQ: a REQ socket that waited in vain is thrown away (the lazy pirate).

ZeroMQ itself hides refused and lost connections: it tries again for ever and leaves the request in the queue, where it
would be sent, late, to whoever appears.  The socket's monitor tells of them, so that here they are what they are
elsewhere: `LinkClosedError`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qlab.errors import BadReplyError
from qlab.links.frames import FrameLink

if TYPE_CHECKING:
    import zmq

__all__ = ["ZmqLink"]


class ZmqLink(FrameLink):
    """A ZeroMQ REQ socket; a frame is a whole message."""

    def __init__(self, address: str, **common: Any) -> None:
        super().__init__(address, **common)
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._socket: zmq.Socket[bytes] | None = None
        self._monitor: zmq.Socket[bytes] | None = None

    def _open(self) -> None:
        import zmq

        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.REQ)
        self._socket.linger = 0
        self._monitor = self._socket.get_monitor_socket(
            zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_CONNECT_RETRIED | zmq.EVENT_CLOSED | zmq.EVENT_DISCONNECTED
        )
        self._monitor.linger = 0
        self._socket.connect(self.address)
        wait_ms = round(self.clock.wall_s(self.policy.timeout_s) * 1000)
        if not self._monitor.poll(wait_ms):
            msg = "no answer to the connection"
            raise TimeoutError(msg)
        self._watch()

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.disable_monitor()
            self._socket.close(linger=0)
        if self._monitor is not None:
            self._monitor.close(linger=0)
        if self._context is not None:
            self._context.term()
        self._monitor = self._socket = self._context = None

    def _send(self, data: bytes) -> None:
        import zmq

        self._watch()
        try:
            self._opened().send(data, zmq.NOBLOCK)
        except zmq.ZMQError as error:
            if error.errno == zmq.EFSM:
                what, hint = "a request was sent before the last one was answered", "read the reply first"
                raise BadReplyError(what, device=self.name, command=data, hint=hint) from error
            raise

    def _receive(self, wanted: int | bytes, wall_timeout_s: float) -> bytes:
        import zmq

        del wanted
        socket, monitor = self._opened(), self._monitor
        poller = zmq.Poller()
        for each in (socket, monitor):
            if each is not None:
                poller.register(each, zmq.POLLIN)
        ready = dict(poller.poll(round(wall_timeout_s * 1000)))
        if socket in ready:
            data = b"".join(socket.recv_multipart())
            self._frames.append(len(data))
            return data
        self._watch()
        return b""

    def _watch(self) -> None:
        """Raise where the connection was refused or lost."""
        import zmq
        from zmq.utils.monitor import recv_monitor_message

        while self._monitor is not None and self._monitor.poll(0):
            event = recv_monitor_message(self._monitor)["event"]
            if event in (zmq.EVENT_CLOSED, zmq.EVENT_CONNECT_RETRIED):
                msg = "the connection was refused"
                raise ConnectionRefusedError(msg)
            if event == zmq.EVENT_DISCONNECTED:
                msg = "the instrument closed the connection"
                raise ConnectionResetError(msg)

    def _opened(self) -> zmq.Socket[bytes]:
        if self._socket is None:
            msg = "the socket is closed"
            raise ConnectionError(msg)
        return self._socket

    @property
    def _lost(self) -> tuple[type[Exception], ...]:
        import zmq

        return (zmq.ZMQError, OSError)
