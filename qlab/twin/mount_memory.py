"""A twin inside the process: the same sessions, faults, power and counts, and no system resources."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from qlab.twin.mount import Mount

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.twin.conversation import Twin
    from qlab.twin.host import TwinHost
    from qlab.twin.session import Session

__all__ = ["MemoryMount"]


class MemoryMount(Mount):
    """A twin that is called directly by its one client; errors are those of a socket."""

    def __init__(self, host: TwinHost, twin: Twin, name: str) -> None:
        super().__init__(host, twin, name)
        self.address = f"memory://{name}"
        self._arrived = threading.Condition()
        self._buffer = bytearray()
        self._plugged: Session | None = None

    def plug(self) -> None:
        """Connect; raises `ConnectionRefusedError` while the twin cannot be reached."""
        if not self.reachable:
            msg = f"{self.address} refuses the connection"
            raise ConnectionRefusedError(msg)
        self.unplug()
        self._buffer.clear()
        self._plugged = self.begin(self.twin, self._push, self.end)

    def unplug(self) -> None:
        """Hang up; may be called again."""
        if self._plugged is not None:
            self.end(self._plugged)
            self._plugged = None

    def write(self, data: bytes) -> None:
        """Hand bytes to the twin, whose answer is there on return; raises `BrokenPipeError` where it has hung up."""
        if self._plugged is None or not self._plugged.open:
            msg = f"{self.address} has hung up"
            raise BrokenPipeError(msg)
        self.take(self._plugged, data)

    def read(self, size: int, wall_timeout_s: float = 0.0) -> bytes:
        """Take up to `size` bytes; none after `wall_timeout_s`, `ConnectionResetError` where the twin has hung up."""
        with self._arrived:
            self._arrived.wait_for(lambda: bool(self._buffer) or not self._there, wall_timeout_s)
            if not self._buffer and not self._there:
                msg = f"{self.address} has hung up"
                raise ConnectionResetError(msg)
            data = bytes(self._buffer[:size])
            del self._buffer[: len(data)]
            return data

    @property
    def _there(self) -> bool:
        return self._plugged is not None and self._plugged.open

    def _push(self, session: Session) -> None:
        with self._arrived:
            while session.outbox:
                self._buffer += session.outbox.popleft()
            self._arrived.notify_all()

    def in_loop(self, action: Callable[[], None]) -> None:
        """Run at once: there is no loop between the ends of this wire."""
        action()

    def end(self, session: Session) -> None:
        """Close a session and wake who waits for its bytes."""
        super().end(session)
        session.flush()

    async def open_wire(self) -> None:
        """Nothing to open."""

    async def close_wire(self) -> None:
        """Nothing to close."""

    async def remove_wire(self) -> None:
        """Nothing to give back."""
