"""Thorlabs MPC320: three motorised fibre paddles; turns any polarisation into any other.

APT messages over USB serial; channels are the bits 1, 2 and 4, paddles go from 0 to 170 degrees at up to 400 deg/s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ophyd import Component as Cpt

from devices.base import InstrumentSettings
from devices.polarisation.apt_motor import AptInstrument
from devices.polarisation.apt_status import HOMED
from devices.signals import SoftSignal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from devices.worker import WorkerStatus

__all__ = ["MPC320"]


def _paddle() -> Cpt:
    return Cpt(SoftSignal, units="deg", precision=1, limits=(0.0, 170.0), kind="hinted")


class MPC320(AptInstrument):
    """The paddles, role `qlab.roles.PolarisationController`; `set` takes their three angles in degrees."""

    identity = r"^MPC320"
    twin = "sim_devices.polarisation.thorlabs_apt.MPC320Twin"
    channels = (1, 2, 4)
    counts_per_deg = 1370 / 170

    class Settings(InstrumentSettings):
        """What the lab file may set."""

        home: bool = True
        """Whether paddles that do not know their zero look for it at connection."""

    paddle_1_deg = _paddle()
    paddle_2_deg = _paddle()
    paddle_3_deg = _paddle()

    @property
    def controls(self) -> tuple[SoftSignal, ...]:
        """The three angles."""
        return (self.paddle_1_deg, self.paddle_2_deg, self.paddle_3_deg)

    def apply_settings(self) -> None:
        """Home the paddles if that is asked for and needed."""
        if self.settings.home:
            self._home(only_lost=True)
        self.measure()

    def measure(self) -> None:
        """Fetch the angles."""
        for channel, signal in zip(self.channels, self.controls, strict=True):
            signal.remember(self.motor_status(channel)[0] / self.counts_per_deg)

    def set(self, angles_deg: Sequence[float]) -> WorkerStatus:
        """Turn the paddles, one after the other; done when all stand."""
        for signal, angle in zip(self.controls, angles_deg, strict=True):
            signal.check_value(angle)
        return self.in_thread("move", lambda: self._move(list(angles_deg)))

    def home(self) -> WorkerStatus:
        """Find the zero of all paddles."""
        return self.in_thread("home", lambda: self._home(only_lost=False))

    def stop(self, *, success: bool = False) -> Any:
        """Stop all moves."""
        super().stop(success=success)
        return None if success else self.in_thread("stop", self.halt)

    def check_health(self) -> list[str]:
        """Return what the status bits complain of, and which paddle does not know its zero."""
        lost = [n for n, c in enumerate(self.channels, 1) if not self.motor_status(c)[1] & HOMED]
        unknown = [f"paddle {n} does not know its zero; home it" for n in lost if self.settings.home]
        return super().check_health() + unknown

    def _move(self, angles_deg: list[float]) -> None:
        with self._turning:
            for channel, signal, angle in zip(self.channels, self.controls, angles_deg, strict=True):
                signal.remember(self.move_to(channel, round(angle * self.counts_per_deg)) / self.counts_per_deg)

    def _home(self, *, only_lost: bool) -> None:
        with self._turning:
            for channel in self.channels:
                if not only_lost or not self.motor_status(channel)[1] & HOMED:
                    self.find_zero(channel)
            self.measure()
