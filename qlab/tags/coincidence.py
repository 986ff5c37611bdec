"""Coincidences and histograms of tags that are in memory, in integer arithmetic.

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
from qlab.tags.accumulators.coincidences import CoincidenceCounter
from qlab.tags.accumulators.histogram import DelayHistogram
from qlab.tags.accumulators.protocol import accumulate
from qlab.tags.kernels.numpy_kernels import close_pairs
from qlab.tags.kernels.protocol import Lanes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from qlab.tags.stream import TagBlock

__all__ = ["coincidence_matrix", "differences", "histogram"]

Ints = NDArray[np.int64]


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
    counter = CoincidenceCounter([*channels_a, *channels_b], int(window_ps), delays_ps)
    return accumulate(counter, [block]).between(channels_a, channels_b)


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
    result = accumulate(DelayHistogram([(a, b)], -half_range_ps, half_range_ps, bin_ps, delays_ps), [block])
    return result.lo_ps, result.counts[0]


def differences(block: TagBlock, a: int, b: int, reach_ps: int, delays_ps: Mapping[int, int] | None = None) -> Ints:
    """Return every difference dt of two channels with ``|dt| <= reach_ps``, sorted; of one channel, positive lags."""
    found = list(_differences(block, a, b, reach_ps, delays_ps))
    if not found:
        return np.empty(0, dtype=np.int64)
    return np.sort(np.concatenate(found), kind="stable")


def _differences(block: TagBlock, a: int, b: int, reach_ps: int, delays_ps: Mapping[int, int] | None) -> Iterator[Ints]:
    Lanes.of([a, b])  # refuses what is no channel
    block = block.select({a, b}).shifted({c: int(d) for c, d in (delays_ps or {}).items() if c in (a, b)})
    for i, step, dt in close_pairs(block.t, reach_ps):
        if a == b:
            yield dt
        else:
            first, second = block.ch.take(i), block.ch.take(i + step)
            yield dt[(first == a) & (second == b)]
            yield -dt[(first == b) & (second == a)]
