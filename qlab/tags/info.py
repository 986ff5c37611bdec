"""What a file of time tags holds: format, tick, channels, rates, shortest gaps, echoes, gaps, and where it is broken."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from qlab.errors import TagFileError
from qlab.tags.accumulators.census import Census
from qlab.tags.accumulators.histogram import DelayHistogram
from qlab.tags.clean import ECHO_BIN_PS, ECHO_RANGE_PS, Echo, echo_in
from qlab.tags.counting import feed_file
from qlab.tags.files.sniff import sniff
from qlab.tags.files.streaming import unheard
from qlab.tags.files.tick import tick_of_file

if TYPE_CHECKING:
    from pathlib import Path

    from qlab.tags.files.sniff import TagFormat
    from qlab.tags.files.streaming import Progress
    from qlab.tags.stream import TagBlock

__all__ = ["ChannelInfo", "TagsInfo", "echo_text", "tags_info"]

_ENOUGH = 2_000_000
"""Tags of a channel in which its echo is looked for, the first ones of a recording."""
_DENSEST = 64
"""Clicks that follow a click within the range of echoes, on average: no detector does more (0.3 GHz)."""


@dataclass(frozen=True, slots=True)
class ChannelInfo:
    """One channel of a recording; `shortest_gap_ps` shows its dead time, `echo` what electronics add."""

    channel: int
    count: int
    rate_hz: float
    shortest_gap_ps: int | None
    echo: Echo | None


@dataclass(frozen=True, slots=True)
class TagsInfo:
    """What a file of time tags holds.

    `tick_ps` is the instrument's tick where the file or the user says it, a decimal number or a fraction; ? where metadata
    are damaged.  `fault` is what ended the file before its end (a cut, a flipped bit, a killed writer), empty where
    nothing did.
    """

    path: str
    format: str
    tick_ps: str
    n: int
    start_ps: int
    stop_ps: int
    live_s: float
    gaps: int
    missed: int
    channels: tuple[ChannelInfo, ...]
    fault: str = ""

    def render(self) -> str:
        """Return a table for people."""
        lines = [
            f"{self.path}: {self.format}, {self.n} tags in {(self.stop_ps - self.start_ps) * 1e-12:.6g} s"
            f" ({self.live_s:.6g} s live, {self.gaps} gaps, {self.missed} tags known to be missed), ticks of"
            f" {self.tick_ps} ps",
            "channel      tags      rate/Hz  shortest gap/ns  echo",
        ]
        for c in self.channels:
            gap = "-" if c.shortest_gap_ps is None else f"{c.shortest_gap_ps / 1000:.3f}"
            lines.append(f"{c.channel:7d} {c.count:9d} {c.rate_hz:12.1f} {gap:>16s}  {echo_text(c.echo)}")
        if self.fault:
            lines.append(f"INCOMPLETE: {self.fault}")
        return "\n".join(lines)

    def to_json(self) -> str:
        """Return JSON for programs."""
        return json.dumps(asdict(self), indent=2)


class _Lags:
    """Lags of each channel with itself; channels come as they are met, and go where they are too dense for clicks."""

    def __init__(self) -> None:
        self.of: dict[int, DelayHistogram] = {}
        self._dense: set[int] = set()
        self._seen: dict[int, int] = {}

    def feed(self, block: TagBlock) -> None:
        for channel in np.flatnonzero(np.bincount(block.ch)).tolist():
            if channel not in self.of and channel not in self._dense:
                self.of[channel] = DelayHistogram([(channel, channel)], 0, ECHO_RANGE_PS, ECHO_BIN_PS)
        for channel, lags in [*self.of.items()]:
            if self._seen.get(channel, 0) >= _ENOUGH:
                continue
            one = block.select([channel])
            self._seen[channel] = self._seen.get(channel, 0) + one.n
            pairs = int((np.searchsorted(one.t, one.t + ECHO_RANGE_PS) - np.arange(one.n)).sum())
            if pairs > _DENSEST * one.n:
                self._dense.add(channel)
                del self.of[channel]
            else:
                lags.feed(one)

    def echo(self, channel: int) -> Echo | None:
        """Return the echo of a channel, None also where it was too dense to look."""
        if channel not in self.of:
            return None
        return echo_in(self.of[channel].result().counts[0], channel, self._seen[channel])


def tags_info(
    path: Path | str,
    bin_ps: float | None = None,
    *,
    format: TagFormat | None = None,
    progress: Progress = unheard,
) -> TagsInfo:
    """Describe a file of time tags, in constant memory.

    Parameters
    ----------
    path, format:
        The file, and what it is where its first bytes do not tell.
    bin_ps:
        Length of one time bin, for text and quTAU.
    progress:
        Told how much of the file has been read.
    """
    kind = format or sniff(path)
    census, lags = Census(), _Lags()
    fault = feed_file(path, (census, lags), format=kind, bin_ps=bin_ps, progress=progress)
    found = census.result()
    live_s = found.live_ps * 1e-12
    channels = []
    for channel, count, shortest in zip(found.channels, found.counts.tolist(), found.shortest_ps.tolist(), strict=True):
        echo = lags.echo(channel)
        rate_hz = count / live_s if live_s else 0.0
        channels.append(ChannelInfo(channel, count, rate_hz, None if shortest < 0 else shortest, echo))
    try:
        tick_ps = tick_of_file(path, kind, bin_ps)
    except TagFileError as error:  # the tags are there all the same
        tick_ps, fault = "?", fault or str(error)
    return TagsInfo(
        str(path),
        kind,
        tick_ps,
        found.n,
        found.start_ps,
        found.stop_ps,
        live_s,
        found.gaps,
        found.missed,
        tuple(channels),
        fault,
    )


def echo_text(echo: Echo | None) -> str:
    """Return a few words about an echo."""
    if echo is None:
        return "none"
    return f"{echo.lag_ps / 1000:.1f} ns after {100 * echo.fraction:.0f} % of clicks"
