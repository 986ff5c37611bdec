"""What a disciplined clock does without its reference: its oscillator runs free, until the loop has it again.

While it is locked, its time error is the noise that the loop leaves (`Wander` with a `loop_s`).  When the reference is lost,
the error of that moment stays, and what a free oscillator does comes on top: its noise, the frequency error that the loop
had not known better, sigma_y(loop_s) of its noise, its ageing, and what the temperature does from then on.  When the
reference is back, the loop takes all this off exponentially.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from qlab.physics.ambient import DAY_PS
from qlab.physics.keys import hash_key, mix
from qlab.physics.knob import CELL_PS
from qlab.physics.markov import NORMAL
from qlab.physics.wander import Wander

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from qlab.physics.ambient import Ambient
    from qlab.physics.knob import Knob
    from qlab.physics.wander import NoiseLevels

__all__ = ["Holdover", "known_to"]

_LOCKED, _FREE, _GUESS = 11, 12, 13
_CELL_BITS = CELL_PS.bit_length() - 1
Outage = tuple[int, int]


def known_to(levels: NoiseLevels) -> float:
    """Return how well a loop knows the frequency when it loses its reference: sigma_y(loop_s) of the free oscillator."""
    tau = levels.loop_s
    return math.sqrt(levels.white_fm**2 / tau + levels.flicker_fm**2 + levels.random_walk_fm**2 * tau)


@dataclass(slots=True)
class Holdover:
    """The time error of a disciplined oscillator, apart from its white phase noise.

    Parameters
    ----------
    levels:
        Its noise, with a finite `loop_s`.
    seed, key:
        What makes the path this one.
    lost:
        Knobs: without a reference where one of them is above 0.
    ageing_per_day, per_k, ambient:
        Of the frequency, when it runs free.
    """

    levels: NoiseLevels
    seed: int
    key: int
    lost: Sequence[Knob]
    ageing_per_day: float = 0.0
    per_k: float = 0.0
    ambient: Ambient | None = None
    _locked: Wander = field(init=False)
    _free: Wander = field(init=False)
    _known: dict[tuple[Outage, ...], float] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        quiet = replace(self.levels, white_pm_ps=0.0)
        self._locked = Wander(quiet, self.seed, hash_key(self.key, _LOCKED))
        self._free = Wander(replace(quiet, loop_s=math.inf), self.seed, hash_key(self.key, _FREE))

    @property
    def knobs(self) -> tuple[Knob, ...]:
        """What it depends on."""
        return (*self.lost, *((self.ambient.knob,) if self.ambient is not None else ()))

    def still(self, last_ps: int, *, settle: bool = True) -> bool:
        """Return False: it is never without noise."""
        del last_ps, settle
        return False

    def error_ps(self, t: NDArray[np.int64], *, settle: bool = True) -> NDArray[np.float64]:
        """Return the time error in ps at lab times, shape of `t`."""
        t = np.maximum(t, 0)
        if not t.size:
            return np.zeros(0)
        last = int(t.max())
        if settle:
            for knob in self.lost:
                knob.freeze(last)
        x = self._locked.phase_ps(t)
        outages = self._outages(last)
        for i, (begin, end) in enumerate(outages):
            after = outages[i + 1][0] if i + 1 < len(outages) else last + 1
            free = (t >= begin) & (t < end)
            if free.any():
                x[free] = self._carried(outages[: i + 1]) + self._ran(begin, t[free], settle=settle)
            caught = (t >= end) & (t < after)
            if caught.any():
                x[caught] += self._extra(outages[: i + 1], settle=settle) * self._left(t[caught] - end)
        return x

    def _outages(self, last_ps: int) -> tuple[Outage, ...]:
        """Return when the reference is away, the last one possibly longer than is known."""
        times = sorted({0, *(at for knob in self.lost for at in knob.breaks(-1, last_ps + 1))})
        found: list[Outage] = []
        begun = -1
        for at in times:
            lost = any(knob.value(at) > 0.0 for knob in self.lost)
            if lost and begun < 0:
                begun = at
            elif not lost and begun >= 0:
                found.append((begun, at))
                begun = -1
        if begun >= 0:
            found.append((begun, 2**62))
        return tuple(found)

    def _carried(self, outages: tuple[Outage, ...]) -> float:
        """Return the time error at the beginning of the last outage."""
        begin = outages[-1][0]
        x = self._at(self._locked, begin)
        if len(outages) > 1:
            before = outages[:-1]
            x += self._extra(before, settle=False) * float(self._left(np.array([begin - before[-1][1]]))[0])
        return x

    def _extra(self, outages: tuple[Outage, ...], *, settle: bool) -> float:
        """Return the time error at the end of the last outage, less that of a clock that was locked all the time."""
        if outages in self._known:
            return self._known[outages]
        begin, end = outages[-1]
        x = self._carried(outages) + float(self._ran(begin, np.array([end], np.int64), settle=settle)[0])
        x -= self._at(self._locked, end)
        if all(knob.frozen_ps >= end for knob in self.knobs):
            self._known[outages] = x
        return x

    def _ran(self, begin_ps: int, t: NDArray[np.int64], *, settle: bool) -> NDArray[np.float64]:
        """Return what a free oscillator adds since the beginning of an outage."""
        d = (t - begin_ps).astype(np.float64)
        bits = int(mix(np.array([begin_ps], np.int64), hash_key(self.seed, self.key, _GUESS))[0]) >> 48
        x = known_to(self.levels) * float(NORMAL[bits]) * d + self.ageing_per_day * (d / DAY_PS) * d / 2.0
        x += self._free.phase_ps(t) - self._at(self._free, begin_ps)
        if self.per_k and self.ambient is not None:
            start = float(self.ambient.integral_k_ps(np.array([begin_ps], np.int64), settle=False)[0])
            warmth = self.ambient.integral_k_ps(t, settle=settle) - start
            x += self.per_k * (warmth - self.ambient.excess_k(begin_ps) * d)
        return x

    def _left(self, since: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return what the loop has left of an error after a time: exp(-t / loop), by chords of the cells."""
        cell = since >> _CELL_BITS
        at = np.unique(np.concatenate([cell, cell + 1]))
        cell_s = CELL_PS * 1e-12
        values = np.array([math.exp(-int(k) * cell_s / self.levels.loop_s) for k in at])
        place = np.searchsorted(at, cell)
        rest = (since & (CELL_PS - 1)) / CELL_PS
        left: NDArray[np.float64] = values[place] + (values[place + 1] - values[place]) * rest
        return left

    @staticmethod
    def _at(wander: Wander, t_ps: int) -> float:
        return float(wander.phase_ps(np.array([t_ps], np.int64))[0])
