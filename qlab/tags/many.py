"""Many recordings counted by the same accumulators: cut into parts, counted anywhere, put together in one order.

A part is a file, or some rows of one of ours.  Parts of a file are put together as accumulators (their seams count), files as
results (they are independent runs).  All counts are integers and the order is fixed, so that it does not matter where and
when a part was counted: the outcome is that of reading one file after another, bit for bit.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import pairwise
from operator import add
from typing import TYPE_CHECKING, Any, TypeAlias

from qlab.errors import BadRequestError, QlabError, TagFileError
from qlab.tags.accumulators.census import Census
from qlab.tags.accumulators.coincidences import CoincidenceCounter
from qlab.tags.accumulators.histogram import DelayHistogram
from qlab.tags.accumulators.storage import from_bytes
from qlab.tags.counting import feed_file, unclosed
from qlab.tags.files.sniff import sniff
from qlab.tags.histograms import pairs_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from qlab.tags.accumulators.coincidences import CoincidenceResult
    from qlab.tags.accumulators.histogram import HistogramResult

__all__ = ["Counted", "ManyResult", "Part", "Recipe", "count_many", "count_part", "one_after_another", "recordings_in"]


Run: TypeAlias = Callable[[Callable[..., Any], Sequence[tuple[Any, ...]]], list[Any]]
"""Calls a function with each of some tuples of arguments and returns what it returned, in order."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is counted.

    Parameters
    ----------
    channels:
        Coincidences are counted between every two of these; all that any file has, where none is named.
    window_ps:
        Full width of the window of coincidences.
    pairs:
        Pairs of channels whose delays are histogrammed; every two channels, where none is named.
    range_ps, width_ps:
        Delays from minus to plus this, in bins of that width.
    delays_ps:
        Delay of each channel, subtracted.
    bin_ps:
        Length of one time bin, for files that do not say it.
    """

    channels: tuple[int, ...] = ()
    window_ps: int = 2000
    pairs: tuple[tuple[int, int], ...] = ()
    range_ps: int = 50_000
    width_ps: int = 100
    delays_ps: tuple[tuple[int, int], ...] = ()
    bin_ps: float | None = None

    def accumulators(self) -> tuple[CoincidenceCounter, DelayHistogram]:
        """Return fresh accumulators."""
        delays = dict(self.delays_ps)
        half_ps = -(-self.range_ps // self.width_ps) * self.width_ps
        return (
            CoincidenceCounter(self.channels, self.window_ps, delays),
            DelayHistogram(self.pairs, -half_ps, half_ps, self.width_ps, delays),
        )


@dataclass(frozen=True, slots=True)
class Part:
    """A file, or rows of one of ours: the first, and the one behind the last."""

    path: str
    rows: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Counted:
    """A part's accumulators as bytes, and what ended it before its end."""

    part: Part
    states: tuple[bytes, ...]
    fault: str = ""


@dataclass(frozen=True, slots=True)
class ManyResult:
    """What all recordings hold together; `faults` by path: what ended a file before its end, or kept it out."""

    recipe: Recipe
    paths: tuple[str, ...]
    coincidences: CoincidenceResult
    histogram: HistogramResult
    faults: Mapping[str, str]

    def render(self) -> str:
        """Return a table for people."""
        c, h = self.coincidences, self.histogram
        lines = [
            f"{len(self.paths)} recordings, {int(c.exposure.singles.sum())} tags, {c.exposure.live_s:.6g} s live, "
            f"{c.exposure.gaps} gaps, {c.exposure.missed} tags known to be missed; |dt| <= {c.window_ps // 2} ps",
            "   a    b  coincidences  by chance  highest bin/ns    counts  by chance",
        ]
        for k, (a, b) in enumerate(h.pairs):
            at, top = tuple(c.exposure.channels.index(channel) for channel in (a, b)), int(h.counts[k].argmax())
            lines.append(
                f"{a:4d} {b:4d} {int(c.counts[at]):13d} {float(c.accidentals[at]):10.4g} {int(h.lo_ps[top]) / 1000:15.3f}"
                f" {int(h.counts[k, top]):9d} {float(h.accidentals[k]):10.4g}"
            )
        lines += [f"INCOMPLETE: {fault}" for fault in self.faults.values()]
        return "\n".join(lines)

    def to_json(self) -> str:
        """Return JSON for programs, counts and all: equal texts are equal counts."""
        c, h = self.coincidences, self.histogram
        about = {
            "paths": list(self.paths),
            "channels": list(c.exposure.channels),
            "singles": c.exposure.singles.tolist(),
            "live_ps": c.exposure.live_ps,
            "gaps": c.exposure.gaps,
            "missed": c.exposure.missed,
            "window_ps": c.window_ps,
            "coincidences": c.counts.tolist(),
            "bin_ps": h.bin_ps,
            "lo_ps": h.lo_ps.tolist(),
            "pairs": [{"a": a, "b": b, "counts": h.counts[k].tolist()} for k, (a, b) in enumerate(h.pairs)],
            "faults": dict(self.faults),
        }
        return json.dumps(about)


def recordings_in(folder: Path) -> list[Path]:
    """Return all files of a folder and the folders below it that look like time tags, in the order of their paths.

    Raises
    ------
    BadRequestError
        No such folder, or nothing in it.
    """
    if not folder.is_dir():
        msg = f"{folder}: expected a folder of recordings"
        raise BadRequestError(msg)
    found = [path for path in sorted(folder.rglob("*")) if path.is_file() and _is_recording(path)]
    if not found:
        msg = f"{folder}: no file in it is a recording of time tags; `qlab tags info FILE` says why one is not"
        raise BadRequestError(msg)
    return found


def _is_recording(path: Path) -> bool:
    try:
        kind = sniff(path)
    except TagFileError:
        return False
    # Any table of numbers could be text: its name must not speak against it.
    return kind != "text" or path.suffix.lower() in (".txt", ".csv", ".dat", "")


def parts_of(path: Path, rows: int) -> list[Part]:
    """Cut one of our files into parts of about so many rows, at acquisitions where it can be; others are one part.

    Within an acquisition cuts fall on the grid on which the file is read anyway, so that blocks, and how many of them a gap
    spans, are the same.
    """
    if sniff(path) != "qlab":
        return [Part(str(path))]
    from qlab.tags.files.hdf5_reader import TagReader

    try:
        with TagReader(path) as reader:
            acquisitions = [(first, last) for _, _, first, last, _ in reader.acquisitions()]
            n = reader.rows
    except TagFileError:
        return [Part(str(path))]
    ended = acquisitions[-1][1] if acquisitions else 0
    pieces = [*acquisitions, (ended, n)] if n > ended else acquisitions
    cuts = [0]
    for first, last in pieces:
        if last - cuts[-1] > rows and first > cuts[-1]:
            cuts.append(first)
        cuts += range(first + rows, last, rows)
    return [Part(str(path), edges) for edges in pairwise([*cuts, n])] if n else [Part(str(path))]


def count_part(recipe: Recipe, part: Part) -> Counted:
    """Count one part; runs anywhere that sees the file."""
    accumulators = recipe.accumulators()
    try:
        fault = _feed(part, accumulators, recipe.bin_ps)
    except QlabError as error:
        fault = str(error)
    return Counted(part, tuple(accumulator.to_bytes() for accumulator in accumulators), fault)


def _feed(part: Part, accumulators: Sequence[Any], bin_ps: float | None) -> str:
    if part.rows is None:
        return feed_file(part.path, accumulators, bin_ps=bin_ps)
    from qlab.tags.files.hdf5_reader import TagReader

    with TagReader(part.path) as reader:
        for block in reader.iterate(first_row=part.rows[0], last_row=part.rows[1]):
            for accumulator in accumulators:
                accumulator.feed(block)
        last = part.rows[1] == reader.rows
    return unclosed(part.path, "qlab") if last else ""


def channels_of(path: Path, bin_ps: float | None) -> tuple[int, ...]:
    """Return a file's channels, as far as it can be read."""
    census = Census()
    try:
        feed_file(path, [census], bin_ps=bin_ps)
    except QlabError:
        return ()
    return census.result().channels


def one_after_another(function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Call a function with each of some arguments."""
    return [function(*each) for each in arguments]


def count_many(
    paths: Sequence[Path],
    recipe: Recipe,
    run: Run = one_after_another,
    *,
    rows: int = 256,
) -> ManyResult:
    """Count all recordings.

    Parameters
    ----------
    paths:
        The files, each an independent run.
    recipe:
        What is counted; a recipe without channels takes all that there are, which reads the files twice.
    run:
        Calls a function with each of some arguments, in whatever order and wherever, and returns its results in order.
    rows:
        Rows of our files in one part, a multiple of 16.

    Raises
    ------
    BadRequestError
        No tags at all, or more pairs than can be.
    """
    recipe = _completed(paths, recipe, run)
    parts = [(recipe, part) for path in paths for part in parts_of(path, rows)]
    counted: list[Counted] = run(count_part, parts)
    results: list[tuple[Any, ...]] = []
    faults: dict[str, str] = {}
    for path in map(str, paths):
        sound: list[Counted] = []
        for each in (each for each in counted if each.part.path == path):
            sound.append(each)
            if each.fault:
                faults[path] = each.fault
                break
        try:
            results.append(tuple(_joined(states).result() for states in zip(*(e.states for e in sound), strict=True)))
        except BadRequestError as error:
            faults[path] = f"{path} is left out: {error}"
    if not results:
        msg = f"none of {len(paths)} recordings could be counted: {next(iter(faults.values()), '')}"
        raise BadRequestError(msg)
    coincidences, histogram = (reduce(add, each) for each in zip(*results, strict=True))
    return ManyResult(recipe, tuple(map(str, paths)), coincidences, histogram, faults)


def _joined(states: Iterable[bytes]) -> Any:
    return reduce(add, (from_bytes(state) for state in states))


def _completed(paths: Sequence[Path], recipe: Recipe, run: Run) -> Recipe:
    """Fill in the channels and pairs that the recipe leaves open."""
    channels = recipe.channels or tuple(sorted({c for pair in recipe.pairs for c in pair}))
    if not channels:
        found = run(channels_of, [(path, recipe.bin_ps) for path in paths])
        channels = tuple(sorted({channel for each in found for channel in each}))
    pairs = recipe.pairs or tuple(pairs_of(channels, f"{len(paths)} recordings"))
    return replace(
        recipe, channels=tuple(dict.fromkeys([*channels, *(c for pair in pairs for c in pair)])), pairs=pairs
    )
