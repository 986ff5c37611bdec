"""The Elliptec wire: one half-duplex bus on which up to 16 modules listen, frames without terminators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

from qlab.errors import TwinError
from sim_devices.polarisation.elliptec_frames import Frame, FrameReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from qlab.clock import Clock

__all__ = ["BusConversation", "BusUnit", "ElliptecBusTwin", "Motion"]


@dataclass(slots=True)
class Motion:
    """Something a module does for a while, with the one reply that ends it."""

    start_ps: int
    end_ps: int
    from_counts: int
    to_counts: int
    fails: bool = False
    cancelled: bool = False
    interim: bool = False
    reply: Callable[[], str] | None = None


class BusUnit(Protocol):
    """What the bus needs of a module."""

    @property
    def clock(self) -> Clock:
        """The lab's clock."""
        ...

    def hears(self, address: str) -> bool:
        """Tell whether a frame for `address` is for this module."""
        ...

    def answer(self, frame: Frame) -> tuple[list[str], Motion | None]:
        """Carry out a command: replies to send now, and the motion whose end owes one more."""
        ...

    def finish(self, motion: Motion) -> str:
        """Give the reply that ends a motion."""
        ...

    def communication_timeout(self) -> None:
        """Learn that a command to this module was dropped half received."""
        ...

    def set_address(self, address: str) -> None:
        """Give the module the bus address it was configured to before delivery."""
        ...

    def reset_power(self) -> None:
        """Power the module up again."""
        ...

    def peek(self) -> dict[str, object]:
        """Return the front-panel state."""
        ...

    def device_fault(self, name: str, **kw: object) -> None:
        """Arm a fault of the module."""
        ...


class BusConversation:
    """One host on the bus: addressed modules answer, everybody else stays silent."""

    def __init__(self, units: Iterable[BusUnit], clock: Clock) -> None:
        self._units = tuple(units)
        self._clock = clock
        self._reader = FrameReader()
        self._owed: list[tuple[BusUnit, Motion]] = []

    def receive(self, data: bytes) -> bytes:
        """Take host bytes and return what the modules put on the wire at once."""
        now_ps = self._clock.now_ps()
        out = self.wake()
        dropped = self._reader.expire(now_ps)
        for unit in self._units:
            if dropped is not None and unit.hears(dropped):
                unit.communication_timeout()
        for frame in self._reader.feed(data, now_ps):
            for unit in [unit for unit in self._units if unit.hears(frame.address)]:
                lines, motion = unit.answer(frame)
                out += b"".join(line.encode("ascii") + b"\r\n" for line in lines)
                if motion is not None:
                    self._owed.append((unit, motion))
        return out

    def due_ps(self) -> int | None:
        """Return when the next motion ends."""
        return min((motion.end_ps for _, motion in self._owed if not motion.cancelled), default=None)

    def wake(self) -> bytes:
        """Send the replies of the motions that have ended."""
        now_ps = self._clock.now_ps()
        self._owed = [(unit, motion) for unit, motion in self._owed if not motion.cancelled]
        ended = sorted((pair for pair in self._owed if pair[1].end_ps <= now_ps), key=lambda pair: pair[1].end_ps)
        self._owed = [pair for pair in self._owed if pair[1].end_ps > now_ps]
        return b"".join(unit.finish(motion).encode("ascii") + b"\r\n" for unit, motion in ended)

    def close(self) -> None:
        """Forget the host; the modules go on moving."""
        self._owed.clear()


class ElliptecBusTwin:
    """Up to 16 mounts at the addresses 0 to F on one wire."""

    wire: ClassVar[Literal["tcp", "serial", "zmq"]] = "serial"

    def __init__(self, units: Mapping[str, BusUnit]) -> None:
        if not units:
            msg = "an Elliptec bus needs at least one module"
            raise TwinError(msg)
        self.units: dict[str, BusUnit] = {}
        for key, unit in units.items():
            address = str(key).upper()
            if len(address) != 1 or address not in "0123456789ABCDEF" or address in self.units:
                msg = f"Elliptec address {key!r} is impossible or taken; give each module one of 0 to 9, A to F"
                raise TwinError(msg)
            unit.set_address(address)
            self.units[address] = unit

    def connect(self) -> BusConversation:
        """Connect a host to the bus."""
        return BusConversation(self.units.values(), next(iter(self.units.values())).clock)

    def reset_power(self) -> None:
        """Power all modules up again."""
        for unit in self.units.values():
            unit.reset_power()

    def peek(self) -> dict[str, object]:
        """Return the front-panel state of every module."""
        return {address: unit.peek() for address, unit in self.units.items()}

    def device_fault(self, name: str, **kw: object) -> None:
        """Arm a fault in the module at `address`."""
        address = str(kw.pop("address", next(iter(self.units)))).upper()
        if address not in self.units:
            msg = f"no module at address {address!r} of this bus"
            raise TwinError(msg)
        self.units[address].device_fault(name, **kw)
