"""The TDC1's binary stream: 32-bit words of 27 bits of time, a marker and a pattern of channels.  Protocol sheet 11."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["BIN_PS", "HALF_WRAP_PS", "encode"]

BIN_PS = 2_000
TIME_BITS = 27
HALF_WRAP_PS = BIN_PS << (TIME_BITS - 1)
"""[INF] How often a word is sent at least: one a wrap is needed, two leave no doubt."""
MARKER = 1 << 4


def encode(t_ps: NDArray[np.int64], ch: NDArray[np.uint8], markers_ps: NDArray[np.int64]) -> bytes:
    """Return the words of events and of markers.

    Parameters
    ----------
    t_ps, ch:
        Events since the start of the stream, sorted; channels from 0 to 3.  Those of one bin share a word.
    markers_ps:
        When words without an event are sent, sorted.
    """
    bins = t_ps // BIN_PS
    first = np.flatnonzero(np.diff(bins, prepend=-1))
    patterns = np.bitwise_or.reduceat(np.left_shift(1, ch.astype(np.int64)), first) if first.size else first
    times = np.concatenate([bins[first], markers_ps // BIN_PS])
    low = np.concatenate([patterns, np.full(markers_ps.size, MARKER)])
    order = np.argsort(times, kind="stable")
    words = ((times & ((1 << TIME_BITS) - 1)) << 5) | low
    data: bytes = words[order].astype("<u4").tobytes()
    return data
