"""The loops of Cascade in numba: the same bits as `qlab.qkd.cascade_engine.NumpyCascade`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit
from numpy.typing import NDArray

if TYPE_CHECKING:
    from qlab.qkd.bits import Bits

__all__ = ["NumbaCascade"]

Nodes = NDArray[np.int64]


class NumbaCascade:
    """The quick engine; its first use compiles, later ones take the code from numba's cache."""

    def tree(self, bits: Bits, order: NDArray[np.int32], top: int) -> Bits:
        """Return the parities of all nodes, shape (2n,)."""
        tree = np.empty(2 * bits.size, dtype=np.uint8)
        _tree(bits, order, top, tree)
        return tree

    def flip(self, tree: Bits, split: NDArray[np.bool_], leaves: Nodes, top: int) -> Nodes:
        """Flip leaves, and return the smallest known node above each."""
        found = np.empty(leaves.size, dtype=np.int64)
        _flip(tree, split, leaves, top, found)
        return found


@njit(cache=True, nogil=True)
def _tree(bits, order, top, tree):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    n = bits.size
    for k in range(n):
        tree[n + k] = bits[order[k]]
    level = n
    while level > top:
        half = level // 2
        for v in range(half, level):
            tree[v] = tree[2 * v] ^ tree[2 * v + 1]
        level = half
    tree[:level] = 0


@njit(cache=True, nogil=True)
def _flip(tree, split, leaves, top, found):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    for i in range(leaves.size):
        v = leaves[i]
        tree[v] ^= 1
        while v >= 2 * top and not split[v >> 1]:
            v >>= 1
            tree[v] ^= 1
        found[i] = v
