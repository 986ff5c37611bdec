"""Histograms of the delays between channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qlab.errors import BadRequestError
from qlab.tags.accumulators.local import LocalAccumulator
from qlab.tags.kernels.protocol import Kernels, LagBins, Lanes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from qlab.tags.accumulators.exposure import Exposure
    from qlab.tags.kernels.protocol import Channels, Ints

__all__ = ["DelayHistogram", "HistogramResult"]


@dataclass(frozen=True, slots=True)
class HistogramResult:
    """Counts of delays; results of independent runs add up.

    Attributes
    ----------
    pairs:
        The pairs of channels, one a row.
    lo_ps:
        Lower edges of the bins [lo, lo + bin_ps), int64, shape (bins,).
    bin_ps:
        Width of a bin.
    counts:
        All pairs of tags, int64, shape (pairs, bins).
    exposure:
        Live time, gaps and singles.
    """

    pairs: tuple[tuple[int, int], ...]
    lo_ps: NDArray[np.int64]
    bin_ps: int
    counts: NDArray[np.int64]
    exposure: Exposure

    def __add__(self, other: HistogramResult) -> HistogramResult:
        if self.pairs != other.pairs or self.bin_ps != other.bin_ps or not np.array_equal(self.lo_ps, other.lo_ps):
            msg = f"histograms of pairs {self.pairs} and {other.pairs} do not add up: expected the same pairs and bins"
            raise BadRequestError(msg)
        exposure = self.exposure + other.exposure
        return HistogramResult(self.pairs, self.lo_ps, self.bin_ps, self.counts + other.counts, exposure)

    @property
    def errors(self) -> NDArray[np.float64]:
        """Poisson standard errors of the counts, shape (pairs, bins)."""
        return np.sqrt(self.counts)

    @property
    def accidentals(self) -> NDArray[np.float64]:
        """Counts a bin that chance gives at these rates, shape (pairs,)."""
        return np.array([self.exposure.accidentals(a, b, self.bin_ps) for a, b in self.pairs])

    @property
    def g2(self) -> NDArray[np.float64]:
        """Counts over accidentals, shape (pairs, bins); nan where chance gives none."""
        expected = self.accidentals[:, np.newaxis]
        return np.where(expected > 0, self.counts / np.where(expected > 0, expected, 1.0), np.nan)


class DelayHistogram(LocalAccumulator[HistogramResult]):
    """Histogram dt = (t_b - d_b) - (t_a - d_a) of pairs of channels (a, b), all pairs of tags.

    Parameters
    ----------
    pairs:
        Pairs of channels, each once; of a channel with itself come the positive lags only.
    lo_ps, hi_ps:
        Bins cover [lo_ps, hi_ps), a whole number of them.
    bin_ps:
        Width of a bin.
    delays_ps:
        Delay of each channel, subtracted.
    engine:
        ``auto``, ``numpy`` or ``numba``: the same integers.
    """

    def __init__(
        self,
        pairs: Sequence[Sequence[int]],
        lo_ps: int,
        hi_ps: int,
        bin_ps: int,
        delays_ps: Mapping[int, int] | None = None,
        *,
        engine: str = "auto",
    ) -> None:
        if bin_ps < 1 or hi_ps <= lo_ps or (hi_ps - lo_ps) % bin_ps:
            msg = f"histogram: [{lo_ps}, {hi_ps}) ps must hold a whole number of bins of {bin_ps} ps, at least one"
            raise BadRequestError(msg)
        self._pairs = tuple((int(a), int(b)) for a, b in pairs)
        if not self._pairs or len({frozenset(pair) for pair in self._pairs}) < len(self._pairs):
            msg = f"histogram: pairs {self._pairs}; expected at least one, and none twice or the other way round"
            raise BadRequestError(msg)
        self._lo_ps, self._hi_ps, self._bin_ps = int(lo_ps), int(hi_ps), int(bin_ps)
        n_bins = (self._hi_ps - self._lo_ps) // self._bin_ps
        reach_ps = max(-self._lo_ps, self._hi_ps - 1, 0)
        super().__init__(
            [c for pair in self._pairs for c in pair], delays_ps, reach_ps, (len(self._pairs), n_bins), engine
        )
        lanes = self._lanes
        n = len(lanes.channels)
        row, sign = np.full(n * n, -1, dtype=np.int64), np.ones(n * n, dtype=np.int64)
        for k, (a, b) in enumerate(self._pairs):
            i, j = int(lanes.index[a]), int(lanes.index[b])
            row[i * n + j] = row[j * n + i] = k
            sign[j * n + i] = -1
            sign[i * n + j] = 1
        self._bins = LagBins(row, sign, len(self._pairs), self._lo_ps, self._bin_ps, n_bins)

    def settings(self) -> dict[str, object]:
        """Return what the constructor was given."""
        return {
            "pairs": [list(pair) for pair in self._pairs],
            "lo_ps": self._lo_ps,
            "hi_ps": self._hi_ps,
            "bin_ps": self._bin_ps,
            "delays_ps": self._delays(),
        }

    def result(self) -> HistogramResult:
        """Return the histogram so far."""
        self._settle()
        lo = self._lo_ps + np.arange(self._bins.n_bins, dtype=np.int64) * self._bin_ps
        return HistogramResult(self._pairs, lo, self._bin_ps, self._counts.copy(), self._exposure)

    def _count(self, kernels: Kernels, t: Ints, ch: Channels, lanes: Lanes, reach_ps: int) -> Ints:
        return kernels.lag_histogram(t, ch, lanes, self._bins, reach_ps)
