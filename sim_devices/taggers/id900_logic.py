"""How the ID900's coincidence blocks combine two streams of events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


__all__ = ["COINCIDENCE_PS", "NOTHING", "combine", "inside"]


COINCIDENCE_PS: Final = 1_000  # [INF] full width within which AND sees two pulses together


NOTHING = np.empty(0, np.int64)


def inside(t: NDArray[np.int64], begins: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which events lie between a begin and the next end."""
    never = np.iinfo(np.int64).min
    last_begin = np.concatenate(([never], begins))[np.searchsorted(begins, t, side="right")]
    last_end = np.concatenate(([never], ends))[np.searchsorted(ends, t, side="right")]
    return np.asarray((last_begin > last_end) | ((last_begin == last_end) & (last_begin != never)))


def combine(how: str, first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    """Combine two streams: one of them, both, or what both have together."""
    if how == "ONLYFIR":
        return first
    if how == "ONLYSEC":
        return second
    if how == "OR":
        return np.union1d(first, second)
    if how == "AND":
        return np.union1d(_partnered(second, first), _partnered(first, second))
    return NOTHING


def _partnered(late: NDArray[np.int64], early: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the events of `late` that have one of `early` at most half a coincidence width before them."""
    if not early.size:
        return NOTHING
    index = np.searchsorted(early, late, side="right") - 1
    near = (index >= 0) & (late - early[np.maximum(index, 0)] <= COINCIDENCE_PS // 2)
    return late[near]
