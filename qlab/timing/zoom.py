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
SLICES = 64
"""Of the span: within one, the steepest slope that is tried moves by less than a bin."""

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
        slopes, bends = _steps(slope_range, slope_step), _steps(bend_range, bend_step)
        slope, bend = _Slices(held, width, span_s, slopes, bends).best()
        count, offset = _tallest(
            held.residual_ps - slope * held.s - bend * (held.s**2 - span_s**2 / 12.0), held.half_ps, width
        )
        finer = Peak(
            coefficients + np.array([offset - bend * span_s**2 / 12.0, slope, bend]), count, rate_ps * width, width
        )
        if width < NARROWEST_PS or finer.excess < KEEPS * peak.excess:
            return peak
        peak, coefficients = finer, finer.coefficients
        held = held.less(offset + slope * held.s + bend * (held.s**2 - span_s**2 / 12.0), 2.0 * width)
        slope_range, bend_range = slope_step, min(bend_step, bend_range)


class _Slices:
    """Pairs counted in slices of time and cells of a quarter bin, so that a slope or bend is a shift of each slice.

    Parameters
    ----------
    near:
        The pairs.
    width, span_s:
        Of a bin and of the data.
    slopes, bends:
        What is tried.
    """

    def __init__(self, near: NearPairs, width: float, span_s: float, slopes: Floats, bends: Floats) -> None:
        self._cell = width / 4.0
        middles = (np.arange(SLICES) + 0.5) * span_s / SLICES - span_s / 2.0
        self._slopes, self._bends = slopes, bends
        self._rise, self._bow = middles / self._cell, (middles**2 - span_s**2 / 12.0) / self._cell
        reach = np.abs(slopes).max() * np.abs(self._rise).max() + np.abs(bends).max() * np.abs(self._bow).max()
        self._pad = int(np.ceil(reach)) + 1
        self._cells = int(np.ceil(2.0 * near.half_ps / self._cell)) + 1
        slices = np.clip((near.s / span_s + 0.5) * SLICES, 0, SLICES - 1).astype(np.int64)
        row = self._cells + 2 * self._pad
        places = ((near.residual_ps + near.half_ps) * (1.0 / self._cell)).astype(np.int64) + self._pad
        self._counts = np.bincount(slices * row + places, minlength=SLICES * row)
        self._first = np.arange(SLICES) * row + self._pad

    def best(self) -> tuple[float, float]:
        """Return the slope and bend with the fullest bin."""
        found, most = (0.0, 0.0), -1
        across = np.arange(self._cells)
        for bend in self._bends:
            for slope in self._slopes:
                shift = np.rint(slope * self._rise + bend * self._bow).astype(np.int64)
                total = self._counts[(self._first + shift)[:, np.newaxis] + across].sum(axis=0)
                pairs = total[1:] + total[:-1]
                fullest = int((pairs[2:] + pairs[:-2]).max()) if pairs.size > 2 else int(total.sum())
                if fullest > most:
                    found, most = (float(slope), float(bend)), fullest
        return found


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
