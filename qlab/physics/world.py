"""The world that all twins of a lab share: asked for clicks, it draws just the cells that are needed.

Every cell is a function of (seed, component, cell) and of the knobs' settings.  A detector's clicks in a cell depend on
the cell before through dead time and afterpulses; where that one was not simulated (an oven warmed up and nobody
counted), it is drawn as a warm-up.  So how often, in which pieces and in which order anybody asks changes nothing.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from qlab.errors import WorldError
from qlab.physics.engine import engine_of
from qlab.physics.keys import KeyedStream, hash_key
from qlab.physics.knob import CELL_PS, Changes
from qlab.physics.line import poisson_times
from qlab.physics.settle import Candidates

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from qlab.physics.detector import Detector
    from qlab.physics.knob import Knob
    from qlab.physics.line import Line
    from qlab.physics.pulses import Signal

__all__ = ["World"]

FAR_PAST_PS = -(2**62)
_DARK_CELLS = 8
_DARKS, _AFTERPULSES = 1, 2
T = TypeVar("T")
K = TypeVar("K")


Times: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Clicks:
    """A detector's clicks in one cell, and what the next cell needs to know."""

    t: Times
    last_ps: int
    pending: Times
    version: int


@dataclass(slots=True)
class _Cell:
    """All detectors' clicks in one cell, and how many settings had been made when they were found to hold."""

    clicks: dict[int, _Clicks]
    changes: int


@dataclass(slots=True)
class _Drawn:
    """What one component sent in one cell, to whom, and the settings that it depends on."""

    inside: dict[int, Times]
    later: dict[int, Times]
    version: int
    changes: int


class World:
    """Sources, arms and detectors on one time axis.

    Parameters
    ----------
    seed:
        Of everything.
    lines:
        The sources with their arms.
    detectors:
        By number; the numbers key the draws, so they must be stable.
    signals:
        Electric pulses, by numbers of their own: for who asks they are clicks as a detector's.
    history_s:
        How much of the past is kept ready; older cells are drawn again if somebody asks.
    engine:
        "numpy" or "numba": the same bits, at another speed.
    """

    def __init__(
        self,
        seed: int,
        lines: Sequence[Line],
        detectors: Mapping[int, Detector],
        *,
        signals: Mapping[int, Signal] | None = None,
        history_s: float = 16.0,
        engine: str = "numpy",
    ) -> None:
        self.seed = seed
        self.lines = list(lines)
        self.detectors = dict(detectors)
        self._engine = engine_of(engine)
        self.signals = dict(signals or {})
        self._drawers = [line.drawer(self.detectors, seed, self._engine) for line in self.lines]
        self._dark_streams = {i: KeyedStream(seed, i, _DARKS) for i in self.detectors}
        self._afterpulse_keys = {i: hash_key(seed, i, _AFTERPULSES) for i in self.detectors}
        self._lock = threading.RLock()
        self._cells: _Cache[int, _Cell] = _Cache(max(int(history_s * 1e12 / CELL_PS), 4))
        self._emitted: _Cache[tuple[int, int], _Drawn] = _Cache(4 * max(len(self.lines), 1))
        self._dark: _Cache[tuple[int, int], tuple[int, Times]] = _Cache(4 * max(len(self.detectors), 1))
        self._light = list({id(knob): knob for drawer in self._drawers for knob in drawer.knobs}.values())
        self._own = {
            i: (d.dark_rate_hz, d.afterpulse_probability, *(d.gate.knobs if d.gate is not None else ()))
            for i, d in self.detectors.items()
        }
        self._changes = Changes()
        of_detectors = [knob for knobs in self._own.values() for knob in knobs]
        for knob in {id(knob): knob for knob in (*self._light, *of_detectors)}.values():
            knob.report_to(self._changes)

    def clicks(self, detector_id: int, start_ps: int, stop_ps: int) -> NDArray[np.int64]:
        """Return a detector's clicks in the half-open interval, int64 ps, sorted.

        Raises
        ------
        WorldError
            There is no such detector.
        """
        signal = self.signals.get(detector_id)
        if signal is not None:
            with self._lock:
                for knob in signal.knobs:
                    knob.freeze(stop_ps)
                return signal.edges(start_ps, stop_ps)
        if detector_id not in self.detectors:
            msg = f"the world has no detector number {detector_id}"
            raise WorldError(msg)
        if stop_ps <= start_ps:
            return np.empty(0, np.int64)
        with self._lock:
            for knob in (*self._light, *self._own[detector_id]):
                knob.freeze(stop_ps)
            parts = []
            for cell in range(start_ps // CELL_PS, -(-stop_ps // CELL_PS)):
                parts.append(self._cell(cell).clicks[detector_id].t)
            t = parts[0] if len(parts) == 1 else np.concatenate(parts)
            i, j = np.searchsorted(t, [start_ps, stop_ps])
            return t[i:j]

    def _cell(self, cell: int) -> _Cell:
        """Return the clicks of all detectors: who asks for one will soon ask for the others."""
        found = self._known(cell)
        stale = [i for i in self.detectors if i not in found.clicks]
        if stale:
            before = dict(self._known(cell - 1).clicks)
            missing = [i for i in stale if i not in before]
            if missing:
                before |= self._draw(missing, cell - 1, {})
            found.clicks |= self._draw(stale, cell, before)
            self._cells.put(cell, found)
        return found

    def _known(self, cell: int) -> _Cell:
        """Return what is known of a cell and still holds."""
        found = self._cells.get(cell)
        if found is None:
            return _Cell({}, self._changes.count)
        if found.changes != self._changes.count:
            light = _version(self._light, (cell + 1) * CELL_PS)
            for i, clicks in list(found.clicks.items()):
                if clicks.version != light + _version(self._own[i], (cell + 1) * CELL_PS):
                    del found.clicks[i]
            found.changes = self._changes.count
        return found

    def _draw(self, which: Sequence[int], cell: int, before: Mapping[int, _Clicks]) -> dict[int, _Clicks]:
        """Draw some detectors' clicks in a cell; where nothing is known of the cell before, from a rested detector."""
        begin, end = cell * CELL_PS, (cell + 1) * CELL_PS
        light = _version(self._light, end)
        early = [self._emission(index, cell - 1).later for index in range(len(self.lines))]
        now = [self._emission(index, cell).inside for index in range(len(self.lines))]
        nothing = np.empty(0, np.int64)
        detectors, late = [], []
        for i in which:
            detector = self.detectors[i]
            parts = [arrived[i] for arrived in (*early, *now) if i in arrived]
            known = before.get(i)
            t = np.concatenate([known.pending if known is not None else nothing, *parts, self._darks(i, cell)])
            t.sort(kind="stable")
            split = t.size if not t.size or t[-1] < end else int(t.searchsorted(end))
            inside = t[:split]
            if detector.gate is not None:
                inside = inside[detector.gate.is_open(inside)]
            bright = [arrived[~i] for arrived in (*early, *now) if ~i in arrived]  # no gate keeps it out
            if bright:
                inside = np.sort(np.concatenate([inside, *bright]), kind="stable")
            law = detector.law(detector.afterpulse_probability.value(begin), self._afterpulse_keys[i])
            last_ps = known.last_ps if known is not None else FAR_PAST_PS
            detectors.append(Candidates(inside, detector.dead_time_ps, last_ps, law))
            late.append(t[split:])
        result = {}
        for i, one, rest, clicks in zip(which, detectors, late, self._engine.clicks(detectors), strict=True):
            t = clicks if not clicks.size or clicks[-1] < end else clicks[: int(clicks.searchsorted(end))]
            # Those that this cell's clicks leave to the next: also of a click whose afterpulse came too late for this one.
            pending = one.law.beyond(t, end) if one.law is not None else nothing
            if rest.size:
                pending = np.sort(np.concatenate([rest, pending]), kind="stable")
            last_ps = int(t[-1]) if t.size else one.last_ps
            result[i] = _Clicks(t, last_ps, pending, light + _version(self._own[i], end))
        return result

    def _darks(self, detector_id: int, cell: int) -> Times:
        """Return a detector's darks in a cell, from a draw for several cells at once."""
        block = cell // _DARK_CELLS
        begin, end = block * _DARK_CELLS * CELL_PS, (block + 1) * _DARK_CELLS * CELL_PS
        knob = self.detectors[detector_id].dark_rate_hz
        version = knob.settings_before(end)
        found = self._dark.get((detector_id, block))
        if found is None or found[0] != version:
            starts = [begin, *knob.breaks(begin, end)]
            parts = []
            for start, stop in zip(starts, [*starts[1:], end], strict=True):
                rng = self._dark_streams[detector_id].at(block, start - begin)
                t = poisson_times(rng, max(knob.value(start), 0.0), start, end)
                parts.append(t if stop == end else t[: t.searchsorted(stop)])
            found = (version, parts[0] if len(parts) == 1 else np.concatenate(parts))
            self._dark.put((detector_id, block), found)
        i, j = found[1].searchsorted([cell * CELL_PS, (cell + 1) * CELL_PS]).tolist()
        return found[1][i:j]

    def _emission(self, index: int, cell: int) -> _Drawn:
        found = self._emitted.get((index, cell))
        if found is not None and found.changes == self._changes.count:
            return found
        end = (cell + 1) * CELL_PS
        version = _version(self._drawers[index].knobs, end)
        if found is not None and found.version == version:
            found.changes = self._changes.count
            return found
        drawn = _Drawn({}, {}, version, self._changes.count)
        for detector_id, arrays in self._drawers[index].arrivals(cell).items():
            t = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
            t.sort(kind="stable")  # almost sorted: only jitter and the port's other segments disorder it
            if t.size and t[-1] >= end:
                split, stop = t.searchsorted([end, end + CELL_PS]).tolist()
                drawn.later[detector_id] = t[split:stop]
                t = t[:split]
            drawn.inside[detector_id] = t
        self._emitted.put((index, cell), drawn)
        return drawn


def _version(knobs: Iterable[Knob], before_ps: int) -> int:
    """Return how many settings were made before a time: it grows with each that could matter."""
    return sum(knob.settings_before(before_ps) for knob in knobs)


class _Cache(OrderedDict[K, T]):
    """Keeps the entries used last."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def put(self, key: K, value: T) -> None:
        """Add an entry and drop the oldest."""
        self[key] = value
        self.move_to_end(key)
        while len(self) > self._most:
            self.popitem(last=False)
