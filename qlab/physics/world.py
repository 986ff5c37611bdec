"""The world that all twins of a lab share: asked for clicks, it draws just the cells that are needed.

Every cell is a function of (seed, component, cell) and of the knobs' settings.  A detector's clicks in a cell depend on
the cell before through dead time and afterpulses; where that one was not simulated (an oven warmed up and nobody
counted), it is drawn as a warm-up.  So how often, in which pieces and in which order anybody asks changes nothing.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from qlab.errors import WorldError
from qlab.physics.engine import engine_of, followers
from qlab.physics.keys import KeyedStream, hash_key
from qlab.physics.knob import CELL_PS, Changes
from qlab.physics.line import LineDrawer, poisson_times

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from qlab.physics.detector import Detector
    from qlab.physics.knob import Knob
    from qlab.physics.line import PairLine

__all__ = ["World"]

FAR_PAST_PS = -(2**62)
_DARKS, _AFTERPULSES = 1, 2
T = TypeVar("T")
K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class _Clicks:
    """A detector's clicks in one cell, and what the next cell needs to know."""

    t: NDArray[np.int64]
    last_ps: int
    pending: NDArray[np.int64]
    version: int


@dataclass(frozen=True, slots=True)
class _Emission:
    """The arrivals of the photons emitted in one cell, by detector: in the same cell, and in the next."""

    inside: dict[int, list[NDArray[np.int64]]]
    later: dict[int, list[NDArray[np.int64]]]


class World:
    """Sources, arms and detectors on one time axis.

    Parameters
    ----------
    seed:
        Of everything.
    lines:
        The pair sources with their arms.
    detectors:
        By number; the numbers key the draws, so they must be stable.
    history_s:
        How much of the past is kept ready; older cells are drawn again if somebody asks.
    engine:
        "numpy" or "numba": the same bits, at another speed.
    """

    def __init__(
        self,
        seed: int,
        lines: Sequence[PairLine],
        detectors: Mapping[int, Detector],
        *,
        history_s: float = 16.0,
        engine: str = "numpy",
    ) -> None:
        self.seed = seed
        self.lines = list(lines)
        self.detectors = dict(detectors)
        self._engine = engine_of(engine)
        self._drawers = [LineDrawer(line, self.detectors, seed, self._engine) for line in self.lines]
        self._dark_streams = {i: KeyedStream(seed, i, _DARKS) for i in self.detectors}
        self._afterpulse_keys = {i: hash_key(seed, i, _AFTERPULSES) for i in self.detectors}
        keep = max(int(history_s * 1e12 / CELL_PS), 4)
        self._lock = threading.RLock()
        self._cells: _Cache[tuple[int, int], _Clicks] = _Cache(keep * max(len(self.detectors), 1))
        self._emitted: _Cache[tuple[int, int], tuple[int, _Emission]] = _Cache(4 * max(len(self.lines), 1))
        of_lines = {("line", n): drawer.knobs for n, drawer in enumerate(self._drawers)}
        light = list({id(knob): knob for knobs in of_lines.values() for knob in knobs}.values())
        of_detectors = {
            ("detector", i): [*light, d.dark_rate_hz, d.afterpulse_probability] for i, d in self.detectors.items()
        }
        self._knobs_of: dict[tuple[str, int], list[Knob]] = of_lines | of_detectors
        self._changes = Changes()
        self._versions: _Cache[tuple[tuple[str, int], int], int] = _Cache(16 * len(self._knobs_of) + 16)
        self._versions_of = -1
        for knob in {id(knob): knob for knobs in self._knobs_of.values() for knob in knobs}.values():
            knob.report_to(self._changes)

    def clicks(self, detector_id: int, start_ps: int, stop_ps: int) -> NDArray[np.int64]:
        """Return a detector's clicks in the half-open interval, int64 ps, sorted.

        Raises
        ------
        WorldError
            There is no such detector.
        """
        if detector_id not in self.detectors:
            msg = f"the world has no detector number {detector_id}"
            raise WorldError(msg)
        if stop_ps <= start_ps:
            return np.empty(0, np.int64)
        with self._lock:
            for knob in self._knobs_of["detector", detector_id]:
                knob.freeze(stop_ps)
            parts = []
            for cell in range(start_ps // CELL_PS, -(-stop_ps // CELL_PS)):
                parts.append(self._cell(detector_id, cell).t)
                # The pairs of this cell are at hand now: the other detectors will be asked for soon.
                for other in self.detectors:
                    if other != detector_id:
                        self._cell(other, cell)
            t = parts[0] if len(parts) == 1 else np.concatenate(parts)
            i, j = np.searchsorted(t, [start_ps, stop_ps])
            return t[i:j]

    def _cell(self, detector_id: int, cell: int, *, warm: bool = True) -> _Clicks:
        key = (detector_id, cell)
        version = self._version(("detector", detector_id), cell)
        found = self._cells.get(key)
        if found is not None and found.version == version:
            return found
        if warm:
            before = self._cells.get((detector_id, cell - 1))
            if before is None or before.version != self._version(("detector", detector_id), cell - 1):
                before = self._cell(detector_id, cell - 1, warm=False)
        else:
            before = _Clicks(np.empty(0, np.int64), FAR_PAST_PS, np.empty(0, np.int64), 0)
        clicks = self._draw(detector_id, cell, before, version)
        if warm:
            self._cells.put(key, clicks)
        return clicks

    def _draw(self, detector_id: int, cell: int, before: _Clicks, version: int) -> _Clicks:
        begin, end = cell * CELL_PS, (cell + 1) * CELL_PS
        detector = self.detectors[detector_id]
        parts = [before.pending, self._darks(detector_id, cell)]
        for index in range(len(self.lines)):
            parts += self._emission(index, cell - 1).later.get(detector_id, ())
            parts += self._emission(index, cell).inside.get(detector_id, ())
        candidates = np.sort(np.concatenate(parts), kind="stable")
        split = int(np.searchsorted(candidates, end))
        candidates, late = candidates[:split], candidates[split:]
        law = detector.law(detector.afterpulse_probability.value(begin), self._afterpulse_keys[detector_id])
        t = self._engine.clicks(candidates, detector.dead_time_ps, before.last_ps, law)
        inside = int(np.searchsorted(t, end))
        t = t[:inside]
        last = int(t[-1]) if t.size else before.last_ps
        if law is not None:
            # Those that this cell's clicks leave to the next: also of a click whose afterpulse came too late for this one.
            children = followers(t[np.searchsorted(t, end - law.longest_ps) :], law)[1]
            late = np.sort(np.concatenate([late, children[children >= end]]), kind="stable")
        return _Clicks(t, last, late, version)

    def _darks(self, detector_id: int, cell: int) -> NDArray[np.int64]:
        begin, end = cell * CELL_PS, (cell + 1) * CELL_PS
        knob = self.detectors[detector_id].dark_rate_hz
        starts = [begin, *knob.breaks(begin, end)]
        parts = []
        for start, stop in zip(starts, [*starts[1:], end], strict=True):
            rng = self._dark_streams[detector_id].at(cell, start - begin)
            t = poisson_times(rng, max(knob.value(start), 0.0), start, end)
            parts.append(t if stop == end else t[: np.searchsorted(t, stop)])
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _emission(self, index: int, cell: int) -> _Emission:
        version = self._version(("line", index), cell)
        found = self._emitted.get((index, cell))
        if found is not None and found[0] == version:
            return found[1]
        emission = _Emission({}, {})
        end = (cell + 1) * CELL_PS
        for detector_id, arrays in self._drawers[index].arrivals(cell).items():
            t = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
            beyond = t >= end
            if beyond.any():
                emission.later[detector_id] = [t[beyond & (t < end + CELL_PS)]]
                t = t[~beyond]
            emission.inside[detector_id] = [t]
        self._emitted.put((index, cell), (version, emission))
        return emission

    def _version(self, component: tuple[str, int], cell: int) -> int:
        """Return how many settings of a component were made before the end of a cell, which grows with each that matters."""
        if self._changes.count != self._versions_of:
            self._versions.clear()
            self._versions_of = self._changes.count
        version = self._versions.get((component, cell))
        if version is None:
            before_ps = (cell + 1) * CELL_PS
            version = sum(knob.settings_before(before_ps) for knob in self._knobs_of[component])
            self._versions.put((component, cell), version)
        return version


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
