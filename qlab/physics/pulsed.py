"""A crystal pumped by pulses: the number of pairs in a pulse is thermal, of K modes, or Poissonian.

A mode that is pumped weakly or strongly holds n pairs with the probability of a thermal state; K alike modes together have a
negative binomial distribution, and very many a Poisson distribution (Christ, Laiho, Eckstein, Cassemiro, Silberhorn, NJP 13,
033027, 2011).  What is detected of it, at any efficiency, is negative binomial again, with the mean of what is detected; and
that is a compound Poisson process: clusters of events, K ln(1 + m/K) of them a pulse on average, whose sizes follow the
logarithmic distribution (Quenouille, Biometrics 5, 162, 1949).  So empty pulses cost nothing, whatever the repetition rate.

The pairs of one pulse are independent in polarisation, as those of different modes are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from qlab.errors import WorldError
from qlab.physics.detector import jitter_table
from qlab.physics.knob import CELL_PS
from qlab.physics.line import LineDrawer, PairLine, poisson_blocks, raw_words, segments

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from qlab.physics.detector import Detector
    from qlab.physics.engine import Engine
    from qlab.physics.knob import Knob
    from qlab.physics.pulses import PulseTrain

__all__ = ["PulsedDrawer", "PulsedPairLine", "cluster_bounds", "colour_anticorrelation"]


@dataclass(slots=True)
class PulsedPairLine(PairLine):
    """A crystal pumped by pulses, and the arms of its signal and idler photon.

    The source's `rate_hz` is the mean number of pairs per second: the pump's knob is its average power, as a meter shows
    it, so that fewer pulses hold more pairs each.

    Parameters
    ----------
    train:
        A pump pulse leaves at each leading edge.
    modes:
        The Schmidt number K, not necessarily a whole one; infinite for Poisson statistics.  It also says how far the
        detunings of a pair's photons are anticorrelated.
    pulse_fwhm_ps:
        Length of the pump pulse: when in it the pairs are made.
    """

    train: PulseTrain
    modes: float = math.inf
    pulse_fwhm_ps: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is no number of modes."""
        if not self.modes > 0.0:
            msg = f"a pulsed source has {self.modes} modes; expected more than 0, or infinity for Poisson statistics"
            raise WorldError(msg)

    @property
    def anticorrelation(self) -> float:
        """How far the idler's detuning follows the signal's, for the double-Gaussian spectrum of this Schmidt number."""
        return colour_anticorrelation(self.modes)

    def drawer(self, detectors: Mapping[int, Detector], seed: int, engine: Engine) -> PulsedDrawer:
        """Return what draws this line's arrivals."""
        return PulsedDrawer(self, detectors, seed, engine)

    def knobs(self, detectors: Mapping[int, Detector]) -> list[Knob]:
        """Return everything that the arrivals depend on."""
        return [*PairLine.knobs(self, detectors), *self.train.knobs]


class PulsedDrawer(LineDrawer):
    """Draws the arrivals of a pulsed line cell by cell."""

    def __init__(self, line: PulsedPairLine, detectors: Mapping[int, Detector], seed: int, engine: Engine) -> None:
        super().__init__(line, detectors, seed, engine)
        self._pulsed = line
        self._of_clocks = line.train.clock_knobs
        self._settings = [knob for knob in self.knobs if knob not in self._of_clocks]

    def arrivals(self, cell: int) -> dict[int, list[NDArray[np.int64]]]:
        """Return for each detector the arrivals, jitter included and not sorted, of the pulses in one cell."""
        line, result = self._pulsed, dict[int, list["NDArray[np.int64]"]]()
        length_ps = jitter_table(line.pulse_fwhm_ps) if line.pulse_fwhm_ps else None
        for start, stop, horizon in segments(self._settings, cell, self._of_clocks):
            grid, rate_hz = line.train.grid(start), line.source.rate_hz(start)
            drawing = self._drawing(start) if grid is not None and rate_hz > 0.0 else None
            if drawing is None or grid is None:
                continue
            mean = rate_hz / grid.rate_hz * drawing.share
            first, cut = grid.first(start), grid.first(stop)
            clusters = mean if math.isinf(line.modes) else line.modes * math.log1p(mean / line.modes)
            bounds = cluster_bounds(mean / (mean + line.modes))
            disperses = any(port.shift_ps is not None for port in drawing.ports)
            rng = self._stream.at(cell, start - cell * CELL_PS)
            for pulses in poisson_blocks(rng, clusters * 1e12, 0, grid.reach(start, horizon), self._scratch):
                if bounds.size:
                    pulses = pulses.repeat(1 + bounds.searchsorted(raw_words(rng, pulses.size), side="right"))
                n = pulses.size
                bits = raw_words(rng, n)
                detuning = raw_words(rng, n) if disperses else None
                moment = raw_words(rng, n) if length_ps is not None else None
                k = pulses if pulses[-1] < cut - first else pulses[: pulses.searchsorted(cut - first)]
                if not k.size:
                    break
                t = grid.times(first, k)
                if length_ps is not None and moment is not None:
                    t += length_ps.take((moment[: k.size] >> np.uint64(48)).view(np.int64))
                some = detuning[: k.size] if detuning is not None else None
                arrived = self._engine.scatter(t, bits[: k.size], some, drawing.table, drawing.ports)
                for detector_id, found in zip(drawing.detectors, arrived, strict=True):
                    if found.size:
                        result.setdefault(detector_id, []).append(found)
                if k.size < n:
                    break
        return result


def colour_anticorrelation(schmidt: float) -> float:
    """Return -rho of the intensity of a double-Gaussian joint spectrum, K = 1 / sqrt(1 - rho^2), signal against idler.

    Its amplitude is Mehler's kernel, Sum t^k h_k(x) h_k(y), of rho = 2 t / (1 + t^2) and K = (1 + t^2) / (1 - t^2) (Law,
    Walmsley, Eberly, PRL 84, 5304, 2000; Grice, U'Ren, Walmsley, PRA 64, 063815, 2001).
    """
    return math.sqrt(1.0 - 1.0 / max(schmidt, 1.0) ** 2)


@lru_cache(maxsize=64)
def cluster_bounds(q: float) -> NDArray[np.uint64]:
    """Return upper bounds of the words of 64 bits that mean a cluster of 1, 2, 3, ... events; the last has none.

    P(n) = -q^n / (n ln(1 - q)), the logarithmic distribution; none for q = 0, where every cluster is of one.
    """
    if q <= 0.0:
        return np.empty(0, np.uint64)
    norm, power, total, bounds = -math.log1p(-q), 1.0, 0.0, list[int]()
    for n in range(1, 100_000):
        power *= q
        total += power / n / norm
        bound = round(total * 2.0**64)
        if bound >= 2**64 or (bounds and bound == bounds[-1]):
            break
        bounds.append(bound)
    return np.array(bounds, dtype=np.uint64)
