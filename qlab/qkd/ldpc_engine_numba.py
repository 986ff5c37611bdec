"""Belief propagation in numba: the same bits as `qlab.qkd.ldpc_engine.NumpyLdpc`.

Every result is cast back to 16 bits, so that the compiler fills a vector register with sixteen of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit
from numpy.typing import NDArray

if TYPE_CHECKING:
    from qlab.qkd.bits import Bits
    from qlab.qkd.ldpc_codes import QuasiCyclicCode

__all__ = ["NumbaLdpc"]

Ratios = NDArray[np.int16]


class NumbaLdpc:
    """The quick engine; its first use compiles, later ones take the code from numba's cache."""

    def syndrome(self, code: QuasiCyclicCode, word: Bits) -> Bits:
        """Return the parities of all checks."""
        parities = np.zeros(code.n_checks, dtype=np.uint8)
        _syndrome(code.z, code.first, code.column, code.shift, word, parities)
        return parities

    def decode(self, code: QuasiCyclicCode, syndrome: Bits, ratios: Ratios, most: int) -> tuple[Bits, int]:
        """Return a likely word with this syndrome, and the iterations it took."""
        belief = ratios.copy()
        word = np.empty(belief.size, dtype=np.uint8)
        told = np.zeros((code.column.size, code.z), dtype=np.int16)
        widest = int(np.diff(code.first).max())
        room = np.empty((2, widest, code.z), dtype=np.int16)
        parities = np.empty_like(syndrome)
        for iteration in range(1, most + 1):
            _iterate(code.z, code.first, code.column, code.shift, syndrome, belief, told, room)
            np.less(belief, 0, out=word.view(np.bool_))
            parities[:] = 0
            _syndrome(code.z, code.first, code.column, code.shift, word, parities)
            if np.array_equal(parities, syndrome):
                return word, iteration
        return word, 0


@njit(cache=True, nogil=True)
def _syndrome(z, first, column, shift, word, parities):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    for row in range(first.size - 1):
        out = parities[row * z : (row + 1) * z]
        for entry in range(first[row], first[row + 1]):
            bits = word[column[entry] * z : (column[entry] + 1) * z]
            s = shift[entry]
            for i in range(z - s):
                out[i] ^= bits[i + s]
            for i in range(s):
                out[z - s + i] ^= bits[i]


@njit(inline="always")
def _box(a, b):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    zero, reach = np.int16(0), np.int16(98)
    p = np.int16(-a) if a < zero else a
    q = np.int16(-b) if b < zero else b
    apart = np.int16(p - q)
    least = p if apart < zero else q
    apart = np.int16(-apart) if apart < zero else apart
    near = np.int16(reach - apart)
    near = near if near > zero else zero
    far = np.int16(reach - np.int16(p + q))
    far = far if far > zero else zero
    far = np.int16(np.int16(far * far) >> np.int16(6))
    far = np.int16(np.int16(np.int16(far * far) + np.int16(1024)) >> np.int16(11))
    near = np.int16(np.int16(near * near) >> np.int16(6))
    near = np.int16(np.int16(np.int16(near * near) + np.int16(1024)) >> np.int16(11))
    size = np.int16(np.int16(least + far) - near)
    return np.int16(-size) if np.int16(a ^ b) < zero else size


@njit(cache=True, nogil=True)
def _iterate(z, first, column, shift, syndrome, belief, told, room):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    top, bottom = np.int16(1023), np.int16(-1023)
    for row in range(first.size - 1):
        begin = first[row]
        last = first[row + 1] - begin - 1
        odd = syndrome[row * z : (row + 1) * z]
        asked, behind = room[0], room[1]
        for k in range(last + 1):
            bits = belief[column[begin + k] * z : (column[begin + k] + 1) * z]
            s = shift[begin + k]
            old, new = told[begin + k], asked[k]
            for i in range(z - s):
                old[i] = np.int16(bits[i + s] - old[i])
            for i in range(s):
                old[z - s + i] = np.int16(bits[i] - old[z - s + i])
            for i in range(z):
                v = old[i]
                v = top if v > top else v
                new[i] = bottom if v < bottom else v
        behind[last - 1, :] = asked[last]
        for k in range(last - 1, 0, -1):
            x, y, out = behind[k], asked[k], behind[k - 1]
            for i in range(z):
                out[i] = _box(x[i], y[i])
        before = asked[0]
        for i in range(z):
            if odd[i]:
                before[i] = np.int16(-before[i])
        # The reply to entry 0 takes the sign of the syndrome, those to the others have it from entry 0.
        for k in range(last + 1):
            reply, y, following = behind[k], asked[k], asked[k]
            if k == 0:
                for i in range(z):
                    reply[i] = np.int16(-reply[i]) if odd[i] else reply[i]
            elif k < last:
                for i in range(z):
                    reply[i] = _box(before[i], reply[i])
                    following[i] = _box(before[i], y[i])
                before = following
            else:
                reply[:] = before
            bits = belief[column[begin + k] * z : (column[begin + k] + 1) * z]
            s = shift[begin + k]
            old = told[begin + k]
            for i in range(z - s):
                bits[i + s] = np.int16(old[i] + reply[i])
            for i in range(s):
                bits[i] = np.int16(old[z - s + i] + reply[z - s + i])
            old[:] = reply
