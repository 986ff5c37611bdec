"""Tag kernels in NumPy: candidates by their gap, then the survivors of wider and wider gaps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qlab.errors import BadRequestError
from qlab.tags.kernels.realign import realigned
from qlab.tags.stream import sort_tags

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qlab.tags.kernels.protocol import Channels, Ints, LagBins, Lanes

__all__ = ["BLOCK", "NumpyKernels", "close_pairs", "count_lanes", "in_order", "unsorted_error"]

BLOCK = 1 << 16
"""Tags of which the gaps are taken at once: scratch arrays then stay in the second-level cache."""
_BLOCKS = 4
"""Blocks whose survivors are looked at together: they are few, and each call has its price."""


def unsorted_error() -> BadRequestError:
    """Return the error for tags that are not in order of time."""
    return BadRequestError("tags are not in order of time: make the block with TagBlock.from_unsorted")


def in_order(t: Ints) -> bool:
    """Return whether times never run backwards."""
    return bool((t[1:] >= t[:-1]).all())


def count_lanes(ch: Channels, lanes: Lanes) -> Ints:
    """Count the tags of each of a few lanes: comparing bytes is vectorised, counting them one by one is not."""
    counts = np.zeros(len(lanes.channels), dtype=np.int64)
    for start in range(0, ch.size, BLOCK):
        part = ch[start : start + BLOCK]
        counts += [np.count_nonzero(part == c) for c in lanes.channels]
    return counts


def close_pairs(t: Ints, reach_ps: int, block: int = BLOCK) -> Iterator[tuple[Ints, int, Ints]]:
    """Yield the pairs of all tags at most `reach_ps` apart: earlier index, steps to the later one, and how far apart.

    Candidates are the tags whose next neighbour is near; of these, those whose second next is near as well, and so on.
    Because times are sorted each set contains the next, and the work shrinks geometrically.
    """
    gaps, near = np.empty(block, dtype=np.int64), np.empty(block, dtype=bool)
    last = t.size - 1
    for head in range(0, last, _BLOCKS * block):
        found = []
        for start in range(head, min(head + _BLOCKS * block, last), block):
            stop = min(start + block, last)
            gap = np.subtract(t[start + 1 : stop + 1], t[start:stop], out=gaps[: stop - start])
            i = np.less_equal(gap, reach_ps, out=near[: stop - start]).nonzero()[0]
            found.append((i + start, gap.take(i)))
        i, dt = (np.concatenate(parts) for parts in zip(*found, strict=True))
        if i.size and dt.min() < 0:  # a backward step passes the test of the gap, so none is missed
            raise unsorted_error()
        step = 1
        while i.size:
            yield i, step, dt
            step += 1
            if i[-1] + step > last:
                i = i[: np.searchsorted(i, last + 1 - step)]
            dt = t.take(i + step)
            dt -= t.take(i)
            still = (dt <= reach_ps).nonzero()[0]
            i, dt = i.take(still), dt.take(still)


class NumpyKernels:
    """The kernels that are always there."""

    def singles(self, ch: Channels, lanes: Lanes) -> Ints:
        """Count the tags of each lane."""
        if len(lanes.channels) <= 16:
            return count_lanes(ch, lanes)
        return np.bincount(ch, minlength=256)[list(lanes.channels)].astype(np.int64)

    def realign(self, t: Ints, ch: Channels, lanes: Lanes) -> tuple[Ints, Channels]:
        """Subtract the delays and sort again."""
        return realigned(t, ch, lanes.delays_ps)

    def lag_histogram(self, t: Ints, ch: Channels, lanes: Lanes, bins: LagBins, reach_ps: int) -> Ints:
        """Histogram the lags of pairs of lanes."""
        cells, width = bins.rows * bins.n_bins, np.uint64(bins.width_ps)
        first, bias = bins.tables(lanes)
        counts = np.zeros(cells, dtype=np.int64)
        for code, dt in _coded(t, ch, lanes, reach_ps):
            lag = dt * bins.sign.take(code)
            lag += bias.take(code)
            inside = (lag.view(np.uint64) < width).nonzero()[0]  # a negative lag is a huge unsigned one
            cell = lag.take(inside)
            cell //= bins.bin_ps
            if bins.rows > 1:
                cell += first.take(code.take(inside))
            if cell.size < cells // 8:
                np.add.at(counts, cell, 1)
            else:
                counts += np.bincount(cell, minlength=cells)
        return counts.reshape(bins.rows, bins.n_bins)

    def pair_counts(self, t: Ints, ch: Channels, lanes: Lanes, half_ps: int, reach_ps: int) -> Ints:
        """Count pairs of tags by lanes of the earlier and of the later."""
        n, bias, width = len(lanes.channels), lanes.difference_ps() + half_ps, np.uint64(2 * half_ps)
        counts = np.zeros(n * n, dtype=np.int64)
        for code, dt in _coded(t, ch, lanes, reach_ps):
            if lanes.spread_ps or reach_ps > half_ps:
                lag = dt + bias.take(code)
                code = code.take((lag.view(np.uint64) <= width).nonzero()[0])
            counts += np.bincount(code, minlength=n * n)
        return counts.reshape(n, n)

    def fold_counts(self, t: Ints, ch: Channels, lanes: Lanes, masks: Ints, span_ps: int, reach_ps: int) -> Ints:
        """Count choices of one tag a lane of each mask."""
        counts = np.zeros(masks.size, dtype=np.int64)
        least = min(int(mask).bit_count() for mask in masks)
        if not in_order(t):
            raise unsorted_error()
        for at in _within(t, least, reach_ps):
            few_t, few_ch = t.take(at), ch.take(at)
            if lanes.spread_ps:
                few_t, few_ch = sort_tags(few_t - lanes.delays_ps.take(few_ch), few_ch)
            counts += _events(few_t, few_ch, lanes, masks, least, span_ps)
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


def _within(t: Ints, least: int, reach_ps: int) -> Iterator[Ints]:
    """Yield the tags of which `least` or more lie within reach; none that lie within reach of each other come separately."""
    kept, n = np.empty(0, dtype=np.int64), t.size - least + 1
    for begin in range(0, n, _BLOCKS * BLOCK):
        end = min(begin + _BLOCKS * BLOCK, n)
        heads = []
        for start in range(begin, end, BLOCK):
            stop = min(start + BLOCK, end)
            near = t[start + least - 1 : stop + least - 1] - t[start:stop] <= reach_ps
            heads.append(near.nonzero()[0] + start)
        head = np.concatenate(heads)
        found, step = [kept, head], 1
        while head.size:
            if head[-1] + step >= t.size:
                head = head[: np.searchsorted(head, t.size - step)]
            head = head.take((t.take(head + step) - t.take(head) <= reach_ps).nonzero()[0])
            found.append(head + step)
            step += 1
        at = np.concatenate(found)
        first = int(at.min()) if at.size else begin
        marked = np.zeros(int(at.max()) + 1 - first if at.size else 0, dtype=bool)
        marked[at - first] = True
        at = marked.nonzero()[0] + first
        if end == n:
            yield at
            return
        # Cut at a gap that nothing reaches across, and where no head is still to come before it.
        apart = (np.diff(t.take(at)) > reach_ps).nonzero()[0]
        apart = apart[: np.searchsorted(at.take(apart), end)]
        cut = int(apart[-1]) + 1 if apart.size else 0
        kept = at[cut:]
        yield at[:cut]


def _events(t: Ints, ch: Channels, lanes: Lanes, masks: Ints, least: int, span_ps: int) -> Ints:
    """Count the events of each mask in a few tags with delays off, by their earliest tags."""
    first = (t[least - 1 :] - t[: t.size - least + 1] <= span_ps).nonzero()[0]
    near = np.zeros((len(lanes.channels), first.size), dtype=np.int64)
    row, later, step = np.arange(first.size), first, 1
    while row.size:
        within = (later + step < t.size).nonzero()[0]
        row, later = row.take(within), later.take(within)
        within = (t.take(later + step) - t.take(later) <= span_ps).nonzero()[0]
        row, later = row.take(within), later.take(within)
        near[lanes.index.take(ch.take(later + step)), row] += 1  # no row comes twice in one step
        step += 1
    own = lanes.index.take(ch.take(first))
    near[own, np.arange(first.size)] = 1
    counts = []
    for mask in masks.tolist():
        chosen = [lane for lane in range(len(lanes.channels)) if mask >> lane & 1]
        counts.append(int((near[chosen].prod(axis=0) * (mask >> own & 1)).sum()))
    return np.array(counts, dtype=np.int64)


def _coded(t: Ints, ch: Channels, lanes: Lanes, reach_ps: int) -> Iterator[tuple[Ints, Ints]]:
    """Yield lanes (earlier * n + later) and difference, delays still on, of all tags within reach."""
    n = len(lanes.channels)
    # As long as codes fit, bytes are quicker to look up and to add.
    dtype = np.dtype(np.uint8 if n <= 16 else np.int64)
    later, earlier = lanes.index.astype(dtype), (lanes.index * n).astype(dtype)
    for i, step, dt in close_pairs(t, reach_ps):
        code = earlier.take(ch.take(i)) + later.take(ch[step:].take(i))
        yield code.astype(np.int64, copy=False), dt
