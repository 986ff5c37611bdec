"""What a function generator puts out: a function of the phase in cycles, from -1 to 1."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["Waveform", "rms_per_vpp"]

NOISE_CREST = 3.5  # [INF] half the peak-to-peak value of noise over its standard deviation


@dataclass(frozen=True, slots=True)
class Waveform:
    """One function with its shape.

    Parameters
    ----------
    function:
        As `FUNC?` says it.
    duty, symmetry:
        From 0 to 1: the part of the period that a square or pulse is high and that a ramp rises.
    edge:
        Of a pulse, in periods.
    points:
        Of an arbitrary waveform; between them the line is straight where it is filtered.
    draw:
        Gives the standard normal number of a key, for noise and pseudo-random bits.
    """

    function: str
    duty: float
    symmetry: float
    edge: float
    points: NDArray[np.float64]
    filtered: bool
    draw: Callable[[int], float]

    def value(self, cycles: float) -> float:
        """Return the value at a phase, 0 where the function begins."""
        x = cycles % 1.0
        match self.function:
            case "SIN":
                return math.sin(2.0 * math.pi * x)
            case "SQU":
                return 1.0 if x < self.duty else -1.0
            case "TRI" | "RAMP":
                rise = 0.5 if self.function == "TRI" else self.symmetry
                return 2.0 * x / rise - 1.0 if x < rise else 1.0 - 2.0 * (x - rise) / (1.0 - rise)
            case "PULS":
                up, down = x / self.edge, (self.duty + self.edge - x) / self.edge
                return 2.0 * min(max(min(up, down), 0.0), 1.0) - 1.0
            case "ARB":
                return self._point(x * self.points.size)
            case "NOIS":
                return min(max(self.draw(math.floor(cycles)) / NOISE_CREST, -1.0), 1.0)
            case "PRBS":
                return 1.0 if self.draw(math.floor(cycles)) > 0 else -1.0
            case _:
                return 0.0

    def _point(self, position: float) -> float:
        i, part = int(position) % self.points.size, position % 1.0
        here, there = float(self.points[i]), float(self.points[(i + 1) % self.points.size])
        return here + (there - here) * part if self.filtered else here


def rms_per_vpp(wave: Waveform) -> float:
    """Return the effective value of 1 Vpp without offset."""
    match wave.function:
        case "SIN":
            return 1.0 / (2.0 * math.sqrt(2.0))
        case "TRI" | "RAMP":
            return 1.0 / (2.0 * math.sqrt(3.0))
        case "NOIS":
            return 1.0 / (2.0 * NOISE_CREST)
        case "ARB":
            span = float(np.ptp(wave.points))
            return float(np.sqrt(np.mean(wave.points**2))) / span if span else 0.5
        case _:
            return 0.5
