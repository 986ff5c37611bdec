"""What a stream consists of: tags, shortest gaps, spans and rates over time of every channel, in constant memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from qlab.tags.stream import TagBlock

__all__ = ["Census", "CensusResult"]

Ints = NDArray[np.int64]
_CHANNELS = 256
_MOST_BINS = 512
_FINEST_PS = 1 << 30
"""Bins of the trace are this (1.07 ms) times a power of two, and begin at multiples of their width."""
_NONE = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class CensusResult:
    """What a stream consists of.

    Attributes
    ----------
    channels:
        Those with tags.
    counts, shortest_ps:
        Tags and shortest gap of each (-1 where there is one tag only), int64, shape (channels,).
    start_ps, stop_ps, live_ps:
        The stream's interval, and how much of it was watched.
    gaps, missed:
        Intervals in which it was not, and tags known to be lost in them.
    bin_ps, first_ps, trace:
        Tags over time: int64, shape (channels, bins); bin k begins at ``first_ps + k * bin_ps``.
    live_trace:
        Of each bin what was watched, ps, int64, shape (bins,).
    """

    channels: tuple[int, ...]
    counts: Ints
    shortest_ps: Ints
    start_ps: int
    stop_ps: int
    live_ps: int
    gaps: int
    missed: int
    bin_ps: int
    first_ps: int
    trace: Ints
    live_trace: Ints

    @property
    def n(self) -> int:
        """Tags of all channels."""
        return int(self.counts.sum())


class Census:
    """Takes note of what a stream consists of, fed block by block as an accumulator is."""

    def __init__(self) -> None:
        self._counts = np.zeros(_CHANNELS, np.int64)
        self._shortest = np.full(_CHANNELS, _NONE, np.int64)
        self._last = np.zeros(_CHANNELS, np.int64)
        self._start_ps = self._stop_ps = self._live_ps = self._gaps = self._missed = 0
        self._seen = False
        self._bin_ps = _FINEST_PS
        self._first = 0  # number of the first bin
        self._trace = np.zeros((_CHANNELS, 0), np.int64)
        self._live = np.zeros(0, np.int64)

    def feed(self, block: TagBlock) -> None:
        """Take the next stretch; raises `BadRequestError` if it begins before the last one ended."""
        if not self._seen:
            self._start_ps = self._stop_ps = block.start_ps
        if block.start_ps < self._stop_ps:
            msg = f"a stretch from {block.start_ps} ps overlaps what ends at {self._stop_ps} ps: feed in the order of time"
            raise BadRequestError(msg)
        if block.start_ps > self._stop_ps:
            self._gaps += 1
        self._seen, self._stop_ps = True, block.stop_ps
        self._live_ps += block.live_ps
        self._gaps += len(block.gaps)
        self._missed += sum(gap.missed for gap in block.gaps)
        self._count(block)
        self._cover(block.start_ps, block.stop_ps)
        self._note_live(block)
        if block.n:
            bins = np.clip(block.t // self._bin_ps - self._first, 0, self._live.size - 1)
            flat = block.ch.astype(np.int64) * self._live.size + bins
            self._trace += np.bincount(flat, minlength=self._trace.size).reshape(self._trace.shape)

    def _count(self, block: TagBlock) -> None:
        order = np.argsort(block.ch, kind="stable")
        counts = np.bincount(block.ch, minlength=_CHANNELS)
        ends = np.cumsum(counts)
        t = block.t[order]
        for channel in np.flatnonzero(counts).tolist():
            times = t[ends[channel] - counts[channel] : ends[channel]]
            gap = int(np.diff(times).min()) if times.size > 1 else _NONE
            if self._counts[channel]:
                gap = min(gap, int(times[0] - self._last[channel]))
            self._shortest[channel] = min(gap, int(self._shortest[channel]))
            self._last[channel] = times[-1]
        self._counts += counts

    def _cover(self, start_ps: int, stop_ps: int) -> None:
        """Make the bins reach to `stop_ps`, coarser ones if they must."""
        if not self._live.size:
            self._first = start_ps // self._bin_ps
        while (stop_ps - 1) // self._bin_ps - self._first >= _MOST_BINS:
            odd = self._first % 2
            self._trace = np.pad(self._trace, ((0, 0), (odd, (self._live.size + odd) % 2)))
            self._live = np.pad(self._live, (odd, (self._live.size + odd) % 2))
            self._trace = self._trace.reshape(_CHANNELS, -1, 2).sum(axis=2)
            self._live = self._live.reshape(-1, 2).sum(axis=1)
            self._bin_ps, self._first = self._bin_ps * 2, self._first // 2
        more = max((stop_ps - 1) // self._bin_ps - self._first + 1 - self._live.size, int(not self._live.size))
        if more > 0:
            self._trace = np.pad(self._trace, ((0, 0), (0, more)))
            self._live = np.pad(self._live, (0, more))

    def _note_live(self, block: TagBlock) -> None:
        edges = (self._first + np.arange(self._live.size + 1)) * self._bin_ps
        at_ps = block.start_ps
        blind = sorted((gap.start_ps, gap.stop_ps) for gap in block.gaps)
        for low, high in [*blind, (block.stop_ps, block.stop_ps)]:
            if low > at_ps:
                inside = np.clip(edges, at_ps, min(low, block.stop_ps))
                self._live += inside[1:] - inside[:-1]
            at_ps = max(at_ps, high)

    def result(self) -> CensusResult:
        """Return what has been seen so far."""
        channels = np.flatnonzero(self._counts)
        shortest = self._shortest[channels]
        return CensusResult(
            tuple(channels.tolist()),
            self._counts[channels],
            np.where(shortest == _NONE, -1, shortest),
            self._start_ps,
            self._stop_ps,
            self._live_ps,
            self._gaps,
            self._missed,
            self._bin_ps,
            self._first * self._bin_ps,
            self._trace[channels],
            self._live.copy(),
        )
