"""Intervals between the clicks of each channel, gathered block by block across the blocks' ends and blind times."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qlab.analysis.click_intervals import FEWEST, ClickFigures, click_figures

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from qlab.tags.stream import TagBlock

__all__ = ["ClickIntervals", "afterpulse_share"]


class ClickIntervals:
    """Gathers intervals; one that reaches over the end of a block, or over a blind time, is left out.

    Attributes
    ----------
    live_s:
        Seconds in which was listened.
    """

    def __init__(self) -> None:
        self.live_s = 0.0
        self._parts: dict[int, list[NDArray[np.int64]]] = {}

    def feed(self, block: TagBlock) -> None:
        """Take a block."""
        self.live_s += block.live_s
        edges = [gap.start_ps for gap in block.gaps]
        for channel in np.unique(block.ch).tolist():
            t = block.t[block.ch == channel]
            inside = np.searchsorted(edges, t[:-1]) == np.searchsorted(edges, t[1:])
            self._parts.setdefault(channel, []).append(np.diff(t)[inside])

    @property
    def channels(self) -> list[int]:
        """Those that clicked."""
        return sorted(self._parts)

    def number(self, channel: int) -> int:
        """Return how many intervals there are of a channel."""
        return sum(part.size for part in self._parts.get(channel, []))

    def figures(self, channel: int) -> ClickFigures | None:
        """Return rate, dead time and afterpulses of a channel; None where fewer than 100 intervals are there."""
        if self.number(channel) < FEWEST:
            return None
        joined = np.concatenate([np.zeros(1, np.int64), *self._parts[channel]])
        return click_figures(np.cumsum(joined), self.live_s)


def afterpulse_share(figures: ClickFigures) -> tuple[float, float]:
    """Return which share of clicks are afterpulses, and its standard uncertainty.

    A click is followed by an afterpulse with probability p, unless a photon or dark comes before it: p / (1 + n tau_a).
    """
    earlier = 1.0 + figures.rate_hz * figures.afterpulse_tau_ps * 1e-12
    return figures.afterpulse_probability / earlier, figures.afterpulse_probability_sigma / earlier
