"""SRS PRS10 rubidium oscillator, or the FS725 with one inside: a node's 10 MHz, steered in steps of 1e-12 or by a 1 pps.

Serial, 9600 baud, carriage returns both ways.  It says nothing to sets, nor to mistakes: these set bits of its status, which
are latched until they are read, so that the driver reads it twice.  Warming up takes 6 to 8 minutes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ophyd import Component as Cpt

from devices.base import Instrument, InstrumentSettings
from devices.signals import QuerySignal, parse_float, parse_int
from devices.timing.prs10_status import PARAMETER, STATUS_BITS, SYNTAX, troubles
from qlab.errors import BadReplyError, InstrumentError

if TYPE_CHECKING:
    from devices.worker import WorkerStatus
    from qlab.links.link import Link

__all__ = ["PRS10"]

POLL_S = 5.0
STEERING_1E12 = (-2000, 2000)
"""[V1] What `SF` takes, in steps of 1e-12."""


class PRS10(Instrument):
    """The oscillator; roles `qlab.roles.Clock` and `qlab.roles.SteeredClock`."""

    identity = r"^PRS10"
    twin = "sim_devices.timing.srs_prs10.PRS10Twin"
    wire = "serial"
    link_options = {"baud": 9600, "line": {"xonxoff": True}, "terminator": b"\r", "command_terminator": b"\r"}
    line_break = b"\r"
    warm_up_s = 480.0
    lock_timeout_s: ClassVar[float] = 900.0
    steering_step: ClassVar[float] = 1e-12

    class Settings(InstrumentSettings):
        """What the lab file may set."""

        frequency_offset_1e12: int | None = None
        follow_pps: int | None = None

    lock = Cpt(QuerySignal, query="LO?", parse=parse_int, initial=0, kind="hinted")
    case_c = Cpt(QuerySignal, query="AD10?", parse=lambda text: parse_float(text) * 100.0, units="degC", precision=1)
    frequency_offset_1e12 = Cpt(
        QuerySignal,
        query="SF?",
        command="SF{:d}",
        parse=parse_int,
        initial=0,
        units="1e-12",
        limits=STEERING_1E12,
        verify=0,
        kind="config",
    )
    follow_pps = Cpt(
        QuerySignal, query="PL?", command="PL{:d}", parse=parse_int, initial=0, limits=(0, 1), verify=0, kind="config"
    )

    def query_identity(self, link: Link) -> str:
        """Return the reply to `ID?`."""
        return link.ask("ID?", retry=False)

    @property
    def firmware(self) -> str:
        """The version in the identity."""
        return self.identity_text.split("_")[1] if "_" in self.identity_text else ""

    @property
    def locked(self) -> bool:
        """Whether its frequency was locked to the rubidium when it was asked last."""
        return bool(self.lock.get())

    @property
    def offset_s(self) -> float | None:
        """None: it makes frequency, and has no time of its own."""
        return None

    def prepare(self) -> None:
        """Have terse replies, and forget what was latched before our time."""
        self.link.tell("VB0")
        self._status()

    def tell(self, command: str) -> None:
        """Send a set and ask whether it was understood."""
        with self.link.transaction():
            self.link.tell(command)
            last = self._status()[5]
        if last & (SYNTAX | PARAMETER):
            what = "the oscillator does not know a command" if last & SYNTAX else "a parameter is out of range"
            raise InstrumentError(what, device=self.name, command=command, found=f"status byte 6 = {last}")

    def set(self, offset_1e12: float) -> WorkerStatus:
        """Offset the frequency by so many parts in 1e12."""
        status: WorkerStatus = self.frequency_offset_1e12.set(round(offset_1e12))
        return status

    @property
    def steering(self) -> float:
        """The offset of its frequency that was set last, a fraction."""
        return float(self.frequency_offset_1e12.get()) * 1e-12

    @property
    def steering_limits(self) -> tuple[float, float]:
        """What the offset can be set to."""
        low, high = self.frequency_offset_1e12.limits
        return low * 1e-12, high * 1e-12

    def steer(self, fraction: float) -> WorkerStatus:
        """Offset the frequency by a fraction, in steps of 1e-12."""
        return self.set(fraction * 1e12)

    def wait_for_lock(self) -> WorkerStatus:
        """Wait until the frequency is locked to the rubidium."""
        return self.in_thread("lock", self._wait_for_lock)

    def check_health(self) -> list[str]:
        """Return what the status complains of."""
        self._status()
        return troubles(self._status())

    def _wait_for_lock(self) -> None:
        deadline_s = self.clock.now_s() + self.lock_timeout_s
        while not self.lock.fetch():
            if self.clock.now_s() > deadline_s:
                what, found = f"it is not locked after {self.lock_timeout_s:g} s", "; ".join(self.check_health())
                raise InstrumentError(what, device=self.name, command="LO?", found=found or "0", expected="1")
            self.wait_s(POLL_S)

    def _status(self) -> list[int]:
        def parse(text: str) -> list[int]:
            numbers = [int(number) for number in text.split(",")]
            if len(numbers) != len(STATUS_BITS):
                msg = f"expected {len(STATUS_BITS)} bytes"
                raise ValueError(msg)
            return numbers

        try:
            return self.link.ask_value("ST?", parse, retry=False)
        except BadReplyError:
            self.link.distrust()
            raise
