"""Take delays off a stream and put it in order again, in NumPy.

Delays keep the order within a channel, so few tags change places, and those with near neighbours.  They are swapped pair by
pair as long as that is quick; a stable sort, which knows sorted runs, does the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qlab.tags.stream import sort_tags

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["realigned"]

# Rounds of swaps, and the fraction of tags out of order, up to which swapping beats sorting.
_ROUNDS = 8
_FEW = 0.02


def realigned(
    t: NDArray[np.int64], ch: NDArray[np.uint8], delays_ps: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Subtract each channel's delay (shape (256,)) and sort; tags of one time come in any order."""
    t = t - delays_ps[ch]
    wrong = np.flatnonzero(t[1:] < t[:-1])
    if not wrong.size:
        return t, ch
    if wrong.size <= _FEW * t.size:
        ch = ch.copy()
        for _ in range(_ROUNDS):
            # Of neighbouring descents only the first is swapped in this round: swaps must not overlap.
            alone = np.concatenate([[True], np.diff(wrong) > 1])
            at = wrong[alone]
            t[at], t[at + 1] = t[at + 1], t[at]
            ch[at], ch[at + 1] = ch[at + 1], ch[at]
            near = np.unique(np.concatenate([wrong[~alone], at - 1, at + 1]))
            near = near[(near >= 0) & (near < t.size - 1)]
            wrong = near[t[near + 1] < t[near]]
            if not wrong.size:
                return t, ch
    return sort_tags(t, ch)
