"""Echoes and dead time: find the second click that electronics add to a first one, and take it out.

An echo is a narrow peak in the lags of one channel with itself, far above what the channel's rate explains.  A pulsed
source gives such peaks too, but a comb of them; a comb is no echo and is left alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qlab.errors import BadRequestError
from qlab.tags.accumulators.histogram import DelayHistogram
from qlab.tags.stream import TagBlock

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

__all__ = ["ECHO_BIN_PS", "ECHO_RANGE_PS", "Echo", "dead_time_filtered", "echo_in", "find_echo", "without_echoes"]

ECHO_RANGE_PS, ECHO_BIN_PS = 200_000, 1000
"""How far behind a click echoes are looked for, and in which bins."""

# A peak must stand out from Poisson noise by this many standard deviations ...
_SIGNIFICANCE = 8.0
# ... and follow at least this fraction of all clicks: an afterpulse is spread wide, an echo is not rare.
_LEAST_FRACTION = 0.01
# Electronics repeat a click sharply; what is wider are afterpulses at the end of the dead time.
_WIDEST_PS = 10_000
# A second peak of this height, relative to the first and apart from it, makes it a comb.
_COMB = 0.3


@dataclass(frozen=True, slots=True)
class Echo:
    """An echo of one channel.

    Parameters
    ----------
    channel:
        The channel.
    lag_ps:
        Mean delay of the echo behind its click.
    first_ps, last_ps:
        Lags taken for echoes, both included.
    count:
        Echoes found, less what the rate of the channel explains.
    fraction:
        Echoes per original click.
    """

    channel: int
    lag_ps: int
    first_ps: int
    last_ps: int
    count: int
    fraction: float


def find_echo(
    block: TagBlock, channel: int, *, range_ps: int = ECHO_RANGE_PS, bin_ps: int = ECHO_BIN_PS
) -> Echo | None:
    """Look for an echo in the lags of a channel with itself.

    Parameters
    ----------
    block:
        The tags.
    channel:
        The channel.
    range_ps:
        Longest lag looked at; rounded up to whole bins.
    bin_ps:
        Width of a bin, not below the resolution of the tags.

    Returns
    -------
    The strongest echo, or None.
    """
    n_bins = -(-range_ps // bin_ps)
    lags = DelayHistogram([(channel, channel)], 0, n_bins * bin_ps, bin_ps)
    one = block.select([channel])
    lags.feed(one)
    return echo_in(lags.result().counts[0], channel, one.n, bin_ps=bin_ps)


def echo_in(counts: NDArray[np.int64], channel: int, n: int, *, bin_ps: int = ECHO_BIN_PS) -> Echo | None:
    """Look for an echo in the histogram of a channel's positive lags with itself.

    Parameters
    ----------
    counts:
        Of the bins from lag 0 on, shape (bins,).
    channel, n:
        The channel, and how many tags it has.
    bin_ps:
        Width of a bin.

    Returns
    -------
    The strongest echo, or None.
    """
    # Most bins are background: their median resists the peak; a rate too low for it gives the mean's floor.
    background = max(float(np.median(counts)), 1.0)
    high = counts > background + _SIGNIFICANCE * np.sqrt(background)
    top = int(np.argmax(counts))
    if not high[top]:
        return None
    # Walk down both sides to where only background is left; two low bins in a row end the peak.
    near = counts > background + 3.0 * np.sqrt(background)
    first, last = _extent(near, top)
    if (last - first + 1) * bin_ps > max(_WIDEST_PS, 4 * bin_ps):
        return None
    apart = counts.copy()
    apart[max(0, first - 1) : last + 2] = 0
    if apart.max(initial=0) - background > _COMB * (counts[top] - background):
        return None
    excess = counts[first : last + 1] - background
    count = round(float(excess.sum()))
    originals = n - count
    if originals <= 0 or count < _LEAST_FRACTION * originals:
        return None
    centres = (np.arange(first, last + 1) + 0.5) * bin_ps
    lag_ps = int(np.average(centres, weights=np.maximum(excess, 0.0)))
    return Echo(channel, lag_ps, first * bin_ps, (last + 1) * bin_ps - 1, count, count / originals)


def _extent(near: NDArray[np.bool_], top: int) -> tuple[int, int]:
    first = last = top
    while first > 0 and near[max(first - 2, 0) : first].any():
        first -= 1
    while last < near.size - 1 and near[last + 1 : last + 3].any():
        last += 1
    while not near[first]:
        first += 1
    while not near[last]:
        last -= 1
    return first, last


def without_echoes(block: TagBlock, echoes: Iterable[Echo]) -> TagBlock:
    """Remove every tag that follows a tag of the same channel, itself no echo, at an echo's lag."""
    keep = np.ones(block.n, dtype=bool)
    for echo in echoes:
        where = np.flatnonzero(block.ch == echo.channel)
        keep[where[_is_echo(block.t[where], echo.first_ps, echo.last_ps)]] = False
    return TagBlock(block.t[keep], block.ch[keep], block.start_ps, block.stop_ps, block.gaps)


def _is_echo(t: NDArray[np.int64], first_ps: int, last_ps: int) -> NDArray[np.bool_]:
    # Tag k is an echo when one of t[low[k]:high[k]], all earlier, is an original.  Echoes of echoes settle in as many
    # rounds as a chain is long, because only earlier tags decide.
    low = np.searchsorted(t, t - last_ps, side="left")
    high = np.searchsorted(t, t - max(first_ps, 1), side="right")
    echo = np.zeros(t.size, dtype=bool)
    while True:
        originals = np.concatenate([[0], np.cumsum(~echo)])
        found = originals[np.maximum(high, low)] > originals[low]
        if np.array_equal(found, echo):
            return echo
        echo = found


def dead_time_filtered(block: TagBlock, dead_time_ps: int) -> TagBlock:
    """Remove tags that follow the last accepted one of their channel by less than a dead time (not paralysable)."""
    if dead_time_ps < 0:
        msg = f"dead time of {dead_time_ps} ps: expected 0 ps or more"
        raise BadRequestError(msg)
    keep = np.ones(block.n, dtype=bool)
    for channel in np.unique(block.ch):
        where = np.flatnonzero(block.ch == channel)
        keep[where] = _accepted(block.t[where], dead_time_ps)
    return TagBlock(block.t[keep], block.ch[keep], block.start_ps, block.stop_ps, block.gaps)


def _accepted(t: NDArray[np.int64], dead_time_ps: int) -> NDArray[np.bool_]:
    """Start where the gap before a tag is long enough, which always is accepted; then jump a dead time at a time."""
    if dead_time_ps == 0:
        return np.ones(t.size, dtype=bool)
    accepted = np.concatenate([[True], np.diff(t) >= dead_time_ps])[: t.size]
    heads = np.flatnonzero(accepted)
    ends = np.append(heads[1:], t.size)
    while heads.size:
        following = np.searchsorted(t, t[heads] + dead_time_ps, side="left")
        inside = following < ends
        heads, ends = following[inside], ends[inside]
        accepted[heads] = True
    return accepted
