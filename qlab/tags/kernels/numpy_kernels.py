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
_ENOUGH = 1 << 14
"""Heads of N-folds that are looked at together, for the same reason."""


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


def near_next(t: Ints, begin: int, end: int, ahead: int, reach_ps: int) -> tuple[Ints, Ints]:
    """Return the tags from `begin` to `end` whose `ahead`-th next one is near, and how far apart the two are."""
    gaps, near = np.empty(BLOCK, dtype=np.int64), np.empty(BLOCK, dtype=np.bool_)
    found, apart = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for start in range(begin, end, BLOCK):
        stop = min(start + BLOCK, end)
        gap = np.subtract(t[start + ahead : stop + ahead], t[start:stop], out=gaps[: stop - start])
        i = np.less_equal(gap, reach_ps, out=near[: stop - start]).nonzero()[0]
        apart.append(gap.take(i))
        i += start
        found.append(i)
    return np.concatenate(found), np.concatenate(apart)


def close_pairs(t: Ints, reach_ps: int) -> Iterator[tuple[Ints, int, Ints]]:
    """Yield the pairs of all tags at most `reach_ps` apart: earlier index, steps to the later one, and how far apart.

    Candidates are the tags whose next neighbour is near; of these, those whose second next is near as well, and so on.
    Because times are sorted each set contains the next, and the work shrinks geometrically.
    """
    last = t.size - 1
    for begin in range(0, last, _BLOCKS * BLOCK):
        end = min(begin + _BLOCKS * BLOCK, last)
        i, dt = near_next(t, begin, end, 1, reach_ps)
        if not i.size:
            continue
        if dt.min() < 0:  # a backward step passes the test of the gap, so none is missed
            raise unsorted_error()
        second = _with_second(t, i, dt, reach_ps)
        yield i, 1, dt
        i, dt = second
        step = 2
        while i.size:
            yield i, step, dt
            step += 1
            if i[-1] + step > last:
                i = i[: np.searchsorted(i, last + 1 - step)]
            dt = t.take(i + step)
            dt -= t.take(i)
            still = (dt <= reach_ps).nonzero()[0]
            i, dt = i.take(still), dt.take(still)


def _with_second(t: Ints, i: Ints, gap: Ints, reach_ps: int) -> tuple[Ints, Ints]:
    """Return the candidates whose second next neighbour is near: the next one then is a candidate too, beside it."""
    place = (i[1:] - i[:-1] == 1).nonzero()[0]
    dt = gap.take(place)
    dt += gap.take(place + 1)
    still = (dt <= reach_ps).nonzero()[0]
    first, dt = i.take(place.take(still)), dt.take(still)
    last = int(i[-1])  # its neighbour may be beyond what was looked at
    if last + 2 < t.size and (apart := int(t[last + 2] - t[last])) <= reach_ps:
        first, dt = np.append(first, last), np.append(dt, apart)
    return first, dt


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
        pairs = _PairCodes(ch, lanes)
        first, bias = bins.tables(lanes)
        first, bias, sign = pairs.table(first + first // bins.n_bins), pairs.table(bias), pairs.table(bins.sign)
        # Behind each histogram is a cell for what is outside.
        cells, outside = bins.rows * (bins.n_bins + 1), np.uint64(bins.width_ps)
        counts = np.zeros(cells, dtype=np.int64)
        for i, step, dt in close_pairs(t, reach_ps):
            code = pairs.of(i, step)
            lag = dt * sign.take(code)
            lag += bias.take(code)
            within = lag.view(np.uint64)  # a negative lag is a huge one
            np.minimum(within, outside, out=within)
            lag //= bins.bin_ps
            if bins.rows > 1:
                lag += first.take(code)
            if lag.size < cells // 8:
                np.add.at(counts, lag, 1)
            else:
                counts += np.bincount(lag, minlength=cells)
        return np.ascontiguousarray(counts.reshape(bins.rows, bins.n_bins + 1)[:, :-1])

    def pair_counts(self, t: Ints, ch: Channels, lanes: Lanes, half_ps: int, reach_ps: int) -> Ints:
        """Count pairs of tags by lanes of the earlier and of the later."""
        n, pairs, width = len(lanes.channels), _PairCodes(ch, lanes), np.uint64(2 * half_ps)
        bias = pairs.table(lanes.difference_ps() + half_ps)
        counts = np.zeros(pairs.codes + 1, dtype=np.int64)
        for i, step, dt in close_pairs(t, reach_ps):
            code = pairs.of(i, step)
            if lanes.spread_ps or reach_ps > half_ps:
                dt += bias.take(code)
                np.copyto(code, pairs.codes, where=dt.view(np.uint64) > width)
            counts += np.bincount(code, minlength=pairs.codes + 1)
        return counts[pairs.where].reshape(n, n)

    def fold_counts(self, t: Ints, ch: Channels, lanes: Lanes, masks: Ints, span_ps: int, reach_ps: int) -> Ints:
        """Count choices of one tag a lane of each mask."""
        least = min(int(mask).bit_count() for mask in masks)
        counts = np.zeros(masks.size, dtype=np.int64)
        for alone, crowd in _within(t, least, reach_ps):
            counts += _lone_events(t, ch, alone, lanes, masks, least, span_ps)
            few_t, few_ch = t.take(crowd), ch.take(crowd)
            if lanes.spread_ps:
                few_t, few_ch = sort_tags(few_t - lanes.delays_ps.take(few_ch), few_ch, "quicksort")
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


def _within(t: Ints, least: int, reach_ps: int) -> Iterator[tuple[Ints, Ints]]:
    """Yield the tags that have `least` - 1 or more others within reach behind them (heads), in windows of their own.

    All tags of an event lie, before delays are taken off, in the window of its first one.  Mostly a window holds as many tags
    as are needed, and no other window touches it: of these the heads come first.  Of all others come all the tags, those of
    windows that overlap together.
    """
    last, more = t.size - 1, least - 2
    head = size = np.empty(0, dtype=np.int64)
    new: list[Ints] = []
    gaps, near = np.empty(BLOCK + more, dtype=np.int64), np.empty(BLOCK + more, dtype=np.bool_)
    for begin in range(0, last, BLOCK):
        end = min(begin + BLOCK, last)
        until = min(end + more, last)
        gap = np.subtract(t[begin + 1 : until + 1], t[begin:until], out=gaps[: until - begin])
        if gap.min() < 0:
            raise unsorted_error()
        close = np.less_equal(gap, reach_ps, out=near[: until - begin])
        for step in range(1, least - 1):
            close = close[:-1] & near[step : until - begin]
        new.append(close.nonzero()[0] + begin)
        if end < last and sum(found.size for found in new) < _ENOUGH:
            continue
        found = np.concatenate(new)
        found = found[t[least - 1 :].take(found) - t.take(found) <= reach_ps]
        new = []
        head = np.concatenate([head, found])
        size = np.concatenate([size, _window_sizes(t, found, least, reach_ps)])
        # Does a window begin behind the one before?  The next blocks may hold heads inside the last ones.
        parted = np.ones(head.size + 1, dtype=np.bool_)
        np.less_equal(head[:-1] + size[:-1], head[1:], out=parted[1:-1])
        ready = head.size
        if end < last:
            closed = int(np.searchsorted(head + size, end, side="right"))
            ready = int(parted[: closed + 1].nonzero()[0][-1])
        alone = parted[:ready] & parted[1 : ready + 1]
        alone &= size[:ready] == least
        others = (~alone).nonzero()[0]
        yield head[:ready][alone], _tags_of(head.take(others), size.take(others))
        head, size = head[ready:], size[ready:]


def _tags_of(head: Ints, size: Ints) -> Ints:
    """Return the tags in windows, each once: each window is taken up to the next head, which reaches as far or farther."""
    if not head.size:
        return head
    room = size.copy()
    np.minimum(size[:-1], head[1:] - head[:-1], out=room[:-1])
    at = np.repeat(head + room - np.cumsum(room), room)
    at += np.arange(at.size)
    return at


def _lone_events(t: Ints, ch: Channels, head: Ints, lanes: Lanes, masks: Ints, least: int, span_ps: int) -> Ints:
    """Count the events of each mask in windows of `least` tags: each is one, or none."""
    at = head + np.arange(least)[:, np.newaxis]
    code = ch.take(at).astype(np.intp)
    now = t.take(at)
    if lanes.spread_ps:
        now -= lanes.delays_ps.take(code)
    bit = np.zeros(256, dtype=np.int64)
    bit[list(lanes.channels)] = np.int64(1) << np.arange(len(lanes.channels))
    together = np.bitwise_or.reduce(bit.take(code), axis=0)
    together *= now.max(axis=0) - now.min(axis=0) <= span_ps
    return np.array([np.count_nonzero(together == mask) for mask in masks.tolist()], dtype=np.int64)


def _window_sizes(t: Ints, head: Ints, least: int, reach_ps: int) -> Ints:
    """Return how many tags, `least` at least, lie within reach behind each head, itself included."""
    size = np.full(head.size, least, dtype=np.int64)
    which, step = np.arange(head.size), least
    while which.size:
        tag = head.take(which)
        inside = int(np.searchsorted(tag, t.size - step))
        near = (t.take(tag[:inside] + step) - t.take(tag[:inside]) <= reach_ps).nonzero()[0]
        which = which.take(near)
        size[which] += 1
        step += 1
    return size


def _events(t: Ints, ch: Channels, lanes: Lanes, masks: Ints, least: int, span_ps: int) -> Ints:
    """Count the events of each mask in a few tags with delays off, by their earliest tags."""
    n = t.size - least + 1
    if n < 1:
        return np.zeros(masks.size, dtype=np.int64)
    first = (t[least - 1 :] - t[:n] <= span_ps).nonzero()[0]
    further = np.append(t[least:], np.iinfo(np.int64).max).take(first) - t.take(first) <= span_ps
    # Mostly there are just as many tags as are needed: then it is one event, or none.
    bits = np.int64(1) << lanes.index.take(ch)
    together = bits[:n].copy()
    for step in range(1, least):
        together |= bits[step : n + step]
    together = together.take(first.take((~further).nonzero()[0]))
    exact = [np.count_nonzero(together == mask) for mask in masks.tolist()]
    return np.array(exact, dtype=np.int64) + _choices(t, ch, lanes, masks, span_ps, first.take(further.nonzero()[0]))


def _choices(t: Ints, ch: Channels, lanes: Lanes, masks: Ints, span_ps: int, first: Ints) -> Ints:
    """Count the events of each mask whose earliest tags these are."""
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


class _PairCodes:
    """Numbers for pairs of lanes that are quick to make: of the channels themselves, as bytes, where these are small.

    Attributes
    ----------
    codes:
        How many there are.
    where:
        The code of each pair of lanes, shape (lanes ** 2,).
    """

    def __init__(self, ch: Channels, lanes: Lanes) -> None:
        top = max(lanes.channels) + 1
        self._bytes = top <= 16
        self._ch = ch if self._bytes else lanes.index.astype(np.uint8).take(ch)
        self._base = top if self._bytes else len(lanes.channels)
        self.codes = self._base**2
        of = np.array(lanes.channels if self._bytes else range(self._base), dtype=np.int64)
        self.where = np.add.outer(of * self._base, of).ravel()

    def table(self, by_lanes: Ints) -> Ints:
        """Return a table by codes from one by lanes."""
        table = np.zeros(self.codes, dtype=np.int64)
        table[self.where] = by_lanes
        return table

    def of(self, i: Ints, step: int) -> Ints:
        """Return the codes of tags `i` and those `step` behind."""
        first, second = self._ch.take(i), self._ch[step:].take(i)
        if self._bytes:
            first *= np.uint8(self._base)
            first += second
            return first.astype(np.int64)
        code = first.astype(np.int64)
        code *= self._base
        code += second
        return code
