"""Delay histograms of a file's channels, counted in constant memory: as a table, as JSON, as CSV or npz."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from qlab.errors import BadRequestError, StorageError
from qlab.tags.accumulators.census import Census
from qlab.tags.accumulators.histogram import DelayHistogram
from qlab.tags.counting import feed_file
from qlab.tags.files.sniff import sniff
from qlab.tags.files.streaming import unheard
from qlab.tags.files.tick import tick_of_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from qlab.tags.accumulators.census import CensusResult
    from qlab.tags.accumulators.histogram import HistogramResult
    from qlab.tags.files.sniff import TagFormat
    from qlab.tags.files.streaming import Progress

__all__ = ["DEFAULT_RANGE_PS", "TagsHistogram", "pairs_of", "tags_histogram"]

DEFAULT_RANGE_PS = 50_000
_FINEST_PS, _COARSEST_PS = 100, 1000
_MOST_PAIRS = 120
_MOST_BINS = 10_000_000


@dataclass(frozen=True, slots=True)
class TagsHistogram:
    """Delay histograms of pairs of channels, and what the file consists of.

    `fault` says what ended the file before its end; empty where nothing did.
    """

    path: str
    tick_ps: str
    census: CensusResult
    histogram: HistogramResult
    fault: str = ""

    def render(self) -> str:
        """Return a table for people: of each pair the pairs of tags, the highest bin, and what chance would give."""
        h = self.histogram
        lines = [
            f"{self.path}: {self.census.n} tags, {h.exposure.live_s:.6g} s live; delays of {int(h.lo_ps[0]) / 1000:g} to "
            f"{(int(h.lo_ps[-1]) + h.bin_ps) / 1000:g} ns in bins of {h.bin_ps} ps",
            "   a    b     pairs  highest bin/ns    counts  by chance        g2",
        ]
        tops = h.counts.argmax(axis=1).tolist()
        for row, (a, b) in enumerate(h.pairs):
            top, chance = tops[row], float(h.accidentals[row])
            lines.append(
                f"{a:4d} {b:4d} {int(h.counts[row].sum()):9d} {int(h.lo_ps[top]) / 1000:15.3f} {int(h.counts[row, top]):9d} "
                f"{chance:10.4g} {float(h.g2[row, top]):9.4g}"
            )
        if not self._fits_ticks():
            lines.append(f"bins are no multiple of the tick of {self.tick_ps} ps: expect a beat in the counts")
        if self.fault:
            lines.append(f"INCOMPLETE: {self.fault}")
        return "\n".join(lines)

    def _fits_ticks(self) -> bool:
        return (self.histogram.bin_ps / Fraction(self.tick_ps)).denominator == 1

    def to_json(self) -> str:
        """Return JSON for programs, counts and all."""
        h = self.histogram
        about = {
            "path": self.path,
            "tick_ps": self.tick_ps,
            "live_ps": h.exposure.live_ps,
            "gaps": h.exposure.gaps,
            "missed": h.exposure.missed,
            "bin_ps": h.bin_ps,
            "lo_ps": h.lo_ps.tolist(),
            "pairs": [
                {"a": a, "b": b, "by_chance": float(h.accidentals[k]), "counts": h.counts[k].tolist()}
                for k, (a, b) in enumerate(h.pairs)
            ],
            "singles": dict(zip(map(str, h.exposure.channels), h.exposure.singles.tolist(), strict=True)),
            "fault": self.fault,
        }
        return json.dumps(about, indent=1)

    def write(self, path: Path) -> None:
        """Write the counts as CSV (a column a pair) or as npz; raises `StorageError` where that cannot be."""
        h = self.histogram
        if path.suffix == ".npz":
            content = io.BytesIO()
            np.savez_compressed(
                content,
                lo_ps=h.lo_ps,
                bin_ps=h.bin_ps,
                pairs=np.array(h.pairs),
                counts=h.counts,
                live_ps=h.exposure.live_ps,
            )
            data = content.getvalue()
        elif path.suffix == ".csv":
            rows = [",".join(["lo_ps", *(f"{a}-{b}" for a, b in h.pairs)])]
            rows += [",".join(map(str, row)) for row in np.column_stack([h.lo_ps, h.counts.T]).tolist()]
            data = "\n".join([*rows, ""]).encode()
        else:
            msg = f"{path}: histograms are written as .csv or .npz"
            raise BadRequestError(msg)
        try:
            path.write_bytes(data)
        except OSError as error:
            msg = f"{path}: cannot be written: {error.strerror}"
            raise StorageError(msg) from error


def tags_histogram(
    path: Path | str,
    pairs: Sequence[tuple[int, int]] | None = None,
    *,
    range_ps: int = DEFAULT_RANGE_PS,
    width_ps: int | None = None,
    delays_ps: Mapping[int, int] | None = None,
    format: TagFormat | None = None,
    bin_ps: float | None = None,
    progress: Progress = unheard,
) -> TagsHistogram:
    """Histogram the delays between channels of a file.

    Parameters
    ----------
    path, format, bin_ps:
        As for `qlab.tags.files.sniff.stream_tags`.
    pairs:
        Pairs of channels (a, b): positive delays where b clicks later.  Without it, all pairs of the file's channels, which
        takes a pass of its own.
    range_ps:
        Delays reach from minus to plus this, rounded up to whole bins.
    width_ps:
        Width of a bin; by default whole ticks, 100 ps or a little more.
    delays_ps:
        Delay of each channel, subtracted.
    progress:
        Told how much has been read.

    Raises
    ------
    BadRequestError
        Too many pairs or bins, or a range that is not positive.
    TagFileError
        The file is of no known format.
    """
    kind = format or sniff(path)
    tick = tick_of_file(path, kind, bin_ps)
    width = _width(Fraction(tick)) if width_ps is None else width_ps
    if width < 1 or range_ps < 1 or 2 * range_ps // width > _MOST_BINS:
        msg = f"delays of +-{range_ps} ps in bins of {width} ps; expected both positive, and at most {_MOST_BINS} bins"
        raise BadRequestError(msg)
    half_ps = -(-range_ps // width) * width
    census = Census()
    passes = 1 if pairs else 2

    def tell(done: int, total: int) -> None:
        progress(done + (passes - 1) * total, passes * total)

    if not pairs:
        feed_file(path, [census], format=kind, bin_ps=bin_ps, progress=lambda done, total: progress(done, 2 * total))
        pairs = pairs_of(census.result().channels, str(path))
    counted = DelayHistogram(pairs, -half_ps, half_ps, width, delays_ps)
    also = [census] if passes == 1 else []
    fault = feed_file(path, [counted, *also], format=kind, bin_ps=bin_ps, progress=tell)
    return TagsHistogram(str(path), tick, census.result(), counted.result(), fault)


def pairs_of(channels: Sequence[int], name: str) -> list[tuple[int, int]]:
    """Return every two channels; a single one with itself."""
    if not channels:
        msg = f"{name}: no tags, nothing to histogram"
        raise BadRequestError(msg)
    found = list(combinations(channels, 2)) or [(channels[0], channels[0])]
    if len(found) > _MOST_PAIRS:
        msg = (
            f"{name}: {len(channels)} channels make {len(found)} pairs; expected at most {_MOST_PAIRS}: say which pairs"
        )
        raise BadRequestError(msg)
    return found


def _width(tick: Fraction) -> int:
    """Return the smallest width from 100 ps on that is whole ps and whole ticks, or 100 ps where that is not within 1 ns."""
    step = tick.numerator  # the least common multiple of the tick and 1 ps
    width = -(-_FINEST_PS // step) * step
    return width if width <= _COARSEST_PS else max(_FINEST_PS, -(-tick.numerator // tick.denominator))
