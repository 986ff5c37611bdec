"""One pair source with its two arms: the joint outcomes of a pair, and their arrival times cell by cell.

Clicks are simulated, not photons.  State, analysers, losses and efficiencies are folded into the probabilities
P(j, k) = Tr[rho (E_j x F_k)] of each joint outcome; "nothing detected" is dropped; what is left is one Poisson process of
rate R (1 - P_00) with a category mark (marking theorem, e.g. Kingman, *Poisson Processes*, 1993, chapter 5).  This is
exact for a continuously pumped source whose coherence time is far below the window.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qlab.errors import WorldError
from qlab.physics.arm import Path
from qlab.physics.detector import FWHM_PER_SIGMA, jitter_table
from qlab.physics.keys import generator, normal_table
from qlab.physics.knob import CELL_PS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from qlab.physics.arm import Arm, Outcome
    from qlab.physics.detector import Detector
    from qlab.physics.knob import Knob
    from qlab.physics.source import PairSource

__all__ = ["Category", "PairLine", "arrivals_of_line", "poisson_times"]


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

    def knobs(self, detectors: Mapping[int, Detector]) -> list[Knob]:
        """Return everything that the rates depend on."""
        ports = {o.port.detector_id for arm in (self.signal, self.idler) for o in arm.outcomes(0, Path())}
        return [
            *self.source.knobs,
            *self.signal.knobs(),
            *self.idler.knobs(),
            *(detectors[i].efficiency for i in ports if i in detectors),
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
        found: list[tuple[Outcome | None, NDArray[np.complex128]]] = []
        lost = np.eye(2, dtype=np.complex128)
        for outcome in arm.outcomes(t_ps, Path()):
            detector = detectors.get(outcome.port.detector_id)
            effect = outcome.effect * (detector.efficiency.value(t_ps) if detector is not None else 0.0)
            if detector is not None:
                found.append((outcome, effect))
                lost = lost - effect
        if float(np.linalg.eigvalsh(lost)[0]) < -1e-9:
            msg = "an arm detects more than all photons: its efficiencies and transmissions sum to more than 1"
            raise WorldError(msg)
        sides.append([*found, (None, lost)])
    rho = line.source.state.reshape(2, 2, 2, 2)
    result = []
    for a, effect_a in sides[0]:
        for b, effect_b in sides[1]:
            if a is None and b is None:
                continue
            p = float(np.einsum("ijkl,ki,lj->", rho, effect_a, effect_b).real)
            if p > 0.0:
                result.append(Category(a, b, p))
    return result


def poisson_times(rng: np.random.Generator, rate_hz: float, start_ps: int, end_ps: int) -> NDArray[np.int64]:
    """Draw a Poisson process on [start, end), sorted by construction: normalised sums of exponential gaps."""
    n = int(rng.poisson(rate_hz * (end_ps - start_ps) * 1e-12))
    if n == 0:
        return np.empty(0, np.int64)
    gaps = rng.standard_exponential(n + 1)
    np.cumsum(gaps, out=gaps)
    times: NDArray[np.int64] = (gaps[:-1] * ((end_ps - start_ps) / gaps[-1])).astype(np.int64)
    times += start_ps
    return times


class Alias:
    """Walker's alias table over a power of two of slots: one 32-bit word decides a category to 1 in 10^8."""

    def __init__(self, weights: list[float]) -> None:
        self.bits = max((len(weights) - 1).bit_length(), 1)
        size = 1 << self.bits
        scaled = [w / sum(weights) * size for w in weights] + [0.0] * (size - len(weights))
        self.other = np.arange(size, dtype=np.intp)
        threshold = [1.0] * size
        small = [i for i, w in enumerate(scaled) if w < 1.0]
        large = [i for i, w in enumerate(scaled) if w >= 1.0]
        while small and large:
            i, j = small.pop(), large[-1]
            threshold[i], self.other[i] = scaled[i], j
            scaled[j] -= 1.0 - scaled[i]
            if scaled[j] < 1.0:
                small.append(large.pop())
        span = 1 << (32 - self.bits)
        self.threshold = np.array([min(round(t * span), span) for t in threshold], dtype=np.uint32)

    def draw(self, word: NDArray[np.uint32]) -> NDArray[np.intp]:
        """Return the category of each 32-bit word."""
        slot = (word >> np.uint32(32 - self.bits)).astype(np.intp)
        rest = word & np.uint32((1 << (32 - self.bits)) - 1)
        return np.where(rest < self.threshold[slot], slot, self.other[slot])


def arrivals_of_line(
    line: PairLine, detectors: Mapping[int, Detector], seed: int, cell: int
) -> dict[int, list[NDArray[np.int64]]]:
    """Return for each detector the arrival times, jitter included, of the photons emitted in one cell.

    A segment is drawn from its start to the end of the cell and cut where the next segment begins, so that a setting
    which comes later cannot change what was drawn before it.
    """
    begin, end = cell * CELL_PS, (cell + 1) * CELL_PS
    breaks = sorted({begin, *(t for knob in line.knobs(detectors) for t in knob.breaks(begin, end))})
    result: dict[int, list[NDArray[np.int64]]] = {}
    for start, stop in zip(breaks, [*breaks[1:], end], strict=True):
        rate_hz = line.source.rate_hz(start)
        found = categories(line, detectors, start) if rate_hz > 0.0 else []
        if not found:
            continue
        rng = generator(seed, line.line_id, cell, start - begin)
        t = poisson_times(rng, rate_hz * sum(c.probability for c in found), start, end)
        raw = rng.bit_generator.random_raw(t.size)
        bits = np.asarray(raw, dtype=np.uint64)
        detuning = rng.bit_generator.random_raw(t.size) if _disperses(found) else None
        if stop < end:
            inside = int(np.searchsorted(t, stop))
            t, bits = t[:inside], bits[:inside]
            detuning = None if detuning is None else detuning[:inside]
        drawn = Alias([c.probability for c in found]).draw((bits >> np.uint64(32)).astype(np.uint32))
        for side in (0, 1):
            _collect(line, detectors, found, drawn, t, bits, detuning, side, result)
    return result


def _disperses(found: list[Category]) -> bool:
    return any(o is not None and o.dispersion_ps_per_nm for c in found for o in (c.signal, c.idler))


def _collect(
    line: PairLine,
    detectors: Mapping[int, Detector],
    found: list[Category],
    drawn: NDArray[np.intp],
    t: NDArray[np.int64],
    bits: NDArray[np.uint64],
    detuning: NDArray[np.uint64] | None,
    side: int,
    result: dict[int, list[NDArray[np.int64]]],
) -> None:
    """Add the arrivals on one side, port by port."""
    outcomes = [c.signal if side == 0 else c.idler for c in found]
    ports = {id(o.port): o for o in outcomes if o is not None}
    word = (bits >> np.uint64(16 * side)) & np.uint64(0xFFFF)
    for outcome in ports.values():
        members = np.array([o is not None and o.port is outcome.port for o in outcomes])
        chosen = members[drawn]
        arrived = t[chosen] + outcome.delay_ps
        detector = detectors[outcome.port.detector_id]
        if detector.jitter_fwhm_ps:
            arrived += jitter_table(detector.jitter_fwhm_ps)[word[chosen].astype(np.intp)]
        if detuning is not None and outcome.dispersion_ps_per_nm:
            # Energy conservation: the idler's detuning is the signal's with the other sign (equal wavelengths), so that
            # opposite dispersion cancels (Franson, PRA 45, 3126, 1992).
            sign = 1.0 if side == 0 else -((line.source.idler_nm / line.source.signal_nm) ** 2)
            sigma_nm = line.source.bandwidth_nm / FWHM_PER_SIGMA
            shift = _normal()[(detuning[chosen] & np.uint64(0xFFFF)).astype(np.intp)] * (
                sign * sigma_nm * outcome.dispersion_ps_per_nm
            )
            # Moved to begin at 0, as the jitter is: no arrival may come to precede its emission.
            bound = abs(sign * sigma_nm * outcome.dispersion_ps_per_nm * _normal()[0])
            arrived += np.round(shift + bound).astype(np.int64)
        if arrived.size:
            result.setdefault(outcome.port.detector_id, []).append(arrived)


_tables: list[NDArray[np.float64]] = []


def _normal() -> NDArray[np.float64]:
    if not _tables:
        _tables.append(normal_table())
    return _tables[0]
