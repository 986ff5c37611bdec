"""Quasi-cyclic LDPC codes for reconciliation, made here from a seed, and what is punctured and shortened for a frame.

A code is a base matrix of `rows` x 96 whose entries are nothing or a circulant of size Z: check i of row r holds bit
(i + shift) mod Z of each column that the row has an entry in.  All codes have the same shape:

- `rows` - 1 columns of degree 2 join row j with row j + 1 (a zigzag, as in repeat-accumulate codes; it has no cycle),
- some columns of a high degree, and columns of degree 3 for the rest, put where rows have the fewest entries so far,
- shifts are drawn so that no two columns meet twice in the same two checks: girth of at least 6.

How many columns are of the high degree was chosen by decoding simulated frames (`benchmarks/bench_qkd.py` shows the result).

Rate adaption: D. Elkouss, J. Martinez-Mateo, V. Martin, Quantum Inf. Comput. 11, 226 (2011).  Punctured places hold fresh
random bits of the reference, shortened places hold zeros.  Only places of every other column of the zigzag are punctured: no
check meets two of them, so their p columns of the parity check matrix are independent, and their random bits make the
syndrome of m bits uniform in a coset of dimension p.  Which coset, m - p bits, is all it says about the key (the same
authors, "Secure rate-adaptive reconciliation", ISITA 2010).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from qlab.analysis.qber import binary_entropy
from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["COLUMNS", "LdpcFrame", "QuasiCyclicCode", "frame_for", "make_code", "planned_efficiency"]

COLUMNS = 96
ROWS = (8, 10, 12, 14, *range(16, 65, 4))
SMALLEST_Z = 128
LARGEST_RATE = 0.11
_PLANNED_RATES = (0.006, 0.008, 0.01, 0.015, 0.02, 0.03, 0.05, 0.08)
_PLANNED = (1.40, 1.30, 1.24, 1.22, 1.22, 1.21, 1.20, 1.19)
LARGEST_BITS = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class QuasiCyclicCode:
    """A code of `rows` x 96 circulants.

    Attributes
    ----------
    rows, z:
        Rows of the base matrix, size of the circulants; there are rows z checks on 96 z bits.
    first:
        Where the entries of each row begin, shape (rows + 1,).
    column, shift:
        Of each entry, row after row, shape (entries,).
    """

    rows: int
    z: int
    first: NDArray[np.int64]
    column: NDArray[np.int64]
    shift: NDArray[np.int64]

    @property
    def n_bits(self) -> int:
        """Bits of a code word."""
        return COLUMNS * self.z

    @property
    def n_checks(self) -> int:
        """Bits of a syndrome."""
        return self.rows * self.z


@dataclass(frozen=True, slots=True, eq=False)
class LdpcFrame:
    """Where the bits of a key are in a code word.

    Attributes
    ----------
    code:
        The code.
    key, punctured, shortened:
        Places of the key's bits in their order, of random bits, of zeros; together all places.
    """

    code: QuasiCyclicCode
    key: NDArray[np.int64]
    punctured: NDArray[np.int64]
    shortened: NDArray[np.int64]

    @property
    def leaked_bits(self) -> int:
        """What the syndrome says about the key: its bits less the punctured ones."""
        return self.code.n_checks - self.punctured.size


def _degrees(rows: int) -> list[int]:
    """Return the degrees of the columns that are not in the zigzag, the highest first."""
    high, count = _profile(rows)
    rest = COLUMNS - (rows - 1)
    return [high] * count + [3] * (rest - count)


def _profile(rows: int) -> tuple[int, int]:
    """Return the high degree, and how many columns have it."""
    return min(rows, 12), round(float(np.interp(rows, (8, 10, 16, 24, 48, 64), (34, 28, 24, 20, 12, 10))))


@lru_cache(maxsize=32)
def make_code(rows: int, z: int) -> QuasiCyclicCode:
    """Return the code with so many rows and circulants of size `z`: always the same.

    Raises
    ------
    BadRequestError
        There is no such code.
    """
    if rows not in ROWS or z < SMALLEST_Z:
        msg = f"LDPC code of {rows} rows, circulants of {z}: expected rows {ROWS}, circulants of at least {SMALLEST_Z}"
        raise BadRequestError(msg)
    rng = np.random.Generator(np.random.PCG64([rows, z]))
    entries: list[list[tuple[int, int]]] = [[] for _ in range(rows)]
    met: dict[tuple[int, int], set[int]] = {(j, j + 1): {0} for j in range(rows - 1)}
    for j in range(rows - 1):
        entries[j].append((j, 0))
        entries[j + 1].append((j, 0))
    for column, degree in enumerate(_degrees(rows), start=rows - 1):
        order = np.lexsort((rng.random(rows), np.array([len(row) for row in entries])))
        chosen = sorted(order[:degree].tolist())
        shifts = _shifts(chosen, met, z, rng)
        for row, shift in zip(chosen, shifts, strict=True):
            entries[row].append((column, shift))
    flat = [entry for row in entries for entry in row]
    return QuasiCyclicCode(
        rows,
        z,
        np.cumsum([0, *(len(row) for row in entries)], dtype=np.int64),
        np.array([column for column, _ in flat], dtype=np.int64),
        np.array([shift for _, shift in flat], dtype=np.int64),
    )


def _shifts(chosen: list[int], met: dict[tuple[int, int], set[int]], z: int, rng: np.random.Generator) -> list[int]:
    """Draw shifts of a column, entry by entry, that close no cycle of length 4 with earlier columns."""
    shifts: list[int] = []
    for k, row in enumerate(chosen):
        for shift in rng.permutation(z).tolist():
            steps = [((chosen[i], row), (shift - shifts[i]) % z) for i in range(k)]
            if all(step not in met.get(pair, ()) for pair, step in steps):
                break
        else:
            msg = f"LDPC code: circulants of {z} are too small for girth 6"
            raise BadRequestError(msg)
        shifts.append(shift)
        for pair, step in steps:
            met.setdefault(pair, set()).add(step)
    return shifts


def frame_for(n_bits: int, error_rate: float) -> LdpcFrame:
    """Return the code for a key and how its rate is adapted: the same on both sides.

    Parameters
    ----------
    n_bits:
        Of the key, 1 to 2^20.
    error_rate:
        Expected; the syndrome is made `planned_efficiency` times as long as it would have to be.

    Raises
    ------
    BadRequestError
        A length or an error rate that no code is for.
    """
    if not 1 <= n_bits <= LARGEST_BITS or not 0.0 < error_rate < 0.5:
        msg = (
            f"LDPC on {n_bits} bits at an error rate of {error_rate}: expected 1 to {LARGEST_BITS} bits, 0 < rate < 0.5"
        )
        raise BadRequestError(msg)
    wanted = math.ceil(n_bits * planned_efficiency(n_bits, error_rate) * binary_entropy(error_rate))
    # The random bits need places as well: the circulants grow until everything fits.
    z = max(-(-n_bits // COLUMNS), SMALLEST_Z)
    while True:
        rows = next((rows for rows in ROWS if rows * z >= wanted), None)
        if rows is None:
            msg = f"LDPC at an error rate of {error_rate:g}: expected at most {LARGEST_RATE:g}; use Cascade"
            raise BadRequestError(msg)
        n_punctured = min(rows * z - wanted, rows // 2 * z)
        n_shortened = COLUMNS * z - n_bits - n_punctured
        if n_shortened >= 0:
            break
        z += max(1, -n_shortened // COLUMNS)
    code = make_code(rows, z)
    return _places(code, n_bits, n_punctured)


def planned_efficiency(n_bits: int, error_rate: float) -> float:
    """Return f, the length of the syndrome over n h(q), that frames are planned with.

    With it no frame of 2^17 bits failed in simulations.  Errors of shorter frames spread more: these get two more standard
    deviations of what their spread exceeds that of 2^17 bits.
    """
    spread = math.sqrt(error_rate * (1.0 - error_rate))
    more = max(2.0 * spread * (1.0 / math.sqrt(n_bits) - 1.0 / math.sqrt(1 << 17)), 0.0)
    slope = math.log2((1.0 - error_rate) / error_rate)  # of h
    return float(np.interp(error_rate, _PLANNED_RATES, _PLANNED)) + more * slope / binary_entropy(error_rate)


@lru_cache(maxsize=32)
def _places(code: QuasiCyclicCode, n_bits: int, n_punctured: int) -> LdpcFrame:
    rng = np.random.Generator(np.random.PCG64([code.rows, code.z, n_bits, n_punctured]))
    every_other = np.arange(0, code.rows - 1, 2)
    may = (every_other[:, np.newaxis] * code.z + np.arange(code.z)).reshape(-1)
    punctured = np.sort(rng.permutation(may)[:n_punctured])
    rest = np.setdiff1d(np.arange(code.n_bits), punctured, assume_unique=True)
    # Zeros are spread over all columns, so that none is without its bits.
    short = np.zeros(rest.size, dtype=np.bool_)
    short[rng.permutation(rest.size)[: rest.size - n_bits]] = True
    return LdpcFrame(code, rest[~short], punctured, rest[short])
