"""The classical channel between two parties: frames over TCP, or TLS, that connects again for as long as it takes.

The reference listens, the corrector calls.  On the stream each frame has its length before it, 4 bytes, big-endian.  What a
lost connection, or a worse channel (`qlab.parties.impairments`), takes away is sent again by `qlab.qkd.frames`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import struct
from typing import TYPE_CHECKING

from qlab.errors import BadRequestError, PeerError
from qlab.parties.impairments import Impairments, Spoiler
from qlab.qkd.frames import LARGEST_FRAME, FrameLink

if TYPE_CHECKING:
    import ssl
    from types import TracebackType
    from typing import Self

    from qlab.qkd.authentication import Role

__all__ = ["PartyChannel", "PeerRestartedError", "parse_place"]

_LENGTH = struct.Struct(">I")
_RETRY_S, _MOST_RETRY_S = 0.02, 1.0
_BUFFER = 1 << 22


class PeerRestartedError(PeerError):
    """The peer's process was started again; what was under way is given up."""


def parse_place(text: str) -> tuple[str, int]:
    """Return host and port from `HOST:PORT`.

    Raises
    ------
    BadRequestError
        It is none.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        msg = f"address {text!r}: expected HOST:PORT, for example 127.0.0.1:7440"
        raise BadRequestError(msg)
    return host.strip("[]"), int(port)


class PartyChannel:
    """One party's end; an asynchronous context.

    Parameters
    ----------
    role, channel_key:
        Of the party, and from its ledger.
    place:
        Where the reference listens; port 0 takes any free one, which `port` then has.
    tls:
        For TLS below the frames; a server's context for the reference, a client's for the corrector.
    impairments:
        What is done to frames that this side sends.
    """

    def __init__(
        self,
        role: Role,
        channel_key: bytes,
        place: tuple[str, int],
        *,
        tls: ssl.SSLContext | None = None,
        impairments: Impairments | None = None,
    ) -> None:
        self.link = FrameLink(role, channel_key, os.urandom)
        self.port = place[1]
        self._role: Role = role
        self._host = place[0]
        self._tls = tls
        self._spoiler = Spoiler(impairments or Impairments())
        self._writer: asyncio.StreamWriter | None = None
        self._heard: asyncio.Queue[bytes | PeerRestartedError] = asyncio.Queue()
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._closed = False
        self._stale = False  # the peer was started again: what is said now would answer its former self
        self.connections = 0
        """How often the parties were connected."""

    async def __aenter__(self) -> Self:
        if self._role == "reference":
            try:
                self._server = await asyncio.start_server(self._serve, self._host, self.port, ssl=self._tls)
            except OSError as error:
                msg = f"cannot listen at {self._host}:{self.port}: {error.strerror or error}"
                raise BadRequestError(msg) from error
            self.port = int(self._server.sockets[0].getsockname()[1])
        else:
            self._tasks.append(asyncio.create_task(self._call()))
        self._tasks.append(asyncio.create_task(self._pump()))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        if kind is None:
            await self.flush()
        if self._server is not None:
            self._server.close()
        self._closed = True
        for task in (*self._tasks, *self._serving):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._serving, return_exceptions=True)
        if self._writer is not None:
            self._writer.transport.abort()
        await asyncio.sleep(0)  # for the transports to let go of their sockets

    def begin(self) -> None:
        """Begin a conversation with the peer as it is now; that it was started again before is no concern of this one."""
        self._stale = False
        heard = [self._heard.get_nowait() for _ in range(self._heard.qsize())]
        for one in heard:
            if not isinstance(one, PeerRestartedError):
                self._heard.put_nowait(one)

    async def say(self, message: bytes) -> None:
        """Send a message, in its turn; not in a conversation whose peer was started again, who would not understand it."""
        if self._stale:
            return
        self.link.send(message)
        self._wake.set()
        if self._writer is not None and self._writer.transport.get_write_buffer_size() > _BUFFER:
            with contextlib.suppress(ConnectionError):
                await self._writer.drain()

    async def hear(self, patience_s: float) -> bytes:
        """Return the peer's next message.

        Raises
        ------
        PeerRestartedError
            The peer was started again.
        PeerError
            Nothing came for `patience_s`.
        """
        try:
            async with asyncio.timeout(patience_s):
                heard = await self._heard.get()
        except TimeoutError:
            msg = f"the peer said nothing for {patience_s:g} s; is it running, and is the channel up?"
            raise PeerError(msg) from None
        if isinstance(heard, PeerRestartedError):
            raise heard
        return heard

    async def flush(self, patience_s: float = 5.0) -> None:
        """Wait until the peer has everything, or for so long."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + patience_s
        while not self.link.idle and loop.time() < end_s:
            await asyncio.sleep(0.01)

    async def _call(self) -> None:
        retry_s = _RETRY_S
        while True:
            try:
                reader, writer = await asyncio.open_connection(self._host, self.port, ssl=self._tls)
            except OSError:
                retry_s = min(2.0 * retry_s, _MOST_RETRY_S)
            else:
                retry_s = _RETRY_S
                await self._talk(reader, writer)
            await asyncio.sleep(retry_s)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)
        if self._writer is not None:
            self._writer.transport.abort()  # the peer called again: its old connection is dead
        with contextlib.suppress(asyncio.CancelledError):
            await self._talk(reader, writer)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read one connection until it ends."""
        self._writer = writer
        self.connections += 1
        self.link.connected()
        self._wake.set()
        try:
            while True:
                (size,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
                if size > LARGEST_FRAME:
                    break
                self._take(await reader.readexactly(size))
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.transport.abort()
            if self._writer is writer:
                self._writer = None

    def _take(self, frame: bytes) -> None:
        link, before = self.link, self.link.sessions
        messages = link.receive(frame, asyncio.get_running_loop().time())
        if link.sessions > before >= 1:
            self._stale = True
            while not self._heard.empty():
                self._heard.get_nowait()  # said by its former self
            self._heard.put_nowait(PeerRestartedError("the peer was started again; the block is given up"))
        for message in messages:
            self._heard.put_nowait(message)
        self._wake.set()

    async def _pump(self) -> None:
        """Send what is due, whenever something happens."""
        loop = asyncio.get_running_loop()
        # Python 3.11's `wait_for` swallows a cancellation that comes together with the event.
        while not self._closed:
            self._wake.clear()
            if self._writer is not None:
                for frame in self.link.outgoing(loop.time()):
                    for delay_s, piece in self._spoiler.fate(frame):
                        if delay_s > 0.0:
                            loop.call_later(delay_s, self._write, piece)
                        else:
                            self._write(piece)
            due_s = self.link.due_s() if self._writer is not None else None
            timeout = None if due_s is None else max(due_s - loop.time(), 0.001)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), timeout)

    def _write(self, frame: bytes) -> None:
        writer = self._writer
        if writer is None or writer.transport.is_closing():
            return
        writer.write(_LENGTH.pack(len(frame)) + frame)
        if self._spoiler.breaks():
            writer.transport.abort()
