"""A twin on ZeroMQ: a REP endpoint that several clients can use, and PAIR streams on request.

The endpoint is a ROUTER, so that a client that waits for a slow reply does not stop the others, and a REQ socket that
was thrown away after a time-out takes no reply from its successor.  Counts are bytes of the frames' bodies.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict, deque
from typing import TYPE_CHECKING

import zmq

from qlab.errors import TwinError
from qlab.twin.conversation import MultiPort, Twin
from qlab.twin.mount import Mount
from qlab.twin.mount_tcp import LOOPBACK
from qlab.twin.session import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from qlab.twin.conversation import Conversation, OutputStream
    from qlab.twin.host import TwinHost
    from qlab.twin.session import Session

__all__ = ["ZmqMount", "ZmqStream"]

_CLIENTS = 256
"""Conversations that are remembered; REQ sockets do not say goodbye."""
_STREAM_BACKLOG = 1 << 26
_RETRY_S = 0.005
"""Wall time between attempts to bind a port that libzmq's own thread is still giving back."""
_RETRIES = 100
_STREAM_ATTEMPTS = 20


class _Socket:
    """A bound ZeroMQ socket; once made, it is used in the loop's thread only."""

    def __init__(
        self,
        mount: ZmqMount,
        kind: int,
        port: int,
        readable: Callable[[], bool],
        undelivered: Callable[[list[bytes]], None] = lambda frames: None,
    ) -> None:
        self._loop = mount.host.loop
        self._readable = readable
        self._undelivered = undelivered
        self._serving = False
        self.queue: deque[list[bytes]] = deque()
        self.raw: zmq.Socket[bytes] = mount.context.socket(kind)
        try:
            self.raw.setsockopt(zmq.LINGER, 0)
            self.raw.setsockopt(zmq.SNDHWM, 0)
            if kind == zmq.ROUTER:
                self.raw.setsockopt(zmq.ROUTER_MANDATORY, 1)  # tell us of clients that are gone
            self.raw.bind(f"tcp://{LOOPBACK}:{port or '*'}")
        except zmq.ZMQError:
            self.raw.close()
            raise
        self.port = int(self._text(zmq.LAST_ENDPOINT).rpartition(":")[2])
        self._fd = int(self.raw.getsockopt(zmq.FD))

    def watch(self) -> None:
        """Begin to be served by the loop; runs in its thread, as all below."""
        if not self.raw.closed:
            self._loop.add_reader(self._fd, self.serve)
            self.serve()

    def serve(self) -> None:
        """Do all that can be done: the descriptor is edge-triggered and covers both directions."""
        if self._serving:
            return  # the answer to what is being read goes out in the round that reads it
        self._serving = True
        try:
            while self._serve_once():
                pass
        finally:
            self._serving = False

    def _serve_once(self) -> bool:
        if self.raw.closed:
            return False
        events = int(self.raw.getsockopt(zmq.EVENTS))
        if self.queue and events & zmq.POLLOUT:
            try:
                self.raw.send_multipart(self.queue[0], zmq.NOBLOCK)
            except zmq.Again:
                return False
            except zmq.ZMQError as exc:
                if exc.errno != zmq.EHOSTUNREACH:
                    raise
                self._undelivered(self.queue[0])
            self.queue.popleft()
            return True
        return bool(events & zmq.POLLIN) and self._readable()

    def _text(self, option: int) -> str:
        value = self.raw.getsockopt(option)
        return value.decode().strip("\0") if isinstance(value, bytes) else str(value)

    def close(self) -> None:
        """Take the socket out of the loop."""
        if not self.raw.closed:
            self._loop.remove_reader(self._fd)
            self.raw.close(linger=0)


class ZmqStream:
    """A PAIR socket that a twin has bound; also the `qlab.clock.Peer` of the client's link."""

    def __init__(self, mount: ZmqMount, port: int) -> None:
        self._mount = mount
        self._socket = _Socket(mount, zmq.PAIR, port, self._drain)
        self.port = self._socket.port
        self.received = 0
        self.emitted = 0
        self.begun = 0
        self.lost = 0
        """Messages that no client fetched in time."""
        self._backlog = 0
        mount.in_loop(self._socket.watch)

    @property
    def busy(self) -> bool:
        """Whether a message is being made; they come by themselves."""
        return False

    def send(self, message: bytes) -> None:
        """Queue a message."""
        waiting = sum(len(parts[0]) for parts in list(self._socket.queue))
        if waiting + len(message) > _STREAM_BACKLOG:
            self.lost += 1
            return
        self.emitted += len(message)
        self._socket.queue.append([message])
        self._mount.in_loop(self._socket.serve)

    def close(self) -> None:
        """Unbind the port."""
        self._mount.in_loop(self.close_in_loop)

    def close_in_loop(self) -> None:
        """Unbind at once; runs in the host's loop."""
        self._mount.streams.pop(self.port, None)
        self._socket.close()

    def _drain(self) -> bool:
        """Take what the client says; nothing is expected."""
        try:
            self._socket.raw.recv(zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True


class _Endpoint:
    """One REP port: a conversation for each client that has spoken."""

    def __init__(self, mount: ZmqMount, twin: Twin, port: int) -> None:
        self._mount = mount
        self._twin = twin
        self.port = port
        self.tally = Tally(mount)
        self._socket: _Socket | None = None
        self._clients: OrderedDict[tuple[bytes, ...], Session] = OrderedDict()

    def open(self) -> None:
        """Bind; the port stays the same over power cycles."""
        if self._socket is None:
            self._socket = _Socket(self._mount, zmq.ROUTER, self.port, self._read, self._undelivered)
            self.port = self._socket.port
            self._socket.watch()

    def close(self) -> None:
        """Unbind and break the connections."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        for session in self._clients.values():
            self._mount.end(session)
        self._clients.clear()

    def _read(self) -> bool:
        if self._socket is None:
            return False
        try:
            frames = self._socket.raw.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return False
        # REQ puts an empty frame between the envelope and the body; a bare DEALER may not.
        head = frames.index(b"") + 1 if b"" in frames[1:-1] else 1
        self._mount.take(self._session(tuple(frames[:head])), b"".join(frames[head:]))
        return True

    def _undelivered(self, frames: list[bytes]) -> None:
        session = self._clients.pop(tuple(frames[:-1]), None)
        if session is not None:
            session.take_back(len(frames[-1]))
            self._mount.end(session)

    def _session(self, envelope: tuple[bytes, ...]) -> Session:
        session = self._clients.get(envelope)
        if session is None or not session.open:

            def flush(session: Session) -> None:
                while session.outbox:
                    data = session.outbox.popleft()
                    if self._socket is not None:
                        self._socket.queue.append([*envelope, data])
                        self._socket.serve()

            session = self._clients[envelope] = self._mount.begin(self._twin, flush, self._mount.end)
            session.tally = self.tally
        self._clients.move_to_end(envelope)
        if len(self._clients) > _CLIENTS:
            self._mount.end(self._clients.popitem(last=False)[1])
        return session


class _Front:
    """The front panel of an instrument that has ports but no conversation of its own."""

    def __init__(self, owner: object, ports: Sequence[Twin]) -> None:
        self._owner = owner
        self._ports = ports

    def connect(self) -> Conversation:
        """Talk to the main port."""
        return self._ports[0].connect()

    def reset_power(self) -> None:
        """Reset the instrument, or its ports where it does not do that itself."""
        reset = getattr(self._owner, "reset_power", None)
        if callable(reset):
            reset()
            return
        for port in self._ports:
            port.reset_power()


class ZmqMount(Mount):
    """A twin, or every port of one, as ZeroMQ endpoints.

    Attributes
    ----------
    addresses, peers:
        The address of each port by name (`address` is the first), and what its link asks about bytes under way.
    streams:
        The PAIR streams bound at the moment, by port.
    """

    whole_frames = True

    def __init__(self, host: TwinHost, twin: Twin | MultiPort, name: str, ports: Mapping[str, int]) -> None:
        twins: Mapping[str, Twin] = twin.ports() if isinstance(twin, MultiPort) else {"": twin}
        front = twin if isinstance(twin, Twin) else _Front(twin, list(twins.values()))
        super().__init__(host, front, name)
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.streams: dict[int, ZmqStream] = {}
        self._patience = threading.Event()
        self._endpoints = {key: _Endpoint(self, each, ports.get(key, 0)) for key, each in twins.items()}
        self._all = list(dict.fromkeys([twin, *twins.values()]))

    @property
    def addresses(self) -> dict[str, str]:
        """The address of each port."""
        return {key: f"tcp://{LOOPBACK}:{endpoint.port}" for key, endpoint in self._endpoints.items()}

    @property
    def peers(self) -> dict[str, Tally]:
        """The counts of each port."""
        return {key: endpoint.tally for key, endpoint in self._endpoints.items()}

    def twins(self) -> Sequence[object]:
        """Return the instrument and its ports."""
        return self._all

    def open_stream(self, port: int) -> OutputStream:
        """Bind a PAIR stream; raises `TwinError` where the port is taken."""
        # libzmq gives a closed port back in a thread of its own: a stream restarted on its port needs a few attempts.
        for attempt in range(_STREAM_ATTEMPTS):
            try:
                stream = ZmqStream(self, port)
            except zmq.ZMQError as exc:
                if exc.errno != zmq.EADDRINUSE or attempt == _STREAM_ATTEMPTS - 1:
                    msg = f"{self.name}: cannot bind a stream to port {port}: {exc}"
                    raise TwinError(msg) from exc
                self._patience.wait(_RETRY_S)
            else:
                self.streams[stream.port] = stream
                return stream
        raise AssertionError

    async def open_wire(self) -> None:
        """Bind all ports."""
        for endpoint in self._endpoints.values():
            await self._open(endpoint)
        self.address = next(iter(self.addresses.values()))

    async def close_wire(self) -> None:
        """Unbind ports and streams."""
        for endpoint in self._endpoints.values():
            endpoint.close()
        for stream in list(self.streams.values()):
            stream.close_in_loop()

    async def remove_wire(self) -> None:
        """Unbind everything and end libzmq's threads."""
        await self.close_wire()
        self.context.term()

    async def _open(self, endpoint: _Endpoint) -> None:
        for attempt in range(_RETRIES):
            if not self.reachable:
                return
            try:
                endpoint.open()
            except zmq.ZMQError as exc:
                if exc.errno != zmq.EADDRINUSE or attempt == _RETRIES - 1:
                    msg = f"{self.name}: cannot bind port {endpoint.port}: {exc}"
                    raise TwinError(msg) from exc
                await asyncio.sleep(_RETRY_S)
            else:
                return
