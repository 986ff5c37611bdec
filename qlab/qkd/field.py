"""Polynomial hashing over the prime field of p = 2^127 - 1, exact in Python's integers.

A string is cut into limbs of 15 bytes, and its length in bits follows as the last limb, so that no two strings have the same
limbs.  The hash of limbs m_1 ... m_L at the point r is the sum of m_i r^(L+1-i).  Two strings of at most L limbs agree at a
random point with probability at most L / p, whoever chose them: their difference is a polynomial of degree L with at most L
roots (J. L. Carter, M. N. Wegman, J. Comput. Syst. Sci. 18, 143 (1979); M. N. Wegman, J. L. Carter, ibid. 22, 265 (1981)).
"""

from __future__ import annotations

__all__ = ["LIMB_BYTES", "PRIME", "element", "limbs", "polynomial_hash"]

PRIME = (1 << 127) - 1
LIMB_BYTES = 15


def limbs(n_bytes: int) -> int:
    """Return how many limbs a string of `n_bytes` has, that of the length included."""
    return -(-n_bytes // LIMB_BYTES) + 1


def polynomial_hash(data: bytes, n_bits: int, point: int) -> int:
    """Return the hash of a string of `n_bits`, packed in `data`, at `point`; 0 <= hash < p."""
    total = 0
    for at in range(0, len(data), LIMB_BYTES):
        total = (total + int.from_bytes(data[at : at + LIMB_BYTES], "big")) * point % PRIME
    return (total + n_bits) * point % PRIME


def element(random: bytes) -> int:
    """Return a field element from 16 random bytes; 0 is 2^-127 likelier than the others."""
    return (int.from_bytes(random, "big") & PRIME) % PRIME
