"""Electric pulses of a delay generator: when they come, to the picosecond, and whether a gate is open.

A train is a function of its knobs: it begins anew where its rate is set to another number, and every other setting holds
for the pulses from its own picosecond on.  Nothing is drawn and nothing is kept, so that whoever asks gets the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from qlab.physics.knob import Knob

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Grid", "PulseTrain", "Signal"]

Times = NDArray[np.int64]
_BITS = 20
"""A period is a multiple of 2^-20 ps, rounded up so that 3 pulses of 3 MHz are 1 us: in a year, 3 MHz are off by 90 us."""
_PIECE_PS = 2**40
_SLOW = 2**60


class Signal(Protocol):
    """A cable on which pulses come."""

    @property
    def knobs(self) -> tuple[Knob, ...]:
        """What they depend on."""
        ...

    def edges(self, start_ps: int, stop_ps: int) -> Times:
        """Return the pulses' leading edges in the half-open interval, int64 ps, sorted."""
        ...


@dataclass(frozen=True, slots=True)
class Grid:
    """Evenly spaced edges, numbered from 0; a period that is no multiple of 1 ps is rounded down edge by edge.

    Parameters
    ----------
    base_ps:
        Edge number 0.
    step:
        The period in 2^-20 ps.
    """

    base_ps: int
    step: int

    @property
    def rate_hz(self) -> float:
        """Return the edges per second."""
        return float((1 << _BITS) * 10**12) / self.step

    def first(self, t_ps: int) -> int:
        """Return the number of the first edge at or after a time."""
        return max(-(-((t_ps - self.base_ps) << _BITS) // self.step), 0)

    def times(self, first: int, k: NDArray[np.int64]) -> Times:
        """Return the edges number `first` + k, for k that span at most 2^42 ps; int64 ps, shape of k."""
        whole = first * self.step
        base = self.base_ps + (whole >> _BITS)
        rest = whole & ((1 << _BITS) - 1)
        if self.step >= _SLOW:
            return np.array([base + ((rest + int(n) * self.step) >> _BITS) for n in k], np.int64)
        t: Times = ((k * self.step + rest) >> _BITS) + base
        return t

    def between(self, start_ps: int, stop_ps: int) -> Times:
        """Return the edges in a half-open interval of at most 2^42 ps."""
        first = self.first(start_ps)
        return self.times(first, np.arange(max(self.first(stop_ps) - first, 0)))

    def since_edge(self, t: Times) -> Times:
        """Return how long before each of some sorted times, of at most 2^42 ps, the last edge was; 2^62 for never."""
        anchor = max(self.first(int(t[0])) - 1, 0)
        if self.step >= _SLOW:
            edges: Times = np.concatenate(
                [[-(2**62)], self.times(anchor, np.arange(self.first(int(t[-1]) + 1) - anchor))]
            )
            late: Times = t - edges[np.searchsorted(edges, t, side="right") - 1]
            return late
        whole = anchor * self.step
        rest = whole & ((1 << _BITS) - 1)
        passed = t - (self.base_ps + (whole >> _BITS))
        k = (((passed + 1) << _BITS) - 1 - rest) // self.step
        age: Times = passed - ((k * self.step + rest) >> _BITS)
        age[k + anchor < 0] = 2**62
        return age


@dataclass(slots=True)
class PulseTrain:
    """The pulses at the end of a cable from one output of a generator.

    Parameters
    ----------
    rate_hz:
        Knob of the generator's triggers; it fires when it is set to a new rate, and 0 means never.
    divide:
        Knob of the output's prescaler: every so many-th trigger makes a pulse, 0 none.
    delay_ps, width_ps:
        Knobs of what lies between trigger and leading edge, and between leading and trailing edge.
    high_v, threshold_v:
        Knob of the pulse's upper level; who listens sees nothing of pulses below the threshold.
    cable_ps:
        The cable's delay.
    """

    rate_hz: Knob
    divide: Knob = field(default_factory=lambda: Knob(1.0))
    delay_ps: Knob = field(default_factory=lambda: Knob(0.0))
    width_ps: Knob = field(default_factory=lambda: Knob(10_000.0))
    high_v: Knob = field(default_factory=lambda: Knob(5.0))
    threshold_v: float = 1.0
    cable_ps: int = 0

    @property
    def knobs(self) -> tuple[Knob, ...]:
        """What the pulses depend on."""
        return (self.rate_hz, self.divide, self.delay_ps, self.width_ps, self.high_v)

    def grid(self, t_ps: int) -> Grid | None:
        """Return the edges as they are set at a time; None where there are none."""
        rate, divide = self.rate_hz.value(t_ps), round(self.divide.value(t_ps))
        if rate <= 0.0 or divide <= 0 or self.high_v.value(t_ps) < self.threshold_v:
            return None
        base = self.rate_hz.since(t_ps) + round(self.delay_ps.value(t_ps)) + self.cable_ps
        return Grid(base, max(math.ceil(Fraction(10**12 * divide << _BITS) / Fraction(rate)), 1 << _BITS))

    def stretches(self, start_ps: int, stop_ps: int) -> Iterator[tuple[int, int, Grid | None]]:
        """Yield the pieces of an interval, of at most 2^40 ps each, in which nothing is set."""
        grid = range((start_ps // _PIECE_PS + 1) * _PIECE_PS, stop_ps, _PIECE_PS)
        cuts = sorted({start_ps, *grid, *(t for knob in self.knobs for t in knob.breaks(start_ps, stop_ps))})
        for begin, end in zip(cuts, [*cuts[1:], stop_ps], strict=True):
            yield begin, end, self.grid(begin)

    def edges(self, start_ps: int, stop_ps: int) -> Times:
        """Return the leading edges in a half-open interval, int64 ps, sorted."""
        found = [grid.between(a, b) for a, b, grid in self.stretches(start_ps, stop_ps) if grid is not None]
        return np.concatenate(found) if found else np.empty(0, np.int64)

    def is_open(self, t: Times) -> NDArray[np.bool_]:
        """Return whether sorted times lie in a pulse, shape of `t`."""
        mask = np.zeros(t.size, dtype=np.bool_)
        if not t.size:
            return mask
        for begin, end, grid in self.stretches(int(t[0]), int(t[-1]) + 1):
            i, j = t.searchsorted([begin, end]).tolist()
            if grid is not None and j > i:
                mask[i:j] = grid.since_edge(t[i:j]) < round(self.width_ps.value(begin))
        return mask
