"""A piezo that squeezes a fibre: it follows its voltage within milliseconds, with play, and then creeps for hours."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from qlab.clock import PS_PER_S

if TYPE_CHECKING:
    from qlab.physics.knob import Knob

__all__ = ["Creep", "Piezo"]

CREEP_BEGINS_PS = PS_PER_S // 10
CREEP_ENDS_PS = 100_000 * PS_PER_S
"""After a day it has come to rest as far as anybody measures."""


@dataclass(frozen=True, slots=True)
class Creep:
    """A first-order step from v0 at t0, and creep by a share of the step for each decade of time.

    dL(t) = dL(0.1 s) (1 + gamma lg(t / 0.1 s)), the piezo makers' rule of thumb; gamma is 0.01 to 0.02 [INF].
    """

    t0_ps: int
    v0: float
    target: float
    tau_ps: int
    per_decade: float

    step_ps: ClassVar[int] = 2**40

    @property
    def end_ps(self) -> int:
        """Lab time from which the value no longer changes."""
        return self.t0_ps + CREEP_ENDS_PS

    def value(self, t_ps: int) -> float:
        """Return the value at `t_ps`."""
        since_ps = min(max(t_ps - self.t0_ps, 0), CREEP_ENDS_PS)
        way = self.target - self.v0
        decades = math.log10(since_ps / CREEP_BEGINS_PS) if since_ps > CREEP_BEGINS_PS else 0.0
        return self.v0 + way * (1.0 - math.exp(-since_ps / self.tau_ps) + self.per_decade * decades)


class Piezo:
    """One squeezer.

    Parameters
    ----------
    knob:
        Its retardance in rad.
    rad_per_mv, play_mv:
        What the voltage does, and by how much the squeezer lags behind it.
    tau_s, creep_per_decade:
        How fast it follows, and how far it creeps on.
    """

    def __init__(self, knob: Knob, rad_per_mv: float, play_mv: float, tau_s: float, creep_per_decade: float) -> None:
        self._knob = knob
        self._rad_per_mv = rad_per_mv
        self._play_mv = play_mv
        self._tau_ps = round(tau_s * PS_PER_S)
        self._creep = creep_per_decade
        self._felt_mv = 0.0

    def drive(self, mv: float, now_ps: int) -> None:
        """Apply a voltage; one that it already feels moves nothing."""
        felt = min(max(self._felt_mv, mv - self._play_mv), mv + self._play_mv)
        if felt != self._felt_mv:
            self._felt_mv = felt
            target = self._rad_per_mv * felt
            self._knob.set(Creep(now_ps, self._knob.value(now_ps), target, self._tau_ps, self._creep), now_ps)
