"""Tag kernels in numba: the same integers as `qlab.tags.kernels.numpy_kernels`, two to three times sooner."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qlab.tags.kernels import numba_loops as loops
from qlab.tags.kernels.numpy_kernels import unsorted_error
from qlab.tags.kernels.realign import realigned

if TYPE_CHECKING:
    from qlab.tags.kernels.protocol import Channels, Ints, LagBins, Lanes

__all__ = ["NumbaKernels"]

# Tags within the spread of the delays from which sorting is quicker than moving each tag past those it overtakes.
_CROWDED = 16.0


def _occupancy(t: Ints, reach_ps: int) -> float:
    return t.size * reach_ps / max(int(t[-1]) - int(t[0]), 1) if t.size > 1 else 0.0


class NumbaKernels:
    """The quick kernels; their first use on a machine compiles for some seconds."""

    def singles(self, ch: Channels, lanes: Lanes) -> Ints:
        """Count the tags of each lane."""
        counts: Ints = loops.count_channels(ch)[list(lanes.channels)]
        return counts

    def realign(self, t: Ints, ch: Channels, lanes: Lanes) -> tuple[Ints, Channels]:
        """Subtract the delays and sort again."""
        if _occupancy(t, lanes.spread_ps) > _CROWDED:
            return realigned(t, ch, lanes.delays_ps)
        t_out, ch_out = np.empty_like(t), np.empty_like(ch)
        loops.shift_and_insert(t, ch, lanes.delays_ps, t_out, ch_out)
        return t_out, ch_out

    def lag_histogram(self, t: Ints, ch: Channels, lanes: Lanes, bins: LagBins, reach_ps: int) -> Ints:
        """Histogram the lags of pairs of lanes."""
        counts = np.zeros(bins.rows * bins.n_bins, dtype=np.int64)
        sound = loops.lags(
            t,
            ch,
            lanes.index,
            lanes.delays_ps,
            len(lanes.channels),
            bins.row,
            bins.sign,
            bins.lo_ps,
            bins.bin_ps,
            bins.n_bins,
            reach_ps,
            counts,
        )
        if not sound:
            raise unsorted_error()
        return counts.reshape(bins.rows, bins.n_bins)

    def pair_counts(self, t: Ints, ch: Channels, lanes: Lanes, half_ps: int, reach_ps: int) -> Ints:
        """Count pairs of tags by lanes of the earlier and of the later."""
        n = len(lanes.channels)
        counts = np.zeros(n * n, dtype=np.int64)
        if not loops.pairs(t, ch, lanes.index, lanes.delays_ps, n, half_ps, reach_ps, counts):
            raise unsorted_error()
        return counts.reshape(n, n)

    def fold_counts(self, t: Ints, ch: Channels, lanes: Lanes, masks: Ints, span_ps: int) -> Ints:
        """Count choices of one tag a lane of each mask."""
        counts = np.zeros(masks.size, dtype=np.int64)
        n, least = len(lanes.channels), min(int(mask).bit_count() for mask in masks)
        if not loops.folds(t, ch, lanes.index, n, masks, least, span_ps, counts):
            raise unsorted_error()
        return counts

    def companions(
        self, t: Ints, ch: Channels, lanes: Lanes, anchor: int, lo_ps: int, hi_ps: int, reach_ps: int
    ) -> Ints:
        """Histogram which lanes clicked about each tag of one lane."""
        counts = np.zeros(1 << len(lanes.channels), dtype=np.int64)
        if not loops.companions(t, ch, lanes.index, lanes.delays_ps, anchor, lo_ps, hi_ps, reach_ps, counts):
            raise unsorted_error()
        return counts
