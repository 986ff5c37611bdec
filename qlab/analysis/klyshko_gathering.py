"""Everything that Klyshko efficiencies need, gathered from tags block by block in memory that does not grow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qlab.analysis.accidentals import jitter_capture
from qlab.analysis.interval_gathering import ClickIntervals, afterpulse_share
from qlab.analysis.klyshko import DetectorClicks, KlyshkoFigures, klyshko_figures
from qlab.analysis.pair_peaks import PairPeaks
from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from qlab.analysis.click_intervals import ClickFigures
    from qlab.analysis.pair_peaks import PeakFit
    from qlab.tags.stream import TagBlock

__all__ = ["DarkRates", "KlyshkoGathering"]

SEARCH_PS = 1_000_000
CHANNELS = 256


class DarkRates:
    """Rates in the dark of all channels."""

    def __init__(self) -> None:
        self.counts = np.zeros(CHANNELS, dtype=np.int64)
        self.live_s = 0.0

    def feed(self, block: TagBlock) -> None:
        """Take a block without light."""
        self.counts += block.counts(CHANNELS)
        self.live_s += block.live_s

    def rate(self, channel: int) -> tuple[float, float]:
        """Return clicks a second and their standard uncertainty; (n + 1) stands for n in it, as 0 clicks are no certainty."""
        if not self.live_s:
            return 0.0, 0.0
        n = float(self.counts[channel])
        return n / self.live_s, float(np.sqrt(n + 1.0)) / self.live_s


class KlyshkoGathering:
    """Clicks, their intervals and the coincidence peaks of two arms in the light.

    Parameters
    ----------
    a, b:
        Channels of the arms, from 0.
    window_ps:
        Full width of the coincidence window.
    darks:
        Rates without light.

    Attributes
    ----------
    counts, live_s:
        Clicks of each channel, shape (256,), and the time.
    table, capture:
        Of the last `figures`: coincidences of each pair, and the share of pairs that jitter leaves in the window.
    clicks:
        Of the last `figures`, by channel.
    """

    def __init__(self, a: Sequence[int], b: Sequence[int], window_ps: int, darks: DarkRates) -> None:
        self.a, self.b, self.window_ps, self.darks = list(a), list(b), window_ps, darks
        self.counts = np.zeros(CHANNELS, dtype=np.int64)
        self.table = np.zeros((len(a), len(b)))
        self.capture = np.ones((len(a), len(b)))
        self.clicks: Mapping[int, DetectorClicks] = {}
        self._intervals = ClickIntervals()
        self._peaks = PairPeaks([*a, *b], SEARCH_PS, 4 * max(window_ps, 1000))
        self._peaks.pairs = [(one, other) for one in a for other in b]

    @property
    def live_s(self) -> float:
        """Seconds of light so far."""
        return self._intervals.live_s

    @property
    def channels(self) -> list[int]:
        """Of both arms."""
        return [*self.a, *self.b]

    def feed(self, block: TagBlock) -> None:
        """Take a block with light."""
        self._intervals.feed(block)
        self.counts += block.counts(CHANNELS)
        self._peaks.feed(block)

    def singles_hz(self) -> NDArray[np.float64]:
        """Return the clicks a second of all channels of both arms."""
        return np.asarray(self.counts[self.channels] / self.live_s)

    def figures(self) -> KlyshkoFigures:
        """Return the efficiencies by all light so far; raises `BadRequestError` where there are no pairs."""
        if not self.live_s:
            msg = "Klyshko: no light was gathered yet; feed a block first"
            raise BadRequestError(msg)
        clicks = {}
        for c in self.channels:
            figures = self._intervals.figures(c)
            share = (0.0, 0.0) if figures is None else afterpulse_share(figures)
            dead_ps = 0.0 if figures is None else figures.dead_time_ps
            dark_hz, dark_hz_sigma = self.darks.rate(c)
            clicks[c] = DetectorClicks(float(self.counts[c]), dark_hz, dead_ps, *share, dark_hz_sigma)
        self.clicks = clicks
        fits = self._peaks.fits()
        for i, one in enumerate(self.a):
            for j, other in enumerate(self.b):
                if (one, other) in fits:
                    fit = fits[one, other]
                    self.table[i, j], self.capture[i, j] = self._in_window((one, other), fit.centre_ps, fit.sigma_ps)
        of_a, of_b = ([clicks[c] for c in side] for side in (self.a, self.b))
        return klyshko_figures(of_a, of_b, self.table, self.window_ps, self.live_s, self.capture)

    def intervals(self, channel: int) -> ClickFigures | None:
        """Return rate, dead time and afterpulses of a channel; None where there were too few clicks."""
        return self._intervals.figures(channel)

    def fits(self) -> dict[tuple[int, int], PeakFit]:
        """Return the coincidence peaks of all pairs that have one."""
        return self._peaks.fits()

    def response(self, pair: tuple[int, int]) -> tuple[int, NDArray[np.int64]]:
        """Return the first lag in ps and the lags' counts from there on, of a pair with a peak."""
        return self._peaks.starts[pair], self._peaks.counts[pair]

    def delays_ps(self) -> dict[int, int]:
        """Return delays with which all peaks are at a lag of 0, by channel; of arm b against the first of arm a."""
        fits = self._peaks.fits()
        found = {self.a[0]: 0}
        for _ in self.channels:  # so long does the longest chain of pairs get
            for (one, other), fit in fits.items():
                if one in found:
                    found.setdefault(other, found[one] + round(fit.centre_ps))
                elif other in found:
                    found[one] = found[other] - round(fit.centre_ps)
        return {c: found.get(c, 0) for c in self.channels}

    def _in_window(self, pair: tuple[int, int], centre_ps: float, sigma_ps: float) -> tuple[int, float]:
        """Return the pairs of channels within the window around their peak, and which share of all pairs that is."""
        counts = self._peaks.counts[pair]
        middle, half = round(centre_ps) - self._peaks.starts[pair], self.window_ps // 2
        if not half <= middle < counts.size - half:
            return 0, 1.0
        inside = int(counts[middle - half : middle + half + 1].sum())
        return inside, jitter_capture(2 * half + 1, sigma_ps, 0.0)
