"""What a disciplined clock does without its reference: its oscillator runs free, until the loop has it again.

While it is locked, its time error is the noise that the loop leaves (`Wander` with a `loop_s`).  When the reference is lost,
the error of that moment stays, and what a free oscillator does comes on top: its noise, the frequency error that the loop
had not known better, sigma_y(loop_s) of its noise, its ageing, and what the temperature does from then on.  When the
reference is back, the loop takes all this off exponentially.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qlab.physics.ambient import DAY_PS
from qlab.physics.keys import hash_key, mix
from qlab.physics.knob import CELL_PS
from qlab.physics.markov import NORMAL
from qlab.physics.wander import Wander

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qlab.physics.ambient import Ambient
    from qlab.physics.knob import Knob
    from qlab.physics.wander import NoiseLevels

__all__ = ["Holdover", "known_to"]

_LOCKED, _FREE, _GUESS = 11, 12, 13
_CELL_BITS = CELL_PS.bit_length() - 1
Times: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]


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
    _edges: dict[int, tuple[float, float]] = field(init=False, default_factory=dict)

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

    def error_ps(self, t: Times, *, settle: bool = True) -> Floats:
        """Return the time error in ps at lab times, shape of `t`."""
        t = np.maximum(t, 0)
        if not t.size:
            return np.zeros(0)
        last = int(t.max())
        if settle:
            for knob in self.lost:
                knob.freeze(last)
        x = self._locked.phase_ps(t)
        begins, ends = self._outages(last)
        if not begins.size:
            return x
        over = ends <= last
        locked, free = self._at_edges(np.concatenate([begins, ends[over]]))
        n = begins.size
        run = np.arange(n)[over]
        ran = self._ran(begins[over], ends[over], free[n:] - free[run], settle=settle)
        decays = self._left(begins[1:] - ends[:-1])
        # The error when the reference is lost, and what is left of it when the loop has it again, outage by outage.
        carried, left, extra = np.zeros(n), np.zeros(n), 0.0
        for i in range(n):
            carried[i] = locked[i] + (extra * decays[i - 1] if i else 0.0)
            if over[i]:
                extra = left[i] = carried[i] + ran[i] - locked[n + i]
        which = np.searchsorted(begins, t, side="right") - 1
        out = (which >= 0) & (t < ends[which])
        k = which[out]
        if k.size:
            added = self._ran(begins[k], t[out], self._free.phase_ps(t[out]) - free[k], settle=settle)
            x[out] = carried[k] + added
        caught = (which >= 0) & ~out
        k = which[caught]
        x[caught] += left[k] * self._left(t[caught] - ends[k])
        return x

    def _outages(self, last_ps: int) -> tuple[Times, Times]:
        """Return when the reference is lost and found again; the last one possibly later than is known."""
        times = sorted({0, *(at for knob in self.lost for at in knob.breaks(-1, last_ps + 1))})
        begins, ends = list[int](), list[int]()
        for at in times:
            lost = any(knob.value(at) > 0.0 for knob in self.lost)
            if lost and len(begins) == len(ends):
                begins.append(at)
            elif not lost and len(begins) > len(ends):
                ends.append(at)
        ends += [2**62] * (len(begins) - len(ends))
        return np.array(begins, np.int64), np.array(ends, np.int64)

    def _at_edges(self, t: Times) -> tuple[Floats, Floats]:
        """Return the noise of the locked and of the free oscillator where outages begin and end; it is kept."""
        missing = [at for at in t.tolist() if at not in self._edges]
        if missing:
            new = np.array(sorted(missing), np.int64)
            pairs = zip(self._locked.phase_ps(new).tolist(), self._free.phase_ps(new).tolist(), strict=True)
            self._edges |= dict(zip(new.tolist(), pairs, strict=True))
        found = np.array([self._edges[at] for at in t.tolist()])
        return found[:, 0], found[:, 1]

    def _ran(self, begins: Times, t: Times, noise: Floats, *, settle: bool) -> Floats:
        """Return what a free oscillator adds since outages began; `noise` is what its noise does."""
        d = (t - begins).astype(np.float64)
        bits = mix(begins, hash_key(self.seed, self.key, _GUESS)) >> np.uint64(48)
        x = known_to(self.levels) * NORMAL[bits.astype(np.intp)] * d + self.ageing_per_day * (d / DAY_PS) * d / 2.0
        x += noise
        if self.per_k and self.ambient is not None and t.size:
            warmth = self.ambient.integral_k_ps(t, settle=settle) - self.ambient.integral_k_ps(begins, settle=False)
            x += self.per_k * (warmth - self.ambient.excesses_k(begins, settle=False) * d)
        found: Floats = x
        return found

    def _left(self, since: Times) -> Floats:
        """Return what the loop has left of an error after a time: exp(-t / loop), by chords of the cells."""
        cell = since >> _CELL_BITS
        at = np.unique(np.concatenate([cell, cell + 1]))
        cell_s = CELL_PS * 1e-12
        values = np.array([math.exp(-int(k) * cell_s / self.levels.loop_s) for k in at])
        place = np.searchsorted(at, cell)
        rest = (since & (CELL_PS - 1)) / CELL_PS
        left: Floats = values[place] + (values[place + 1] - values[place]) * rest if at.size else np.zeros(0)
        return left
