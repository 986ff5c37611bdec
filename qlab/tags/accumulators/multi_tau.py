"""Correlation over many decades of delay: multi-tau, exact on its bins.

On level l time is cut into bins of ``w = bin_ps 2^l``, at multiples of w, and the pairs of tags are counted whose bins are k
apart: k from 0 to lags - 1 on the first level and from lags / 2 on the others, so that delays grow by doubling (K. Schaetzel,
Inst. Phys. Conf. Ser. 77, 175 (1985)).  That is a sum over pairs of tags, hence exact across seams, and it is counted from
near neighbours where bins are nearly empty and from numbers a bin where they are not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qlab.errors import BadRequestError
from qlab.tags.accumulators.local import LocalAccumulator
from qlab.tags.kernels.protocol import LagBins, Lanes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from qlab.tags.accumulators.exposure import Exposure
    from qlab.tags.kernels.protocol import Channels, Ints, Kernels

__all__ = ["MultiTau", "MultiTauResult"]

# Tags a bin, on average, from which numbers a bin are quicker than near neighbours.
_DENSE = 0.125
_MOST_LEVELS = 48


@dataclass(frozen=True, slots=True)
class MultiTauResult:
    """Pairs by delay; results of independent runs add up.

    Attributes
    ----------
    a, b:
        The channels; delays are those of b behind a, and of a channel with itself those of later tags.
    lags_ps, widths_ps:
        Delay and width of the bins of each point, int64, shape (points,).
    counts:
        Pairs of tags, int64, shape (points,).
    exposure:
        Live time, gaps and singles.
    """

    a: int
    b: int
    lags_ps: NDArray[np.int64]
    widths_ps: NDArray[np.int64]
    counts: NDArray[np.int64]
    exposure: Exposure

    def __add__(self, other: MultiTauResult) -> MultiTauResult:
        if (self.a, self.b) != (other.a, other.b) or not np.array_equal(self.lags_ps, other.lags_ps):
            msg = f"multi-tau of {self.a}, {self.b} and of {other.a}, {other.b} do not add up: expected the same points"
            raise BadRequestError(msg)
        exposure = self.exposure + other.exposure
        return MultiTauResult(self.a, self.b, self.lags_ps, self.widths_ps, self.counts + other.counts, exposure)

    @property
    def expected(self) -> NDArray[np.float64]:
        """Pairs that light without correlations gives in one unbroken stretch: ``S_a S_b w (1 - lag / live) / live``."""
        live = self.exposure.live_ps
        if not live:
            return np.zeros(self.counts.size)
        singles = self.exposure.accidentals(self.a, self.b, 1)
        alike = np.where((self.lags_ps == 0) & (self.a == self.b), 0.5, 1.0)  # within one bin a pair counts once
        return alike * singles * self.widths_ps * np.maximum(1.0 - self.lags_ps / live, 0.0)

    @property
    def g2(self) -> NDArray[np.float64]:
        """Counts over those expected; nan where none are.  A bin averages over delays from lag - width to lag + width."""
        expected = self.expected
        return np.where(expected > 0, self.counts / np.where(expected > 0, expected, 1.0), np.nan)

    @property
    def g2_errors(self) -> NDArray[np.float64]:
        """Poisson standard errors of `g2`; where counts are many the light's own fluctuations come on top."""
        expected = self.expected
        return np.where(expected > 0, np.sqrt(self.counts) / np.where(expected > 0, expected, 1.0), np.nan)


class MultiTau(LocalAccumulator[MultiTauResult]):
    """Correlate two channels, or one with itself, from the first bin to seconds.

    Parameters
    ----------
    a, b:
        The channels, or twice the same.
    bin_ps:
        Width of the bins of the first level.
    max_lag_ps:
        As many levels are taken as reach it; tags of so long a time are kept.
    lags:
        Points of the first level, an even number; each further level adds half as many.
    delays_ps:
        Delay of each channel, subtracted.
    engine:
        ``auto``, ``numpy`` or ``numba``: the same integers.
    """

    def __init__(
        self,
        a: int,
        b: int,
        bin_ps: int,
        max_lag_ps: int,
        lags: int = 16,
        delays_ps: Mapping[int, int] | None = None,
        *,
        engine: str = "auto",
    ) -> None:
        if bin_ps < 1 or lags < 2 or lags % 2 or max_lag_ps < bin_ps:
            msg = (
                f"multi-tau: {lags} lags of {bin_ps} ps up to {max_lag_ps} ps; expected an even number of lags, bins of 1 ps "
                "or more, and a longest delay of a bin at least"
            )
            raise BadRequestError(msg)
        self._a, self._b, self._bin_ps, self._max_lag_ps, self._lags = (
            int(a),
            int(b),
            int(bin_ps),
            int(max_lag_ps),
            lags,
        )
        self._levels = 1
        while (lags - 1) * self._bin_ps << (self._levels - 1) < max_lag_ps:
            self._levels += 1
        if self._levels > _MOST_LEVELS:
            msg = f"multi-tau: {self._levels} levels from {bin_ps} to {max_lag_ps} ps; expected {_MOST_LEVELS} at most"
            raise BadRequestError(msg)
        # Bins k apart: their tags are less than k + 1 bins apart.
        reach_ps = (lags * self._bin_ps << (self._levels - 1)) - 1
        super().__init__((a, b), delays_ps, reach_ps, (self._levels, lags), engine)

    def settings(self) -> dict[str, object]:
        """Return what the constructor was given."""
        return {
            "a": self._a,
            "b": self._b,
            "bin_ps": self._bin_ps,
            "max_lag_ps": self._max_lag_ps,
            "lags": self._lags,
            "delays_ps": self._delays(),
        }

    def result(self) -> MultiTauResult:
        """Return the pairs so far."""
        self._settle()
        level, lag = np.indices(self._counts.shape)
        wanted = (level == 0) | (lag >= self._lags // 2)
        widths = np.int64(self._bin_ps) << level[wanted]
        lags_ps = lag[wanted] * widths
        return MultiTauResult(self._a, self._b, lags_ps, widths, self._counts[wanted].copy(), self._exposure)

    def _local(self, kernels: Kernels, t: Ints, ch: Channels) -> Ints:
        if self._lanes.spread_ps and t.size:
            t, ch = kernels.realign(t, ch, self._lanes)
        elif t.size:
            t = t - self._lanes.delays_ps[self._a]
        return self._count(kernels, t, ch, self._lanes.realigned(), self._reach_ps)

    def _count(self, kernels: Kernels, t: Ints, ch: Channels, lanes: Lanes, reach_ps: int) -> Ints:
        counts = np.zeros(self._counts.shape, dtype=np.int64)
        if t.size < 2:
            return counts
        bins = t // self._bin_ps
        for level in range(self._levels):
            sparse = t.size < _DENSE * (int(bins[-1]) - int(bins[0]) + 1)
            counts[level] = self._near(kernels, bins, ch, lanes) if sparse else self._dense(bins, ch)
            bins >>= 1
        return counts

    def _near(self, kernels: Kernels, bins: Ints, ch: Channels, lanes: Lanes) -> Ints:
        n = len(lanes.channels)
        row, sign = np.zeros(n * n, dtype=np.int64), np.ones(n * n, dtype=np.int64)
        if n == 2:  # a is lane 0, b lane 1: no pairs of a channel with itself, and lags are those of b behind a
            row[[0, 3]], sign[2] = -1, -1
        counts = kernels.lag_histogram(bins, ch, lanes, LagBins(row, sign, 1, 0, 1, self._lags), self._lags - 1)
        return counts.reshape(-1)

    def _dense(self, bins: Ints, ch: Channels) -> Ints:
        """Correlate numbers a bin, in float64, which holds these whole numbers."""
        first, n = int(bins[0]), int(bins[-1]) - int(bins[0]) + 1
        of_a = np.bincount(bins[ch == self._a] - first, minlength=n).astype(np.float64)
        of_b = of_a
        if self._b != self._a:
            of_b = np.bincount(bins[ch == self._b] - first, minlength=n).astype(np.float64)
        sums: NDArray[np.float64] = np.array([of_a[: n - k] @ of_b[k:] if k < n else 0.0 for k in range(self._lags)])
        if self._b == self._a:  # neither a tag with itself nor a pair twice
            sums[0] = (sums[0] - of_a.sum()) / 2.0
        return sums.round().astype(np.int64)
