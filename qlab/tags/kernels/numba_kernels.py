"""Tag kernels in numba: the same integers as `qlab.tags.kernels.numpy_kernels`, two to three times sooner."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qlab.tags.kernels import numba_loops as loops
from qlab.tags.kernels import numba_patterns as patterns
from qlab.tags.kernels.numba_vectors import count_few
from qlab.tags.kernels.numpy_kernels import unsorted_error
from qlab.tags.kernels.realign import realigned

if TYPE_CHECKING:
    from qlab.tags.kernels.protocol import Channels, Ints, LagBins, Lanes

__all__ = ["NumbaKernels"]

# Tags within the spread of the delays from which sorting is quicker than moving each tag past those it overtakes.
_CROWDED = 16.0
# Tags within reach from which walking through them is quicker than collecting survivors.
_MANY = 2.0
# Lanes up to which comparing bytes is quicker than counting them one by one.
_FEW_LANES = 16


def _occupancy(t: Ints, reach_ps: int) -> float:
    return t.size * reach_ps / max(int(t[-1]) - int(t[0]), 1) if t.size > 1 else 0.0


def _read_only(t: Ints, ch: Channels) -> tuple[Ints, Channels]:
    """Return views that cannot be written: each loop then is compiled for one kind of arrays only."""
    t, ch = t.view(), ch.view()
    t.flags.writeable = ch.flags.writeable = False
    return t, ch


def _pair_codes(lanes: Lanes) -> Ints:
    """Return `numba_loops.pair_code` of every two lanes, those of the earlier slowest, shape (lanes ** 2,)."""
    channels = np.array(lanes.channels, dtype=np.int64)
    codes: Ints = np.add.outer(channels, channels << 8).ravel()
    return codes


def _table(lanes: Lanes, by_lanes: Ints) -> Ints:
    """Return a table by channels from one by lanes; what belongs to no lanes is never looked up."""
    table = np.zeros((max(lanes.channels) + 1) << 8, dtype=np.int64)
    table[_pair_codes(lanes)] = by_lanes
    return table


class NumbaKernels:
    """The quick kernels; their first use on a machine compiles for some seconds."""

    def __init__(self) -> None:
        # A stream asks for the same tables again and again.
        self._made: tuple[LagBins, Lanes, tuple[Ints, Ints, Ints]] | None = None
        self._made_pairs: tuple[int, Lanes, Ints, Ints] | None = None

    def singles(self, ch: Channels, lanes: Lanes) -> Ints:
        """Count the tags of each lane."""
        if len(lanes.channels) > _FEW_LANES:
            every: Ints = loops.count_channels(ch)
            return every[list(lanes.channels)]
        n = len(lanes.channels)
        wanted = np.array([*lanes.channels, *lanes.channels[:1] * (-n % 4)], dtype=np.uint8)  # it counts by fours
        counts = np.zeros(wanted.size, dtype=np.int64)
        count_few(ch, wanted, counts)
        return counts[:n]

    def realign(self, t: Ints, ch: Channels, lanes: Lanes) -> tuple[Ints, Channels]:
        """Subtract the delays and sort again."""
        if _occupancy(t, lanes.spread_ps) > _CROWDED:
            return realigned(t, ch, lanes.delays_ps)
        t_out, ch_out = np.empty_like(t), np.empty_like(ch)
        loops.shift_and_insert(*_read_only(t, ch), lanes.delays_ps, t_out, ch_out)
        return t_out, ch_out

    def lag_histogram(self, t: Ints, ch: Channels, lanes: Lanes, bins: LagBins, reach_ps: int) -> Ints:
        """Histogram the lags of pairs of lanes."""
        counts = np.zeros(bins.rows * bins.n_bins + 1, dtype=np.int64)
        made = self._made
        if made is None or made[0] is not bins or made[1] is not lanes:
            first, bias = bins.tables(lanes)
            made = self._made = bins, lanes, (_table(lanes, first), _table(lanes, bins.sign), _table(lanes, bias))
        first, sign, bias = made[2]
        loop = loops.lags_crowded if _occupancy(t, reach_ps) > _MANY else loops.lags
        sound = loop(
            *_read_only(t, ch),
            first.view(np.uint64),
            sign,
            bias,
            np.uint64(bins.width_ps),
            np.uint64(bins.bin_ps),
            _inverse(bins),
            reach_ps,
            counts,
        )
        if not sound:
            raise unsorted_error()
        return counts[:-1].reshape(bins.rows, bins.n_bins)

    def pair_counts(self, t: Ints, ch: Channels, lanes: Lanes, half_ps: int, reach_ps: int) -> Ints:
        """Count pairs of tags by lanes of the earlier and of the later."""
        n, made = len(lanes.channels), self._made_pairs
        if made is None or made[0] != half_ps or made[1] is not lanes:
            made = half_ps, lanes, _pair_codes(lanes), _table(lanes, lanes.difference_ps() + half_ps)
            self._made_pairs = made
        _, _, codes, bias = made
        counts = np.zeros(bias.size, dtype=np.int64)
        loop = loops.pairs_crowded if _occupancy(t, reach_ps) > _MANY else loops.pairs
        if not loop(*_read_only(t, ch), bias, np.uint64(2 * half_ps), reach_ps, counts):
            raise unsorted_error()
        return counts[codes].reshape(n, n)

    def fold_counts(self, t: Ints, ch: Channels, lanes: Lanes, masks: Ints, span_ps: int, reach_ps: int) -> Ints:
        """Count choices of one tag a lane of each mask."""
        counts = np.zeros(masks.size, dtype=np.int64)
        n, least = len(lanes.channels), min(int(mask).bit_count() for mask in masks)
        if not patterns.folds(
            *_read_only(t, ch), lanes.index, lanes.delays_ps, n, masks, least, span_ps, reach_ps, counts
        ):
            raise unsorted_error()
        return counts

    def companions(
        self, t: Ints, ch: Channels, lanes: Lanes, anchor: int, lo_ps: int, hi_ps: int, reach_ps: int
    ) -> Ints:
        """Histogram which lanes clicked about each tag of one lane."""
        counts = np.zeros(1 << len(lanes.channels), dtype=np.int64)
        if not patterns.companions(
            *_read_only(t, ch), lanes.index, lanes.delays_ps, anchor, lo_ps, hi_ps, reach_ps, counts
        ):
            raise unsorted_error()
        return counts


def _inverse(bins: LagBins) -> np.uint64:
    """Return 2^40 / bin rounded up, or 0 where that would not be exact.

    With M = ceil(2^s / d) and e = M d - 2^s < d, floor(x M / 2^s) = floor(x / d) for all 0 <= x with x e < 2^s (Granlund and
    Montgomery, PLDI 1994, theorem 4.2); and x M must not overflow.
    """
    power = 1 << int(loops.SHIFT)
    inverse = -(-power // bins.bin_ps)
    error = inverse * bins.bin_ps - power
    exact = bins.width_ps * error < power and bins.width_ps * inverse < 1 << 64
    return np.uint64(inverse if exact else 0)
