"""From a coarse candidate to the width of the correlation peak: bins eight times finer at each turn.

At each turn all combinations of offset, frequency and drift that the last bin leaves open are tried on the pairs near the
last prediction.  A true peak keeps its pairs while the background falls eightfold, so its significance grows by sqrt(8) at
each turn until the bins are narrower than the jitter; a false one stays what it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from qlab.timing.near import NearPairs

__all__ = ["Peak", "zoom"]

FINER = 8
KEEPS = 0.55
"""A turn that leaves less than this of the pairs has reached the jitter."""
NARROWEST_PS = 1.0

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Peak:
    """A correlation peak.

    Parameters
    ----------
    coefficients:
        Time difference less the candidate's: ps, ps/s and ps/s^2 of (1, s, s^2) with s from mid-span; shape (3,).
    count, chance:
        Pairs in the bin, and how many would be there by chance.
    width_ps:
        Width of the bin.
    """

    coefficients: Floats
    count: int
    chance: float
    width_ps: float

    @property
    def excess(self) -> float:
        """Pairs beyond chance."""
        return self.count - self.chance


def zoom(near: NearPairs, rate_ps: float, width_ps: float, span_s: float, max_drift_ps: float) -> Peak:
    """Find the narrowest peak that still holds its pairs.

    Parameters
    ----------
    near:
        Pairs near the candidate, s from mid-span, within one and a half bins.
    rate_ps:
        Pairs by chance for each ps of residual.
    width_ps:
        Width of the candidate's bin; its frequency is known to one and a half of `width_ps / span_s`.
    span_s:
        Span of the data.
    max_drift_ps:
        Largest change of the frequency, in ps/s^2 either way.
    """
    coefficients = np.zeros(3)
    slope_range, bend_range = 1.5 * width_ps / span_s, max_drift_ps / 2.0
    count, offset = _tallest(near.residual_ps, near.half_ps, width_ps)
    peak = Peak(np.array([offset, 0.0, 0.0]), count, rate_ps * width_ps, width_ps)
    held = near
    while True:
        width = peak.width_ps / FINER
        # Slopes and bends whose ends lie half a bin apart; a bend is taken about its mean, so that it moves no offset.
        slope_step, bend_step = width / span_s, 4.0 * width / span_s**2
        best: tuple[int, float, float, float] | None = None
        for bend in _steps(bend_range, bend_step):
            bent = held.residual_ps - bend * (held.s**2 - span_s**2 / 12.0)
            for slope in _steps(slope_range, slope_step):
                count, offset = _tallest(bent - slope * held.s, held.half_ps, width)
                if best is None or count > best[0]:
                    best = (count, offset, slope, bend)
        if best is None:
            return peak
        count, offset, slope, bend = best
        finer = Peak(
            coefficients + np.array([offset - bend * span_s**2 / 12.0, slope, bend]), count, rate_ps * width, width
        )
        if width < NARROWEST_PS or finer.excess < KEEPS * peak.excess:
            return peak
        peak, coefficients = finer, finer.coefficients
        held = held.less(offset + slope * held.s + bend * (held.s**2 - span_s**2 / 12.0), 2.0 * width)
        slope_range, bend_range = slope_step, min(bend_step, bend_range)


def _steps(half: float, step: float) -> Floats:
    count = int(np.ceil(half / step - 0.5))
    return np.multiply(np.arange(-count, count + 1), step, dtype=np.float64)


def _tallest(residual: Floats, half: float, width: float) -> tuple[int, float]:
    """Return how many the fullest bin holds, and its middle; bins overlap by half."""
    places = (residual + half) * (2.0 / width)
    inside = places[(places >= 0.0) & (places < np.floor(4.0 * half / width))]
    halves = np.bincount(inside.astype(np.int64), minlength=2)
    full = halves[1:] + halves[:-1]
    k = int(np.argmax(full))
    return int(full[k]), (k + 1) * width / 2.0 - half
