"""A link to a twin in the same process, without a wire: for tests of everything above the transport."""

from __future__ import annotations

from typing import Any, Protocol

from qlab.links.link import Link

__all__ = ["MemoryLink", "MemoryPort"]


class MemoryPort(Protocol):
    """What `qlab.twin.mount_memory.MemoryMount` offers."""

    address: str

    def plug(self) -> None:
        """Connect, or raise `ConnectionRefusedError`."""

    def unplug(self) -> None:
        """Disconnect."""

    def write(self, data: bytes) -> None:
        """Send, or raise `BrokenPipeError`."""

    def read(self, size: int, wall_timeout_s: float) -> bytes:
        """Receive; no bytes after the time-out."""
        ...


class MemoryLink(Link):
    """A connection to a memory mount."""

    def __init__(self, port: MemoryPort, **common: Any) -> None:
        super().__init__(port.address, **common)
        self._port = port

    def _open(self) -> None:
        self._port.plug()

    def _close(self) -> None:
        self._port.unplug()

    def _send(self, data: bytes) -> None:
        self._port.write(data)

    def _receive(self, wanted: int | bytes, wall_timeout_s: float) -> bytes:
        del wanted
        return self._port.read(1 << 20, wall_timeout_s)
