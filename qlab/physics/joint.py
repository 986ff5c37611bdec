"""Pulsed sources whose photons interfere, or whose pairs stimulate each other: drawn pulse by pulse, as patterns of clicks.

All sources share one pulse train.  A joint pulse ends in a pattern of clicks, whose probabilities are exact for the settings
of its moment (`qlab.physics.sight`); pulses without a click are skipped.  They are a Bernoulli process, drawn as a Poisson
process of rate -ln P_0 a pulse of which only the first point in a pulse counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qlab.errors import WorldError
from qlab.physics.detector import FWHM_PER_SIGMA, jitter_table
from qlab.physics.keys import KeyedStream
from qlab.physics.knob import CELL_PS
from qlab.physics.line import Scratch, colour_tables, poisson_blocks, raw_words, segments
from qlab.physics.meeting import leaves
from qlab.physics.sight import Emitter, pattern_probabilities, sights
from qlab.physics.squeezed import bell_mixture
from qlab.physics.wavepacket import WavePacket

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qlab.physics.detector import Detector
    from qlab.physics.engine import Engine
    from qlab.physics.knob import Knob
    from qlab.physics.meeting import Leaf, Meeting
    from qlab.physics.pulsed import PulsedPairLine
    from qlab.physics.pulses import ClockedGrid, Grid
    from qlab.physics.sight import Sight

__all__ = ["JointDrawer", "JointLine"]

Times: TypeAlias = NDArray[np.int64]
_KEPT_DRAWINGS = 256
_WORD = np.uint64(0xFFFF)


@dataclass(slots=True)
class JointLine:
    """Pulsed sources and the splitters at which their photons meet.

    Parameters
    ----------
    line_id:
        A stable number: it keys the draws.
    sources:
        Triggered together; `modes` of each is the Schmidt number of its pairs' spectrum, 1 to 2.  The number of pairs of a
        source of entangled photons has the statistics of twice as many modes.
    meetings:
        None for a single source whose pairs stimulate each other.
    """

    line_id: int
    sources: Sequence[PulsedPairLine]
    meetings: Sequence[Meeting] = ()
    packets: tuple[WavePacket, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Refuse sources that do not pulse together."""
        first = self.sources[0].train
        for line in self.sources[1:]:
            same = all(a is b for a, b in zip(first.knobs, line.train.knobs, strict=True))
            if not same or line.train.threshold_v != first.threshold_v:
                msg = "sources that meet are triggered by different pulses; expected one output of one generator"
                raise WorldError(msg)
        packets = []
        for line in self.sources:
            source = line.source
            idler_nm = source.bandwidth_nm * (source.idler_nm / source.signal_nm) ** 2
            packets.append(WavePacket(source.signal_nm, source.bandwidth_nm, line.modes))
            packets.append(WavePacket(source.idler_nm, idler_nm, line.modes))
        self.packets = tuple(packets)

    def drawer(self, detectors: Mapping[int, Detector], seed: int, engine: Engine) -> JointDrawer:
        """Return what draws this line's arrivals; both engines draw the same, as there is nothing that numba does faster."""
        del engine
        return JointDrawer(self, detectors, seed)

    def knobs(self, detectors: Mapping[int, Detector]) -> list[Knob]:
        """Return everything that the arrivals depend on."""
        ports = {o.detector_id for o in self.leaves(detectors, 0)}
        found = [
            *(knob for line in self.sources for knob in line.knobs(detectors)),
            *(knob for meeting in self.meetings for knob in meeting.knobs()),
            *(knob for i in sorted(ports) for knob in (detectors[i].efficiency, detectors[i].jitter_scale)),
        ]
        return list({id(knob): knob for knob in found}.values())

    def leaves(self, detectors: Mapping[int, Detector], t_ps: int) -> list[Leaf]:
        """Follow all photons to the detectors, as things are at a time."""
        first_ps = self.sources[0].train.cable_ps
        photons = [
            (arm, float(line.train.cable_ps - first_ps)) for line in self.sources for arm in (line.signal, line.idler)
        ]
        return leaves(photons, self.meetings, detectors, t_ps)

    def drifts(self) -> bool:
        """Return whether something changes by itself."""
        of_sources = any(line.signal.drifts() or line.idler.drifts() for line in self.sources)
        return of_sources or any(meeting.drifts() for meeting in self.meetings)


@dataclass(frozen=True, slots=True)
class _Drawing:
    """What is needed to draw patterns while nothing changes.

    Attributes
    ----------
    events:
        Points a pulse of the Poisson process of pulses with clicks.
    bounds, masks:
        Upper bounds of the words of 64 bits that mean a pattern, the rarest first, and its clicks by bits; shape (n,).
    shifts_ps, owns_ps:
        Dispersion of each click by 16 bits that it shares with the other photon of its pair, and by 16 bits of its own, or
        None.
    pairs:
        The source whose photon each click is.
    """

    events: float
    bounds: NDArray[np.uint64]
    masks: NDArray[np.int64]
    detectors: tuple[int, ...]
    delays_ps: tuple[int, ...]
    jitters_ps: tuple[NDArray[np.int32], ...]
    shifts_ps: tuple[Times | None, ...]
    owns_ps: tuple[Times | None, ...]
    pairs: tuple[int, ...]

    @property
    def words(self) -> int:
        """Words a pulse: the pattern, the moment, each click's jitter and dispersion, and the detunings of many sources."""
        return 2 + len(self.detectors) + max(max(self.pairs) - 2, 0)

    def colour_bits(self, click: int) -> tuple[int, np.uint64]:
        """Return where the detuning is that a click shares: the first three sources' are in what the moment leaves over."""
        pair = self.pairs[click]
        if pair < 3:
            return 1, np.uint64(16 * (1 + pair))
        return len(self.detectors) + pair - 1, np.uint64(0)


class JointDrawer:
    """Draws the arrivals of interfering sources cell by cell.

    Parameters
    ----------
    line, detectors, seed:
        Of the world.
    """

    def __init__(self, line: JointLine, detectors: Mapping[int, Detector], seed: int) -> None:
        self._line = line
        self._detectors = detectors
        self._stream = KeyedStream(seed, line.line_id)
        self._scratch = Scratch()
        self.knobs = line.knobs(detectors)
        self._of_clocks = line.sources[0].train.clock_knobs
        self._settings = [knob for knob in self.knobs if knob not in self._of_clocks]
        self._drifts = line.drifts()
        self._drawings: dict[tuple[float, ...], _Drawing | None] = {}

    def arrivals(self, cell: int) -> dict[int, list[Times]]:
        """Return for each detector the arrivals, jitter included and not sorted, of the pulses in one cell."""
        train, result = self._line.sources[0].train, dict[int, list[Times]]()
        fwhm_ps = max(line.pulse_fwhm_ps for line in self._line.sources)
        length_ps = jitter_table(fwhm_ps) if fwhm_ps else None
        for start, stop, horizon in segments(self._settings, cell, self._of_clocks):
            grid = train.grid(start)
            drawing = self._drawing(start, grid) if grid is not None else None
            if drawing is None or grid is None:
                continue
            first, cut = grid.first(start), grid.first(stop) - grid.first(start)
            rng, before = self._stream.at(cell, start - cell * CELL_PS), -1
            for points in poisson_blocks(rng, drawing.events * 1e12, 0, grid.reach(start, horizon), self._scratch):
                words = raw_words(rng, points.size * drawing.words).reshape(points.size, -1)
                new = np.diff(points, prepend=before) > 0
                before = int(points[-1])
                new &= points < cut
                pulses, words = points[new], words[new]
                t = grid.times(first, pulses)
                if length_ps is not None:
                    t += length_ps.take((words[:, 1] & _WORD).view(np.int64))
                self._scatter(drawing, t, words, result)
                if before >= cut:
                    break
        return result

    @staticmethod
    def _scatter(drawing: _Drawing, t: Times, words: NDArray[np.uint64], result: dict[int, list[Times]]) -> None:
        masks = drawing.masks.take(drawing.bounds.searchsorted(words[:, 0], side="right"))
        for n, detector_id in enumerate(drawing.detectors):
            chosen = (masks & (1 << n)).nonzero()[0]
            if not chosen.size:
                continue
            own = words[:, 2 + n].take(chosen)
            arrived = t.take(chosen) + drawing.delays_ps[n]
            arrived += drawing.jitters_ps[n].take((own & _WORD).view(np.int64))
            shift_ps = drawing.shifts_ps[n]
            if shift_ps is not None:
                column, bits = drawing.colour_bits(n)
                shared = words[:, column].take(chosen) >> bits
                arrived += shift_ps.take((shared & _WORD).view(np.int64))
                own_ps = drawing.owns_ps[n]
                if own_ps is not None:
                    arrived += own_ps.take((own >> np.uint64(48)).view(np.int64))
            result.setdefault(detector_id, []).append(arrived)

    def _drawing(self, t_ps: int, grid: Grid | ClockedGrid) -> _Drawing | None:
        """Return the tables for the settings at a time; the last few are kept."""
        key = (*(knob.value(t_ps) for knob in self._settings), float(t_ps // CELL_PS) if self._drifts else 0.0)
        if key not in self._drawings:
            if len(self._drawings) >= _KEPT_DRAWINGS:
                self._drawings.clear()
            self._drawings[key] = self._prepare(t_ps, grid)
        return self._drawings[key]

    def _prepare(self, t_ps: int, grid: Grid | ClockedGrid) -> _Drawing | None:
        line, detectors = self._line, self._detectors
        emitters = [
            Emitter(max(one.source.rate_hz(t_ps), 0.0) / grid.rate_hz, bell_mixture(one.source.state), packets)
            for one, packets in zip(line.sources, zip(line.packets[::2], line.packets[1::2], strict=True), strict=True)
        ]
        efficiencies = {i: detector.efficiency.value(t_ps) for i, detector in detectors.items()}
        seen = sights(line.leaves(detectors, t_ps), line.packets, efficiencies)
        if not seen:
            return None
        probabilities = pattern_probabilities(emitters, seen)
        # The rarest first: small numbers add up exactly, and a four-fold coincidence may be one pulse in 10^12.
        order = [int(mask) for mask in np.argsort(probabilities[1:], kind="stable") + 1 if probabilities[mask] > 0.0]
        total = math.fsum(float(probabilities[mask]) for mask in order)
        if total <= 0.0:
            return None
        so_far, bounds = 0.0, list[int]()
        for mask in order[:-1]:
            so_far += float(probabilities[mask])
            bounds.append(min(int(so_far / total * 2.0**64), 2**64 - 1))
        shifts = [_shifts(sight, line.sources[sight.photon // 2]) for sight in seen]
        return _Drawing(
            -math.log1p(-min(total, 1.0 - 1e-15)),
            np.array(bounds, np.uint64),
            np.array(order, np.int64),
            tuple(sight.detector_id for sight in seen),
            tuple(sight.delay_ps for sight in seen),
            tuple(detectors[sight.detector_id].jitter_ps(t_ps) for sight in seen),
            tuple(shift for shift, _ in shifts),
            tuple(own for _, own in shifts),
            tuple(sight.photon // 2 for sight in seen),
        )


def _shifts(sight: Sight, line: PulsedPairLine) -> tuple[Times | None, Times | None]:
    sigma_ps = sight.bandwidth_nm / FWHM_PER_SIGMA * sight.dispersion_ps_per_nm
    if not sigma_ps:
        return None, None
    return colour_tables(sight.photon % 2, sigma_ps, line.anticorrelation, sight.delay_ps)
