"""Weak coherent pulses on their way: how many photons of a pulse each detector sees, pulse by pulse.

A detector behind an arm sees a Poisson number of photons with mean mu T Tr[rho E] eta.  All pulses together make a Poisson
number of detections, which fall on the pulses independently; so they are drawn at the rate of the brightest choice of
level and state, and those of a darker one are thinned.  Pulses in which nothing is seen are never looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qlab.physics.arm import Path
from qlab.physics.detector import jitter_table
from qlab.physics.engine import OutcomeTable, PortTable
from qlab.physics.keys import KeyedStream
from qlab.physics.knob import CELL_PS
from qlab.physics.line import Scratch, poisson_blocks, raw_words, segments

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from qlab.physics.arm import Arm
    from qlab.physics.detector import Detector
    from qlab.physics.engine import Engine
    from qlab.physics.knob import Knob
    from qlab.physics.weak import WeakSource

__all__ = ["WeakDrawer", "WeakLine"]

_KEPT_DRAWINGS = 64
MOST_PHOTONS = 25.0
"""Of a brighter pulse a detector sees so many photons on average: it clicks all the same, but for 1 in 10^11."""


@dataclass(slots=True)
class WeakLine:
    """A source of weak coherent pulses and the way of its light.

    Parameters
    ----------
    line_id:
        A stable number: it keys the draws.
    """

    line_id: int
    source: WeakSource
    arm: Arm

    def drawer(self, detectors: Mapping[int, Detector], seed: int, engine: Engine) -> WeakDrawer:
        """Return what draws this line's arrivals."""
        return WeakDrawer(self, detectors, seed, engine)

    def knobs(self, detectors: Mapping[int, Detector]) -> list[Knob]:
        """Return everything that the arrivals depend on."""
        ports = sorted({o.port.detector_id for o in self.arm.outcomes(0, Path())} & set(detectors))
        of_detectors = [k for i in ports for k in (detectors[i].efficiency, detectors[i].jitter_scale)]
        return [*self.source.knobs, *self.arm.knobs(), *of_detectors]


@dataclass(frozen=True, slots=True)
class _Drawing:
    """What is needed to draw detections while nothing changes.

    Attributes
    ----------
    brightest:
        Mean number of detections in a pulse of the brightest choice.
    limits:
        For each choice of level and state, the state counting fastest, the 32-bit word below which a detection is real.
    tables:
        For each choice, where photons end.
    """

    brightest: float
    limits: NDArray[np.uint64]
    tables: tuple[OutcomeTable, ...]
    ports: tuple[PortTable, ...]
    detectors: tuple[int, ...]


class WeakDrawer:
    """Draws the arrivals of weak pulses cell by cell.

    Parameters
    ----------
    line, detectors, seed:
        Of the world.
    engine:
        Does the loops.
    """

    def __init__(self, line: WeakLine, detectors: Mapping[int, Detector], seed: int, engine: Engine) -> None:
        self._line = line
        self._detectors = detectors
        self._engine = engine
        self._stream = KeyedStream(seed, line.line_id)
        self._scratch = Scratch()
        self.knobs = line.knobs(detectors)
        self._of_clocks = line.source.train.clock_knobs
        self._settings = [knob for knob in self.knobs if knob not in self._of_clocks]
        self._drifts = line.arm.drifts()
        self._drawings: dict[tuple[float, ...], _Drawing | None] = {}

    def arrivals(self, cell: int) -> dict[int, list[NDArray[np.int64]]]:
        """Return for each detector the arrivals, jitter included and not sorted, of the pulses in one cell."""
        source, result = self._line.source, dict[int, list["NDArray[np.int64]"]]()
        length_ps = jitter_table(source.pulse_fwhm_ps) if source.pulse_fwhm_ps else None
        for start, stop, horizon in segments(self._settings, cell, self._of_clocks):
            grid = source.train.grid(start)
            drawing = self._drawing(start) if grid is not None else None
            if drawing is None or grid is None:
                continue
            first, cut = grid.first(start), grid.first(stop)
            rng = self._stream.at(cell, start - cell * CELL_PS)
            for pulses in poisson_blocks(rng, drawing.brightest * 1e12, 0, grid.reach(start, horizon), self._scratch):
                bits, words = raw_words(rng, pulses.size), raw_words(rng, pulses.size)
                k = pulses if pulses[-1] < cut - first else pulses[: pulses.searchsorted(cut - first)]
                t = grid.times(first, k)
                level, state = source.modulation.choose(t, first, k)
                choice = level.astype(np.intp) * len(source.modulation.angles_deg) + state
                words = words[: k.size]
                real = words >> np.uint64(32) < drawing.limits[choice]
                if length_ps is not None:
                    t += length_ps.take((words & np.uint64(0xFFFF)).view(np.int64))
                for number, table in enumerate(drawing.tables):
                    chosen = (real & (choice == number)).nonzero()[0]
                    if not chosen.size:
                        continue
                    arrived = self._engine.scatter(t.take(chosen), bits.take(chosen), None, table, drawing.ports)
                    for detector_id, found in zip(drawing.detectors, arrived, strict=True):
                        if found.size:
                            result.setdefault(detector_id, []).append(found)
                if k.size < pulses.size:
                    break
        return result

    def _drawing(self, t_ps: int) -> _Drawing | None:
        """Return the tables for the settings at a time; the last few are kept."""
        key = (*(knob.value(t_ps) for knob in self._settings), float(t_ps // CELL_PS) if self._drifts else 0.0)
        if key not in self._drawings:
            if len(self._drawings) >= _KEPT_DRAWINGS:
                self._drawings.clear()
            self._drawings[key] = self._prepare(t_ps)
        return self._drawings[key]

    def _prepare(self, t_ps: int) -> _Drawing | None:
        source, detectors = self._line.source, self._detectors
        modulation, mu = source.modulation, source.mean_photons(t_ps)
        outcomes = [o for o in self._line.arm.outcomes(t_ps, Path()) if o.port.detector_id in detectors]
        seen = [o.effect * detectors[o.port.detector_id].efficiency.value(t_ps) for o in outcomes]
        shares = np.array(
            [
                [np.trace(modulation.density(s) @ effect).real for effect in seen]
                for s in range(len(modulation.angles_deg))
            ]
        )
        bright = np.array([source.sent_photons(mu, i, t_ps) for i in range(len(modulation.levels))])
        # shape (choices, outcomes)
        means = np.multiply.outer(bright, shares.clip(min=0.0)).clip(max=MOST_PHOTONS).reshape(-1, len(outcomes))
        totals = means.sum(axis=1)
        brightest = float(totals.max(initial=0.0))
        if brightest <= 0.0:
            return None
        limits = np.round(totals / brightest * 2.0**32).astype(np.uint64)
        masks = [1 << n for n in range(len(outcomes))]
        dark = [1.0] * len(outcomes)  # a choice of which nothing is seen: every detection is thinned away
        tables = tuple(OutcomeTable.build(row.tolist() if row.sum() > 0.0 else dark, masks) for row in means)
        ids = tuple(o.arrives_at for o in outcomes)
        ports = tuple(PortTable(0, o.delay_ps, detectors[o.port.detector_id].jitter_ps(t_ps), None) for o in outcomes)
        return _Drawing(brightest, limits, tables, ports, ids)
