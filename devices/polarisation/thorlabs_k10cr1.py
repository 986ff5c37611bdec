"""Thorlabs K10CR1 and KDC101 with a PRM1-Z8: rotation mounts with a controller of their own; turn a wave plate.

APT messages over USB serial; the zero is unknown until the mount is homed, which turns it.  Angles count modulo 360 degrees,
and the mount takes the shorter way.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ophyd import Component as Cpt

from devices.base import InstrumentSettings
from devices.polarisation.apt_motor import AptInstrument
from devices.polarisation.apt_status import HOMED
from devices.signals import SoftSignal
from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from devices.worker import WorkerStatus

__all__ = ["K10CR1", "KDC101"]

COUNTER_END = 1 << 31
"""[V2] The counter wraps here; 43 turns of a K10CR1."""


class K10CR1(AptInstrument):
    """The stepper mount, 10 degrees a second; role `qlab.roles.Rotator`."""

    identity = r"^K10CR1"
    twin = "sim_devices.polarisation.thorlabs_apt.K10CR1Twin"
    status_request = 0x0480
    counts_per_deg = 409600 / 3

    class Settings(InstrumentSettings):
        """What the lab file may set."""

        offset_deg: float = 0.0
        """Where the mount stands when the plate's fast axis is horizontal."""
        home: bool = True
        """Whether the mount looks for its zero at connection where it does not know it."""
        repeatability_deg: float = 0.01
        """[INF] Standard deviation of where it stops."""

    angle_deg = Cpt(SoftSignal, units="deg", precision=3, kind="hinted")

    _counts = 0

    @property
    def repeatability_deg(self) -> float:
        """Standard deviation of where the mount stops."""
        return float(self.settings.repeatability_deg)

    def apply_settings(self) -> None:
        """Home if that is asked for and needed."""
        if self.settings.home and not self.motor_status(1)[1] & HOMED:
            self._home()
        self.measure()

    def measure(self) -> None:
        """Fetch the angle."""
        self._arrived(self.motor_status(1)[0])

    def set(self, angle_deg: float) -> WorkerStatus:
        """Turn the plate's fast axis to an angle from horizontal; done when the mount stands there."""
        if not math.isfinite(angle_deg):
            msg = f"{self.name}: angle {angle_deg!r} deg: expected a finite number"
            raise BadRequestError(msg)
        return self.in_thread("move", lambda: self.move(angle_deg))

    def move(self, angle_deg: float) -> None:
        """Turn and wait, after what an earlier move has left to do; blocks for the wire."""
        with self._turning:
            here, bits = self.motor_status(1)
            if self.settings.home and not bits & HOMED:
                self.find_zero(1)
                here = 0
            turn = 360.0 * self.counts_per_deg
            way = ((angle_deg + self.settings.offset_deg) * self.counts_per_deg - here + turn / 2) % turn - turn / 2
            if not -COUNTER_END <= here + round(way) < COUNTER_END:
                way -= math.copysign(turn, way)  # the counter would wrap, and no longer tell the angle
            self._arrived(self.move_to(1, here + round(way)))

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
        return super().check_health() + ([] if homed else ["the mount does not know its zero; home it"])

    def _home(self) -> None:
        with self._turning:
            self.find_zero(1)
            self.measure()

    def _arrived(self, counts: int) -> None:
        self.angle_deg.remember((counts / self.counts_per_deg - self.settings.offset_deg) % 360.0)


class KDC101(K10CR1):
    """The DC motor controller with a PRM1-Z8 stage, 25 degrees a second; role `qlab.roles.Rotator`."""

    identity = r"^KDC101"
    twin = "sim_devices.polarisation.thorlabs_apt.KDC101Twin"
    status_request = 0x0490
    counts_per_deg = 86384 / 45
