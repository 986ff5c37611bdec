"""Coincidences and histograms by a local test of gaps ("survivors"), in integer arithmetic.

Conventions, the same everywhere:

- *Delay*: a channel's delay is subtracted from its times before anything is compared.
- *Difference*: dt = (t_b - d_b) - (t_a - d_a), so positive when b clicks later than a.
- *Window*: `window_ps` is the full width. A pair counts when ``|dt| <= window_ps // 2``, both edges included, so the
  window that enters accidentals is ``2 * (window_ps // 2) + 1`` ps on times of 1 ps resolution.
- *All pairs*: every pair of tags counts, a tag may be in several. (Greedy one-to-one counting gives slightly fewer.)
  A tag never pairs with itself; two tags of one channel are one pair.
- *Bins*: half-open, [lo, hi).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from qlab.tags.stream import TagBlock

__all__ = ["close_pairs", "coincidence_matrix", "differences", "histogram"]

Ints = NDArray[np.int64]
Channels = NDArray[np.uint8]

# Tags a block: scratch arrays then stay in the second-level cache.
_BLOCK = 1 << 17
# Neighbours within reach, on average, up to which it is cheaper to look past the delays than to sort them away.
_MAX_OCCUPANCY = 0.3


def close_pairs(t: Ints, reach_ps: int) -> Iterator[tuple[Ints, Ints]]:
    """Yield the index pairs (i, j), i < j, of all tags at most `reach_ps` apart, in pieces.

    Candidates are the tags whose next neighbour is near; of these, those whose second next is near as well, and so on.
    Because times are sorted each set contains the next, and the work shrinks geometrically.
    """
    for start in range(0, t.size - 1, _BLOCK):
        stop = min(start + _BLOCK, t.size - 1)
        i = np.flatnonzero(t[start + 1 : stop + 1] - t[start:stop] <= reach_ps) + start
        step = 1
        while i.size:
            yield i, i + step
            step += 1
            i = i[: np.searchsorted(i, t.size - step)]
            i = i[t[i + step] - t[i] <= reach_ps]


def coincidence_matrix(
    block: TagBlock,
    channels_a: Sequence[int],
    channels_b: Sequence[int],
    window_ps: int,
    delays_ps: Mapping[int, int] | None = None,
) -> Ints:
    """Count the coincidences of every channel of one party with every channel of the other.

    Parameters
    ----------
    block:
        The tags.
    channels_a, channels_b:
        Channels of the rows and of the columns.
    window_ps:
        Full width of the window.
    delays_ps:
        Delay of each channel, subtracted; channels not named have none.

    Returns
    -------
    int64, shape (len(channels_a), len(channels_b)).
    """
    if window_ps < 0:
        msg = f"coincidence window of {window_ps} ps: expected a full width of 0 ps or more"
        raise BadRequestError(msg)
    counts = np.zeros((256, 256), dtype=np.int64)
    for first, second, _ in _signed_pairs(block, [*channels_a, *channels_b], int(window_ps) // 2, delays_ps):
        counts += np.bincount((first.astype(np.intp) << 8) | second, minlength=1 << 16).reshape(256, 256)
    both = counts + counts.T
    np.fill_diagonal(both, counts.diagonal())
    return both[np.ix_(_channels(channels_a), _channels(channels_b))]


def histogram(
    block: TagBlock,
    a: int,
    b: int,
    half_range_ps: int,
    bin_ps: int,
    delays_ps: Mapping[int, int] | None = None,
) -> tuple[Ints, Ints]:
    """Histogram the differences of two channels; of one channel with itself, the positive lags only.

    Parameters
    ----------
    block, delays_ps:
        As for `coincidence_matrix`.
    a, b:
        The channels; dt is positive when b clicks later.
    half_range_ps:
        Bins cover [-half_range_ps, half_range_ps); a multiple of `bin_ps`.
    bin_ps:
        Width of a bin.

    Returns
    -------
    Lower edges of the bins in ps and the counts, both int64 of shape (2 * half_range_ps // bin_ps,).
    """
    if bin_ps < 1 or half_range_ps < bin_ps or half_range_ps % bin_ps:
        msg = f"histogram: half range {half_range_ps} ps must be a positive multiple of the bin of {bin_ps} ps"
        raise BadRequestError(msg)
    n_bins = 2 * half_range_ps // bin_ps
    counts = np.zeros(n_bins, dtype=np.int64)
    for dt in _differences(block, a, b, half_range_ps, delays_ps):
        inside = dt[dt < half_range_ps]
        counts += np.bincount((inside + half_range_ps) // bin_ps, minlength=n_bins)
    return np.arange(n_bins, dtype=np.int64) * bin_ps - half_range_ps, counts


def differences(block: TagBlock, a: int, b: int, reach_ps: int, delays_ps: Mapping[int, int] | None = None) -> Ints:
    """Return every difference dt of two channels with ``|dt| <= reach_ps``, sorted; of one channel, positive lags."""
    found = list(_differences(block, a, b, reach_ps, delays_ps))
    if not found:
        return np.empty(0, dtype=np.int64)
    return np.sort(np.concatenate(found), kind="stable")


def _differences(block: TagBlock, a: int, b: int, reach_ps: int, delays_ps: Mapping[int, int] | None) -> Iterator[Ints]:
    for first, second, dt in _signed_pairs(block, [a, b], reach_ps, delays_ps):
        if a == b:
            yield np.abs(dt)
        else:
            yield dt[(first == a) & (second == b)]
            yield -dt[(first == b) & (second == a)]


def _signed_pairs(
    block: TagBlock, channels: Sequence[int], reach_ps: int, delays_ps: Mapping[int, int] | None
) -> Iterator[tuple[Channels, Channels, Ints]]:
    """Yield channels and difference (second minus first, delays taken off) of all tags within reach."""
    wanted = set(_channels(channels))
    delays = {c: int(d) for c, d in (delays_ps or {}).items() if c in wanted}
    mask = np.zeros(256, dtype=bool)
    mask[list(wanted)] = True
    if not mask[block.ch].all():
        block = block.select(wanted)
    if block.n < 2:
        return
    values = [delays.get(c, 0) for c in wanted]
    spread_ps = max(values) - min(values)
    # Delays either are looked past (reach grows by their spread) or, when that finds too many neighbours, sorted away.
    span_ps = max(int(block.t[-1]) - int(block.t[0]), 1)
    if spread_ps and block.n * (reach_ps + spread_ps) > _MAX_OCCUPANCY * span_ps:
        block, spread_ps = block.shifted(delays), 0
    t, ch = block.t, block.ch
    if not spread_ps:
        for i, j in close_pairs(t, reach_ps):
            yield ch[i], ch[j], t[j] - t[i]
        return
    table = np.zeros(256, dtype=np.int64)
    for channel, delay in delays.items():
        table[channel] = delay
    for i, j in close_pairs(t, reach_ps + spread_ps):
        first, second = ch[i], ch[j]
        dt = t[j] - t[i] - table[second] + table[first]
        near = np.abs(dt) <= reach_ps
        yield first[near], second[near], dt[near]


def _channels(channels: Sequence[int]) -> list[int]:
    for channel in channels:
        if not 0 <= channel <= 255:
            msg = f"channel {channel}: a tag block has channels 0 to 255"
            raise BadRequestError(msg)
    return [int(c) for c in channels]
