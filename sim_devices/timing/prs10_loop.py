"""How a PRS10 follows a 1 pps: a loop of second order, without error of time in the end.

SRS, PRS10 Operation and Service Manual, revision 1.5 (2015), "Locking to External 1pps": when the loop closes, the output
is moved onto the reference and the integrator begins with the frequency that is set.  From then on each pulse's time tag T
changes the integrator by -T / tau_1 (T in ns, the frequency in 1e-12), which with the proportional part makes

    T'' + 2 zeta / tau_n T' + T / tau_n^2 = 0,    tau_n = sqrt(1000 tau_1)

(the manual's example: 65,536 s give 8,095 s); without the pre-filter, which the manual calls qualitatively the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from qlab.clock import PS_PER_S
from qlab.physics.knob import CELL_PS

__all__ = ["PulseLock", "damping", "natural_s"]

DIES_OUT = 24.0
"""After so many of its slowest time constants an error is gone (1e-9 of it is left)."""
CHORDS = 64


def natural_s(pt: int) -> float:
    """Return tau_n in s of the parameter PT; tau_1 is 2^(PT + 8) s."""
    return math.sqrt(1000.0 * 2.0 ** (pt + 8))


def damping(pf: int) -> float:
    """Return the stability factor of the parameter PF: 1 for 2; of the others [INF] a factor 2 from one to the next."""
    return float(2.0 ** (pf - 2))


@dataclass(frozen=True, slots=True)
class PulseLock:
    """The frequency error over time; a `qlab.physics.knob.Profile`.

    Parameters
    ----------
    t0_ps:
        When the loop closes; before, the frequency error is `y0`.
    x0_s, y0:
        Errors of time and frequency then.
    tau_s, zeta:
        Natural time constant and stability factor.
    """

    t0_ps: int
    x0_s: float
    y0: float
    tau_s: float
    zeta: float

    def value(self, t_ps: int) -> float:
        """Return the frequency error at `t_ps`."""
        if t_ps >= self.end_ps:
            return 0.0
        g, slope = self._impulse(t_ps)
        return self.y0 * slope - self.x0_s * g / self.tau_s**2

    def time_error_s(self, t_ps: int) -> float:
        """Return the error of time at `t_ps`, since the loop closed."""
        if t_ps >= self.end_ps:
            return 0.0
        g, slope = self._impulse(t_ps)
        return self.x0_s * (slope + 2.0 * self.zeta / self.tau_s * g) + self.y0 * g

    @property
    def end_ps(self) -> int:
        """Lab time from which the frequency no longer changes."""
        slowest = self.zeta + math.sqrt(max(self.zeta**2 - 1.0, 0.0)) if self.zeta >= 1.0 else 1.0 / self.zeta
        return self.t0_ps + round(DIES_OUT * slowest * self.tau_s * PS_PER_S)

    @property
    def step_ps(self) -> int:
        """A power of two below a 64th of the fastest time constant: chords of it leave 1e-4 of the time error."""
        fastest = self.zeta + math.sqrt(max(self.zeta**2 - 1.0, 0.0))
        return max(CELL_PS, 1 << int(self.tau_s / max(fastest, 1.0) * PS_PER_S / CHORDS).bit_length() - 1)

    def _impulse(self, t_ps: int) -> tuple[float, float]:
        """Return g and g', the time error that a unit of frequency error at t0 makes, in s, and its slope."""
        t, w, z = max(t_ps - self.t0_ps, 0) / PS_PER_S, 1.0 / self.tau_s, self.zeta
        if z == 1.0:
            return t * math.exp(-w * t), (1.0 - w * t) * math.exp(-w * t)
        if z < 1.0:
            turning, fall = w * math.sqrt(1.0 - z * z), math.exp(-z * w * t)
            g = fall * math.sin(turning * t) / turning
            return g, fall * math.cos(turning * t) - z * w * g
        root = math.sqrt(z * z - 1.0)
        slow, fast = w / (z + root), w * (z + root)
        a, b = math.exp(-slow * t), math.exp(-fast * t)
        return (a - b) / (fast - slow), (fast * b - slow * a) / (fast - slow)
