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

    from qlab.physics.oscillator import Oscillator

__all__ = ["ClockedGrid", "Grid", "PulseTrain", "Signal"]

Times = NDArray[np.int64]
_BITS = 20
"""A period is a multiple of 2^-20 ps, rounded up so that 3 pulses of 3 MHz are 1 us: in a year, 3 MHz are off by 90 us."""
_PIECE_PS = 2**40
_SLOW = 2**60
_REST = (1 << _BITS) - 1
_SPARE = 400
"""A clock may run ahead by 1/400 of an interval; it does not, by 1/1000."""


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
    """Edges numbered from 0: evenly spaced triggers, each followed by a burst of one or more edges.

    A period that is no multiple of 1 ps is rounded down edge by edge.

    Parameters
    ----------
    base_ps:
        Edge number 0.
    step:
        The triggers' period in 2^-20 ps.
    count, spacing_ps:
        Edges in a burst, and what lies between them; a burst is shorter than the period.
    """

    base_ps: int
    step: int
    count: int = 1
    spacing_ps: int = 0

    @property
    def rate_hz(self) -> float:
        """Return the edges per second."""
        return float((1 << _BITS) * 10**12) / self.step * self.count

    def first(self, t_ps: int) -> int:
        """Return the number of the first edge at or after a time."""
        trigger = max(-(-((t_ps - self.base_ps) << _BITS) // self.step), 0)
        if self.count == 1 or not trigger:
            return trigger * self.count
        behind = t_ps - self._trigger_ps(trigger - 1)
        return (trigger - 1) * self.count + min(-(-behind // self.spacing_ps), self.count)

    def reach(self, start_ps: int, horizon_ps: int) -> int:
        """Return how many edges to draw for an interval: those in it."""
        return self.first(horizon_ps) - self.first(start_ps)

    def times(self, first: int, k: NDArray[np.int64]) -> Times:
        """Return the edges number `first` + k, for k that span at most 2^42 ps; int64 ps, shape of k."""
        if self.count == 1:
            return self._triggers(first, k)
        trigger, j = divmod(first, self.count)
        further, j_of_k = np.divmod(k + j, self.count)
        t: Times = self._triggers(trigger, further) + j_of_k * self.spacing_ps
        return t

    def between(self, start_ps: int, stop_ps: int) -> Times:
        """Return the edges in a half-open interval of at most 2^42 ps."""
        first = self.first(start_ps)
        return self.times(first, np.arange(max(self.first(stop_ps) - first, 0)))

    def since_edge(self, t: Times) -> Times:
        """Return how long before each of some sorted times, of at most 2^42 ps, the last edge was; 2^62 or so for never."""
        age = self._since_trigger(t)
        if self.count > 1:
            age -= np.minimum(age // self.spacing_ps, self.count - 1) * self.spacing_ps
        return age

    def _trigger_ps(self, number: int) -> int:
        return self.base_ps + (number * self.step >> _BITS)

    def _triggers(self, first: int, k: NDArray[np.int64]) -> Times:
        if self.step >= _SLOW:
            return np.array([self._trigger_ps(first + int(n)) for n in k], np.int64)
        whole = first * self.step
        t: Times = ((k * self.step + (whole & _REST)) >> _BITS) + (self.base_ps + (whole >> _BITS))
        return t

    def _since_trigger(self, t: Times) -> Times:
        anchor = max(-(-((int(t[0]) - self.base_ps) << _BITS) // self.step) - 1, 0)
        if self.step >= _SLOW:
            last = (((int(t[-1]) + 1 - self.base_ps) << _BITS) - 1) // self.step
            edges: Times = np.concatenate([[-(2**62)], self._triggers(anchor, np.arange(max(last + 1 - anchor, 0)))])
            late: Times = t - edges[np.searchsorted(edges, t, side="right") - 1]
            return late
        rest = anchor * self.step & _REST
        passed = t - self._trigger_ps(anchor)
        k = (((passed + 1) << _BITS) - 1 - rest) // self.step
        age: Times = passed - ((k * self.step + rest) >> _BITS)
        age[k + anchor < 0] = 2**62
        return age


@dataclass(frozen=True, slots=True)
class ClockedGrid:
    """Edges of a generator that runs on a clock: evenly spaced on that, and therefore not in the world's time.

    Parameters
    ----------
    grid:
        In the clock's time.
    clock:
        It runs forward.
    """

    grid: Grid
    clock: Oscillator

    @property
    def rate_hz(self) -> float:
        """Return the edges per second of the clock."""
        return self.grid.rate_hz

    def first(self, t_ps: int) -> int:
        """Return the number of the first edge at or after a time of the world."""
        return self.grid.first(self.clock.local(t_ps, settle=False))

    def reach(self, start_ps: int, horizon_ps: int) -> int:
        """Return how many edges to draw for an interval: all in it and some more, from what is known at its start."""
        start = self.clock.local(start_ps, settle=False)
        return self.grid.first(start + horizon_ps - start_ps + (horizon_ps - start_ps) // _SPARE) - self.grid.first(
            start
        )

    def times(self, first: int, k: NDArray[np.int64]) -> Times:
        """Return when the edges number `first` + k come, for k that span at most 2^42 ps."""
        return self.clock.world(self.grid.times(first, k))

    def between(self, start_ps: int, stop_ps: int) -> Times:
        """Return the edges in a half-open interval of at most 2^42 ps."""
        first = self.first(start_ps)
        return self.times(first, np.arange(max(self.first(stop_ps) - first, 0)))

    def since_edge(self, t: Times) -> Times:
        """Return how long before each of some sorted times the last edge was."""
        return self.grid.since_edge(self.clock.local(t, settle=False))


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
    burst_count, burst_period_ps:
        Knobs of the pulses that each trigger makes, and of what lies between them.
    high_v, threshold_v:
        Knob of the pulse's upper level; who listens sees nothing of pulses below the threshold.
    cable_ps:
        The cable's delay.
    clock:
        What the generator runs on; None: the world's time.
    """

    rate_hz: Knob
    divide: Knob = field(default_factory=lambda: Knob(1.0))
    delay_ps: Knob = field(default_factory=lambda: Knob(0.0))
    width_ps: Knob = field(default_factory=lambda: Knob(10_000.0))
    burst_count: Knob = field(default_factory=lambda: Knob(1.0))
    burst_period_ps: Knob = field(default_factory=lambda: Knob(0.0))
    high_v: Knob = field(default_factory=lambda: Knob(5.0))
    threshold_v: float = 1.0
    cable_ps: int = 0
    clock: Oscillator | None = None

    @property
    def knobs(self) -> tuple[Knob, ...]:
        """What the pulses depend on."""
        return (*self.settings, *self.clock_knobs)

    @property
    def settings(self) -> tuple[Knob, ...]:
        """What the generator is set to."""
        of_bursts = (self.burst_count, self.burst_period_ps)
        return (self.rate_hz, self.divide, self.delay_ps, self.width_ps, self.high_v, *of_bursts)

    @property
    def clock_knobs(self) -> tuple[Knob, ...]:
        """What its clock depends on."""
        return tuple({id(k): k for k in self.clock.knobs()}.values()) if self.clock is not None else ()

    def grid(self, t_ps: int) -> Grid | ClockedGrid | None:
        """Return the edges as they are set at a time; None where there are none."""
        rate, divide = self.rate_hz.value(t_ps), round(self.divide.value(t_ps))
        if rate <= 0.0 or divide <= 0 or self.high_v.value(t_ps) < self.threshold_v:
            return None
        fired = self.rate_hz.since(t_ps)
        clock = self.clock if self.clock is not None and not self.clock.shows_world(t_ps) else None
        if clock is not None:
            fired = clock.local(fired, settle=False)
        base = fired + round(self.delay_ps.value(t_ps)) + self.cable_ps
        step = max(math.ceil(Fraction(10**12 * divide << _BITS) / Fraction(rate)), 1 << _BITS)
        spacing_ps = max(round(self.burst_period_ps.value(t_ps)), 1)
        most = ((step >> _BITS) - 1) // spacing_ps + 1  # a burst ends before the next
        grid = Grid(base, step, max(min(round(self.burst_count.value(t_ps)), most), 1), spacing_ps)
        return grid if clock is None else ClockedGrid(grid, clock)

    def stretches(self, start_ps: int, stop_ps: int) -> Iterator[tuple[int, int, Grid | ClockedGrid | None]]:
        """Yield the pieces of an interval, of at most 2^40 ps each, in which nothing is set."""
        grid = range((start_ps // _PIECE_PS + 1) * _PIECE_PS, stop_ps, _PIECE_PS)
        cuts = sorted({start_ps, *grid, *(t for knob in self.settings for t in knob.breaks(start_ps, stop_ps))})
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
