"""How warm a place is: a daily swing, and what a knob adds; and the time error of what feels it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from qlab.physics.knob import CELL_PS, Knob
from qlab.physics.steering import Integral

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["DAY_PS", "Ambient", "WarmDelay", "Warmth"]

DAY_PS = 86_400 * 10**12
_CELL_BITS = CELL_PS.bit_length() - 1
_WIDE = 4096


@dataclass(slots=True)
class Ambient:
    """How much warmer than its average a place is: swing * sin(2 pi t / day), and a knob.

    Parameters
    ----------
    swing_k:
        Half of the daily change.
    knob:
        What comes on top in K: a fault, a heater.
    """

    swing_k: float = 0.0
    knob: Knob = field(default_factory=lambda: Knob(0.0))
    _sum: Integral = field(init=False)

    def __post_init__(self) -> None:
        self._sum = Integral(self.knob)

    def excess_k(self, t_ps: int) -> float:
        """Return the departure from the average temperature in K."""
        return self._swing(t_ps) + self.knob.value(t_ps)

    def still(self, last_ps: int, *, settle: bool = True) -> bool:
        """Return whether the temperature stays where it is on average up to a time."""
        return self._sum.still(last_ps, settle=settle) and not self.swing_k

    def excesses_k(self, t: NDArray[np.int64], *, settle: bool = True) -> NDArray[np.float64]:
        """Return the departure at each of some times from 0 on, shape of `t`."""
        found = self._sum.values(t, settle=settle)
        return found + _between_cells(t, self._swing) if self.swing_k and t.size else found

    def integral_k_ps(self, t: NDArray[np.int64], *, settle: bool = True) -> NDArray[np.float64]:
        """Return the integral of the excess since lab time 0 in K ps, shape of `t`, for times from 0 on."""
        found = self._sum.integrals(t, settle=settle)
        return found + _between_cells(t, self._swung) if self.swing_k and t.size else found

    def _swing(self, t_ps: int) -> float:
        return self.swing_k * math.sin(math.tau * t_ps / DAY_PS)

    def _swung(self, t_ps: int) -> float:
        return self.swing_k * DAY_PS / math.tau * (1.0 - math.cos(math.tau * t_ps / DAY_PS))


def _between_cells(t: NDArray[np.int64], value: Callable[[int], float]) -> NDArray[np.float64]:
    """Return a function by chords between the cells: in 69 ms a day's swing departs from them by 1e-12 of itself.

    It is computed with scalar mathematics, as a picosecond may hang on its last bit.
    """
    cell = t >> _CELL_BITS
    low, high = int(cell.min()), int(cell.max())
    at = np.arange(low, high + 2) if high - low < _WIDE else np.unique(np.concatenate([cell, cell + 1]))
    values = np.array([value(int(k) << _CELL_BITS) for k in at])
    place = np.searchsorted(at, cell)
    rest = (t & (CELL_PS - 1)) / CELL_PS
    found: NDArray[np.float64] = values[place] + (values[place + 1] - values[place]) * rest
    return found


@dataclass(frozen=True, slots=True)
class Warmth:
    """The time error of an oscillator whose frequency follows the temperature.

    Parameters
    ----------
    per_k:
        Change of the fractional frequency per K.
    ambient:
        Where it stands.
    """

    per_k: float
    ambient: Ambient

    @property
    def knobs(self) -> tuple[Knob, ...]:
        """What it depends on."""
        return (self.ambient.knob,)

    def still(self, last_ps: int, *, settle: bool = True) -> bool:
        """Return whether it adds nothing up to a time; with `settle`, nobody may change that afterwards."""
        return self.ambient.still(last_ps, settle=settle)

    def error_ps(self, t: NDArray[np.int64], *, settle: bool = True) -> NDArray[np.float64]:
        """Return the time error in ps at lab times, shape of `t`; before lab time 0 there is none."""
        return self.per_k * self.ambient.integral_k_ps(np.maximum(t, 0), settle=settle)


@dataclass(frozen=True, slots=True)
class WarmDelay:
    """The time error behind a cable or amplifier whose delay follows the temperature: what comes later shows less.

    Parameters
    ----------
    ps_per_k:
        Change of the delay per K.
    ambient:
        Where it lies.
    """

    ps_per_k: float
    ambient: Ambient

    @property
    def knobs(self) -> tuple[Knob, ...]:
        """What it depends on."""
        return (self.ambient.knob,)

    def still(self, last_ps: int, *, settle: bool = True) -> bool:
        """Return whether it adds nothing up to a time; with `settle`, nobody may change that afterwards."""
        return self.ambient.still(last_ps, settle=settle)

    def error_ps(self, t: NDArray[np.int64], *, settle: bool = True) -> NDArray[np.float64]:
        """Return the time error in ps at lab times, shape of `t`."""
        return -self.ps_per_k * self.ambient.excesses_k(np.maximum(t, 0), settle=settle)
