"""A file of time tags as one picture: rates over time, and the delays between its channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from qlab.errors import BadRequestError, StorageError

if TYPE_CHECKING:
    from pathlib import Path

    from qlab.tags.accumulators.census import CensusResult
    from qlab.tags.accumulators.histogram import HistogramResult
    from qlab.tags.histograms import TagsHistogram

__all__ = ["draw_tags"]

_MOST_PANELS = 6
_INK, _ROOM, _CHANCE = "#3b6ea5", "#d8dde4", "#e8a33d"


def draw_tags(found: TagsHistogram, path: Path) -> list[tuple[int, int]]:
    """Write a picture of what was counted; returns the pairs that it shows, those with the most significant peaks.

    Raises
    ------
    BadRequestError
        matplotlib is not installed, the file's suffix is none that it knows, or its folder is missing.
    StorageError
        It cannot be written.
    """
    try:
        from matplotlib.backend_bases import FigureCanvasBase
        from matplotlib.figure import Figure
    except ImportError as error:
        msg = "pictures need matplotlib: pip install 'qlab[lab]'"
        raise BadRequestError(msg) from error
    known = FigureCanvasBase.get_supported_filetypes()
    if path.suffix[1:].lower() not in known or not path.parent.is_dir():
        msg = f"{path}: expected a file in a folder that exists, with a suffix of {', '.join(sorted(known))}"
        raise BadRequestError(msg)
    shown = _most_significant(found.histogram)
    rows = -(-len(shown) // 2)
    figure = Figure(figsize=(9.0, 3.2 + 2.4 * rows), layout="constrained")
    grid = figure.add_gridspec(1 + rows, 2)
    _rates(figure.add_subplot(grid[0, :]), found.census)
    for k, row in enumerate(shown):
        wide = slice(None) if len(shown) == 1 else k % 2
        _delays(figure.add_subplot(grid[1 + k // 2, wide]), found.histogram, row)
    lost = "" if len(shown) == len(found.histogram.pairs) else f", {len(shown)} of {len(found.histogram.pairs)} pairs"
    fault = ", INCOMPLETE" if found.fault else ""
    figure.suptitle(f"{found.path.rsplit('/', maxsplit=1)[-1]}: {found.census.n:,} tags{lost}{fault}", fontsize=11)
    try:
        figure.savefig(path, dpi=130)
    except OSError as error:
        msg = f"{path}: cannot be written: {error.strerror}"
        raise StorageError(msg) from error
    return [found.histogram.pairs[row] for row in shown]


def _most_significant(histogram: HistogramResult) -> list[int]:
    """Return the rows whose highest bin stands out most, in the order of the pairs."""
    chance = np.maximum(histogram.accidentals, 1.0)
    excess = (histogram.counts.max(axis=1) - chance) / np.sqrt(chance)
    return sorted(np.argsort(-excess, kind="stable")[:_MOST_PANELS].tolist())


def _rates(axes: Any, census: CensusResult) -> None:
    with np.errstate(invalid="ignore", divide="ignore"):
        rates = np.where(census.live_trace > 0, census.trace / (census.live_trace * 1e-12), np.nan)
    # What is watched for a small part of a bin only, at both ends, has no rate worth showing.
    rates[:, census.live_trace < 0.05 * census.bin_ps] = np.nan if census.live_trace.max(initial=0) > 0 else 0.0
    edges = (census.first_ps + np.arange(rates.shape[1] + 1) * census.bin_ps - census.start_ps) * 1e-12
    edges = np.clip(edges, 0.0, (census.stop_ps - census.start_ps) * 1e-12)
    for channel, row in zip(census.channels, rates, strict=True):
        axes.stairs(row, edges, baseline=None, label=str(channel), linewidth=1.1)
    blind = census.live_trace < 0.5 * np.diff(edges) * 1e12
    for k in np.flatnonzero(blind).tolist():
        axes.axvspan(edges[k], edges[k + 1], color=_ROOM, zorder=0, linewidth=0)
    positive = rates[np.isfinite(rates) & (rates > 0)]
    if positive.size and positive.max() > 20 * positive.min():
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0.0)
    gaps = f" ({census.gaps} gaps, {census.missed} tags missed)" if census.gaps else ""
    axes.set(xlabel=f"time since the first tag (s){gaps}", ylabel="clicks per live second")
    axes.spines[["top", "right"]].set_visible(False)
    if len(census.channels) <= 16:
        axes.legend(title="channel", frameon=False, fontsize=8, ncols=2, loc="center left", bbox_to_anchor=(1.0, 0.5))


def _delays(axes: Any, histogram: HistogramResult, row: int) -> None:
    a, b = histogram.pairs[row]
    counts = histogram.counts[row]
    edges = np.append(histogram.lo_ps, histogram.lo_ps[-1] + histogram.bin_ps) / 1000.0
    axes.stairs(counts, edges, fill=True, color=_INK, linewidth=0.0)
    chance = float(histogram.accidentals[row])
    axes.axhline(chance, color=_CHANCE, linewidth=1.2, label=f"by chance {chance:.3g}")
    if counts.max(initial=0) > 50 * max(chance, 1.0):
        axes.set_yscale("log")
        axes.set_ylim(bottom=0.5)
    axes.set(
        xlabel=f"delay of {b} behind {a} (ns)", ylabel=f"pairs in {histogram.bin_ps} ps", xlim=(edges[0], edges[-1])
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc="upper right")
