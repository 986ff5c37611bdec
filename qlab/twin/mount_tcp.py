"""A twin on a TCP port of 127.0.0.1: one conversation a connection, or one serial line for all connections."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

from qlab.twin.hislip import HislipPort
from qlab.twin.mount import Mount

if TYPE_CHECKING:
    from qlab.twin.conversation import Twin
    from qlab.twin.host import TwinHost
    from qlab.twin.session import Session

__all__ = ["LOOPBACK", "SerialTcpMount", "TcpMount"]

LOOPBACK = "127.0.0.1"
_BACKLOG = 32


class _Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, mount: TcpMount) -> None:
        self._mount = mount
        self.session: Session | None = None
        self.transport: asyncio.Transport | None = None
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the conversation, unless the twin went away while the client was knocking, or serves another."""
        if not isinstance(transport, asyncio.Transport) or not self._mount.reachable or self._mount.taken:
            transport.close()
            return
        self.transport = transport
        self._mount.clients.append(self)
        self.session = self._mount.join(self)

    def data_received(self, data: bytes) -> None:
        """Take bytes from the client."""
        if self.session is not None:
            self._mount.take(self.session, data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Clean up."""
        if self in self._mount.clients:
            self._mount.clients.remove(self)
        if self.session is not None:
            self._mount.leave(self, self.session)
        if not self.lost.done():
            self.lost.set_result(None)


class TcpMount(Mount):
    """A twin with a raw socket.

    Parameters
    ----------
    port:
        Port number; 0 takes any free one, which then stays over power cycles.
    """

    def __init__(self, host: TwinHost, twin: Twin, name: str, port: int = 0) -> None:
        super().__init__(host, twin, name)
        self.port = port
        self.clients: list[_Connection] = []
        self._listener: socket.socket | None = None
        self._reserve: socket.socket | None = None
        self._arriving: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """What pyserial opens."""
        return f"socket://{LOOPBACK}:{self.port}"

    @property
    def taken(self) -> bool:
        """Whether the instrument serves one client at a time (`one_client` of its twin) and has one."""
        there = (client.transport for client in self.clients)
        return bool(getattr(self.twin, "one_client", False)) and any(
            t is not None and not t.is_closing() for t in there
        )

    def make_address(self) -> str:
        """Return the VISA address."""
        if isinstance(self.twin, HislipPort):
            return self.twin.visa_address(LOOPBACK, self.port)
        return f"TCPIP0::{LOOPBACK}::{self.port}::SOCKET"

    def join(self, connection: _Connection) -> Session:
        """Give a new connection its session."""

        def flush(session: Session) -> None:
            while session.outbox:
                data = session.outbox.popleft()
                if connection.transport is not None:
                    connection.transport.write(data)

        def hang_up(session: Session) -> None:
            self.end(session)
            if connection.transport is not None:
                connection.transport.close()

        return self.begin(self.twin, flush, hang_up)

    def leave(self, connection: _Connection, session: Session) -> None:
        """Take a connection's session back."""
        del connection
        self.end(session)

    async def open_wire(self) -> None:
        """Listen, on the same port as before."""
        if self._listener is not None or not self.reachable:
            return
        # Not asyncio's server: when it closes while a client is half accepted, it forgets the client's socket.
        self._listener, self._reserve = self._reserve or self._bind(), None
        self._listener.listen(_BACKLOG)
        self.host.loop.add_reader(self._listener, self._accept)

    async def close_wire(self) -> None:
        """Stop listening and break the connections; the port stays bound, so that nobody else gets it meanwhile."""
        if self._listener is not None:
            self.host.loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None
            self._reserve = self._bind()
        await asyncio.gather(*self._arriving, return_exceptions=True)
        clients = list(self.clients)
        for client in clients:
            if client.transport is not None:
                client.transport.abort()
        await asyncio.gather(*(client.lost for client in clients))

    async def remove_wire(self) -> None:
        """Stop listening, break the connections and give the port back."""
        await self.close_wire()
        if self._reserve is not None:
            self._reserve.close()
            self._reserve = None

    def _accept(self) -> None:
        if self._listener is None:
            return
        try:
            client, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        client.setblocking(False)
        task = self.host.loop.create_task(self._welcome(client))
        self._arriving.add(task)
        task.add_done_callback(self._arriving.discard)

    async def _welcome(self, client: socket.socket) -> None:
        _, connection = await self.host.loop.connect_accepted_socket(lambda: _Connection(self), client)
        if connection.session is None:
            await connection.lost

    def _bind(self) -> socket.socket:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.setblocking(False)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((LOOPBACK, self.port))
        except OSError:
            listener.close()
            raise
        self.port = int(listener.getsockname()[1])
        self.address = self.make_address()
        return listener


class SerialTcpMount(TcpMount):
    """A serial line over TCP: the instrument does not notice who plugs in, and half a command stays half a command."""

    def __init__(self, host: TwinHost, twin: Twin, name: str, port: int = 0) -> None:
        super().__init__(host, twin, name, port)
        self._line: Session | None = None

    def make_address(self) -> str:
        """Return pyserial's URL."""
        return self.url

    def join(self, connection: _Connection) -> Session:
        """Plug the line into the newest client; an older one is unplugged."""
        for client in self.clients:
            if client is not connection and client.transport is not None:
                client.transport.abort()
        if self._line is None or not self._line.open:
            self._line = self.begin(self.twin, self._flush, self._hang_up)
        self._line.outbox.clear()
        return self._line

    def leave(self, connection: _Connection, session: Session) -> None:
        """Leave the line as it is."""

    def _flush(self, session: Session) -> None:
        while session.outbox:
            data = session.outbox.popleft()
            # With nobody plugged in the bytes go into the void, as on a real line.
            for client in self.clients[-1:]:
                if client.transport is not None:
                    client.transport.write(data)

    def _hang_up(self, session: Session) -> None:
        del session
        for client in self.clients:
            if client.transport is not None:
                with suppress(OSError):
                    client.transport.close()
