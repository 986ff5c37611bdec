"""Delays of all channels of two parties, from the correlations in the data alone.

Each pair of channels gives the lag of its peak, if it has one.  The delays then are the least-squares solution of
d_b - d_a = lag_ab over all significant pairs, weighted by the counts in the peak: a channel needs no bright partner, a
pair that does not correlate does no harm, and a false peak shows as a residual and is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qlab.errors import BadRequestError
from qlab.tags.coincidence import differences, histogram

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from qlab.tags.stream import TagBlock

__all__ = ["DelaySolution", "PairPeak", "find_delays", "find_peak"]

# The highest of thousands of bins of a low background easily reaches 5; 8 is out of reach of chance.
_SIGNIFICANCE = 8.0
_ROUNDS = 50


@dataclass(frozen=True, slots=True)
class PairPeak:
    """The peak in the lags of one pair of channels.

    Parameters
    ----------
    a, b:
        The channels; the lag is that of b behind a.
    lag_ps, error_ps:
        Centroid and its standard error.
    count:
        Pairs in the peak, less the background.
    significance:
        Excess over the Poisson noise of the background, in standard deviations.
    used:
        Whether the delays were derived from it.
    """

    a: int
    b: int
    lag_ps: float
    error_ps: float
    count: float
    significance: float
    used: bool = False


@dataclass(frozen=True, slots=True)
class DelaySolution:
    """Delays of channels, relative to the first channel of the first party.

    Parameters
    ----------
    delays_ps:
        What to subtract from each channel's times, int ps; channels that correlate with nothing are left out.
    peaks:
        The peak of each pair of channels, significant or not.
    groups:
        Channels tied together by peaks.  The first channel of each group has delay 0: what lies between two groups
        the data do not say, and coincidences from one to the other may be missed.
    unresolved:
        Channels that correlate with no other.
    residual_ps:
        Weighted rms of lag - (d_b - d_a) over the pairs used.
    """

    delays_ps: dict[int, int]
    peaks: tuple[PairPeak, ...]
    groups: tuple[tuple[int, ...], ...]
    unresolved: tuple[int, ...]
    residual_ps: float


def find_peak(block: TagBlock, a: int, b: int, *, search_ps: int, width_ps: int) -> PairPeak:
    """Find the lag of channel b behind a, within +-search_ps, as the centroid of the pairs in a window of `width_ps`.

    The window is first put where it holds most pairs, in steps of a quarter of its width, then moved onto the centroid
    of what it holds until it rests; a flat background does not pull it.
    """
    step_ps = max(width_ps // 4, 1)
    half_range_ps = -(-search_ps // step_ps) * step_ps
    edges, counts = histogram(block, a, b, half_range_ps, step_ps)
    in_window = np.convolve(counts, np.ones(4, dtype=np.int64), "valid")
    top = int(np.argmax(in_window))
    # The peak holds few of all bins, so the median window is background; the mean guards against low, skewed counts.
    outside = np.concatenate([counts[: max(top - 4, 0)], counts[top + 8 :]])
    background = 4.0 * float(outside.mean()) if outside.size else 0.0
    centre = float(edges[top] + 2 * step_ps)
    lags = differences(block, a, b, half_range_ps + width_ps)
    held: NDArray[np.int64] = lags[:0]
    for _ in range(_ROUNDS):
        low, high = np.searchsorted(lags, [centre - width_ps / 2, centre + width_ps / 2])
        held = lags[low:high]
        moved = float(held.mean()) if held.size else centre
        if abs(moved - centre) < 0.5:
            break
        centre = moved
    excess = held.size - background
    error_ps = float(held.std()) / np.sqrt(held.size) if held.size else float("inf")
    significance = (float(in_window[top]) - background) / np.sqrt(max(background, 1.0))
    return PairPeak(a, b, centre, float(error_ps), excess, float(significance))


def find_delays(
    block: TagBlock,
    channels_a: Sequence[int],
    channels_b: Sequence[int],
    *,
    search_ps: int = 200_000,
    width_ps: int = 2000,
    significance: float = _SIGNIFICANCE,
) -> DelaySolution:
    """Find the delays of the channels of two parties.

    Parameters
    ----------
    block:
        The tags, echoes removed: an echo is a peak as good as any other.
    channels_a, channels_b:
        The channels of the parties; the first of `channels_a` is the reference, with delay 0.
    search_ps:
        Largest lag between two channels.
    width_ps:
        Width of a correlation peak, about.
    significance:
        Least significance of a peak, in standard deviations.
    """
    if set(channels_a) & set(channels_b) or not channels_a or not channels_b:
        msg = f"find delays: channels {list(channels_a)} and {list(channels_b)} must be two groups without a common one"
        raise BadRequestError(msg)
    peaks = [find_peak(block, a, b, search_ps=search_ps, width_ps=width_ps) for a in channels_a for b in channels_b]
    good = [p for p in peaks if p.significance >= significance and p.count > 0]
    channels = [*channels_a, *channels_b]
    while True:
        delays, residuals = _solve(good, channels)
        worst = int(np.argmax(np.abs(residuals))) if residuals.size else 0
        # A residual of a peak's width cannot come from the peak's shape: one of the peaks of this cycle is false.
        if not residuals.size or abs(residuals[worst]) <= width_ps:
            break
        suspects = [k for k in range(len(good)) if abs(residuals[k]) > width_ps / 2]
        good.pop(min(suspects, key=lambda k: good[k].significance))
    groups = _groups(good, channels)
    tied = {c: round(delays[c] - delays[group[0]]) for group in groups for c in group}
    weights = np.array([p.count for p in good])
    rms = float(np.sqrt(np.average(residuals**2, weights=weights))) if good else 0.0
    used = {(p.a, p.b) for p in good}
    return DelaySolution(
        {c: tied.get(c, 0) for c in channels if c in tied or c == channels[0]},
        tuple(
            PairPeak(p.a, p.b, p.lag_ps, p.error_ps, p.count, p.significance, used=(p.a, p.b) in used) for p in peaks
        ),
        groups,
        tuple(c for c in channels if c not in tied),
        rms,
    )


def _solve(peaks: Sequence[PairPeak], channels: Sequence[int]) -> tuple[dict[int, float], NDArray[np.float64]]:
    """Solve d_b - d_a = lag by least squares; the minimum-norm solution leaves the free offsets at will."""
    index = {c: k for k, c in enumerate(channels)}
    matrix = np.zeros((len(peaks), len(channels)))
    for row, peak in enumerate(peaks):
        matrix[row, index[peak.b]], matrix[row, index[peak.a]] = 1.0, -1.0
    lags = np.array([p.lag_ps for p in peaks])
    root_weights = np.sqrt([p.count for p in peaks])
    if not peaks:
        return dict.fromkeys(channels, 0.0), lags
    solution = np.linalg.lstsq(matrix * root_weights[:, np.newaxis], lags * root_weights, rcond=None)[0]
    return {c: float(solution[k]) for c, k in index.items()}, lags - matrix @ solution


def _groups(peaks: Sequence[PairPeak], channels: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Return the channels that peaks tie together, each group and all groups in the order of `channels`."""
    groups = [{c} for c in channels]
    for peak in peaks:
        joined = [g for g in groups if peak.a in g or peak.b in g]
        groups = [g for g in groups if g not in joined] + [set().union(*joined)]
    ordered = (tuple(c for c in channels if c in g) for g in groups if len(g) > 1)
    return tuple(sorted(ordered, key=lambda group: channels.index(group[0])))
