"""The coarse search: offset and frequency of two clocks at once, from the cross-correlation of their tags.

For rates R_a, R_b and P pairs a second the peak of a correlation of counts stands

    P / sqrt(R_a R_b d)

standard deviations above the background, whatever the width of the bins, if d is the step of the frequencies and the bins
are as wide as the time difference moves within it (own derivation: P T pairs in a bin, R_a R_b T w accidental ones, w = d T).
So a finer step finds fewer pairs, at the price of more bins and more frequencies.

The span is cut into segments so short that no frequency in question moves the difference by more than a bin within one.
Each is correlated by FFT once (for clocks of one frequency this is the method of C. Ho, A. Lamas-Linares, C. Kurtsiefer,
New J. Phys. 11, 045011 (2009)); then each frequency is a sum of the segments' correlations, each shifted by how far the
difference has moved.  Sums over neighbouring segments serve many frequencies, as when pulsars are dedispersed in sub-bands.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Candidate", "CoarseSearch", "SearchGrid"]

Times = NDArray[np.int64]
Counts = NDArray[np.float32]
CHUNK = 1 << 14
"""Lags that are summed at once: their rows fit the processor's cache."""
FEWEST = 16
"""Segments at least: shifts are whole bins, and with few of them neighbouring frequencies would be the same sum."""
SMOOTH = 256
"""Bins over which the background is averaged to be subtracted: light that comes and goes gives it a slope."""


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
    frequency_step:
        Step of the frequencies: over the span the time difference moves by a bin.
    """

    max_offset_ps: int
    max_frequency: float
    span_ps: int
    frequency_step: float

    @property
    def bin_ps(self) -> float:
        """Width of a bin."""
        return self.frequency_step * self.span_ps

    @property
    def steps(self) -> int:
        """How many steps of the frequency there are on either side of 0."""
        return math.ceil(self.max_frequency / self.frequency_step)

    @property
    def segments(self) -> int:
        """How many segments the span is cut into, a multiple of the segments of a group."""
        return -(-max(self.steps, FEWEST) // self.group) * self.group

    @property
    def group(self) -> int:
        """How many neighbouring segments are summed first."""
        return int(1 << round(math.log2(max(self.steps, FEWEST)) / 2.0))

    @property
    def reach(self) -> int:
        """Bins between no difference and the largest."""
        return math.ceil(self.max_offset_ps / self.bin_ps)


@dataclass(frozen=True, slots=True, order=True)
class Candidate:
    """A peak of the coarse search: its height in standard deviations, time difference in mid-span, frequency difference.

    As shifts are whole bins the frequency is uncertain by one and a half steps, the time difference by a bin.
    """

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
        self._segments, self._group = grid.segments, grid.group
        self._coarse = max(self._segments // self._group, 1)  # so many steps of the frequency to one of a group
        self._edge = self._group // 2 + 1  # bins by which the ends of a group move at most
        self._margin = grid.steps // 2 + self._edge + 2  # lags beyond the largest that shifted segments need
        self._rows, chance = self._correlate(t_a, t_b, start_ps)
        self._noise = math.sqrt(chance)

    def candidates(self) -> list[Candidate]:
        """Return the highest peak of each frequency, the highest of all first."""
        if not self._noise:
            return []
        grid = self.grid
        best = dict.fromkeys(range(-grid.steps, grid.steps + 1), (-math.inf, 0.0))
        lags = 2 * grid.reach + 1
        for first in range(0, lags, CHUNK):
            many = min(CHUNK, lags - first)
            rows = np.ascontiguousarray(self._rows[:, first : first + many + 2 * self._margin])
            groups = self._sum_groups(rows)
            for j in best:
                best[j] = max(best[j], self._highest(groups, j, first, many))
        return sorted(
            (
                Candidate(
                    height / self._noise, (place - grid.reach) * grid.bin_ps, j * grid.frequency_step
                )
                for j, (height, place) in best.items()
            ),
            reverse=True,
        )  # fmt: skip

    def _correlate(self, t_a: Times, t_b: Times, start_ps: int) -> tuple[Counts, float]:
        """Return each segment's correlation less its background, shape (segments, lags), and pairs by chance in a bin."""
        grid, width = self.grid, self.grid.bin_ps
        lags = 2 * (grid.reach + self._margin) + 1
        segment = grid.span_ps / grid.segments
        bins_a = math.ceil(segment / width) + 1
        size = _fast_length(bins_a + lags)
        rows = np.empty((grid.segments, lags), np.float32)
        chance = 0.0
        for k in range(grid.segments):
            begin = start_ps + round(k * segment)
            end = start_ps + round((k + 1) * segment)
            a = t_a[slice(*np.searchsorted(t_a, [begin, end]))]
            origin = begin - (grid.reach + self._margin) * width
            ends = [math.floor(origin), math.ceil(origin + (bins_a + lags) * width)]
            b = t_b[slice(*np.searchsorted(t_b, ends))]
            row = np.fft.irfft(_spectrum(b - origin, width, size) * np.conj(_spectrum(a - begin, width, size)), size)
            chance += float(row[:lags].mean())
            rows[k] = _less_background(row[:lags])
        return rows, chance

    def _sum_groups(self, rows: Counts) -> list[dict[int, Counts]]:
        """Sum the segments of each group for slopes that are so far apart that a group's ends move by half a bin."""
        size, edge = self._group, self._edge
        most = math.ceil(self.grid.steps / self._coarse)
        summed = []
        for g in range(0, self._segments, size):
            sums: dict[int, Counts] = {}
            for m in range(-most, most + 1):
                total = np.zeros(rows.shape[1] - 2 * edge, np.float32)
                for i in range(size):
                    at = edge + round(m * self._coarse * (i - (size - 1) / 2.0) / self._segments)
                    total += rows[g + i, at : at + total.size]
                sums[m] = total
            summed.append(sums)
        return summed

    def _highest(self, groups: list[dict[int, Counts]], j: int, first: int, many: int) -> tuple[float, float]:
        """Return the highest peak of one frequency, and its place in bins; one between two bins is half in either."""
        m = round(j / self._coarse)
        margin = self._margin - self._edge
        total = np.zeros(many, np.float32)
        for g, sums in enumerate(groups):
            middle = (g + 0.5) * self._group - self._segments / 2.0
            at = margin + round(j * middle / self._segments)
            total += sums[m][at : at + many]
        two = (total[1:] + total[:-1]) * np.float32(0.5**0.5)
        one_at = int(np.argmax(total))
        two_at = int(np.argmax(two)) if two.size else 0
        found = (float(total[one_at]), float(first + one_at))
        return max(found, (float(two[two_at]), first + two_at + 0.5)) if two.size else found


def _spectrum(t_ps: NDArray[Any], width: float, size: int) -> NDArray[np.complex64]:
    """Count in bins and transform, in single precision: peaks need no more, and it halves the time."""
    counts = np.bincount((t_ps * (1.0 / width)).astype(np.int64), minlength=size)[:size].astype(np.float32)
    spectrum: NDArray[np.complex64] = np.fft.rfft(counts).astype(np.complex64, copy=False)
    return spectrum


def _less_background(row: NDArray[np.floating[Any]]) -> Counts:
    """Subtract the mean of the bins around each."""
    mean: NDArray[np.float64] = np.full(row.size, float(row.mean()))
    if row.size > 2 * SMOOTH:
        total = np.concatenate([[0.0], np.cumsum(row, dtype=np.float64)])
        ends = np.clip(np.arange(row.size) + SMOOTH // 2, SMOOTH, row.size)
        mean = (total[ends] - total[ends - SMOOTH]) / SMOOTH
    less: Counts = (row - mean).astype(np.float32)
    return less


def _fast_length(least: int) -> int:
    """Return the next even length of small factors: its transform is fast."""
    best = 1 << (least - 1).bit_length()
    five = 1
    while five < best:
        three = five
        while three < best:
            length = three << max((-(-least // three) - 1).bit_length(), 1)
            best = min(best, length) if length >= least else best
            three *= 3
        five *= 5
    return best
