"""The time tagger behind the detectors: delay, resolution, dead time, buffer overflow, and the node's own clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from qlab.physics.oscillator import Oscillator
from qlab.physics.settle import alive
from qlab.tags.stream import Gap, TagBlock, merge_runs, sort_tags

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from qlab.physics.world import World

__all__ = ["Tagger", "WorldFeed"]

BIN_PS = 2**30
"""Overflow is counted in bins of 1.07 ms: a bin passes so many tags, the rest of it is a gap."""
FAR_PAST_PS = -(2**62)


@dataclass(frozen=True, slots=True)
class Tagger:
    """What a tagger does to clicks.

    Parameters
    ----------
    resolution_ps:
        Tags are multiples of it, rounded down.
    skew_ps:
        Extra delay of each channel.
    dead_time_ps:
        Of each channel.
    max_rate_hz:
        Tags per second over all channels that reach the host.
    oscillator:
        The clock it ticks on.
    """

    resolution_ps: int = 1
    skew_ps: tuple[int, ...] = ()
    dead_time_ps: int = 0
    max_rate_hz: float = 1e9
    oscillator: Oscillator = field(default_factory=Oscillator)


class WorldFeed:
    """The inputs of one tagger in the world; implements `qlab.tags.stream.TagFeed`.

    Parameters
    ----------
    world:
        The world.
    tagger:
        The tagger.
    inputs:
        For each channel the number of the detector on it, and the cable's delay in ps.
    """

    def __init__(self, world: World, tagger: Tagger, inputs: Mapping[int, tuple[int, int]]) -> None:
        self._world = world
        self._tagger = tagger
        self._inputs = dict(inputs)

    def read(self, start_ps: int, stop_ps: int) -> TagBlock:
        """Return the tags that reach the tagger in the half-open interval of lab time, on the tagger's own clock."""
        tagger = self._tagger
        from_ps = (start_ps // BIN_PS - 1) * BIN_PS  # a whole bin earlier: dead time and overflow look back
        runs = []
        for channel, (detector_id, cable_ps) in self._inputs.items():
            delay_ps = cable_ps + (tagger.skew_ps[channel] if channel < len(tagger.skew_ps) else 0)
            t = self._world.clicks(detector_id, from_ps - delay_ps, stop_ps - delay_ps)
            if tagger.dead_time_ps:
                t = t[alive(t, tagger.dead_time_ps, FAR_PAST_PS)]
            runs.append((channel, t, delay_ps))
        t, ch = merge_runs(runs)
        lost, gaps = self._overflow(t, start_ps, stop_ps)
        if lost.size:
            t, ch = np.delete(t, lost), np.delete(ch, lost)
        first = int(np.searchsorted(t, start_ps))
        t, ch = self._quantised(t[first:]), ch[first:]
        if tagger.resolution_ps > 1 or bool((t[1:] < t[:-1]).any()):  # or a clock that stepped back
            t, ch = sort_tags(t, ch)
        begin, end = self._local(start_ps, stop_ps)
        return TagBlock(t, ch, begin, max(begin, end), tuple(gaps))

    def _local(self, start_ps: int, stop_ps: int) -> tuple[int, int]:
        return self._tagger.oscillator.local(start_ps), self._tagger.oscillator.local(stop_ps)

    def _quantised(self, t: NDArray[np.int64]) -> NDArray[np.int64]:
        local = self._tagger.oscillator.local(t)
        step = self._tagger.resolution_ps
        return local // step * step if step > 1 else local

    def _overflow(self, t: NDArray[np.int64], start_ps: int, stop_ps: int) -> tuple[NDArray[np.intp], list[Gap]]:
        """Return which tags the host never sees, and when it is blind between start and stop and what it misses there."""
        most = int(self._tagger.max_rate_hz * BIN_PS * 1e-12)
        nothing = np.empty(0, np.intp)
        if t.size <= most:
            return nothing, []
        edges = np.arange(int(t[0]) // BIN_PS, int(t[-1]) // BIN_PS + 2) * BIN_PS
        first = np.searchsorted(t, edges)
        counts = first[1:] - first[:-1]
        lost, gaps = [nothing], []
        asked = int(np.searchsorted(t, start_ps))
        for b in np.flatnonzero(counts > most).tolist():
            i, j = int(first[b]) + most, int(first[b + 1])
            lost.append(np.arange(i, j))
            begin, end = max(int(t[i]), start_ps), min(int(edges[b + 1]), stop_ps)
            if end > begin:
                local = self._tagger.oscillator.local
                gaps.append(Gap(local(begin), local(end), max(j - max(i, asked), 0)))
        return np.concatenate(lost), gaps
