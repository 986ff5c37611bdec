"""Privacy amplification by Toeplitz matrices, multiplied by float64 FFT, exact.

The m x n matrix has the entries T[i, j] = seed[i - j + n - 1]; with n + m - 1 uniform bits it is two-universal (H. Krawczyk,
CRYPTO '94), so that the leftover hash lemma holds with 2^-(1/2)(H_min - m).  The seed is public, but it must be as long as
that and be drawn after the quantum phase.

*Blocks.*  Up to 2^26 bits of key and output together are one product of polynomials (`qlab.qkd.negacyclic`); beyond that
input and output are cut, and the products of one piece of output add up before it is transformed back: memory does not grow.

*Exactness.*  The sums are integers up to n.  `error_bound` says how far rounding can take them, and a hash whose bound is not
below 1/4 is refused.  Against broken machines and libraries each result is also checked: every sum must be within 1/4 of an
integer, and some rows, spread over the output, are computed again as integers.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from qlab.errors import BadRequestError, KeyRefusedError
from qlab.qkd.bits import Bits, SecretBits
from qlab.qkd.negacyclic import NegacyclicProduct, relative_error

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["amplify", "error_bound", "toeplitz_product"]

_CHECKED_ROWS = 4
_SMALLEST_LOG2, _LARGEST_LOG2 = 4, 26


def error_bound(n: int, m: int, length: int) -> float:
    """Return the largest error of a sum over `n` input bits for `m` output bits, in products of `length`, a power of two."""
    _, width = _cuts(m, length)
    terms = -(-n // width)
    # A piece of the key has at most `width` ones, one of the seed at most `length`.
    return terms * math.sqrt(min(width, n)) * math.sqrt(length) * relative_error(length, terms)


def amplify(key: SecretBits, seed: Bits, m: int) -> SecretBits:
    """Hash a secret string to `m` bits.

    Parameters
    ----------
    key:
        The reconciled and verified bits, n of them.
    seed:
        Public random bits, shape (n + m - 1,).
    m:
        Length of the secret key.

    Raises
    ------
    BadRequestError
        Lengths that do not fit.
    KeyRefusedError
        The check of rows failed: this machine computes wrongly.
    """
    return SecretBits(toeplitz_product(seed, key.reveal(), m))


def toeplitz_product(seed: Bits, x: Bits, m: int, length: int | None = None) -> Bits:
    """Return T x over GF(2), shape (m,), with T[i, j] = seed[i - j + n - 1]; products of `length` (a power of two)."""
    n = x.size
    if not 1 <= m <= n or seed.size != n + m - 1:
        msg = (
            f"Toeplitz hash of {n} to {m} bits, seed of {seed.size}: expected 1 <= m <= n, seed n + m - 1 = {n + m - 1}"
        )
        raise BadRequestError(msg)
    if length is None:
        length = 1 << min(max((n + m - 2).bit_length(), _SMALLEST_LOG2), _LARGEST_LOG2)
    if error_bound(n, m, length) >= 0.25:
        msg = f"Toeplitz hash of {n} bits in products of {length}: rounding could reach a bit; hash a shorter key"
        raise BadRequestError(msg)
    out = np.concatenate(list(_pieces(seed, x, m, length)))
    _check_rows(seed, x, out)
    return out


def _cuts(m: int, length: int) -> tuple[int, int]:
    """Return how many rows and columns a piece of the matrix has: together at most one more than `length`."""
    height = -(-m // -(-m // (length // 2)))
    return height, length - height + 1


def _pieces(seed: Bits, x: Bits, m: int, length: int) -> Iterator[Bits]:
    """Yield the output piece by piece.

    Rows from i0 and columns from j0: with i = i0 + i', j = j0 + j' the product of seed[i0 - j0 + n - width ...] and x[j0 ...]
    has the sum of row i' at width - 1 + i'.  What wraps at `length` ends below width - 1.
    """
    n = x.size
    height, width = _cuts(m, length)
    product = NegacyclicProduct(length)
    for top in range(0, m, height):
        for left in range(0, n, width):
            begin = top - left + n - width
            window = np.zeros(length, dtype=np.uint8)
            known = seed[max(begin, 0) : begin + length]
            window[max(-begin, 0) :][: known.size] = known
            product.add(window, x[left : left + width])
        sums, off = product.parities()
        if not off < 0.25:
            msg = "privacy amplification: a sum is not an integer; this machine computes wrongly, the block is given up"
            raise KeyRefusedError(msg)
        yield sums[width - 1 : width - 1 + min(height, m - top)]


def _check_rows(seed: Bits, x: Bits, out: Bits) -> None:
    backwards = x[::-1]
    for row in {int(r) for r in np.linspace(0, out.size - 1, _CHECKED_ROWS)}:
        if np.count_nonzero(seed[row : row + x.size] & backwards) % 2 != out[row]:
            msg = f"privacy amplification: row {row} is wrong; this machine computes wrongly, the block is given up"
            raise KeyRefusedError(msg)
