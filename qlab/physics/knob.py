"""What an instrument can turn: a number over lab time.

A knob is piecewise constant, except where it was set to a `Ramp` (a wave plate that turns), a `Relaxation` (an oven that
warms), a `Step` (a switch on its way) or a `Following` (light that follows current and temperature).  The world asks where
a re-evaluation is needed: at every set time, on a grid of 4.3 ms while a ramp lasts, and at cell starts (68.7 ms) while a
relaxation has not died out.
"""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

from qlab.errors import WorldError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["CELL_PS", "Changes", "Following", "Knob", "Profile", "Ramp", "Relaxation", "Step"]

CELL_PS = 2**36
"""The world's time cell, 68.7 ms."""
RAMP_STEP_PS = 2**32
DIES_OUT = 16.0
"""After this many time constants a relaxation counts as arrived (1e-7 of the step is left)."""


@dataclass(frozen=True, slots=True)
class Ramp:
    """A straight line from (t0, v0) to (t1, v1), constant outside."""

    t0_ps: int
    v0: float
    t1_ps: int
    v1: float

    def value(self, t_ps: int) -> float:
        """Return the value at `t_ps`."""
        if t_ps >= self.t1_ps:
            return self.v1
        if t_ps <= self.t0_ps:
            return self.v0
        return self.v0 + (self.v1 - self.v0) * ((t_ps - self.t0_ps) / (self.t1_ps - self.t0_ps))

    @property
    def end_ps(self) -> int:
        """Lab time from which the value no longer changes."""
        return self.t1_ps

    step_ps: ClassVar[int] = RAMP_STEP_PS


@dataclass(frozen=True, slots=True)
class Relaxation:
    """A first-order approach from v0 at t0 to the target with time constant tau.

    It has arrived after `DIES_OUT` time constants, or as soon as no more than `close` is left of the way.
    """

    t0_ps: int
    v0: float
    target: float
    tau_ps: int
    close: float = 0.0

    def value(self, t_ps: int) -> float:
        """Return the value at `t_ps`."""
        if t_ps >= self.end_ps:
            return self.target
        return self.target + (self.v0 - self.target) * math.exp(-max(t_ps - self.t0_ps, 0) / self.tau_ps)

    @property
    def end_ps(self) -> int:
        """Lab time from which the value no longer changes."""
        way = abs(self.v0 - self.target)
        lasts = math.log(max(way / self.close, 1.0)) if self.close else DIES_OUT
        return self.t0_ps + round(min(lasts, DIES_OUT) * self.tau_ps)

    step_ps: ClassVar[int] = CELL_PS


@dataclass(frozen=True, slots=True)
class Step:
    """One value until t1, another from then on: a switch that takes its time."""

    v0: float
    t1_ps: int
    v1: float

    def value(self, t_ps: int) -> float:
        """Return the value at `t_ps`."""
        return self.v1 if t_ps >= self.t1_ps else self.v0

    @property
    def end_ps(self) -> int:
        """Lab time from which the value no longer changes."""
        return self.t1_ps

    step_ps: ClassVar[int] = 2**61


class Profile(Protocol):
    """A value that changes by itself; a twin may bring its own."""

    @property
    def end_ps(self) -> int:
        """Lab time from which the value no longer changes."""
        ...

    @property
    def step_ps(self) -> int:
        """How often the world looks at it until then."""
        ...

    def value(self, t_ps: int) -> float:
        """Return the value at `t_ps`."""
        ...


@dataclass(frozen=True, slots=True)
class Following:
    """What two courses make together; the world looks as often as either of them asks for, while it lasts.

    Parameters
    ----------
    of:
        The value, of those of the two at the same time; the same numbers must always give the same one.
    first, second:
        The courses.
    """

    of: Callable[[float, float], float]
    first: Profile
    second: Profile

    def value(self, t_ps: int) -> float:
        """Return the value at `t_ps`."""
        return self.of(self.first.value(t_ps), self.second.value(t_ps))

    @property
    def end_ps(self) -> int:
        """Lab time from which the value no longer changes."""
        return max(self.first.end_ps, self.second.end_ps)

    @property
    def step_ps(self) -> int:
        """The finer of the two."""
        return min(self.first.step_ps, self.second.step_ps)


class Changes:
    """How many settings were made on all knobs of a world."""

    def __init__(self) -> None:
        self.count = 0


class Knob:
    """A number over lab time, set by one twin and read by the world.

    Parameters
    ----------
    initial:
        The value before the first setting.
    """

    def __init__(self, initial: float) -> None:
        self._initial = float(initial)
        self._times: list[int] = []
        self._values: list[float | Profile] = []
        self._frozen_ps = -(2**62)
        self._revisions = 0
        self._changes: list[Changes] = []

    def report_to(self, changes: Changes) -> None:
        """Count every setting there too."""
        self._changes.append(changes)

    def set(self, value: float | Profile, t_ps: int) -> None:
        """Set the knob from `t_ps` on; the past cannot be changed.

        Raises
        ------
        WorldError
            `t_ps` lies before an earlier setting, or in a past that the world has already handed out.
        """
        if (self._times and t_ps < self._times[-1]) or t_ps < self._frozen_ps:
            last = max(self._frozen_ps, self._times[-1] if self._times else self._frozen_ps)
            msg = f"a knob was set at {t_ps} ps, but its past is settled up to {last} ps"
            raise WorldError(msg)
        if self._times and self._times[-1] == t_ps:
            self._values[-1] = value
            self._revisions += 1
        else:
            self._times.append(t_ps)
            self._values.append(value)
        for changes in self._changes:
            changes.count += 1

    def freeze(self, t_ps: int) -> None:
        """Settle the past: from now on only settings at `t_ps` or later are possible."""
        self._frozen_ps = max(self._frozen_ps, t_ps)

    @property
    def frozen_ps(self) -> int:
        """Until when the past is settled."""
        return self._frozen_ps

    def settings_before(self, t_ps: int) -> int:
        """Return a number that grows with every setting that the time before `t_ps` can see."""
        return bisect.bisect_left(self._times, t_ps) + self._revisions

    def set_between(self, t0_ps: int, t1_ps: int) -> list[int]:
        """Return the times with t0 < t < t1 at which it was set, sorted."""
        return self._times[bisect.bisect_right(self._times, t0_ps) : bisect.bisect_left(self._times, t1_ps)]

    @property
    def initial(self) -> float:
        """The value before the first setting."""
        return self._initial

    def setting(self, number: int) -> tuple[int, float | Profile] | None:
        """Return time and value of a setting by its number, from 0, in the order of time; None where there is none yet."""
        return (self._times[number], self._values[number]) if number < len(self._times) else None

    def value(self, t_ps: int) -> float:
        """Return the value at `t_ps`."""
        i = bisect.bisect_right(self._times, t_ps) - 1
        if i < 0:
            return self._initial
        entry = self._values[i]
        return entry if isinstance(entry, (int, float)) else entry.value(t_ps)

    def since(self, t_ps: int) -> int:
        """Return since when the knob has had its number of this moment; 0 if it was never set to another."""
        i = bisect.bisect_right(self._times, t_ps) - 1
        while i >= 0 and self._values[i] == (self._values[i - 1] if i else self._initial):
            i -= 1
        return self._times[i] if i >= 0 else 0

    def horizon(self, t_ps: int) -> int:
        """Return when the profile of this moment must be looked at again, unless something is set before."""
        i = bisect.bisect_right(self._times, t_ps) - 1
        entry = self._values[i] if i >= 0 else self._initial
        looks = (min((t_ps // way.step_ps + 1) * way.step_ps, way.end_ps) for way in _ways(entry) if t_ps < way.end_ps)
        return min(looks, default=2**62)

    def breaks(self, t0_ps: int, t1_ps: int) -> list[int]:
        """Return the times with t0 < t < t1 at which the value must be looked at again, sorted."""
        if not self._times:  # most knobs of a lab are never turned, and each cell asks all of them
            return []
        found: set[int] = set()
        first = max(bisect.bisect_right(self._times, t0_ps) - 1, 0)
        for i in range(first, len(self._times)):
            begin = self._times[i]
            if begin >= t1_ps:
                break
            found.add(begin)
            for way in _ways(self._values[i]):
                stop = min(t1_ps, self._times[i + 1] if i + 1 < len(self._times) else t1_ps)
                found.add(min(way.end_ps, stop))
                step = way.step_ps
                grid = range((max(begin, t0_ps) // step + 1) * step, min(stop, way.end_ps), step)
                found.update(grid)
        return sorted(t for t in found if t0_ps < t < t1_ps)


def _ways(entry: float | Profile) -> Iterator[Profile]:
    """Give the courses that make a setting change by itself; none if it does not."""
    if isinstance(entry, Following):
        yield from _ways(entry.first)
        yield from _ways(entry.second)
    elif not isinstance(entry, (int, float)):
        yield entry
