"""Coincidence peaks of pairs of channels, fitted: where they are and how wide, from lags gathered block by block.

The lags of two channels that see the two photons of a pair (or the same pulse) are a peak on a flat background.  Position
and width come from a maximum-likelihood fit of a Gaussian on a constant, so that the background pulls neither.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from qlab.errors import BadRequestError
from qlab.tags.coincidence import differences
from qlab.tags.delays import find_peak

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from qlab.tags.stream import TagBlock

__all__ = ["FWHM_PER_SIGMA", "PairPeaks", "PeakFit", "fit_peak"]

FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
SIGNIFICANCE = 8.0
"""Least height of a peak, in standard deviations of the background: out of reach of chance in thousands of bins."""
FEWEST = 20
"""Lags below which nothing is fitted."""
_ROUNDS = 400
_SHARPEST_PS = 0.3
"""Lags of tags in whole ps are never sharper: two roundings, sqrt(1/6) ps, less what luck takes off."""


@dataclass(frozen=True, slots=True)
class PeakFit:
    """A fitted peak.

    Attributes
    ----------
    centre_ps, sigma_ps:
        Position and standard deviation, each with its standard uncertainty in `..._sigma`.
    count:
        Pairs in the peak, background taken off.
    """

    centre_ps: float
    centre_ps_sigma: float
    sigma_ps: float
    sigma_ps_sigma: float
    count: float

    @property
    def fwhm_ps(self) -> float:
        """Full width at half maximum."""
        return self.sigma_ps * FWHM_PER_SIGMA

    @property
    def fwhm_ps_sigma(self) -> float:
        """Its standard uncertainty."""
        return self.sigma_ps_sigma * FWHM_PER_SIGMA


def fit_peak(lags_ps: ArrayLike, counts: ArrayLike) -> PeakFit:
    """Fit a Gaussian on a constant to lags, by expectation maximisation over which of them are background.

    Parameters
    ----------
    lags_ps:
        Lags, equally spaced, shape (n,); the peak inside, best several times narrower than their range.
    counts:
        How often each occurred, shape (n,).

    Notes
    -----
    A. P. Dempster, N. M. Laird and D. B. Rubin, J. R. Stat. Soc. B 39, 1 (1977).  Uncertainties are those of the observed
    information (the scores' outer product) of position, width and share, so that they know of the background.

    Raises
    ------
    BadRequestError
        Fewer than 20 lags.
    """
    x, n = np.asarray(lags_ps, dtype=np.float64), np.asarray(counts, dtype=np.float64)
    total = float(n.sum())
    if x.ndim != 1 or x.shape != n.shape or total < FEWEST:
        msg = f"peak: {total:g} pairs on lags of shape {x.shape}; expected at least {FEWEST}, and one count a lag"
        raise BadRequestError(msg)
    step = float(x[1] - x[0]) if x.size > 1 else 1.0
    flat = 1.0 / (x.size * step)
    centre, sigma, share = _begin(x, n)
    peak = np.zeros_like(x)
    for _ in range(_ROUNDS):
        peak = np.exp(-0.5 * ((x - centre) / sigma) ** 2) / (sigma * math.sqrt(2.0 * math.pi))
        member = n * share * peak / np.maximum(share * peak + (1.0 - share) * flat, 1e-300)
        held = max(float(member.sum()), 1e-12)
        moved = float((member * x).sum()) / held
        wide = max(math.sqrt(float((member * (x - moved) ** 2).sum()) / held), _SHARPEST_PS)
        settled = abs(moved - centre) + abs(wide - sigma) < 1e-5 * wide
        centre, sigma, share = moved, wide, min(held / total, 1.0)
        if settled:
            break
    density = np.maximum(share * peak + (1.0 - share) * flat, 1e-300)
    of_peak = share * peak / density
    scores = np.stack([of_peak * (x - centre) / sigma**2, of_peak * ((x - centre) ** 2 / sigma**3 - 1.0 / sigma)])
    if share < 1.0:  # at the border the share is known, and has no slope
        scores = np.concatenate([scores, [(peak - flat) / density]])
    covariance = np.linalg.pinv((scores * n) @ scores.T)
    errors = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    return PeakFit(centre, float(errors[0]), sigma, float(errors[1]), share * total)


def _begin(x: NDArray[np.float64], n: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return a first guess: background from the outer quarters, the rest is peak."""
    outer = max(x.size // 8, 1)
    level = float(np.concatenate([n[:outer], n[-outer:]]).mean())
    net = np.maximum(n - level, 0.0) if (n > level).any() else n
    centre = float((net * x).sum() / net.sum())
    sigma = math.sqrt(float((net * (x - centre) ** 2).sum() / net.sum()))
    return centre, max(sigma, 1.0), min(max(float(net.sum() / n.sum()), 0.01), 0.99)


class PairPeaks:
    """Gathers the lags around the peaks of all pairs of some channels, in memory that does not grow.

    Parameters
    ----------
    channels:
        From 0.
    search_ps:
        Largest lag at which a peak is looked for.
    width_ps:
        Full width of the window around a peak that is kept: several times the peak's.

    Attributes
    ----------
    counts:
        For each pair (a, b) with a peak, the lags of b behind a, one bin a ps from `starts[a, b]`.
    """

    def __init__(self, channels: Sequence[int], search_ps: int, width_ps: int) -> None:
        if len(set(channels)) < 2 or search_ps < width_ps or width_ps < 8:
            msg = (
                f"pairs of channels {list(channels)} within {search_ps} ps in windows of {width_ps} ps: expected two "
                "different channels, and 8 <= width <= search"
            )
            raise BadRequestError(msg)
        self.pairs = list(combinations(dict.fromkeys(channels), 2))
        self.counts: dict[tuple[int, int], NDArray[np.int64]] = {}
        self.starts: dict[tuple[int, int], int] = {}
        self._search_ps, self._width_ps = search_ps, width_ps

    def feed(self, block: TagBlock) -> None:
        """Take a block; where a pair's peak is seen for the first time, its window is put around it."""
        for a, b in self.pairs:
            if (a, b) not in self.counts and not self._find(block, a, b):
                continue
            start, counts = self.starts[a, b], self.counts[a, b]
            # Delays put the window's middle at 0, so that only its lags are looked at.
            middle = start + counts.size // 2
            lags = differences(block, a, b, counts.size // 2, {b: middle}) + middle
            inside = lags[(lags >= start) & (lags < start + counts.size)] - start
            counts += np.bincount(inside, minlength=counts.size)

    def fits(self) -> dict[tuple[int, int], PeakFit]:
        """Return the fits of all pairs that have a peak."""
        return {
            pair: fit_peak(self.starts[pair] + np.arange(counts.size), counts)
            for pair, counts in self.counts.items()
            if counts.sum() >= FEWEST
        }

    def _find(self, block: TagBlock, a: int, b: int) -> bool:
        peak = find_peak(block, a, b, search_ps=self._search_ps, width_ps=max(self._width_ps // 4, 8))
        if peak.significance < SIGNIFICANCE or peak.count < FEWEST:
            return False
        self.starts[a, b] = round(peak.lag_ps) - self._width_ps // 2
        self.counts[a, b] = np.zeros(self._width_ps, dtype=np.int64)
        return True
