"""What an instrument does to a clock: it pulls the frequency and turns the phase, and both add up to a time error.

A knob is cut into pieces on which it goes straight: whole settings where it is constant or a ramp, chords where it is
curved.  Where the pieces lie depends on the settings alone, never on who asks when, and each value is computed from the
beginning of its piece; so the same time gives the same bits in any order of questions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qlab.physics.knob import CELL_PS, Ramp, Relaxation, Step

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from qlab.physics.knob import Knob, Profile

__all__ = ["Integral", "Steering"]

NEVER_PS = 2**62
CHORDS = 64
"""Of a time constant: a chord departs from an exponential by (1/64)^2 / 8 of what is left of it."""


class Steering:
    """The time error x(t) = phase(t) + the integral of frequency(t) since lab time 0.

    A setting holds for times after it, not for its own picosecond.

    Parameters
    ----------
    frequency:
        Fractional frequency error.
    phase_ps:
        Time error beside that.
    """

    def __init__(self, frequency: Knob, phase_ps: Knob) -> None:
        self.knobs = (frequency, phase_ps)
        self._frequency = Integral(frequency)
        self._phase = Integral(phase_ps)

    def still(self, last_ps: int, *, settle: bool = True) -> bool:
        """Return whether it adds nothing up to a time; with `settle`, nobody may change that afterwards."""
        return self._frequency.still(last_ps, settle=settle) and self._phase.still(last_ps, settle=settle)

    def error_ps(self, t_ps: NDArray[np.int64], *, settle: bool = True) -> NDArray[np.float64]:
        """Return the time error in ps at lab times, shape (N,); before lab time 0 it stands still.

        With `settle`, nobody may set the knobs in that past afterwards: tags have been stamped with it.  Without, it is what
        is known so far, for those who look ahead.
        """
        t = np.maximum(t_ps, 0)
        return self._frequency.integrals(t, settle=settle) + self._phase.values(t, settle=settle)


class Integral:
    """A knob's way so far, cut into straight pieces, and its integral at the beginning of each.

    Parameters
    ----------
    knob:
        Any.
    """

    def __init__(self, knob: Knob) -> None:
        self._knob = knob
        self._settled = _Cut(-1, NEVER_PS, [0], [(knob.initial, 0.0, 0.0)])

    def still(self, last_ps: int, *, settle: bool = True) -> bool:
        """Return whether the knob was 0 and not set up to a time; with `settle`, nobody may set it there afterwards."""
        if settle:
            self._knob.freeze(last_ps)
        first = self._knob.setting(0)
        return (first is None or first[0] > last_ps) and self._knob.initial == 0.0

    def values(self, t: NDArray[np.int64], *, settle: bool = True) -> NDArray[np.float64]:
        """Return the knob's value at times from 0 on, shape of `t`."""
        if self._idle(t, settle=settle):
            return np.full(t.shape, self._knob.initial)
        d, value, slope, _ = self._at(t)
        found: NDArray[np.float64] = value + slope * d
        return found

    def integrals(self, t: NDArray[np.int64], *, settle: bool = True) -> NDArray[np.float64]:
        """Return the integral over time since lab time 0, in ps, shape of `t`."""
        if self._idle(t, settle=settle):
            return t.astype(np.float64) * self._knob.initial
        d, value, slope, before = self._at(t)
        found: NDArray[np.float64] = before + (value + slope * d * 0.5) * d
        return found

    def _idle(self, t: NDArray[np.int64], *, settle: bool) -> bool:
        """Return whether the knob was never set, and settle its past if asked."""
        if settle and t.size:
            self._knob.freeze(int(t.max()))
        return self._knob.setting(0) is None

    def _at(self, t: NDArray[np.int64]) -> tuple[NDArray[np.float64], ...]:
        """Return the time since each time's piece began, and the piece's value, slope and integral there."""
        cut = self._settled
        if t.size:
            last = int(t.max())
            cut.extend(self._knob, min(last, self._knob.frozen_ps))
            if last > self._knob.frozen_ps:
                ahead = _Cut(cut.number, cut.stop_ps, cut.begins[-1:], cut.pieces[-1:])
                ahead.extend(self._knob, last)
                cut = _Cut(-1, 0, cut.begins[:-1] + ahead.begins, cut.pieces[:-1] + ahead.pieces)
        first = max(np.searchsorted(cut.begins, t.min()) - 1, 0) if t.size else 0
        begins = np.array(cut.begins[first:])
        which = np.maximum(np.searchsorted(begins, t) - 1, 0)
        value, slope, before = np.array(cut.pieces[first:]).T
        return (t - begins[which]).astype(np.float64), value[which], slope[which], before[which]


@dataclass(slots=True)
class _Cut:
    """Pieces: when each begins, with value, slope and integral there; the last setting that is in, and until when it is."""

    number: int
    stop_ps: int
    begins: list[int]
    pieces: list[tuple[float, float, float]]

    def extend(self, knob: Knob, to_ps: int) -> None:
        """Add pieces until they reach beyond `to_ps`."""
        while True:
            following = knob.setting(self.number + 1)
            if following is not None and following[0] < to_ps and following[0] <= self.stop_ps:
                self.number += 1
                self._add(following[0], following[1])
            elif self.stop_ps < to_ps:
                now = knob.setting(self.number)
                self._add(self.stop_ps, now[1] if now is not None else knob.initial)
            else:
                return

    def _add(self, begin_ps: int, entry: float | Profile) -> None:
        value, slope, before = self.pieces[-1]
        d = float(begin_ps - self.begins[-1])
        before += (value + slope * d * 0.5) * d
        self.stop_ps = NEVER_PS
        if isinstance(entry, (int, float)):
            start, slope = float(entry), 0.0
        else:
            start, slope = entry.value(begin_ps), 0.0
            self.stop_ps = _straight_until(entry, begin_ps)
            if begin_ps + 1 < self.stop_ps < NEVER_PS:
                slope = (entry.value(self.stop_ps - 1) - start) / (self.stop_ps - 1 - begin_ps)
        self.begins.append(begin_ps)
        self.pieces.append((start, slope, before))


def _straight_until(entry: Profile, begin_ps: int) -> int:
    """Return where the piece of a profile that begins at a time ends."""
    if begin_ps >= entry.end_ps:
        return NEVER_PS
    if isinstance(entry, Ramp):
        return entry.t0_ps if begin_ps < entry.t0_ps else entry.t1_ps
    if isinstance(entry, Step):
        return entry.t1_ps
    step = entry.step_ps
    if isinstance(entry, Relaxation):
        step = max(CELL_PS, 1 << (entry.tau_ps // CHORDS).bit_length() - 1 if entry.tau_ps >= CHORDS else 0)
    return min((begin_ps // step + 1) * step, entry.end_ps)
