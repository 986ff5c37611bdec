"""Randomness that is keyed, never sequential: generators by key, and uniform bits as a function of time."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MASK", "QUANTILES", "WEYL", "Brownian", "KeyedStream", "generator", "hash_key", "mix", "normal_table"]

MASK = (1 << 64) - 1
QUANTILES = 65536
WEYL = 0x9E3779B97F4A7C15
"""SplitMix64's increment."""


def generator(seed: int, *key: int) -> np.random.Generator:
    """Return the generator of this key."""
    return np.random.Generator(np.random.PCG64DXSM(np.random.SeedSequence((seed, *(k & MASK for k in key)))))


class KeyedStream:
    """One component's randomness: the same generator, put to a place of its own for each cell and offset.

    Making a generator from a seed sequence costs 20 us, putting one to another place 3 us; a world does it for every
    component in every cell.  The places are 128-bit hashes in the period of 2^128 of PCG64DXSM, the increment is the
    component's own.

    Parameters
    ----------
    seed, component:
        What makes the stream this one.
    """

    def __init__(self, seed: int, *component: int) -> None:
        words = np.random.SeedSequence((seed, *(k & MASK for k in component))).generate_state(3, np.uint64)
        self._key, high, low = (int(word) for word in words)
        self._increment = (high << 64) | low | 1
        self._bits = np.random.PCG64DXSM(0)
        self._rng = np.random.Generator(self._bits)

    def at(self, cell: int, offset: int = 0) -> np.random.Generator:
        """Return the generator at the beginning of a place; it is the same object each time."""
        high = _finalise(self._key + _finalise(cell))
        low = _finalise(high + _finalise(offset))
        self._bits.state = {
            "bit_generator": "PCG64DXSM",
            "state": {"state": (high << 64) | low, "inc": self._increment},
            "has_uint32": 0,
            "uinteger": 0,
        }
        return self._rng


def _finalise(value: int) -> int:
    """Return SplitMix64's finaliser of an integer, as `mix` does with arrays."""
    x = (value * WEYL + 0x632BE59BD9B4E019) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def mix(t_ps: NDArray[np.int64], key: int | NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return 64 uniform bits for each time: SplitMix64's finaliser (Steele, Lea, Flood, OOPSLA 2014) of time and key."""
    x = t_ps.astype(np.uint64)
    x *= np.uint64(WEYL)
    x += np.uint64(key & MASK) if isinstance(key, int) else key
    shifted = x >> np.uint64(30)
    x ^= shifted
    x *= np.uint64(0xBF58476D1CE4E5B9)
    x ^= np.right_shift(x, np.uint64(27), out=shifted)
    x *= np.uint64(0x94D049BB133111EB)
    x ^= np.right_shift(x, np.uint64(31), out=shifted)
    return x


def normal_table() -> NDArray[np.float64]:
    """Return 65536 quantiles of the standard normal at (i + 1/2)/65536: bounded, made with scalar mathematics."""
    inverse = NormalDist().inv_cdf
    return np.array([inverse((i + 0.5) / QUANTILES) for i in range(QUANTILES)])


class Brownian:
    """A Brownian path that can be looked up at any step: Levy's construction on dyadic intervals with keyed draws.

    Parameters
    ----------
    seed, key:
        What makes the path this one.
    """

    _LEVELS = 40

    def __init__(self, seed: int, key: int) -> None:
        self._seed = seed
        self._key = key
        self._points: dict[int, float] = {0: 0.0}

    def value(self, step: int) -> float:
        """Return the path at `step` >= 0: normal with variance `step`, increments independent."""
        low, high = 0, 1 << self._LEVELS
        a, b = 0.0, self._point(high, math.sqrt(high))
        while low < step:
            middle = (low + high) // 2
            if middle == low:
                return b
            half = (high - low) / 4.0
            m = (a + b) / 2.0 + self._point(middle, math.sqrt(half))
            if step >= middle:
                low, a = middle, m
            else:
                high, b = middle, m
        return a

    def _point(self, index: int, sigma: float) -> float:
        if index not in self._points:
            if len(self._points) > 4096:
                self._points.clear()
            bits = int(mix(np.array([index], np.int64), hash_key(self._seed, self._key))[0]) >> 11
            self._points[index] = NormalDist().inv_cdf((bits + 0.5) / 2.0**53)
        return self._points[index] * sigma


def hash_key(*parts: int) -> int:
    """Fold integers into one 64-bit key."""
    key = np.array([0], np.int64)
    value = 0
    for part in parts:
        key[0] = np.int64((value ^ (part & MASK)) & (MASK >> 1))
        value = int(mix(key, value + 0x632BE59BD9B4E019)[0])
    return value
