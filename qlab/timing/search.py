"""The coarse search: offset and frequency of two clocks at once, from the cross-correlation of their tags.

Tags are counted in bins, those of the second tagger after its time axis was stretched by each frequency error in question;
the correlation of the counts (by FFT) has its peak at the offset.  For rates R_a, R_b and P pairs a second the peak stands

    P / sqrt(R_a R_b d)

standard deviations above the background, whatever the width of the bins, if d is the step of the frequencies and the bins
are as wide as the time difference moves within it (own derivation: P T pairs in a bin, R_a R_b T w accidental ones, w = d T).
So a finer step, and with it a longer transform and more of them, finds fewer pairs.  The method of one FFT, for clocks of
one frequency, is that of C. Ho, A. Lamas-Linares, C. Kurtsiefer, New J. Phys. 11, 045011 (2009).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Candidate", "CoarseSearch", "SearchGrid"]

Times = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SearchGrid:
    """What is searched, and how finely.

    Parameters
    ----------
    max_offset_ps:
        Largest time difference, either way.
    max_frequency:
        Largest fractional frequency difference, either way.
    span_ps:
        How much of the first tagger's data is used.
    bins:
        Length of the transform, a power of two.
    """

    max_offset_ps: int
    max_frequency: float
    span_ps: int
    bins: int

    @property
    def bin_ps(self) -> float:
        """Width of a bin: the transform covers the span and the largest offset either way."""
        return (self.span_ps + 2 * self.max_offset_ps) / self.bins

    @property
    def frequency_step(self) -> float:
        """Step of the frequencies: over the span the time difference moves by a bin."""
        return self.bin_ps / self.span_ps

    @property
    def frequencies(self) -> NDArray[np.float64]:
        """The frequency differences that are tried, from the smallest on."""
        count = int(np.ceil(self.max_frequency / self.frequency_step))
        steps = np.arange(-count, count + 1)
        return np.multiply(steps[np.argsort(np.abs(steps), kind="stable")], self.frequency_step, dtype=np.float64)


@dataclass(frozen=True, slots=True, order=True)
class Candidate:
    """A peak of the coarse search: its height in standard deviations, time difference in mid-span, frequency difference."""

    sigmas: float
    offset_ps: float
    frequency: float


class CoarseSearch:
    """The search over one stretch of data.

    Parameters
    ----------
    t_a, t_b:
        Sorted times of either tagger, int64 ps.
    start_ps:
        Where the span begins, on the first tagger's time.
    grid:
        What is searched.
    """

    def __init__(self, t_a: Times, t_b: Times, start_ps: int, grid: SearchGrid) -> None:
        self.grid = grid
        a = t_a[slice(*np.searchsorted(t_a, [start_ps, start_ps + grid.span_ps]))] - start_ps
        # Of the second tagger all that may belong to the span, with its frequency error and offset.
        margin = grid.max_offset_ps + int(grid.max_frequency * (grid.span_ps + grid.max_offset_ps)) + 1
        low, high = np.searchsorted(t_b, [start_ps - margin, start_ps + grid.span_ps + margin])
        self._b: Floats = (t_b[low:high] - start_ps).astype(np.float64)
        self._spectrum = np.conj(_spectrum(a.astype(np.float64) / grid.bin_ps, grid.bins))
        self._noise = float(np.sqrt(a.size * self._b.size / grid.bins))

    def candidates(self) -> Iterator[Candidate]:
        """Yield the highest peak of each frequency, small ones first: most clocks agree to some parts per million."""
        if self._noise:
            for frequency in self.grid.frequencies:
                yield self.at(frequency)

    def best_near(self, candidate: Candidate) -> Candidate:
        """Climb from a candidate to the frequency that has the highest peak: neighbours of the true one have one too."""
        step = self.grid.frequency_step
        while True:
            stretch = candidate.frequency / (1.0 + candidate.frequency)
            better = max(self.at(stretch + k * step) for k in (-2, -1, 1, 2))
            if better.sigmas <= candidate.sigmas:
                return candidate
            candidate = better

    def at(self, stretch: float) -> Candidate:
        """Return the highest peak with the second time axis stretched by this fraction about mid-span."""
        grid, width, middle = self.grid, self.grid.bin_ps, self.grid.span_ps / 2.0
        places = (self._b - stretch * (self._b - middle) + grid.max_offset_ps) / width
        reach = int(grid.max_offset_ps / width)
        lags = np.fft.irfft(_spectrum(places, grid.bins) * self._spectrum, grid.bins)[: 2 * reach + 1]
        lags -= lags.mean()
        two = (lags[1:] + lags[:-1]) * np.float32(0.5**0.5)  # a peak between two bins is half in either
        one_at, two_at = int(np.argmax(lags)), int(np.argmax(two))
        height, at = max((float(lags[one_at]), float(one_at)), (float(two[two_at]), two_at + 0.5))
        # With x = x0 + y s, times stretched by g differ by x0 (1 - g) + s (y - g - g y).
        offset_ps = (at * width - grid.max_offset_ps) / (1.0 - stretch)
        return Candidate(height / self._noise, offset_ps, float(stretch / (1.0 - stretch)))


def _spectrum(places: NDArray[np.float64], bins: int) -> NDArray[np.complex64]:
    """Count in bins and transform, in single precision: peaks need no more, and it halves the time."""
    inside = places[(places >= 0) & (places < bins)]
    counts = np.bincount(inside.astype(np.int64), minlength=bins)
    return np.fft.rfft(counts.astype(np.float32)).astype(np.complex64, copy=False)
