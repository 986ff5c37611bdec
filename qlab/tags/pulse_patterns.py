"""Who clicked together: patterns of several channels in pulses that lie far apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from qlab.tags.stream import TagBlock

__all__ = ["MOST_CHANNELS", "pulse_patterns"]

MOST_CHANNELS = 16


def pulse_patterns(
    block: TagBlock, channels: Sequence[int], window_ps: int, delays_ps: Mapping[int, int] | None = None
) -> NDArray[np.int64]:
    """Count groups of tags by who is in them, as bits in the order of `channels`; int64, shape (2^channels,).

    Tags belong to one group while each follows the last within half the window, delays taken off: exact where pulses are
    further apart than that and clicks of one pulse closer, as those of a pulsed source are.  Pattern 0 is not counted.

    Raises
    ------
    BadRequestError
        No channel, one of them twice, or too many for a table; a negative window.
    """
    if not 0 < len(channels) <= MOST_CHANNELS or len(set(channels)) != len(channels) or window_ps < 0:
        msg = (
            f"patterns of the channels {list(channels)} in {window_ps} ps: expected 1 to {MOST_CHANNELS} different ones, and "
            "a window of 0 ps or more"
        )
        raise BadRequestError(msg)
    chosen = block.select(set(channels)).shifted({c: int(d) for c, d in (delays_ps or {}).items() if c in channels})
    counts = np.zeros(1 << len(channels), np.int64)
    if not chosen.n:
        return counts
    bit_of = np.zeros(256, np.int64)
    for n, channel in enumerate(channels):
        bit_of[channel] = 1 << n
    begins = np.flatnonzero(np.diff(chosen.t, prepend=chosen.t[0] - window_ps - 1) > window_ps // 2)
    masks = np.bitwise_or.reduceat(bit_of[chosen.ch], begins)
    return counts + np.bincount(masks, minlength=counts.size)
