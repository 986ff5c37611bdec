"""When both photons of a pair arrive after the pump's pulse, gathered block by block from tags."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from qlab.analysis.joint_spectrum import ArrivalSpread, spread_of_sums
from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from qlab.tags.stream import TagBlock

__all__ = ["JointArrivals"]

DISPLACED = (*range(-10, 0), *range(1, 11))
"""Pulses by which the idler is displaced to count accidentals."""
CLEAR = 8.0
"""Standard deviations of its neighbours by which the offset of the idler's pulse has to stand out."""
BINS = 160


class JointArrivals:
    """Sums and histogram of the arrivals of pairs.

    Parameters
    ----------
    trigger, signal, idler:
        Channels, from 0.
    pulses_per_trigger:
        Pump pulses for each tag of the trigger, evenly spaced.
    search_ps:
        Largest lag of the idler behind the signal, either way.
    width_ps:
        Full width of the window around the middle of each photon's arrivals.

    Attributes
    ----------
    counts, accidentals:
        Pairs of one pulse, and those of displaced pulses over their number, by the arrivals of signal and idler; shape
        (bins, bins), from -width/2 to width/2.
    period_ps:
        Of the pulses.
    """

    def __init__(
        self, trigger: int, signal: int, idler: int, pulses_per_trigger: int, search_ps: float, width_ps: float
    ) -> None:
        if len({trigger, signal, idler}) < 3 or pulses_per_trigger < 1 or not min(search_ps, width_ps) > 0:
            msg = (
                f"joint arrivals: channels {trigger}, {signal}, {idler}, pulses_per_trigger = {pulses_per_trigger}, "
                f"search_ps = {search_ps:g}, width_ps = {width_ps:g}; expected three channels, at least 1, and above 0"
            )
            raise BadRequestError(msg)
        self._channels = (trigger, signal, idler)
        self._per_trigger = pulses_per_trigger
        self._search_ps, self.width_ps = search_ps, width_ps
        self._middles: tuple[float, float] | None = None
        self._sums = np.zeros((2, 6, 6))
        self.counts, self.accidentals = np.zeros((BINS, BINS)), np.zeros((BINS, BINS))
        self._offset: int | None = None
        self.period_ps = math.nan

    def feed(self, block: TagBlock) -> None:
        """Take one block of tags.

        Raises
        ------
        BadRequestError
            Without triggers, or with a window that is wider than the pulses' period.
        """
        trigger, *clicks = (block.t[block.ch == channel] for channel in self._channels)
        if trigger.size < 3:
            msg = f"joint arrivals: {trigger.size} tags of the trigger in a block; expected at least 3"
            raise BadRequestError(msg)
        steps = np.diff(trigger)
        self.period_ps = float(np.median(steps)) / self._per_trigger
        if self.width_ps > self.period_ps:
            msg = f"joint arrivals: a window of {self.width_ps:g} ps and pulses every {self.period_ps:g} ps; expected less"
            raise BadRequestError(msg)
        # Where triggers are missing pulses go on, but nobody knows when exactly.
        passed = np.rint(steps / (self.period_ps * self._per_trigger)).astype(np.int64)
        first = np.concatenate([[0], np.cumsum(passed)]) * self._per_trigger
        phases = []
        for t in clicks:
            place = np.searchsorted(trigger, t, side="right") - 1
            kept = (place >= 0) & (place < steps.size)
            kept[kept] &= passed[place[kept]] == 1
            t, place = t[kept], place[kept]
            phases.append((first[place], (t - trigger[place]) / steps[place] * self._per_trigger))
        if self._middles is None:
            middles = [_middle(phase, self.width_ps / self.period_ps) for _, phase in phases]
            self._middles = (middles[0], middles[1])
        pulses, arrivals = [], []
        for (begin, phase), middle in zip(phases, self._middles, strict=True):
            number = np.rint(phase - middle)
            pulses.append(begin + number.astype(np.int64))
            arrivals.append((phase - middle - number) * self.period_ps)
        near = [np.abs(late) <= self.width_ps / 2.0 for late in arrivals]
        (n, m), (x, y) = ([one[k] for one, k in zip(both, near, strict=True)] for both in (pulses, arrivals))
        if self._offset is None:
            self._offset = self._find_offset(n, m)
        if self._offset is not None:
            self._add(n, x, m - self._offset, y)

    @property
    def lag_ps(self) -> float:
        """How much later the idler is than the signal; NaN until it is found."""
        if self._offset is None or self._middles is None:
            return math.nan
        return (self._offset + self._middles[1] - self._middles[0]) * self.period_ps

    def spread(self) -> ArrivalSpread:
        """Return the spread of what was gathered.

        Raises
        ------
        BadRequestError
            No pairs that stand out of the accidentals, or a window that cuts the arrivals off.
        """
        if self._offset is None:
            msg = f"joint arrivals: no pairs stand out of the accidentals within +-{self._search_ps / 1e6:g} us; count longer"
            raise BadRequestError(msg)
        found = spread_of_sums(self._sums[0], self._sums[1], 1.0 / len(DISPLACED))
        widest = math.sqrt(float(found.covariance.diagonal().max()))
        if 3.5 * widest > self.width_ps / 2.0:
            msg = (
                f"joint arrivals: spread by {widest:.0f} ps in a window of {self.width_ps:g} ps, which cuts them off; make "
                f"width_ps {8.0 * widest:.0f} or more"
            )
            raise BadRequestError(msg)
        return found

    def _find_offset(self, n: NDArray[np.int64], m: NDArray[np.int64]) -> int | None:
        """Return by how many pulses the idler is later, or None where that does not stand out."""
        reach = max(math.ceil(self._search_ps / self.period_ps), len(DISPLACED))
        counts = np.zeros(2 * reach + 1)
        rows, columns = _matches(n, m, reach)
        np.add.at(counts, m[columns] - n[rows] + reach, 1.0)
        best = int(np.argmax(counts))
        others = np.delete(counts, best)
        stands_out = counts[best] > others.mean() + CLEAR * math.sqrt(max(float(others.mean()), 1.0))
        return best - reach if stands_out else None

    def _add(self, n: NDArray[np.int64], x: NDArray[np.float64], m: NDArray[np.int64], y: NDArray[np.float64]) -> None:
        edges = np.linspace(-self.width_ps / 2.0, self.width_ps / 2.0, BINS + 1)
        rows, columns = _matches(n, m, max(DISPLACED))
        same = n[rows] == m[columns]
        for k, (some, into) in enumerate(((same, self.counts), (~same, self.accidentals))):
            a, b = x[rows[some]], y[columns[some]]
            f = np.stack([np.ones(a.size), a, b, a * a, a * b, b * b])
            self._sums[k] += f @ f.T
            into += np.histogram2d(a, b, (edges, edges))[0] / (1 if k == 0 else len(DISPLACED))


def _middle(phase: NDArray[np.float64], width: float) -> float:
    """Return the middle of the arrivals, in periods: the median in the window that holds most of them.

    A mean over the period would be drawn off by darks and afterpulses.
    """
    if not phase.size:
        return 0.0
    rough = float(np.angle(np.exp(2j * math.pi * phase).sum())) / (2.0 * math.pi)
    around = np.sort((phase - rough + 0.5) % 1.0)  # so that no window has to reach over the edge
    inside = np.searchsorted(around, around + width, side="right") - np.arange(around.size)
    best = int(np.argmax(inside))
    return float(np.median(around[best : best + int(inside[best])])) + rough - 0.5


def _matches(n: NDArray[np.int64], m: NDArray[np.int64], reach: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the indices of all pairs with |n - m| <= reach, of sorted numbers."""
    low, high = np.searchsorted(m, n - reach, side="left"), np.searchsorted(m, n + reach, side="right")
    sizes = high - low
    rows = np.repeat(np.arange(n.size), sizes)
    columns = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes) + np.repeat(low, sizes)
    return rows, columns
