"""Pairs of tags of two taggers that lie near a predicted time difference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["NearPairs", "near_pairs"]

Floats = NDArray[np.float64]
Times = NDArray[np.int64]
MOST_CELLS = 1 << 18
"""Of the table of cells, so that it fits the processor's cache."""


@dataclass(frozen=True, slots=True)
class NearPairs:
    """Pairs near a prediction.

    Parameters
    ----------
    s:
        When, in s of the first tagger since the reference time; shape (n,).
    residual_ps:
        Time difference (second less first) less the prediction, shape (n,).
    half_ps:
        All residuals within +- this were taken.
    """

    s: Floats
    residual_ps: Floats
    half_ps: float

    def within(self, half_ps: float) -> NearPairs:
        """Keep those within +-`half_ps`."""
        keep = np.abs(self.residual_ps) <= half_ps
        return NearPairs(self.s[keep], self.residual_ps[keep], half_ps)

    def less(self, ps: Floats, half_ps: float) -> NearPairs:
        """Subtract a correction from the residuals and keep those within +-`half_ps` of it."""
        residual = self.residual_ps - ps
        keep = np.abs(residual) <= half_ps
        return NearPairs(self.s[keep], residual[keep], half_ps)


def near_pairs(
    t_a: Times, t_b: Times, reference_ps: int, predict_ps: Callable[[Floats], Floats], half_ps: float
) -> NearPairs:
    """Find all pairs whose time difference lies within +-`half_ps` of a prediction.

    Parameters
    ----------
    t_a, t_b:
        Sorted times of either tagger, int64 ps.
    reference_ps:
        Where the prediction's time begins, on the first tagger's time.
    predict_ps:
        Gives the time difference (second less first) in ps at times in s of the first tagger since the reference.
        Times and differences are to span less than 10^15 ps, so that float64 holds them to a fraction of a ps.
    """
    if not t_a.size or not t_b.size:
        return NearPairs(np.empty(0), np.empty(0), half_ps)
    a = (t_a - reference_ps).astype(np.float64)
    s = a * 1e-12
    target = a + predict_ps(s)
    ends = np.array([target.min() - half_ps, target.max() + half_ps]).astype(np.int64) + reference_ps
    low, high = np.searchsorted(t_b, ends)
    b = (t_b[low : high + 1] - reference_ps).astype(np.float64)
    maybe = _may_have_partners(target, b, half_ps)
    if maybe is not None:
        s, target = s[maybe], target[maybe]
    b = np.append(b, np.inf)
    first = np.searchsorted(b, target - half_ps, "left")
    which = np.flatnonzero(b[first] <= target + half_ps)  # most have no partner, and need no second search
    begin = first[which]
    many = np.searchsorted(b, target[which] + half_ps, "right") - begin
    i = np.repeat(which, many)
    behind = np.arange(i.size) - np.repeat(np.cumsum(many) - many, many)
    return NearPairs(s[i], b[first[i] + behind] - target[i], half_ps)


def _may_have_partners(target: Floats, b: Floats, half_ps: float) -> NDArray[np.intp] | None:
    """Return which may have a partner, by a table of cells that tags mark; None where that would spare no work.

    With cells at least as wide as the window, the end of a target's window lies in a partner's cell or the next one.
    """
    if not b.size:
        return None
    origin = min(float(b[0]), float(target.min())) - half_ps
    length = max(float(b[-1]), float(target.max())) + half_ps - origin
    cell = max(2.0 * half_ps, length / MOST_CELLS)
    if 2.0 * b.size * cell > length / 2.0:  # half of all cells would be marked
        return None
    marked = np.zeros(int(length / cell) + 3, np.bool_)
    cells = ((b - origin) * (1.0 / cell)).astype(np.int64)
    marked[cells] = True
    marked[cells + 1] = True
    return np.flatnonzero(marked[((target + (half_ps - origin)) * (1.0 / cell)).astype(np.int64)])
