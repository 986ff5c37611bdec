"""The host: one background thread with one asyncio loop serves all twins of a lab.

    with TwinHost(clock) as host:
        mount = host.mount_tcp(CLD1015Twin.build("pump", bench, {}), name="pump")
        mount.address                     # "TCPIP0::127.0.0.1::40123::SOCKET"
        mount.faults.arm(WireFault("silent", count=2))
        mount.power_cycle(boot_s=3.0)

===================  =======================================================  ==========================
`mount_tcp`          raw socket, one conversation a connection                `TCPIP0::...::SOCKET`
`mount_pty`          pseudo-terminal behind a symlink that stays              path of the symlink
`mount_serial_tcp`   a serial line over TCP, for 7 bits or parity             `socket://127.0.0.1:port`
`mount_zmq`          ZeroMQ REQ/REP, several ports, output streams            `tcp://127.0.0.1:port`
`mount_udp`          datagrams, one conversation a client                     `udp://127.0.0.1:port`
`mount_memory`       no system resources at all                               `memory://name`
===================  =======================================================  ==========================

Everything listens on 127.0.0.1 only.  `close` joins the thread, leaves no socket, pty or file behind, and raises
`TwinError` if the code of a twin failed meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from qlab.errors import TwinError
from qlab.twin.mount_memory import MemoryMount
from qlab.twin.mount_tcp import SerialTcpMount, TcpMount
from qlab.twin.mount_udp import UdpMount
from qlab.twin.mount_zmq import ZmqMount

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from types import TracebackType
    from typing import Any, Self, TypeVar

    from qlab.clock import Clock
    from qlab.twin.conversation import MultiPort, Twin
    from qlab.twin.mount import Mount
    from qlab.twin.mount_pty import PtyMount

    M = TypeVar("M", bound=Mount)

__all__ = ["TwinHost"]

_log = logging.getLogger(__name__)
_START_S = 10.0


class TwinHost:
    """The thread behind all twins of a lab.

    Parameters
    ----------
    clock:
        The lab's clock; it must not be closed before the host.
    seed:
        Seed of the chances of wire faults.
    """

    def __init__(self, clock: Clock, *, seed: int = 0) -> None:
        self.clock = clock
        self.seed = seed
        self.lock = threading.RLock()
        """Held whenever twin code runs: all twins of a lab live in one world, one at a time."""
        self.failures: list[str] = []
        """What went wrong inside twins; `close` raises it."""
        self.mounts: dict[str, Mount] = {}
        self._folder: Path | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing: list[Callable[[], None]] = []
        self._submitting = threading.Lock()
        self._closed = False
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(self._loop_failed)
        self._thread = threading.Thread(target=self._serve, name="qlab-twins", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    # -- mounts

    def mount_tcp(self, twin: Twin, *, name: str | None = None, port: int = 0) -> TcpMount:
        """Serve a twin on a TCP port (0: any free one)."""
        return self._add(TcpMount(self, twin, self._name(name, twin), port))

    def mount_serial_tcp(self, twin: Twin, *, name: str | None = None, port: int = 0) -> SerialTcpMount:
        """Serve a serial twin for pyserial's `socket://`, where a pty cannot do the line settings."""
        return self._add(SerialTcpMount(self, twin, self._name(name, twin), port))

    def mount_pty(self, twin: Twin, symlink: Path | str | None = None, *, name: str | None = None) -> PtyMount:
        """Serve a serial twin on a pseudo-terminal; `symlink` is its lasting path (default: in a run folder)."""
        try:
            from qlab.twin.mount_pty import PtyMount
        except ImportError as exc:
            msg = "this system has no pseudo-terminals; use mount_serial_tcp and pyserial's socket:// instead"
            raise TwinError(msg) from exc
        called = self._name(name, twin)
        return self._add(PtyMount(self, twin, called, Path(symlink) if symlink else self.folder / called))

    def mount_zmq(
        self, twin: Twin | MultiPort, *, name: str | None = None, ports: Mapping[str, int] | None = None
    ) -> ZmqMount:
        """Serve a twin, or each port of a `MultiPort` twin, as a ZeroMQ REP endpoint for several clients."""
        return self._add(ZmqMount(self, twin, self._name(name, twin), ports or {}))

    def mount_udp(self, twin: Twin, *, name: str | None = None, port: int = 0) -> UdpMount:
        """Serve a twin on a UDP port (0: any free one)."""
        return self._add(UdpMount(self, twin, self._name(name, twin), port))

    def mount_memory(self, twin: Twin, name: str | None = None) -> MemoryMount:
        """Serve a twin inside the process, for fast tests of what is above the wire."""
        return self._add(MemoryMount(self, twin, self._name(name, twin)))

    @property
    def folder(self) -> Path:
        """A folder for symlinks, removed by `close`."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="qlab-"))
        return self._folder

    def close(self) -> None:
        """Take all twins off their wires and stop the thread."""
        if self._closed:
            return
        for close in reversed(self._closing):
            close()
        for mount in list(self.mounts.values()):
            mount.close()
        with self._submitting:
            self._closed = True
            self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()
        if self._folder is not None:
            shutil.rmtree(self._folder)
        if self.failures:
            msg = f"{len(self.failures)} failure(s) inside twins: " + "; ".join(self.failures)
            raise TwinError(msg)

    # -- for mounts

    def in_loop(self, action: Callable[[], None]) -> None:
        """Run in the loop's thread: at once where this is it, else soon."""
        if threading.current_thread() is self._thread:
            action()
            return
        with self._submitting:
            if not self._closed:
                self.loop.call_soon_threadsafe(action)

    def run(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a coroutine in the loop and wait for its end; in the loop's own thread it is only begun."""
        if threading.current_thread() is self._thread:
            task = self.loop.create_task(work())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return
        with self._submitting:
            if self._closed:
                return
            future = asyncio.run_coroutine_threadsafe(work(), self.loop)
        future.result()

    def on_close(self, action: Callable[[], None]) -> None:
        """Run before the mounts are closed; for what else lives in this loop."""
        self._closing.append(action)

    async def settle(self) -> None:
        """Wait, inside the loop, for all that `run` has begun there."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    def forget(self, mount: Mount) -> None:
        """Strike out a mount that has closed."""
        self.mounts = {name: each for name, each in self.mounts.items() if each is not mount}

    def _add(self, mount: M) -> M:
        if self._closed:
            msg = f"the twin host is closed; {mount.name} cannot be mounted"
            raise TwinError(msg)
        with self.lock:
            mount.attach()
        self.mounts[mount.name] = mount
        try:
            mount.start()
        except (OSError, TwinError) as exc:
            mount.close()
            msg = f"{mount.name}: cannot be mounted: {exc}"
            raise TwinError(msg) from exc
        return mount

    def _name(self, name: str | None, twin: object) -> str:
        if name is None:
            name = f"{type(twin).__name__}-{len(self.mounts)}"
        if name in self.mounts:
            msg = f"a twin called {name!r} is mounted already"
            raise TwinError(msg)
        return name

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
            while pending := asyncio.all_tasks(self.loop):
                self.loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
        finally:
            asyncio.set_event_loop(None)

    def _loop_failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        del loop
        _log.error("twin host: %s", context.get("message"), exc_info=context.get("exception"))
        self.failures.append(f"host: {context.get('message')}: {context.get('exception')!r}")
