"""The 1 pps of a clock: a pulse whenever its time is a whole second."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from qlab.physics.pulses import ClockedGrid, Grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from qlab.physics.knob import Knob
    from qlab.physics.oscillator import Oscillator

__all__ = ["PulsePerSecond"]

SECOND = 10**12 << 20
"""In the 2^-20 ps that a grid counts in."""
PIECE_PS = 2**41


@dataclass(frozen=True, slots=True)
class PulsePerSecond:
    """A cable on which a clock's 1 pps comes; a `qlab.physics.pulses.Signal`.

    Parameters
    ----------
    clock:
        Its whole seconds, from 0 on, are the pulses.
    """

    clock: Oscillator
    _grid: ClockedGrid = field(init=False)

    def __post_init__(self) -> None:
        """Make the grid."""
        object.__setattr__(self, "_grid", ClockedGrid(Grid(0, SECOND), self.clock))

    @property
    def knobs(self) -> tuple[Knob, ...]:
        """What the pulses depend on."""
        return tuple({id(knob): knob for knob in self.clock.knobs()}.values())

    def edges(self, start_ps: int, stop_ps: int) -> NDArray[np.int64]:
        """Return the pulses' leading edges in the half-open interval, int64 ps of the world, sorted."""
        cuts = [*range(start_ps, stop_ps, PIECE_PS), stop_ps]
        found = [self._grid.between(a, b) for a, b in pairwise(cuts)]
        return np.concatenate(found) if found else np.empty(0, np.int64)
