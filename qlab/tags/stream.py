"""A tag stream: one merged, time-sorted pair of arrays, with what is needed to count honestly.

Coincidences, histograms and N-folds are then a local test of gaps in one pass for all pairs of channels.  Times are
int64 picoseconds, channels small integers (a tagger's input n is channel n - 1).  Ties are ordered by channel.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["Gap", "TagBlock", "TagFeed", "clipped", "concat", "merge", "merge_runs", "sort_tags"]

Times = NDArray[np.int64]
Channels = NDArray[np.uint8]

# A sort key of (time << 8 | channel) keeps ties in order in one stable sort; it holds 2**55 ps = 10 hours, so longer
# spans are sorted relative to their first tag, and beyond that by two keys.
_KEY_BITS = 8
_KEY_SPAN_PS = 2 ** (63 - _KEY_BITS)
_PIECE = 2**14
"""So many tags are merged at once: their keys stay in the second-level cache."""


@dataclass(frozen=True, slots=True)
class Gap:
    """An interval in which the instrument was blind.

    Parameters
    ----------
    start_ps, stop_ps:
        The interval, on the stream's own time.
    missed:
        Tags known to be lost in it.
    """

    start_ps: int
    stop_ps: int
    missed: int = 0


@dataclass(frozen=True, slots=True)
class TagBlock:
    """A stretch of a tag stream.

    Parameters
    ----------
    t:
        Detection times, int64 ps, shape (n,), sorted.
    ch:
        Channels, uint8, shape (n,).
    start_ps, stop_ps:
        The half-open interval in which the tagger was listening.
    gaps:
        Intervals inside in which it was blind.
    """

    t: Times
    ch: Channels
    start_ps: int
    stop_ps: int
    gaps: tuple[Gap, ...] = ()

    def __post_init__(self) -> None:
        t = np.ascontiguousarray(self.t, dtype=np.int64)
        ch = np.ascontiguousarray(self.ch, dtype=np.uint8)
        if t.ndim != 1 or t.shape != ch.shape:
            msg = f"tag block: times of shape {t.shape} and channels of shape {ch.shape}; expected one equal length"
            raise BadRequestError(msg)
        if self.stop_ps < self.start_ps:
            msg = f"tag block: stop {self.stop_ps} ps lies before start {self.start_ps} ps"
            raise BadRequestError(msg)
        t, ch = t.view(), ch.view()
        t.flags.writeable = ch.flags.writeable = False
        object.__setattr__(self, "t", t)
        object.__setattr__(self, "ch", ch)

    @classmethod
    def from_unsorted(
        cls, t: NDArray[np.integer], ch: NDArray[np.integer], start_ps: int, stop_ps: int, gaps: Iterable[Gap] = ()
    ) -> TagBlock:
        """Sort by (time, channel) and make a block of it."""
        times, channels = sort_tags(np.asarray(t, dtype=np.int64), np.asarray(ch, dtype=np.uint8))
        return cls(times, channels, start_ps, stop_ps, tuple(gaps))

    @property
    def n(self) -> int:
        """Number of tags."""
        return int(self.t.size)

    @property
    def live_s(self) -> float:
        """Seconds in which the tagger was listening."""
        return self.live_ps * 1e-12

    @property
    def live_ps(self) -> int:
        """Picoseconds in which the tagger was listening."""
        live_ps, at_ps = self.stop_ps - self.start_ps, self.start_ps
        for gap in sorted(self.gaps, key=lambda gap: gap.start_ps):  # those of several inputs or taggers may overlap
            stop_ps = min(gap.stop_ps, self.stop_ps)
            live_ps -= max(stop_ps - max(gap.start_ps, at_ps), 0)
            at_ps = max(at_ps, stop_ps)
        return live_ps

    def counts(self, channels: int) -> NDArray[np.int64]:
        """Return the number of tags on each of the channels 0 .. `channels` - 1, shape (channels,)."""
        return np.bincount(self.ch, minlength=channels)[:channels].astype(np.int64)

    def select(self, channels: Iterable[int]) -> TagBlock:
        """Keep only some channels."""
        wanted = np.zeros(256, dtype=bool)
        wanted[list(channels)] = True
        keep = wanted[self.ch]
        return TagBlock(self.t[keep], self.ch[keep], self.start_ps, self.stop_ps, self.gaps)

    def between(self, start_ps: int, stop_ps: int) -> TagBlock:
        """Cut out the half-open interval from `start_ps` to `stop_ps`."""
        i, j = np.searchsorted(self.t, [start_ps, stop_ps])
        gaps = clipped(self.gaps, start_ps, stop_ps, first=start_ps <= self.start_ps)
        return TagBlock(self.t[i:j], self.ch[i:j], start_ps, stop_ps, gaps)

    def shifted(self, delays_ps: Mapping[int, int]) -> TagBlock:
        """Subtract a delay from each channel's times and sort again; channels not named stay where they are."""
        table = np.zeros(256, dtype=np.int64)
        for channel, delay_ps in delays_ps.items():
            table[channel] = delay_ps
        if not table.any():
            return self
        return TagBlock.from_unsorted(self.t - table[self.ch], self.ch, self.start_ps, self.stop_ps, self.gaps)

    def moved(self, offset_ps: int) -> TagBlock:
        """Move the whole block, its interval and its gaps by `offset_ps`."""
        gaps = tuple(Gap(g.start_ps + offset_ps, g.stop_ps + offset_ps, g.missed) for g in self.gaps)
        return TagBlock(self.t + offset_ps, self.ch, self.start_ps + offset_ps, self.stop_ps + offset_ps, gaps)


class TagFeed(Protocol):
    """Where a tagger's twin gets its tags from: the world, or a recording in its place."""

    def read(self, start_ps: int, stop_ps: int) -> TagBlock:
        """Return the tags of the half-open interval of lab time, channels counted from 0."""
        ...


def clipped(gaps: Iterable[Gap], start_ps: int, stop_ps: int, *, first: bool) -> tuple[Gap, ...]:
    """Cut gaps to an interval; what was missed counts in the piece where a gap begins, or in the `first` of all."""
    return tuple(
        Gap(max(g.start_ps, start_ps), min(g.stop_ps, stop_ps), g.missed if first or g.start_ps >= start_ps else 0)
        for g in gaps
        if g.start_ps < stop_ps and (g.stop_ps > start_ps or g.start_ps >= start_ps)
    )


def sort_tags(t: Times, ch: Channels, kind: Literal["stable", "quicksort"] = "stable") -> tuple[Times, Channels]:
    """Sort by (time, channel); by a stable sort where the input is a few sorted runs, as it mostly is."""
    if t.size < 2:
        return t, ch
    first = int(t.min())
    if int(t.max()) - first < _KEY_SPAN_PS:
        key = ((t - first) << _KEY_BITS) | ch
        key.sort(kind=kind)
        return (key >> _KEY_BITS) + first, (key & 0xFF).astype(np.uint8)
    order = np.lexsort((ch, t))
    return t[order], ch[order]


def merge_runs(runs: Sequence[tuple[int, Times, int]]) -> tuple[Times, Channels]:
    """Merge channels into one stream sorted by (time, channel), piece by piece.

    Parameters
    ----------
    runs:
        For each channel its number, its times, sorted, and a delay in ps that is added to them.
    """
    runs = [run for run in runs if run[1].size]
    n = sum(t.size for _, t, _ in runs)
    times, channels = np.empty(n, np.int64), np.empty(n, np.uint8)
    if not runs:
        return times, channels
    first = min(int(t[0]) + delay for _, t, delay in runs)
    span = max(int(t[-1]) + delay for _, t, delay in runs) - first + 1
    pieces = -(-n // _PIECE)
    cuts = np.array([first + span * k // pieces for k in range(1, pieces)], np.int64)
    edges = [[0, *t.searchsorted(cuts - delay).tolist(), t.size] for _, t, delay in runs]
    done = 0
    for k, base in enumerate((first, *cuts.tolist())):
        parts = [(ch, t[edge[k] : edge[k + 1]], delay - base) for (ch, t, delay), edge in zip(runs, edges, strict=True)]
        stop = done + sum(t.size for _, t, _ in parts)
        if span // pieces >= _KEY_SPAN_PS - 1:
            t = np.concatenate([t + delay for _, t, delay in parts])
            ch = np.repeat(np.array([ch for ch, _, _ in parts], np.uint8), [t.size for _, t, _ in parts])
            moved, channels[done:stop] = sort_tags(t, ch)
        else:
            moved = np.empty(stop - done, np.int64)
            i = 0
            for channel, part, delay in parts:
                key = np.add(part, delay, out=moved[i : i + part.size])
                key <<= _KEY_BITS
                key |= channel
                i += part.size
            moved.sort()
            channels[done:stop] = moved & 0xFF
            moved >>= _KEY_BITS
        np.add(moved, base, out=times[done:stop])
        done = stop
    return times, channels


def merge(*blocks: TagBlock) -> TagBlock:
    """Merge simultaneous streams (several taggers on one clock) into one."""
    if not blocks:
        msg = "merge: no tag blocks given"
        raise BadRequestError(msg)
    return TagBlock.from_unsorted(
        np.concatenate([b.t for b in blocks]),
        np.concatenate([b.ch for b in blocks]),
        min(b.start_ps for b in blocks),
        max(b.stop_ps for b in blocks),
        tuple(g for b in blocks for g in b.gaps),
    )


def concat(*blocks: TagBlock) -> TagBlock:
    """Join stretches of one stream, in order of time; what lies between them becomes a gap."""
    if not blocks:
        msg = "concat: no tag blocks given"
        raise BadRequestError(msg)
    gaps: list[Gap] = list(blocks[0].gaps)
    for before, after in pairwise(blocks):
        if after.start_ps < before.stop_ps:
            msg = (
                f"concat: stretches overlap, one ends at {before.stop_ps} ps and the next starts at {after.start_ps} ps"
            )
            raise BadRequestError(msg)
        if after.start_ps > before.stop_ps:
            gaps.append(Gap(before.stop_ps, after.start_ps))
        gaps.extend(after.gaps)
    return TagBlock(
        np.concatenate([b.t for b in blocks]),
        np.concatenate([b.ch for b in blocks]),
        blocks[0].start_ps,
        blocks[-1].stop_ps,
        tuple(gaps),
    )
