"""Tag kernels in NumPy: candidates by their gap, then the survivors of wider and wider gaps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qlab.errors import BadRequestError
from qlab.tags.kernels.realign import realigned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qlab.tags.kernels.protocol import Channels, Ints, LagBins, Lanes

__all__ = ["BLOCK", "NumpyKernels", "close_pairs", "in_order", "unsorted_error"]

BLOCK = 1 << 17
"""Tags a block: scratch arrays then stay in the second-level cache."""


def unsorted_error() -> BadRequestError:
    """Return the error for tags that are not in order of time."""
    return BadRequestError("tags are not in order of time: make the block with TagBlock.from_unsorted")


def in_order(t: Ints) -> bool:
    """Return whether times never run backwards."""
    return bool((t[1:] >= t[:-1]).all())


def close_pairs(t: Ints, reach_ps: int, block: int = BLOCK) -> Iterator[tuple[Ints, int, Ints]]:
    """Yield the pairs of all tags at most `reach_ps` apart: earlier index, steps to the later one, and how far apart.

    Candidates are the tags whose next neighbour is near; of these, those whose second next is near as well, and so on.
    Because times are sorted each set contains the next, and the work shrinks geometrically.
    """
    for start in range(0, t.size - 1, block):
        stop = min(start + block, t.size - 1)
        gaps = t[start + 1 : stop + 1] - t[start:stop]
        i = np.flatnonzero(gaps <= reach_ps)
        dt = gaps[i]
        if i.size and dt.min() < 0:  # a backward step passes the test of the gap, so none is missed
            raise unsorted_error()
        i += start
        step = 1
        while i.size:
            yield i, step, dt
            step += 1
            if i[-1] + step >= t.size:
                i = i[: np.searchsorted(i, t.size - step)]
            dt = t[i + step] - t[i]
            near = dt <= reach_ps
            i, dt = i[near], dt[near]


class NumpyKernels:
    """The kernels that are always there."""

    def singles(self, ch: Channels, lanes: Lanes) -> Ints:
        """Count the tags of each lane."""
        # Comparing bytes is vectorised; counting them one by one is five times slower for a handful of channels.
        if len(lanes.channels) <= 16:
            return np.array([np.count_nonzero(ch == c) for c in lanes.channels], dtype=np.int64)
        return np.bincount(ch, minlength=256)[list(lanes.channels)].astype(np.int64)

    def realign(self, t: Ints, ch: Channels, lanes: Lanes) -> tuple[Ints, Channels]:
        """Subtract the delays and sort again."""
        return realigned(t, ch, lanes.delays_ps)

    def lag_histogram(self, t: Ints, ch: Channels, lanes: Lanes, bins: LagBins, reach_ps: int) -> Ints:
        """Histogram the lags of pairs of lanes."""
        cells, width = bins.rows * bins.n_bins, np.uint64(bins.bin_ps * bins.n_bins)
        counts = np.zeros(cells, dtype=np.int64)
        for code, dt in _coded(t, ch, lanes, reach_ps):
            row = bins.row[code]
            lag = dt * bins.sign[code]
            lag -= bins.lo_ps
            inside = np.flatnonzero((lag.view(np.uint64) < width) & (row >= 0))  # a negative lag is a huge unsigned one
            cell = lag[inside] // bins.bin_ps
            if bins.rows > 1:
                cell += row[inside] * bins.n_bins
            if cell.size < cells // 8:
                np.add.at(counts, cell, 1)
            else:
                counts += np.bincount(cell, minlength=cells)
        return counts.reshape(bins.rows, bins.n_bins)

    def pair_counts(self, t: Ints, ch: Channels, lanes: Lanes, half_ps: int, reach_ps: int) -> Ints:
        """Count pairs of tags by lanes of the earlier and of the later."""
        n = len(lanes.channels)
        counts = np.zeros(n * n, dtype=np.int64)
        for code, dt in _coded(t, ch, lanes, reach_ps):
            near = code if reach_ps <= half_ps else code[np.abs(dt) <= half_ps]
            counts += np.bincount(near, minlength=n * n)
        return counts.reshape(n, n)

    def fold_counts(self, t: Ints, ch: Channels, lanes: Lanes, masks: Ints, span_ps: int) -> Ints:
        """Count choices of one tag a lane of each mask."""
        counts = np.zeros(masks.size, dtype=np.int64)
        least = min(int(mask).bit_count() for mask in masks)
        for start in range(0, t.size - least + 1, BLOCK):
            stop = min(start + BLOCK, t.size - least + 1)
            # The earliest tag of an event has its last needed companion near: one test for all of them.
            span = t[start + least - 1 : stop + least - 1] - t[start:stop]
            first = np.flatnonzero(span <= span_ps)
            if not in_order(t[start : stop + least - 1]):
                raise unsorted_error()
            first += start
            counts += _choices(t, ch, lanes, masks, span_ps, first)
        return counts

    def companions(
        self, t: Ints, ch: Channels, lanes: Lanes, anchor: int, lo_ps: int, hi_ps: int, reach_ps: int
    ) -> Ints:
        """Histogram which lanes clicked about each tag of one lane."""
        seen = np.zeros(t.size, dtype=np.int64)
        for i, step, dt in close_pairs(t, reach_ps):
            j = i + step
            first, second = ch[i], ch[j]
            if lanes.spread_ps:
                dt = dt + (lanes.delays_ps[first] - lanes.delays_ps[second])
            for about, companion, lag in ((i, second, dt), (j, first, -dt)):
                near = (lag >= lo_ps) & (lag <= hi_ps)  # no tag comes twice in one step
                seen[about[near]] |= np.int64(1) << lanes.index[companion[near]]
        seen = seen[ch == lanes.channels[anchor]] & ~(1 << anchor)
        return np.bincount(seen, minlength=1 << len(lanes.channels)).astype(np.int64)


def _choices(t: Ints, ch: Channels, lanes: Lanes, masks: Ints, span_ps: int, first: Ints) -> Ints:
    """Count the events of each mask whose earliest tags these are."""
    near = np.zeros((first.size, len(lanes.channels)), dtype=np.int64)
    row, step = np.arange(first.size), 1
    while row.size:
        later = first[row] + step
        row, later = row[later < t.size], later[later < t.size]
        within = t[later] - t[first[row]] <= span_ps
        row, later = row[within], later[within]
        near[row, lanes.index[ch[later]]] += 1
        step += 1
    own = lanes.index[ch[first]]
    near[np.arange(first.size), own] = 1
    has_own = (masks[:, np.newaxis] >> own) & 1
    chosen = [[lane for lane in range(near.shape[1]) if int(mask) >> lane & 1] for mask in masks]
    return np.array(
        [int((near[:, lanes_of].prod(axis=1) * has).sum()) for lanes_of, has in zip(chosen, has_own, strict=True)],
        dtype=np.int64,
    )


def _coded(t: Ints, ch: Channels, lanes: Lanes, reach_ps: int) -> Iterator[tuple[Ints, Ints]]:
    """Yield lanes (earlier * n + later, before delays) and difference (delays taken off) of all tags within reach."""
    n = len(lanes.channels)
    earlier = lanes.index * n
    for i, step, dt in close_pairs(t, reach_ps):
        first, second = ch[i], ch[i + step]
        code = earlier[first] + lanes.index[second]
        if lanes.spread_ps:
            dt = dt + (lanes.delays_ps[first] - lanes.delays_ps[second])
        yield code, dt
