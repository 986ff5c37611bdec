"""The Elliptec wire: one half-duplex bus on which up to 16 modules listen, frames without terminators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

from qlab.errors import TwinError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from qlab.clock import Clock

__all__ = [
    "DATA_LENGTHS",
    "PARTIAL_TIMEOUT_PS",
    "BusConversation",
    "BusUnit",
    "ElliptecBusTwin",
    "Frame",
    "FrameReader",
    "Motion",
]

PARTIAL_TIMEOUT_PS = 2_000_000_000_000
"""A command that stays incomplete for this long is dropped [V2]; counted from its first byte [INF]."""

ADDRESSES = b"0123456789ABCDEF"

DATA_LENGTHS: dict[str, int] = {
    **dict.fromkeys(("in", "gs", "gp", "fw", "bw", "st", "gj", "go", "gv", "us"), 0),
    **dict.fromkeys(("i1", "i2", "i3", "s1", "s2", "s3", "c1", "c2", "c3"), 0),
    **dict.fromkeys(("ho", "ca", "ga"), 1),
    "sv": 2,
    **dict.fromkeys(("f1", "f2", "f3", "b1", "b2", "b3"), 4),
    **dict.fromkeys(("ma", "mr", "sj", "so"), 8),
}
"""Hex digits that follow the two letters of each host command; a command not in the table carries none."""


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


@dataclass(frozen=True, slots=True)
class Frame:
    """One complete host command."""

    address: str
    letters: str
    data: str


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


class FrameReader:
    """Cut the byte stream of the host into frames by the length that each command has."""

    def __init__(self) -> None:
        self._text = ""
        self._first_ps = 0

    def expire(self, now_ps: int) -> str | None:
        """Drop a command that stayed incomplete too long and return its address."""
        if self._text and now_ps - self._first_ps >= PARTIAL_TIMEOUT_PS:
            address, self._text = self._text[0], ""
            return address
        return None

    def feed(self, data: bytes, now_ps: int) -> list[Frame]:
        """Take bytes; CR, LF and whatever cannot start a frame are swallowed."""
        frames: list[Frame] = []
        for byte in data:
            frame = self._take(byte, now_ps)
            if frame is not None:
                frames.append(frame)
        return frames

    def _take(self, byte: int, now_ps: int) -> Frame | None:
        if byte in b"\r\n":
            return None
        char = chr(byte)
        if len(self._text) == 1 and not (char.isascii() and char.islower()):
            self._text = ""  # an upper-case letter here is the reply of another module on the shared wire
        if len(self._text) == 2 and not (char.isascii() and (char.islower() or char.isdigit())):
            self._text = ""
        if not self._text:
            if byte in ADDRESSES:
                self._text, self._first_ps = char, now_ps
            return None
        self._text += char
        letters = self._text[1:3]
        if len(self._text) < 3 or len(self._text) < 3 + DATA_LENGTHS.get(letters, 0):
            return None
        frame, self._text = Frame(self._text[0], letters, self._text[3:]), ""
        return frame


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
