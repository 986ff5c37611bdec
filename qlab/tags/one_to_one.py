"""Coincidences one to one: every tag is used at most once, as a key needs it.

Convention: tags of both parties are paired in order of time, the earliest tag of one with the earliest tag of the other
that lies in its window (`|dt| <= window_ps // 2`) and is free.  That is never more than all pairs, and depends on no
parameter but the window.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qlab.tags.stream import TagBlock

__all__ = ["one_to_one_matrix", "one_to_one_pairs"]

Indices = NDArray[np.int64]


def one_to_one_pairs(t_a: NDArray[np.int64], t_b: NDArray[np.int64], half_window_ps: int) -> tuple[Indices, Indices]:
    """Return the indices of partners in two sorted lists of times, both of shape (pairs,).

    No pair reaches across a silence longer than half the window.  Between silences mostly lies a lone tag or one pair,
    and these are counted as arrays; only crowded stretches are walked tag by tag.
    """
    n_a = t_a.size
    times = np.concatenate([t_a, t_b])
    order = np.argsort(times, kind="stable")
    times, of_b = times[order], order >= n_a
    starts = np.flatnonzero(np.concatenate([[True], np.diff(times) > half_window_ps])[: times.size])
    sizes = np.diff(np.append(starts, times.size))
    lone = starts[sizes == 2]
    lone = lone[of_b[lone] != of_b[lone + 1]]
    first, second = order[lone], order[lone + 1]
    found_a, found_b = [np.minimum(first, second)], [np.maximum(first, second) - n_a]
    crowded = sizes > 2
    for start, size in zip(starts[crowded].tolist(), sizes[crowded].tolist(), strict=True):
        members = order[start : start + size]
        in_a, in_b = members[members < n_a], members[members >= n_a] - n_a
        pairs = _walk(t_a[in_a].tolist(), t_b[in_b].tolist(), half_window_ps)
        found_a.append(in_a[[i for i, _ in pairs]])
        found_b.append(in_b[[j for _, j in pairs]])
    a, b = np.concatenate(found_a), np.concatenate(found_b)
    by_time = np.argsort(a, kind="stable")
    return a[by_time], b[by_time]


def one_to_one_matrix(
    block: TagBlock,
    channels_a: Sequence[int],
    channels_b: Sequence[int],
    window_ps: int,
    delays_ps: Mapping[int, int] | None = None,
) -> NDArray[np.int64]:
    """Count one-to-one coincidences of two parties; parameters and shape as for `coincidence_matrix`.

    Unlike there, an entry depends on all channels: a tag taken by one partner is not free for another.
    """
    if set(channels_a) & set(channels_b) or window_ps < 0:
        msg = (
            f"one to one: channels {list(channels_a)} and {list(channels_b)} must differ, window {window_ps} ps be >= 0"
        )
        raise BadRequestError(msg)
    shifted = block.select([*channels_a, *channels_b]).shifted(delays_ps or {})
    row, column = np.full(256, -1), np.full(256, -1)
    row[list(channels_a)], column[list(channels_b)] = range(len(channels_a)), range(len(channels_b))
    of_a = row[shifted.ch] >= 0
    i, j = one_to_one_pairs(shifted.t[of_a], shifted.t[~of_a], int(window_ps) // 2)
    cells = row[shifted.ch[of_a][i]] * len(channels_b) + column[shifted.ch[~of_a][j]]
    counts = np.bincount(cells, minlength=len(channels_a) * len(channels_b))
    return counts.reshape(len(channels_a), len(channels_b)).astype(np.int64)


def _walk(t_a: list[int], t_b: list[int], half_window_ps: int) -> list[tuple[int, int]]:
    i = j = 0
    pairs = []
    while i < len(t_a) and j < len(t_b):
        dt = t_b[j] - t_a[i]
        if dt > half_window_ps:
            i += 1
        elif dt < -half_window_ps:
            j += 1
        else:
            pairs.append((i, j))
            i, j = i + 1, j + 1
    return pairs
