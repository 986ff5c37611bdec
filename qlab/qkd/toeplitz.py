"""Privacy amplification by Toeplitz matrices, multiplied by float64 FFT, exact.

The m x n matrix has the entries T[i, j] = seed[i - j + n - 1]; with n + m - 1 uniform bits it is two-universal (H. Krawczyk,
CRYPTO '94), so that the leftover hash lemma holds with 2^-(1/2)(H_min - m).  The seed is public, but it must be as long as
that and be drawn after the quantum phase.

*Blocks.*  Input and output are cut in pieces of b = L/2 bits; a piece of the matrix depends on the difference of its row and
column alone, so each piece of the seed is transformed once, products add up in the spectrum, and each output piece is
transformed back once.  Memory is about 2 spectra a piece of output.

*Exactness.*  The sums are integers up to n.  A float64 FFT convolution of vectors x, y of length L = 2^k is off by at most
|x| |y| ((1 + u)^(6k) (1 + u sqrt 5)^(3k + 1) - 1), u = 2^-53, twiddles correct to u (R. Brent, C. Percival, P. Zimmermann,
Math. Comp. 76, 1469 (2007)).  With 0/1 vectors |x| |y| <= L / sqrt 2; `error_bound` sums that over the pieces, and a hash
whose bound is not below 1/4 is refused.  Against broken machines and libraries each result is also checked: every sum must
be within 1/4 of an integer, and some rows, spread over the output, are computed again as integers.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from qlab.errors import BadRequestError, KeyRefusedError
from qlab.qkd.bits import Bits, SecretBits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["amplify", "error_bound", "toeplitz_product"]

_CHECKED_ROWS = 4
_SMALLEST_LOG2, _LARGEST_LOG2 = 8, 22


def error_bound(n: int, length: int) -> float:
    """Return the largest error of a sum over `n` input bits, in transforms of `length`, a power of two."""
    k, u = length.bit_length() - 1, 2.0**-53
    relative = math.expm1(6 * k * math.log1p(u) + (3 * k + 1) * math.log1p(u * math.sqrt(5.0)))
    return -(-n // (length // 2)) * length / math.sqrt(2.0) * relative


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
    """Return T x over GF(2), shape (m,), with T[i, j] = seed[i - j + n - 1]; transforms of `length` (a power of two)."""
    n = x.size
    if not 1 <= m <= n or seed.size != n + m - 1:
        msg = (
            f"Toeplitz hash of {n} to {m} bits, seed of {seed.size}: expected 1 <= m <= n, seed n + m - 1 = {n + m - 1}"
        )
        raise BadRequestError(msg)
    if length is None:
        length = 1 << min(max((n + m).bit_length() - 3, _SMALLEST_LOG2), _LARGEST_LOG2)
    if error_bound(n, length) >= 0.25:
        msg = f"Toeplitz hash of {n} bits in transforms of {length}: rounding could reach a bit; hash a shorter key"
        raise BadRequestError(msg)
    out = np.concatenate(list(_pieces(seed, x, m, length)))
    _check_rows(seed, x, out)
    return out


def _pieces(seed: Bits, x: Bits, m: int, length: int) -> Iterator[Bits]:
    """Yield the output piece by piece.

    Row i = I b + i', column j = J b + j': the piece at I - J uses seed[(I - J) b + n - b ... + 2b - 2], to be convolved with
    the column piece; the sums that belong to the rows stand at b - 1 ... 2b - 2 and do not wrap in a transform of 2b.
    """
    half, n = length // 2, x.size
    rows, columns = -(-m // half), -(-n // half)
    window = np.empty(length)
    totals = np.zeros((rows, half + 1), dtype=np.complex128)

    def spectrum(diagonal: int) -> NDArray[np.complex128]:
        begin = diagonal * half + n - half
        low, high = max(begin, 0), min(begin + length - 1, seed.size)
        window[:] = 0.0
        if high > low:
            window[low - begin : high - begin] = seed[low:high]
        return np.fft.rfft(window)

    # Spectra of the pieces at I - J for I = 0 ... rows - 1; the next column needs one new one.
    spectra = deque(spectrum(diagonal) for diagonal in range(rows))
    product = np.empty(half + 1, dtype=np.complex128)
    for column in range(columns):
        if column:
            spectra.pop()
            spectra.appendleft(spectrum(-column))
        part = np.fft.rfft(x[column * half : (column + 1) * half].astype(np.float64), length)
        for row in range(rows):
            np.multiply(spectra[row], part, out=product)
            totals[row] += product
    for row in range(rows):
        sums = np.fft.irfft(totals[row], length)[half - 1 : half - 1 + min(half, m - row * half)]
        whole = np.rint(sums)
        if not (np.abs(sums - whole) < 0.25).all():
            msg = "privacy amplification: a sum is not an integer; this machine computes wrongly, the block is given up"
            raise KeyRefusedError(msg)
        yield (whole.astype(np.int64) & 1).astype(np.uint8)


def _check_rows(seed: Bits, x: Bits, out: Bits) -> None:
    backwards = x[::-1]
    for row in {int(r) for r in np.linspace(0, out.size - 1, _CHECKED_ROWS)}:
        if np.count_nonzero(seed[row : row + x.size] & backwards) % 2 != out[row]:
            msg = f"privacy amplification: row {row} is wrong; this machine computes wrongly, the block is given up"
            raise KeyRefusedError(msg)
