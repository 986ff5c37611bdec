"""Products of long 0/1 polynomials modulo z^N + 1, by float64 FFT in four steps that stay in the cache.

*Right angle.*  A polynomial a modulo z^N + 1 is kept as a_k + i a_(k+M), k = 0 ... M - 1, M = N/2: modulo z^M - i.  With
z = w y, w = e^(i pi / 2M), that becomes y^M - 1, a circular convolution of M complex points (R. Crandall, B. Fagin, Math.
Comp. 62, 305 (1994)).

*Four steps.*  M = P Q points are a table, k = Q p + q: transforms down the columns, a twiddle, transforms along the rows
(D. H. Bailey, J. Supercomputing 4, 23 (1990)); products do not mind the order of the result.  The weight w^k is a factor
of p, before the columns, and one of q, in the twiddle e^(-2 pi i q (f - 1/4) / M), which is a product of two small tables.

*Error.*  Convolutions of complex vectors x, y by FFT of 2^k points are off by at most
|x| |y| ((1 + u)^(6k) (1 + u sqrt 5)^(3k + 1) - 1), u = 2^-53, twiddles correct to u (R. Brent, C. Percival, P. Zimmermann,
Math. Comp. 76, 1469 (2007)).  Weight and twiddle are three more factors a transform, of tables correct to 16 u.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from qlab.qkd.bits import Bits

    Table = NDArray[np.complex128]

__all__ = ["NegacyclicProduct", "relative_error"]

_TILE = 1 << 15
"""Points that are worked on at a time."""


def relative_error(length: int, terms: int) -> float:
    """Return the largest error of a sum of `terms` products modulo z^length + 1, over the product of both norms."""
    k, u = (length // 2).bit_length() - 1, 2.0**-53
    return math.expm1((6 * k + 9 * 16 + terms) * math.log1p(u) + (3 * k + 10) * math.log1p(u * math.sqrt(5.0)))


class NegacyclicProduct:
    """The sum of products of pairs of 0/1 polynomials modulo z^N + 1.

    Parameters
    ----------
    length:
        N, a power of two from 16; memory is 8 N bytes a table, three of them for a sum of several products.

    Raises
    ------
    BadRequestError
        Another length.
    """

    def __init__(self, length: int) -> None:
        if length < 16 or length & (length - 1):
            msg = f"products modulo z^{length} + 1: expected a power of two, at least 16"
            raise BadRequestError(msg)
        points = length // 2
        down = 1 << (points.bit_length() - 1) // 2
        self._shape = down, points // down
        near = 1 << (self._shape[1].bit_length() - 1) // 2
        self._weight: Table = np.exp(0.5j * np.pi * np.arange(down) / down)[:, np.newaxis]
        self._far = self._twiddle(np.arange(0, self._shape[1], near))[:, :, np.newaxis]
        self._near = self._twiddle(np.arange(near))[:, np.newaxis, :]
        self._sum: Table | None = None

    def add(self, a: Bits, b: Bits) -> None:
        """Add a product; both polynomials have at most N coefficients, the lowest first."""
        one, other = self._columns(a), self._columns(b)
        for rows in self._row_tiles():
            term = self._along(one, rows)
            term *= self._along(other, rows)
            if self._sum is not None:
                self._sum[rows] += term
            else:
                one[rows] = term
        if self._sum is None:
            self._sum = one

    def parities(self) -> tuple[Bits, float]:
        """Return the coefficients modulo 2, shape (N,), and how far the worst one was from an integer; the sum is used up."""
        down, across = self._shape
        table, self._sum = self._sum if self._sum is not None else np.zeros(self._shape, dtype=np.complex128), None
        out = np.empty((2, down, across), dtype=np.uint8)
        for rows in self._row_tiles():
            tile = np.fft.ifft(table[rows], axis=1)
            cut = self._cut(tile)
            cut *= self._far[rows].conj()
            cut *= self._near[rows].conj()
            table[rows] = tile
        worst, back = 0.0, self._weight.conj()
        for columns in self._column_tiles():
            tile = np.fft.ifft(table[:, columns], axis=0)
            tile *= back
            for half, found in enumerate((tile.real, tile.imag)):
                whole = np.rint(found)
                found -= whole
                worst = max(worst, float(np.abs(found, out=found).max()))
                out[half, :, columns] = whole.astype(np.int64) & 1
        return out.reshape(-1), worst

    def _twiddle(self, q: NDArray[np.int64]) -> Table:
        points = self._shape[0] * self._shape[1]
        turns = np.outer(4 * np.arange(self._shape[0]) - 1, q) % (4 * points)  # exact; each turn is 4 M steps
        turns[turns >= 2 * points] -= 4 * points
        table: Table = np.exp(turns * (-0.5j * np.pi / points))
        return table

    def _columns(self, bits: Bits) -> Table:
        """Return the table of a polynomial, weighted and transformed down its columns."""
        down, across = self._shape
        padded = np.zeros((2, down, across), dtype=np.uint8)
        padded.reshape(-1)[: bits.size] = bits
        table = np.empty(self._shape, dtype=np.complex128)
        for columns in self._column_tiles():
            tile = np.empty((down, columns.stop - columns.start), dtype=np.complex128)
            tile.real, tile.imag = padded[:, :, columns]
            tile *= self._weight
            table[:, columns] = np.fft.fft(tile, axis=0)
        return table

    def _along(self, table: Table, rows: slice) -> Table:
        """Return some rows, twiddled and transformed."""
        tile = table[rows]
        cut = self._cut(tile)
        cut *= self._far[rows]
        cut *= self._near[rows]
        return np.fft.fft(tile, axis=1)

    def _cut(self, tile: Table) -> Table:
        return tile.reshape(-1, self._far.shape[1], self._near.shape[2])

    def _column_tiles(self) -> Iterator[slice]:
        return _tiles(self._shape[1], _TILE // self._shape[0])

    def _row_tiles(self) -> Iterator[slice]:
        return _tiles(self._shape[0], _TILE // self._shape[1])


def _tiles(size: int, at_a_time: int) -> Iterator[slice]:
    step = max(at_a_time, 8)
    return (slice(begin, min(begin + step, size)) for begin in range(0, size, step))
