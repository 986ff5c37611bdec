"""One pair source with its two arms: the joint outcomes of a pair, and their arrival times cell by cell.

Clicks are simulated, not photons.  State, analysers, losses and efficiencies are folded into the probabilities
P(j, k) = Tr[rho (E_j x F_k)] of each joint outcome; "nothing detected" is dropped; what is left is one Poisson process of
rate R (1 - P_00) with a category mark (marking theorem, e.g. Kingman, *Poisson Processes*, 1993, chapter 5).  This is
exact for a continuously pumped source whose coherence time is far below the window.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import TYPE_CHECKING, Protocol

import numpy as np

from qlab.errors import WorldError
from qlab.physics.arm import Path
from qlab.physics.detector import FWHM_PER_SIGMA
from qlab.physics.engine import MOST_PORTS, NumpyEngine, OutcomeTable, PortTable
from qlab.physics.keys import QUANTILES, KeyedStream, normal_table
from qlab.physics.knob import CELL_PS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from qlab.physics.arm import Arm, Outcome
    from qlab.physics.detector import Detector
    from qlab.physics.engine import Engine
    from qlab.physics.knob import Knob
    from qlab.physics.source import PairSource

__all__ = [
    "Category",
    "Drawer",
    "Line",
    "LineDrawer",
    "PairLine",
    "Scratch",
    "categories",
    "colour_tables",
    "poisson_blocks",
    "poisson_times",
    "raw_words",
    "segments",
    "shift_table",
]

_KEPT_DRAWINGS = 64
_NUMPY = NumpyEngine()
_OUTERMOST = -NormalDist().inv_cdf(0.5 / QUANTILES)
"""The last quantile of `normal_table`."""


BLOCK = 2**15
"""Events that are worked on at once."""


class Drawer(Protocol):
    """Draws one line's arrivals, each cell by itself."""

    knobs: list[Knob]

    def arrivals(self, cell: int) -> dict[int, list[NDArray[np.int64]]]:
        """Return for each detector the arrivals of the photons emitted in one cell, not sorted; see `Outcome.arrives_at`."""
        ...


class Line(Protocol):
    """A source with what its light meets."""

    def drawer(self, detectors: Mapping[int, Detector], seed: int, engine: Engine) -> Drawer:
        """Return what draws this line's arrivals."""
        ...


@dataclass(slots=True)
class PairLine:
    """A source and the arms of its signal and idler photon.

    Parameters
    ----------
    line_id:
        A stable number: it keys the draws.
    """

    line_id: int
    source: PairSource
    signal: Arm
    idler: Arm

    def drawer(self, detectors: Mapping[int, Detector], seed: int, engine: Engine) -> Drawer:
        """Return what draws this line's arrivals."""
        return LineDrawer(self, detectors, seed, engine)

    @property
    def anticorrelation(self) -> float:
        """How far the idler's detuning follows the signal's, 0 to 1: wholly, as the pump is monochromatic."""
        return 1.0

    def knobs(self, detectors: Mapping[int, Detector]) -> list[Knob]:
        """Return everything that the rates depend on."""
        ports = {o.port.detector_id for arm in (self.signal, self.idler) for o in arm.outcomes(0, Path())}
        return [
            *self.source.knobs,
            *self.signal.knobs(),
            *self.idler.knobs(),
            *(detectors[i].efficiency for i in sorted(ports) if i in detectors),
            *(detectors[i].jitter_scale for i in sorted(ports) if i in detectors),
        ]


@dataclass(frozen=True, slots=True)
class Category:
    """A joint outcome: at most one detector on each side, with its share of all pairs."""

    signal: Outcome | None
    idler: Outcome | None
    probability: float


def categories(line: PairLine, detectors: Mapping[int, Detector], t_ps: int) -> list[Category]:
    """Return the joint outcomes in which something is detected."""
    sides = []
    for arm in (line.signal, line.idler):
        found: list[Outcome | None] = []
        effects = []
        for outcome in arm.outcomes(t_ps, Path()):
            detector = detectors.get(outcome.port.detector_id)
            if detector is not None:
                found.append(outcome)
                effects.append(outcome.effect * detector.efficiency.value(t_ps))
        lost = np.eye(2, dtype=np.complex128) - np.sum(effects, axis=0) if effects else np.eye(2, dtype=np.complex128)
        if _least_eigenvalue(lost) < -1e-9:
            msg = "an arm detects more than all photons: its efficiencies and transmissions sum to more than 1"
            raise WorldError(msg)
        sides.append(([*found, None], np.array([*effects, lost])))
    (signal, effects_a), (idler, effects_b) = sides
    rho = line.source.state.reshape(2, 2, 2, 2)
    p = np.einsum("ijkl,aki->ajl", rho, effects_a)
    joint = np.einsum("ajl,blj->ab", p, effects_b).real
    return [
        Category(a, b, float(joint[i, j]))
        for i, a in enumerate(signal)
        for j, b in enumerate(idler)
        if (a is not None or b is not None) and joint[i, j] > 0.0
    ]


def _least_eigenvalue(matrix: NDArray[np.complex128]) -> float:
    """Return the smaller eigenvalue of a Hermitian 2 x 2 matrix."""
    mean = (matrix[0, 0].real + matrix[1, 1].real) / 2.0
    half = (matrix[0, 0].real - matrix[1, 1].real) / 2.0
    return float(mean - np.hypot(half, abs(matrix[0, 1])))


def segments(knobs: Sequence[Knob], cell: int, of_clocks: Sequence[Knob] = ()) -> Iterator[tuple[int, int, int]]:
    """Yield the stretches of a cell in which no knob is set: start, stop, and the stop as far as was known at the start.

    Knobs of clocks part the cell where they are set, not where they go on by themselves: clocks are read at every pulse.
    """
    begin, end = cell * CELL_PS, (cell + 1) * CELL_PS
    of_settings = (t for knob in of_clocks for t in knob.set_between(begin, end))
    breaks = sorted({begin, *(t for knob in knobs for t in knob.breaks(begin, end)), *of_settings})
    for start, stop in zip(breaks, [*breaks[1:], end], strict=True):
        yield start, stop, min((end, *(knob.horizon(start) for knob in knobs)))


def poisson_times(rng: np.random.Generator, rate_hz: float, start_ps: int, end_ps: int) -> NDArray[np.int64]:
    """Draw a Poisson process on [start, end), sorted by construction: normalised sums of exponential gaps."""
    parts = list(poisson_blocks(rng, rate_hz, start_ps, end_ps, Scratch(), _NUMPY))
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def poisson_blocks(
    rng: np.random.Generator, rate_hz: float, start_ps: int, end_ps: int, scratch: Scratch, engine: Engine = _NUMPY
) -> Iterator[NDArray[np.int64]]:
    """Draw a Poisson process as `poisson_times` does; yield it in blocks that fit into the second-level cache."""
    n = int(rng.poisson(rate_hz * (end_ps - start_ps) * 1e-12))
    if n == 0:
        return
    gaps = scratch.floats(n + 1)
    rng.standard_exponential(out=gaps)
    engine.accumulate(gaps)
    scale = (end_ps - start_ps) / float(gaps[-1])
    for first in range(0, n, BLOCK):
        times: NDArray[np.int64] = (gaps[first : min(first + BLOCK, n)] * scale).astype(np.int64)
        times += start_ps
        yield times


class Scratch:
    """Memory that is used again for every cell: pages that are fresh each time cost more than the draws in them."""

    def __init__(self) -> None:
        self._floats = np.empty(0, np.float64)

    def floats(self, n: int) -> NDArray[np.float64]:
        """Return an array of n floats, valid until the next call."""
        if self._floats.size < n:
            self._floats = np.empty(n + n // 8, np.float64)
        return self._floats[:n]


@dataclass(frozen=True, slots=True)
class _Drawing:
    """What is needed to draw pairs while nothing changes.

    Attributes
    ----------
    share:
        Of the pairs, those of which something is detected.
    detectors:
        The number of the detector behind each of `ports`.
    """

    share: float
    table: OutcomeTable
    ports: tuple[PortTable, ...]
    detectors: tuple[int, ...]


class LineDrawer:
    """Draws the arrivals of one line cell by cell.

    Parameters
    ----------
    line, detectors, seed:
        Of the world.
    engine:
        Does the loops.
    """

    def __init__(self, line: PairLine, detectors: Mapping[int, Detector], seed: int, engine: Engine) -> None:
        self._line = line
        self._detectors = detectors
        self._engine = engine
        self._stream = KeyedStream(seed, line.line_id)
        self._scratch = Scratch()
        self.knobs = line.knobs(detectors)
        self._settings = self.knobs
        self._drifts = line.signal.drifts() or line.idler.drifts()
        self._drawings: dict[tuple[float, ...], _Drawing | None] = {}

    def arrivals(self, cell: int) -> dict[int, list[NDArray[np.int64]]]:
        """Return for each detector the arrivals, jitter included and not sorted, of the photons emitted in one cell.

        A segment is drawn from its start to where it would end as far as was known at its start, and cut where the next
        segment begins, so that a setting which comes later cannot change what was drawn before it.
        """
        begin = cell * CELL_PS
        result: dict[int, list[NDArray[np.int64]]] = {}
        for start, stop, horizon in segments(self.knobs, cell):
            rate_hz = self._line.source.rate_hz(start)
            drawing = self._drawing(start) if rate_hz > 0.0 else None
            if drawing is None:
                continue
            rng = self._stream.at(cell, start - begin)
            disperses = any(port.shift_ps is not None for port in drawing.ports)
            for times in poisson_blocks(rng, rate_hz * drawing.share, start, horizon, self._scratch, self._engine):
                t = times if times[-1] < stop else times[: times.searchsorted(stop)]
                if not t.size:
                    break
                bits = raw_words(rng, times.size)[: t.size]
                detuning = raw_words(rng, times.size)[: t.size] if disperses else None
                arrived = self._engine.scatter(t, bits, detuning, drawing.table, drawing.ports)
                for detector_id, found in zip(drawing.detectors, arrived, strict=True):
                    if found.size:
                        result.setdefault(detector_id, []).append(found)
                if t.size < times.size:
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
        found = categories(self._line, self._detectors, t_ps)
        if not found:
            return None
        numbers: dict[tuple[int, int, int, bool], int] = {}
        outcomes: list[tuple[int, Outcome]] = []
        masks = []
        for category in found:
            mask = 0
            for side, outcome in enumerate((category.signal, category.idler)):
                if outcome is not None:
                    place = (side, id(outcome.port), outcome.delay_ps, outcome.bright)
                    if place not in numbers:
                        numbers[place] = len(outcomes)
                        outcomes.append((side, outcome))
                    mask |= 1 << numbers[place]
            masks.append(mask)
        if len(outcomes) > MOST_PORTS:
            msg = f"a pair source leads to {len(outcomes)} ports; at most {MOST_PORTS} can be drawn"
            raise WorldError(msg)
        weights = [category.probability for category in found]
        ports = tuple(self._port(side, outcome, t_ps) for side, outcome in outcomes)
        detectors = tuple(outcome.arrives_at for _, outcome in outcomes)
        return _Drawing(sum(weights), OutcomeTable.build(weights, masks), ports, detectors)

    def _port(self, side: int, outcome: Outcome, t_ps: int) -> PortTable:
        source = self._line.source
        shift = own = None
        if outcome.dispersion_ps_per_nm:
            sigma_nm = source.bandwidth_nm / FWHM_PER_SIGMA
            if side:
                sigma_nm *= (source.idler_nm / source.signal_nm) ** 2
            shift, own = colour_tables(
                side, sigma_nm * outcome.dispersion_ps_per_nm, self._line.anticorrelation, outcome.delay_ps
            )
        jitter_ps = self._detectors[outcome.port.detector_id].jitter_ps(t_ps)
        return PortTable(side, outcome.delay_ps, jitter_ps, shift, own)


def colour_tables(
    side: int, ps_per_sigma: float, anticorrelation: float, delay_ps: int
) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
    """Return by how much dispersion delays a photon, by 16 bits that the pair shares and 16 bits of the idler's own, or None.

    Energy conservation: the idler's detuning is the signal's with the other sign (equal wavelengths), so that opposite
    dispersion cancels (Franson, PRA 45, 3126, 1992), as far as the pump's own bandwidth allows.
    """
    if side == 0:
        return shift_table(ps_per_sigma, delay_ps), None
    common = -anticorrelation * ps_per_sigma
    shift = shift_table(common, delay_ps)
    if anticorrelation >= 1.0:
        return shift, None
    spare_ps = max(delay_ps - math.ceil(abs(common) * _OUTERMOST), 0)
    return shift, shift_table(math.sqrt(1.0 - anticorrelation**2) * ps_per_sigma, spare_ps)


def shift_table(ps_per_sigma: float, delay_ps: int) -> NDArray[np.int64]:
    """Return delays by 16 bits of a normal detuning, of mean 0; later where an arrival would come to precede its emission."""
    return _shifts(ps_per_sigma, max(abs(ps_per_sigma) * _OUTERMOST - delay_ps, 0.0))


@lru_cache(maxsize=32)
def _shifts(ps_per_sigma: float, later_ps: float) -> NDArray[np.int64]:
    table: NDArray[np.int64] = np.round(normal_table() * ps_per_sigma + later_ps).astype(np.int64)
    return table


def raw_words(rng: np.random.Generator, n: int) -> NDArray[np.uint64]:
    """Return n words of 64 random bits."""
    return np.asarray(rng.bit_generator.random_raw(n), dtype=np.uint64)
