"""The way of a swept wavelength: straight lines one behind the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from qlab.clock import PS_PER_S
from qlab.physics.knob import Ramp

__all__ = ["Legs", "Sweep", "leg"]

LOOK_PS = 2**32
MOST_STEPS = 10_000


@dataclass(frozen=True, slots=True)
class Legs:
    """Straight lines one behind the other."""

    ramps: tuple[Ramp, ...]
    step_ps: ClassVar[int] = LOOK_PS

    @property
    def end_ps(self) -> int:
        """Lab time from which the value no longer changes."""
        return self.ramps[-1].t1_ps

    def value(self, t_ps: int) -> float:
        """Return the value at `t_ps`."""
        return next((ramp for ramp in reversed(self.ramps) if ramp.t0_ps <= t_ps), self.ramps[0]).value(t_ps)


def leg(start_ps: int, here_nm: float, there_nm: float, nm_per_s: float) -> Ramp:
    """Return the way from one wavelength to another."""
    seconds = abs(there_nm - here_nm) / nm_per_s
    return Ramp(start_ps, here_nm, start_ps + max(round(seconds * PS_PER_S), 1), there_nm)


@dataclass(frozen=True, slots=True)
class Sweep:
    """From a start to a stop, at a speed or in steps (without one), and back where it is asked for."""

    start_nm: float
    stop_nm: float
    tuning_nm_per_s: float
    speed_nm_per_s: float | None
    step_nm: float
    dwell_s: float
    delay_s: float
    back: bool

    def legs(self, now_ps: int, here_nm: float, cycles: int) -> list[Ramp]:
        """Return the way to the start, and each cycle, behind its delay."""
        legs = [leg(now_ps, here_nm, self.start_nm, self.tuning_nm_per_s)]
        for cycle in range(cycles):
            if cycle and not self.back:
                legs.append(leg(legs[-1].t1_ps, self.stop_nm, self.start_nm, self.tuning_nm_per_s))
            begin_ps = legs[-1].t1_ps + round(self.delay_s * PS_PER_S)
            legs += self._way(begin_ps, self.start_nm, self.stop_nm)
            if self.back:
                legs += self._way(legs[-1].t1_ps, self.stop_nm, self.start_nm)
        return legs

    def _way(self, begin_ps: int, here_nm: float, there_nm: float) -> list[Ramp]:
        if self.speed_nm_per_s is not None:
            return [leg(begin_ps, here_nm, there_nm, self.speed_nm_per_s)]
        step = self.step_nm if there_nm > here_nm else -self.step_nm
        legs = []
        for _ in range(min(int(abs(there_nm - here_nm) / self.step_nm + 1e-9), MOST_STEPS)):
            begin_ps += round(self.dwell_s * PS_PER_S)
            legs.append(leg(begin_ps, here_nm, here_nm + step, self.tuning_nm_per_s))
            here_nm, begin_ps = legs[-1].v1, legs[-1].t1_ps
        return legs or [leg(begin_ps, here_nm, here_nm, self.tuning_nm_per_s)]
