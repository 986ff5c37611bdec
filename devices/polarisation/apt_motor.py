"""What Thorlabs' APT controllers have in common: identity, moves that are watched, homing, status bits."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, ClassVar

from devices.base import Instrument
from devices.polarisation.apt_link import INFO, STATUS, AptDialogue
from devices.polarisation.apt_status import HOMED, HOMING, MOVING, describe, troubles
from qlab.errors import BadReplyError, InstrumentError, LinkClosedError, LinkTimeoutError
from qlab.links.lock import ClockLock

if TYPE_CHECKING:
    from typing import Any

    from qlab.links.link import Link

__all__ = ["AptInstrument"]

MOVE = Struct("<Hi")
POLL_S = 0.1
MOVE_TIMEOUT_S, HOME_TIMEOUT_S = 120.0, 180.0


class AptInstrument(Instrument):
    """A controller; serial over USB, 115200 baud, messages without check sum."""

    wire = "serial"
    link_options = {"baud": 115200, "terminator": b"", "line": {"rtscts": True}}
    model: ClassVar[str] = ""
    status_request: ClassVar[int] = 0x0490
    """0x0480 for steppers."""
    channels: ClassVar[tuple[int, ...]] = (1,)
    counts_per_deg: ClassVar[float] = 1.0

    def __init__(self, prefix: str = "", **kwargs: Any) -> None:
        super().__init__(prefix, **kwargs)
        self._apt = AptDialogue(self.link, self.name)
        self._turning = ClockLock(self.clock)
        self._info: tuple[Any, ...] = ()

    def query_identity(self, link: Link) -> str:
        """Return model and serial number."""
        link.clear(b"")
        self._info = INFO.unpack(self._apt.ask(0x0005, size=INFO.size))
        return f"{self._info[1].rstrip(bytes(1)).decode('latin-1')} {self._info[0]}"

    @property
    def firmware(self) -> str:
        """Version of the firmware."""
        return ".".join(str(part) for part in reversed(self._info[3:6]))

    def prepare(self) -> None:
        """Enable the motors: a disabled one ignores moves."""
        self._apt.tell(0x0210, sum(self.channels), 1)

    def motor_status(self, channel: int) -> tuple[int, int]:
        """Return a motor's counts and status bits; asked again where an answer is lost, as asking moves nothing."""
        request = self.status_request
        for left in reversed(range(self.link.policy.retries + 1)):
            try:
                _, counts, bits = STATUS.unpack(self._apt.ask(request, channel, size=STATUS.size))
            except (LinkTimeoutError, LinkClosedError, BadReplyError):
                if not left:
                    raise
            else:
                return counts, bits
        raise AssertionError  # pragma: no cover - the loop returns or raises

    def check_health(self) -> list[str]:
        """Return what the status bits complain of."""
        found = (words for channel in self.channels for words in troubles(self.motor_status(channel)[1]))
        return list(dict.fromkeys(found))

    def move_to(self, channel: int, counts: int) -> int:
        """Move a motor and watch it arrive; returns its counts.  Blocks for the wire."""
        self._apt.tell(0x0453, data=MOVE.pack(channel, counts))
        found, _ = self._watch(channel, MOVING, MOVE_TIMEOUT_S)
        if abs(found - counts) > max(1.0, 0.01 * self.counts_per_deg):
            what = "a motor did not go where it was sent"
            expected = f"{counts} counts"
            raise InstrumentError(what, device=self.name, command="0453", found=f"{found} counts", expected=expected)
        return found

    def find_zero(self, channel: int) -> None:
        """Home a motor and watch it; blocks for the wire."""
        self._apt.tell(0x0443, channel)
        _, bits = self._watch(channel, MOVING | HOMING, HOME_TIMEOUT_S)
        if not bits & HOMED:
            what = "a motor did not find its zero"
            raise InstrumentError(what, device=self.name, command="0443", found=describe(bits))

    def halt(self) -> None:
        """Stop all motors with a ramp."""
        for channel in self.channels:
            self._apt.tell(0x0465, channel, 2)

    def _watch(self, channel: int, moving: int, timeout_s: float) -> tuple[int, int]:
        """Poll until a motor stands; raises `InstrumentError` for one that is in trouble."""
        deadline_s = self.clock.now_s() + timeout_s
        while True:
            self.wait_s(POLL_S)
            counts, bits = self.motor_status(channel)
            if trouble := troubles(bits):
                what, hint = " and ".join(trouble), "look whether something blocks it, then home it"
                raise InstrumentError(what, device=self.name, found=describe(bits), hint=hint)
            if not bits & moving:
                return counts, bits
            if self.clock.now_s() > deadline_s:
                what = f"a motor still moves after {timeout_s:g} s"
                raise InstrumentError(what, device=self.name, found=f"{counts} counts, {describe(bits)}")
