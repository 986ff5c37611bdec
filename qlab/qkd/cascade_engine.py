"""The loops of Cascade over dyadic trees, as NumPy does them; `qlab.qkd.cascade_engine_numba` does the same bits faster.

A tree over 2^d places is a heap: node 1 is the root, 2v and 2v + 1 are the halves of v, leaf 2^d + k is place k.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from qlab.qkd.bits import Bits

__all__ = ["CascadeEngine", "EngineName", "Nodes", "NumpyCascade", "cascade_engine"]

Nodes = NDArray[np.int64]
EngineName = Literal["auto", "numpy", "numba"]


class CascadeEngine(Protocol):
    """What an engine can do."""

    def tree(self, bits: Bits, order: NDArray[np.int32], top: int) -> Bits:
        """Return the parities of all nodes from the leaves up to node `top`, shape (2n,)."""
        ...

    def flip(self, tree: Bits, split: NDArray[np.bool_], leaves: Nodes, top: int) -> Nodes:
        """Flip leaves, and return for each leaf the smallest node above it whose parity is known.

        Parities are brought up to date from the leaf to that node.  A node is known if it is one of the blocks
        (`top <= node < 2 top`) or if its parent is `split`.
        """
        ...


class NumpyCascade:
    """The engine that is always there."""

    def tree(self, bits: Bits, order: NDArray[np.int32], top: int) -> Bits:
        """Return the parities of all nodes, shape (2n,)."""
        n = bits.size
        tree = np.zeros(2 * n, dtype=np.uint8)
        np.take(bits, order, out=tree[n:])
        level = n
        while level > top:
            half = level // 2
            np.bitwise_xor(tree[level : 2 * level : 2], tree[level + 1 : 2 * level : 2], out=tree[half:level])
            level = half
        return tree

    def flip(self, tree: Bits, split: NDArray[np.bool_], leaves: Nodes, top: int) -> Nodes:
        """Flip leaves, and return the smallest known node above each."""
        found = leaves.copy()
        climbing = np.arange(leaves.size)
        while climbing.size:
            nodes = found[climbing]
            np.bitwise_xor.at(tree, nodes, np.uint8(1))
            climbing = climbing[(nodes >= 2 * top) & ~split[nodes >> 1]]
            found[climbing] >>= 1
        return found


def cascade_engine(name: EngineName = "auto") -> CascadeEngine:
    """Return an engine by name; `auto` takes numba where it is installed.

    Raises
    ------
    BadRequestError
        There is no such engine, or numba is asked for and not installed.
    """
    if name not in {"auto", "numpy", "numba"}:
        msg = f"there is no Cascade engine {name!r}; expected auto, numpy or numba"
        raise BadRequestError(msg)
    if name == "numpy" or (name == "auto" and find_spec("numba") is None):
        return NumpyCascade()
    try:
        from qlab.qkd.cascade_engine_numba import NumbaCascade
    except ImportError as error:
        msg = "the Cascade engine 'numba' needs numba: pip install 'qlab[fast]'"
        raise BadRequestError(msg) from error
    return NumbaCascade()
