"""Which blocks Cascade compares in which pass: the fast and the tight variant, and the public permutations.

Block sizes are powers of two, so that the halves of all searches in one pass are nodes of one dyadic tree and every
parity that was ever disclosed is used again ("sub-block reuse").  The sizes start from J. Martinez-Mateo, C. Pacher, M. Peev,
A. Ciurana, V. Martin, "Demystifying the information reconciliation protocol Cascade", Quantum Inf. Comput. 15, 453 (2015):
their best protocol has k1 = 2^ceil(a), k2 = 2^ceil((a + 12)/2), k3 = 2^12, a = log2(1/Q) - 1/2 and then halves of the key.
The tight variant has k2 = 4 k1 instead: 0.3 to 0.8 % more leakage (measured at Q = 1, 3 and 8 %), but 120 to 440 round trips
instead of 900 to 2,400, since a block of the second pass hides fewer errors that have to be found one after the other.  The
fast variant has smaller first blocks and k2 = 2 k1, for 40 to 100 round trips.  Late passes have 32 blocks
instead of two: each finds a leftover pair of errors with probability 31/32, for 31 bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from qlab.errors import BadRequestError
from qlab.physics.keys import hash_key, mix

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CascadeSchedule", "Pass", "Variant", "permutation", "schedule_for", "tree_depth"]

Variant = Literal["fast", "tight"]
SMALLEST_LOG2, LARGEST_LOG2 = 6, 24


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass, by the size of its blocks."""

    block_log2: int


@dataclass(frozen=True, slots=True)
class CascadeSchedule:
    """All passes over one key.

    Attributes
    ----------
    n_bits:
        Length of the key; it is filled up with zeros to 2 ** `depth`.
    depth:
        Levels of the dyadic trees.
    passes:
        In their order.
    """

    n_bits: int
    depth: int
    passes: tuple[Pass, ...]


def tree_depth(n_bits: int) -> int:
    """Return log2 of the key's length after it is filled up to a power of two."""
    depth = max((n_bits - 1).bit_length(), SMALLEST_LOG2)
    if n_bits < 1 or depth > LARGEST_LOG2:
        msg = f"Cascade on {n_bits} bits: expected 1 to {1 << LARGEST_LOG2}; reconcile longer keys in blocks"
        raise BadRequestError(msg)
    return depth


def schedule_for(n_bits: int, qber: float, variant: Variant) -> CascadeSchedule:
    """Return the passes for a key of `n_bits` with the expected error rate `qber`.

    Raises
    ------
    BadRequestError
        A length that Cascade cannot do, an error rate not in [0, 0.5), or an unknown variant.
    """
    if not 0.0 <= qber < 0.5:
        msg = f"Cascade at an error rate of {qber}: expected 0 <= rate < 0.5"
        raise BadRequestError(msg)
    depth = tree_depth(n_bits)
    if variant not in get_args(Variant):
        msg = f"Cascade variant {variant!r}: expected 'fast' or 'tight'"
        raise BadRequestError(msg)
    # An estimate of zero means "fewer than one error seen", not "none": plan for one in the key.
    alpha = math.log2(1.0 / max(qber * n_bits / (1 << depth), 1.0 / (1 << depth)))
    if variant == "tight":
        first = math.ceil(alpha - 0.5)
        sizes = [first, first + 2, *_late_passes(depth, first + 2)]
    else:
        first = math.ceil(alpha + math.log2(0.73) - 0.5)
        sizes = [first, first + 1, *_late_passes(depth, first + 1)]
    largest = depth - 1
    return CascadeSchedule(n_bits, depth, tuple(Pass(min(max(size, 2), largest)) for size in sizes))


def _late_passes(depth: int, second: int) -> list[int]:
    """Return four passes of 32 blocks each; of short keys fewer blocks, which are larger than the second pass's."""
    return [max(depth - 5, min(second + 1, depth - 2))] * 4


@lru_cache(maxsize=32)
def permutation(depth: int, seed: int, index: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the public permutation of pass `index` and its inverse, both of shape (2 ** depth,).

    `order[k]` is the bit that stands at place k.  It sorts hashed indices, so it is the same with every version of NumPy.
    One seed serves a session: Eve may know it, and whoever made errors to suit it would only have a block rejected.
    """
    order = np.argsort(mix(np.arange(1 << depth), hash_key(seed, depth, index)), kind="stable").astype(np.int32)
    place = np.empty_like(order)
    place[order] = np.arange(1 << depth, dtype=np.int32)
    order.flags.writeable = place.flags.writeable = False
    return order, place
