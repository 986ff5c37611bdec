"""What the mainframe asks of the modules in its slots, each on a nanowire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sim_devices.detectors.nanowire_channel import NanowireChannel

__all__ = ["Module"]


class Module(Protocol):
    """A module takes bytes and gives bytes; the mainframe carries them."""

    channel: NanowireChannel
    baud: int

    def take(self, data: bytes) -> bytes:
        """Take bytes, in any split, and return what is answered."""
        ...

    def garble(self, *, parity: bool = False) -> None:
        """Hear bytes at another baud rate, or with a parity that it does not expect."""
        ...

    def lose_power(self) -> None:
        """Return to the power-on state."""
        ...

    def hear_break(self) -> None:
        """Drop half a command and go back to the line's defaults."""
        ...

    def fault(self, name: str, *, active: bool) -> bool:
        """Arm or end a fault; tell whether the module knows it."""
        ...
