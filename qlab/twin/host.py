"""One background thread with one asyncio loop hosts all twins of a lab, on loopback TCP, ptys, ZeroMQ and in memory."""

from __future__ import annotations

import asyncio
import os
import pty
import socket
import threading
import tty
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from qlab.errors import TwinError
from qlab.twin.mount import Mount

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import TracebackType
    from typing import Self

    from qlab.clock import Clock
    from qlab.twin.conversation import Twin
    from qlab.twin.faults import FaultFilter
    from qlab.twin.mount import Channel

__all__ = ["MemoryMount", "PtyMount", "TcpMount", "TwinHost", "ZmqMount"]

T = TypeVar("T")
LOOPBACK = "127.0.0.1"


class TcpMount(Mount):
    """A twin behind a TCP port; `address` is a VISA socket resource, `url` what pyserial opens."""

    def __init__(self, twin: Twin, clock: Clock, loop: asyncio.AbstractEventLoop, faults: FaultFilter | None) -> None:
        super().__init__(twin, clock, faults)
        self.loop = loop
        self.port = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen on a free port, the same again after a power cycle."""
        self._server = await self.loop.create_server(lambda: _TcpProtocol(self), LOOPBACK, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        self.address = f"TCPIP0::{LOOPBACK}::{self.port}::SOCKET"
        self.url = f"socket://{LOOPBACK}:{self.port}"

    def close(self) -> None:
        """Stop listening and hang up; runs in the host's loop."""
        if self._server is not None:
            self._server.close()
        for channel in list(self._channels):
            channel.hang_up()
        super().close()


class _TcpProtocol(asyncio.Protocol):
    def __init__(self, mount: TcpMount) -> None:
        self._mount = mount
        self._channel: Channel | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.Transport):
            msg = f"expected a stream transport, found {transport!r}"
            raise TwinError(msg)
        mount, loop = self._mount, self._mount.loop
        if mount.faults.refusing or not mount.powered:
            transport.abort()
            return
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._channel = mount.attach(
            lambda data: _in_loop(loop, transport.write, data), lambda: _in_loop(loop, transport.abort)
        )

    def data_received(self, data: bytes) -> None:
        if self._channel is not None:
            self._mount.incoming(self._channel, data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._channel is not None:
            self._mount.detach(self._channel)


class PtyMount(Mount):
    """A twin behind a pseudo-terminal; `address` is a symlink that outlives power cycles."""

    def __init__(
        self, twin: Twin, clock: Clock, loop: asyncio.AbstractEventLoop, symlink: Path, faults: FaultFilter | None
    ) -> None:
        super().__init__(twin, clock, faults)
        self.loop = loop
        self.address = str(symlink)
        self._symlink = symlink
        self._master = self._slave = -1
        self._channel: Channel | None = None
        self._pending = bytearray()

    async def start(self) -> None:
        """Open the terminal in raw mode; holding the other end open keeps the line up when a client leaves."""
        self._plug()

    def power_off(self) -> None:
        """Cut the power: the terminal vanishes under the client, as a USB serial port does."""
        super().power_off()
        _in_loop(self.loop, self._unplug)

    def close(self) -> None:
        """Close the terminal and remove the symlink; runs in the host's loop."""
        self._unplug()
        super().close()

    def _booted(self) -> None:
        super()._booted()
        _in_loop(self.loop, self._plug)

    def _plug(self) -> None:
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self._symlink.unlink(missing_ok=True)
        self._symlink.symlink_to(os.ttyname(self._slave))
        self._channel = self.attach(lambda data: _in_loop(self.loop, self._write, data), self._hang_up)
        self.loop.add_reader(self._master, self._read)

    def _hang_up(self) -> None:
        """Unplug and plug in again: what a dropped USB serial line looks like."""

        def again() -> None:
            self._unplug()
            if self.powered and not self.faults.refusing:
                self._plug()

        _in_loop(self.loop, again)

    def _unplug(self) -> None:
        if self._master < 0:
            return
        self.loop.remove_reader(self._master)
        self.loop.remove_writer(self._master)
        self._symlink.unlink(missing_ok=True)
        os.close(self._master)
        os.close(self._slave)
        self._master = self._slave = -1
        self._pending.clear()
        if self._channel is not None:
            self.detach(self._channel)
            self._channel = None

    def _read(self) -> None:
        try:
            data = os.read(self._master, 65536)
        except (BlockingIOError, InterruptedError):
            return
        if data and self._channel is not None:
            self.incoming(self._channel, data)

    def _write(self, data: bytes = b"") -> None:
        if self._master < 0:
            return
        self._pending += data
        try:
            written = os.write(self._master, self._pending)
        except (BlockingIOError, InterruptedError):
            written = 0
        del self._pending[:written]
        if self._pending:
            self.loop.add_writer(self._master, self._write)
        else:
            self.loop.remove_writer(self._master)


class ZmqMount(Mount):
    """A twin behind a ZeroMQ ROUTER that several REQ clients can talk to; one frame is one message."""

    def __init__(self, twin: Twin, clock: Clock, loop: asyncio.AbstractEventLoop, faults: FaultFilter | None) -> None:
        super().__init__(twin, clock, faults)
        self.loop = loop
        self._clients: dict[bytes, Channel] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Bind a free port."""
        import zmq
        import zmq.asyncio

        self._context = zmq.asyncio.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.linger = 0
        self.port = self._socket.bind_to_random_port(f"tcp://{LOOPBACK}")
        self.address = f"tcp://{LOOPBACK}:{self.port}"
        self._task = self.loop.create_task(self._serve())

    async def _serve(self) -> None:
        while True:
            client, *_, data = await self._socket.recv_multipart()
            if client not in self._clients:
                self._clients[client] = self.attach(
                    lambda reply, client=client: _in_loop(self.loop, self._send, client, reply),  # type: ignore[misc]
                    lambda: None,  # ZeroMQ reconnects by itself: a lost connection is a lost reply
                )
            if self.faults.refusing:
                self.received += len(data)
            else:
                self.incoming(self._clients[client], data)

    def _send(self, client: bytes, reply: bytes) -> None:
        task = self.loop.create_task(self._deliver([client, b"", reply]))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def _deliver(self, frames: list[bytes]) -> None:
        await self._socket.send_multipart(frames)

    def close(self) -> None:
        """Unbind; runs in the host's loop."""
        if self._task is not None:
            self._task.cancel()
        self._socket.close(linger=0)
        self._context.term()
        super().close()


class MemoryMount(Mount):
    """A twin without a wire: `exchange` for tests of everything above the transport.

    It is opened by `qlab.links.memory.MemoryLink`, which calls `plug`, `write` and `read`.
    """

    def __init__(self, twin: Twin, clock: Clock, name: str, faults: FaultFilter | None) -> None:
        super().__init__(twin, clock, faults)
        self.address = f"memory://{name}"
        self._arrived = threading.Condition()
        self._buffer = bytearray()
        self._plugged: Channel | None = None

    def plug(self) -> None:
        """Connect; raises `ConnectionRefusedError` where the instrument is off or refuses."""
        if self.faults.refusing or not self.powered:
            msg = f"{self.address} refused the connection"
            raise ConnectionRefusedError(msg)
        self._buffer.clear()
        self._plugged = self.attach(self._push, self._lost)

    def unplug(self) -> None:
        """Disconnect."""
        if self._plugged is not None:
            self.detach(self._plugged)
            self._plugged = None

    def write(self, data: bytes) -> None:
        """Send to the twin; raises `BrokenPipeError` where the connection is lost."""
        if self._plugged is None:
            msg = f"{self.address} has hung up"
            raise BrokenPipeError(msg)
        self.incoming(self._plugged, data)

    def read(self, size: int, wall_timeout_s: float) -> bytes:
        """Return at most `size` bytes, none after the time-out."""
        with self._arrived:
            if not self._buffer and self._plugged is not None:
                self._arrived.wait_for(lambda: self._buffer or self._plugged is None, wall_timeout_s)
            if not self._buffer and self._plugged is None:
                msg = f"{self.address} has hung up"
                raise ConnectionResetError(msg)
            data = bytes(self._buffer[:size])
            del self._buffer[:size]
            return data

    def _push(self, data: bytes) -> None:
        with self._arrived:
            self._buffer += data
            self._arrived.notify_all()

    def _lost(self) -> None:
        self.unplug()
        with self._arrived:
            self._arrived.notify_all()


class TwinHost:
    """The thread and loop that all mounts of a lab share.

    Parameters
    ----------
    clock:
        The lab's clock, which serves the twins' due times.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.mounts: list[Mount] = []
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="qlab-twins", daemon=True)
        self._thread.start()

    def mount_tcp(self, twin: Twin, faults: FaultFilter | None = None) -> TcpMount:
        """Mount on a free loopback TCP port."""
        return self._start(TcpMount(twin, self.clock, self.loop, faults))

    def mount_pty(self, twin: Twin, symlink: Path | str, faults: FaultFilter | None = None) -> PtyMount:
        """Mount on a pseudo-terminal with a stable symlink."""
        return self._start(PtyMount(twin, self.clock, self.loop, Path(symlink), faults))

    def mount_zmq(self, twin: Twin, faults: FaultFilter | None = None) -> ZmqMount:
        """Mount on a free loopback ZeroMQ port."""
        return self._start(ZmqMount(twin, self.clock, self.loop, faults))

    def mount_memory(self, twin: Twin, name: str, faults: FaultFilter | None = None) -> MemoryMount:
        """Mount in memory."""
        mount = MemoryMount(twin, self.clock, name, faults)
        self.mounts.append(mount)
        return mount

    def run(self, work: Coroutine[object, object, T]) -> T:
        """Run a coroutine in the host's loop and wait for its result."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10.0)

    def close(self) -> None:
        """Unmount everything and end the thread."""
        if self.loop.is_closed():
            return
        self.run(self._close_mounts())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    async def _close_mounts(self) -> None:
        for mount in self.mounts:
            mount.close()
        self.mounts.clear()
        current = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not current]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)

    def _start(self, mount: M) -> M:
        self.run(mount.start())
        self.mounts.append(mount)
        return mount


M = TypeVar("M", TcpMount, PtyMount, ZmqMount)


def _in_loop(loop: asyncio.AbstractEventLoop, call: object, *arguments: object) -> None:
    """Call in the host's loop, at once if this is its thread."""
    if not callable(call):
        msg = f"{call!r} cannot be called"
        raise TwinError(msg)
    try:
        running = asyncio.get_running_loop()
    except RuntimeError:
        running = None
    if running is loop:
        call(*arguments)
    elif not loop.is_closed():
        loop.call_soon_threadsafe(call, *arguments)
