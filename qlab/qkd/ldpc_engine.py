"""Belief propagation on quasi-cyclic codes, as NumPy does it; `qlab.qkd.ldpc_engine_numba` decides the same bits faster.

Messages are log-likelihood ratios in sixteenths, as 16 bit integers, so that every engine computes the same numbers.  Rows of
the base matrix are served one after the other (layered schedule, D. E. Hocevar, SiPS 2004); the Z checks of a row at once.
Two messages into a check combine as

    a [+] b = sign(a) sign(b) (min(|a|, |b|) + c(|a| + |b|) - c(||a| - |b||)),   c(x) = ln(1 + e^-x)

(J. Hagenauer, E. Offer, L. Papke, IEEE Trans. Inf. Theory 42, 429 (1996)), here with c(x) = ((6.125 - x) / 6.71)^4 up to
6.125, which is within 0.03 of it; errors of c add up over the 30 entries of a row.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from qlab.qkd.bits import Bits
    from qlab.qkd.ldpc_codes import QuasiCyclicCode

__all__ = ["LARGEST", "SCALE", "LdpcEngine", "Ratios", "ldpc_engine"]

Ratios = NDArray[np.int16]
SCALE = 16
LARGEST = 1023
"""Messages into a check are cut to this, so that sums of 30 of them fit."""


class LdpcEngine(Protocol):
    """What an engine can do."""

    def syndrome(self, code: QuasiCyclicCode, word: Bits) -> Bits:
        """Return the parities of all checks, shape (n_checks,), of a word of shape (n_bits,)."""
        ...

    def decode(self, code: QuasiCyclicCode, syndrome: Bits, ratios: Ratios, most: int) -> tuple[Bits, int]:
        """Return a likely word with this syndrome and the iterations it took; 0: none was found in `most`.

        `ratios` are the prior log-likelihood ratios of 0 against 1, shape (n_bits,), in sixteenths.
        """
        ...


class NumpyLdpc:
    """The engine that is always there."""

    def syndrome(self, code: QuasiCyclicCode, word: Bits) -> Bits:
        """Return the parities of all checks."""
        bits = word.reshape(-1, code.z)
        parities = np.zeros((code.rows, code.z), dtype=np.uint8)
        for row in range(code.rows):
            for entry in range(code.first[row], code.first[row + 1]):
                parities[row] ^= np.roll(bits[code.column[entry]], -code.shift[entry])
        return parities.reshape(-1)

    def decode(self, code: QuasiCyclicCode, syndrome: Bits, ratios: Ratios, most: int) -> tuple[Bits, int]:
        """Return a likely word with this syndrome, and the iterations it took."""
        belief = ratios.reshape(-1, code.z).copy()
        told = np.zeros((code.column.size, code.z), dtype=np.int16)
        sign = (1 - 2 * syndrome.astype(np.int16)).reshape(-1, code.z)
        for iteration in range(1, most + 1):
            for row in range(code.rows):
                _serve(code, row, belief, told, sign[row])
            word = (belief < 0).astype(np.uint8).reshape(-1)
            if np.array_equal(self.syndrome(code, word), syndrome):
                return word, iteration
        return word, 0


def _serve(code: QuasiCyclicCode, row: int, belief: Ratios, told: Ratios, sign: Ratios) -> None:
    """Let the checks of a row tell their bits what the others say."""
    begin, end = code.first[row], code.first[row + 1]
    others = told[begin:end]
    for k, entry in enumerate(range(begin, end)):
        np.subtract(np.roll(belief[code.column[entry]], -code.shift[entry]), others[k], out=others[k])
    asked = np.clip(others, -LARGEST, LARGEST)
    last = end - begin - 1
    behind = np.empty_like(asked)  # of all entries after this one
    behind[last - 1] = asked[last]
    for k in range(last - 1, 0, -1):
        behind[k - 1] = _box(behind[k], asked[k])
    before = sign * asked[0]
    reply = np.empty_like(asked)
    reply[0] = sign * behind[0]
    for k in range(1, last):
        reply[k] = _box(before, behind[k])
        before = _box(before, asked[k])
    reply[last] = before
    for k, entry in enumerate(range(begin, end)):
        belief[code.column[entry]] = np.roll(others[k] + reply[k], code.shift[entry])
    others[:] = reply


def _box(a: Ratios, b: Ratios) -> Ratios:
    p, q = np.abs(a), np.abs(b)
    size = np.minimum(p, q) + _correction(p + q) - _correction(np.abs(p - q))
    result: Ratios = np.where((a ^ b) < 0, -size, size)
    return result


def _correction(x: Ratios) -> Ratios:
    u = np.maximum(np.int16(98) - x, np.int16(0))
    w = u * u >> np.int16(6)
    result: Ratios = (w * w + np.int16(1024)) >> np.int16(11)
    return result


def ldpc_engine(name: Literal["auto", "numpy", "numba"] = "auto") -> LdpcEngine:
    """Return an engine by name; `auto` takes numba where it is installed.

    Raises
    ------
    BadRequestError
        There is no such engine, or numba is asked for and not installed.
    """
    if name not in {"auto", "numpy", "numba"}:
        msg = f"there is no LDPC engine {name!r}; expected auto, numpy or numba"
        raise BadRequestError(msg)
    if name == "numpy" or (name == "auto" and find_spec("numba") is None):
        return NumpyLdpc()
    try:
        from qlab.qkd.ldpc_engine_numba import NumbaLdpc
    except ImportError as error:
        msg = "the LDPC engine 'numba' needs numba: pip install 'qlab[fast]'"
        raise BadRequestError(msg) from error
    return NumbaLdpc()
