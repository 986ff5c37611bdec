"""Bit strings: secret ones, which never show themselves, and the packing that messages use."""

from __future__ import annotations

from typing import NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qlab.errors import BadRequestError

__all__ = ["Bits", "SecretBits", "pack", "unpack"]

Bits = NDArray[np.uint8]


class SecretBits:
    """A string of secret bits: its repr tells the length and nothing else, and it cannot be pickled.

    Parameters
    ----------
    bits:
        Zeros and ones, shape (n,).
    """

    __slots__ = ("_bits",)

    def __init__(self, bits: ArrayLike) -> None:
        given = np.asarray(bits)
        if given.ndim != 1 or (given.size and not ((given == 0) | (given == 1)).all()):
            msg = f"secret bits of shape {given.shape}: expected one dimension of zeros and ones"
            raise BadRequestError(msg)
        self._bits = given.astype(np.uint8)
        self._bits.flags.writeable = False

    def __len__(self) -> int:
        return self._bits.size

    def __repr__(self) -> str:
        return f"SecretBits(<{len(self)} bits>)"

    def __reduce__(self) -> NoReturn:
        msg = "secret bits do not leave their process by pickling; hand over keys through the key store"
        raise BadRequestError(msg)

    def reveal(self) -> Bits:
        """Return the bits, read-only; whoever calls this is responsible for them."""
        return self._bits


def pack(bits: Bits) -> bytes:
    """Return bits as bytes, the first bit highest, the last byte filled with zeros."""
    return np.packbits(bits).tobytes()


def unpack(data: bytes, n: int) -> Bits:
    """Return the first `n` bits of packed bytes.

    Raises
    ------
    BadRequestError
        The bytes are not those of `n` bits.
    """
    if len(data) != (n + 7) // 8:
        msg = f"{len(data)} bytes for {n} bits: expected {(n + 7) // 8}"
        raise BadRequestError(msg)
    whole = np.unpackbits(np.frombuffer(data, dtype=np.uint8))
    if whole[n:].any():
        msg = f"packed bits: the filling behind bit {n} is not zero"
        raise BadRequestError(msg)
    return whole[:n]
