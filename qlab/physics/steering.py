"""What an instrument does to a clock: it pulls the frequency and turns the phase, and both add up to a time error.

A knob is cut into pieces on which it goes straight: whole settings where it is constant or a ramp, chords where it is
curved.  Where the pieces lie depends on the settings alone, never on who asks when, and each value is computed from the
beginning of its piece; so the same time gives the same bits in any order of questions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qlab.physics.knob import CELL_PS, Ramp, Relaxation, Step

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from qlab.physics.knob import Knob, Profile

__all__ = ["Steering"]

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
        self._frequency = _Pieces(frequency)
        self._phase = _Pieces(phase_ps)

    def error_ps(self, t_ps: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the time error in ps at lab times, shape (N,); before lab time 0 it stands still.

        Nobody may set the knobs in that past afterwards: tags have been stamped with it.
        """
        t = np.maximum(t_ps, 0)
        return self._frequency.integrals(t) + self._phase.values(t)


class _Pieces:
    """A knob's way so far, cut into straight pieces, and its integral at the beginning of each."""

    def __init__(self, knob: Knob) -> None:
        self._knob = knob
        self._number = -1
        self._stop_ps = NEVER_PS
        self._begins = [0]
        self._pieces = [(knob.initial, 0.0, 0.0)]

    def values(self, t: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the knob's value."""
        d, value, slope, _ = self._at(t)
        found: NDArray[np.float64] = value + slope * d
        return found

    def integrals(self, t: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the integral over time since lab time 0, in ps."""
        d, value, slope, before = self._at(t)
        found: NDArray[np.float64] = before + (value + slope * d * 0.5) * d
        return found

    def _at(self, t: NDArray[np.int64]) -> tuple[NDArray[np.float64], ...]:
        """Return the time since each time's piece began, and the piece's value, slope and integral there."""
        if t.size:
            last = int(t.max())
            self._knob.freeze(last)
            self._extend(last)
        first = max(np.searchsorted(self._begins, t.min()) - 1, 0) if t.size else 0
        begins = np.array(self._begins[first:])
        which = np.maximum(np.searchsorted(begins, t) - 1, 0)
        value, slope, before = np.array(self._pieces[first:]).T
        return (t - begins[which]).astype(np.float64), value[which], slope[which], before[which]

    def _extend(self, to_ps: int) -> None:
        """Add pieces until they reach beyond `to_ps`."""
        while True:
            following = self._knob.setting(self._number + 1)
            if following is not None and following[0] < to_ps and following[0] <= self._stop_ps:
                self._number += 1
                self._add(following[0], following[1])
            elif self._stop_ps < to_ps:
                now = self._knob.setting(self._number)
                self._add(self._stop_ps, now[1] if now is not None else self._knob.initial)
            else:
                return

    def _add(self, begin_ps: int, entry: float | Profile) -> None:
        value, slope, before = self._pieces[-1]
        d = float(begin_ps - self._begins[-1])
        before += (value + slope * d * 0.5) * d
        self._stop_ps = NEVER_PS
        if isinstance(entry, (int, float)):
            start, slope = float(entry), 0.0
        else:
            start, slope = entry.value(begin_ps), 0.0
            self._stop_ps = _straight_until(entry, begin_ps)
            if begin_ps + 1 < self._stop_ps < NEVER_PS:
                slope = (entry.value(self._stop_ps - 1) - start) / (self._stop_ps - 1 - begin_ps)
        self._begins.append(begin_ps)
        self._pieces.append((start, slope, before))


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
