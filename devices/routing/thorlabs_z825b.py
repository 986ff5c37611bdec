"""Thorlabs KDC101 with a Z825B actuator under a retroreflector: an optical delay line of 25 mm.

APT messages over USB serial; the zero is unknown until the stage is homed.  Delays are of the light, which goes the way
`passes` times: 6.67 ps a millimetre there and back, 0.2 fs a count.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ophyd import Component as Cpt

from devices.base import InstrumentSettings
from devices.polarisation.apt_motor import AptInstrument
from devices.polarisation.apt_status import HOMED
from devices.signals import SoftSignal
from qlab.errors import BadRequestError, LimitError

if TYPE_CHECKING:
    from devices.worker import WorkerStatus

__all__ = ["Z825B"]

TRAVEL_MM = 25.0
PS_PER_MM = 1e9 / 299_792_458.0


class Z825B(AptInstrument):
    """The stage, up to 2.6 mm a second; role `qlab.roles.DelayLine`."""

    identity = r"^KDC101"
    twin = "sim_devices.routing.thorlabs_z825b.Z825BTwin"
    status_request = 0x0490
    counts_per_deg = 34304.0
    """Per millimetre."""

    class Settings(InstrumentSettings):
        """What the lab file may set."""

        zero_mm: float = 0.0
        """Where the stage stands when its delay is called 0."""
        passes: int = 2
        """How often the light goes the way."""
        home: bool = True
        """Whether the stage looks for its zero at connection where it does not know it."""

    position_mm = Cpt(SoftSignal, units="mm", precision=5, kind="normal")
    delay_ps = Cpt(SoftSignal, units="ps", precision=4, kind="hinted")

    @property
    def limits_ps(self) -> tuple[float, float]:
        """Least and largest delay."""
        return self._delay(0.0), self._delay(TRAVEL_MM)

    def apply_settings(self) -> None:
        """Home if that is asked for and needed."""
        if self.settings.home and not self.motor_status(1)[1] & HOMED:
            self._home()
        self.measure()

    def measure(self) -> None:
        """Fetch where it stands."""
        self._arrived(self.motor_status(1)[0])

    def set(self, delay_ps: float) -> WorkerStatus:
        """Move to a delay; done when the stage stands there.

        Raises
        ------
        BadRequestError
            It is no number.
        LimitError
            The stage is not that long.
        """
        if not math.isfinite(delay_ps):
            msg = f"{self.name}: delay {delay_ps!r} ps: expected a finite number"
            raise BadRequestError(msg)
        low, high = self.limits_ps
        if not low - 1e-6 <= delay_ps <= high + 1e-6:
            msg = (
                f"{self.name}: the stage does not reach a delay of {delay_ps:g} ps; expected {low:.2f} to {high:.2f} ps"
            )
            raise LimitError(msg)
        return self.in_thread("move", lambda: self.move(delay_ps))

    def move(self, delay_ps: float) -> None:
        """Move and wait, after what an earlier move has left to do; blocks for the wire."""
        with self._turning:
            if self.settings.home and not self.motor_status(1)[1] & HOMED:
                self.find_zero(1)
            mm = self.settings.zero_mm + delay_ps / (self.settings.passes * PS_PER_MM)
            self._arrived(self.move_to(1, round(mm * self.counts_per_deg)))

    def home(self) -> WorkerStatus:
        """Find the zero of the scale."""
        return self.in_thread("home", self._home)

    def stop(self, *, success: bool = False) -> Any:
        """Stop a move."""
        super().stop(success=success)
        return None if success else self.in_thread("stop", self.halt)

    def check_health(self) -> list[str]:
        """Return what the status bits complain of, and whether the zero is known."""
        homed = not self.settings.home or self.motor_status(1)[1] & HOMED
        return super().check_health() + ([] if homed else ["the stage does not know its zero; home it"])

    def _home(self) -> None:
        with self._turning:
            self.find_zero(1)
            self.measure()

    def _arrived(self, counts: int) -> None:
        mm = counts / self.counts_per_deg
        self.position_mm.remember(mm)
        self.delay_ps.remember(self._delay(mm))

    def _delay(self, mm: float) -> float:
        delay: float = (mm - self.settings.zero_mm) * self.settings.passes * PS_PER_MM
        return delay
