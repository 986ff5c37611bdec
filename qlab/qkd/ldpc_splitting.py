"""More parities for a frame that could not be decoded: checks are split in two, so that the code's rate falls step by step.

Who knows the parity of a check and that of half of its bits knows those of both halves.  So the reference tells the parities
of the halves of some rows, one bit a check, and both go on with a code that has more and shorter checks on the same edges: no
new cycles, the same degrees of columns.  (D. Varodayan, A. Aaron, B. Girod, Signal Processing 86, 3123 (2006), refine codes
for distributed sources that way; J. Martinez-Mateo, D. Elkouss, V. Martin, "Blind reconciliation", Quantum Inf. Comput. 12,
791 (2012), tell punctured bits instead, of which there are too few here.)

Punctured columns of the finer code are independent where those of the code are: their entries are the same.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from qlab.errors import BadRequestError
from qlab.qkd.ldpc_codes import QuasiCyclicCode

__all__ = ["most_rows", "split_rows", "step_rows"]


def step_rows(code: QuasiCyclicCode) -> int:
    """Return how many rows are split at a time: about an eighth of the syndrome."""
    return max(1, code.rows // 8)


def most_rows(code: QuasiCyclicCode) -> int:
    """Return how many rows may be split at all."""
    return code.rows


@lru_cache(maxsize=32)
def split_rows(code: QuasiCyclicCode, more: int) -> tuple[QuasiCyclicCode, tuple[int, ...]]:
    """Return the code with `more` rows split off, the widest first, and from which row each of them was taken.

    New rows stand behind the old ones, in the order they were split off; rows may be split again.  The same on both sides.

    Raises
    ------
    BadRequestError
        A code of so many rows is not made of this one.
    """
    if not 0 <= more <= most_rows(code):
        msg = f"LDPC code of {code.rows} rows, {more} of them to be split: expected 0 to {most_rows(code)}"
        raise BadRequestError(msg)
    rng = np.random.Generator(np.random.PCG64([code.rows, code.z]))
    rows = [np.arange(*code.first[row : row + 2]) for row in range(code.rows)]
    parents = []
    for _ in range(more):
        parent = max(range(len(rows)), key=lambda row: rows[row].size)
        parents.append(parent)
        mixed = rng.permutation(rows[parent])
        half = mixed.size // 2
        rows.append(np.sort(mixed[:half]))
        rows[parent] = np.sort(mixed[half:])
    entries = np.concatenate(rows)
    first = np.cumsum([0, *(row.size for row in rows)], dtype=np.int64)
    finer = QuasiCyclicCode(code.rows + more, code.z, first, code.column[entries], code.shift[entries])
    return finer, tuple(parents)
