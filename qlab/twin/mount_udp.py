"""A twin on a UDP port of 127.0.0.1: each datagram is one message, each client address one conversation.

Nothing is connected: the fault `drop` loses the reply, and a port that is closed (no power, `refuse`) is told to the client
by its own system, when it sends.  On Linux the system tells us likewise of a client that has gone, so that a late reply to
it does not count as being on its way.
"""

from __future__ import annotations

import socket
import sys
from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

from qlab.twin.mount import Mount
from qlab.twin.mount_tcp import LOOPBACK

if TYPE_CHECKING:
    from qlab.twin.conversation import Twin
    from qlab.twin.host import TwinHost
    from qlab.twin.session import Session

__all__ = ["UdpMount"]

Client: TypeAlias = "tuple[str, int]"

_CLIENTS = 256
"""Conversations that are remembered; nobody says goodbye over UDP."""
_LARGEST = 1 << 16
_ATTEMPTS = 3
_TELLS_OF_LOSSES = sys.platform == "linux"
_IP_RECVERR = 11  # linux/in.h; Python has no name for it before 3.14


class UdpMount(Mount):
    """A twin that answers datagrams.

    Parameters
    ----------
    port:
        Port number; 0 takes any free one, which then stays over power cycles.
    """

    whole_frames = True

    def __init__(self, host: TwinHost, twin: Twin, name: str, port: int = 0) -> None:
        super().__init__(host, twin, name)
        self.port = port
        self._socket: socket.socket | None = None
        self._clients: OrderedDict[Client, Session] = OrderedDict()

    async def open_wire(self) -> None:
        """Bind, to the same port as before."""
        if self._socket is not None or not self.reachable:
            return
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            opened.setblocking(False)
            if _TELLS_OF_LOSSES:
                opened.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
            opened.bind((LOOPBACK, self.port))
        except OSError:
            opened.close()
            raise
        self.port = int(opened.getsockname()[1])
        self.address = f"udp://{LOOPBACK}:{self.port}"
        self._socket = opened
        self.host.loop.add_reader(opened, self._readable)

    async def close_wire(self) -> None:
        """Give the port back: its clients are told by the system that nobody listens."""
        if self._socket is not None:
            self.host.loop.remove_reader(self._socket)
            while (datagram := self._next()) is not None:
                with self.lock:
                    self.received += len(datagram[0])  # came, and is lost: nobody may wait for it
            self._socket.close()
            self._socket = None
        for session in self._clients.values():
            self.end(session)
        self._clients.clear()

    async def remove_wire(self) -> None:
        """Give the port back."""
        await self.close_wire()

    def _next(self) -> tuple[bytes, Client] | None:
        self._take_back_lost()
        if self._socket is None:
            return None
        try:
            return self._socket.recvfrom(_LARGEST)
        except (BlockingIOError, ConnectionRefusedError):  # the latter of a reply, and the loop will call again
            return None

    def _take_back_lost(self) -> None:
        """Uncount the replies whose clients had gone; the system gives each back with its address."""
        while _TELLS_OF_LOSSES and self._socket is not None:
            try:
                data, _, _, client = self._socket.recvmsg(_LARGEST, 0, socket.MSG_ERRQUEUE)
            except BlockingIOError:
                return
            session = self._clients.pop(client, None)
            if session is not None:
                session.take_back(len(data))
                self.end(session)

    def _readable(self) -> None:
        datagram = self._next()
        if datagram is not None:
            data, client = datagram
            self.take(self._session(client), data)

    def _session(self, client: Client) -> Session:
        session = self._clients.get(client)
        if session is None or not session.open:

            def flush(session: Session) -> None:
                while session.outbox:
                    self._reply(session, session.outbox.popleft(), client)

            session = self._clients[client] = self.begin(self.twin, flush, self.end)
        self._clients.move_to_end(client)
        if len(self._clients) > _CLIENTS:
            self.end(self._clients.popitem(last=False)[1])
        return session

    def _reply(self, session: Session, data: bytes, client: Client) -> None:
        opened = self._socket
        try:
            for _ in range(_ATTEMPTS):
                if opened is None:
                    break
                self._take_back_lost()
                with suppress(ConnectionRefusedError):  # of an earlier reply, to another client
                    opened.sendto(data, client)
                    self._take_back_lost()
                    return
        except OSError as error:  # longer than a datagram can be, or no room in the system's buffers
            self.report(error)
        session.take_back(len(data))
