"""Verification: do both parties have the same key?  A short universal hash, at a public random point, decides.

The hash is a polynomial over p = 2^127 - 1 at a random point, then multiplied by a random element, shifted by another one and
cut to its `tag_bits` highest bits.  Different keys of at most L limbs pass with a probability of at most

    eps_cor = L / p + 2^-tag_bits + 2^-126

The polynomials of different keys agree at no more than L of p points.  Where they differ, a random affine map (a, b) takes
the two values to a uniform pair, and of p values at most 2^(127 - tag_bits) share a tag.  Points from 128 random bits hit 0
twice as often as other elements, which is the last term.
The points are drawn after the keys are final, and the tag's bits count as disclosed.
"""

from __future__ import annotations

import hmac
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from qlab.errors import BadRequestError
from qlab.qkd.bits import SecretBits, pack
from qlab.qkd.field import PRIME, element, limbs, polynomial_hash
from qlab.qkd.messages import U8, Blob, Message, register

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["KeyTag", "make_tag", "matches_tag", "tag_bits_for", "tag_failure"]


@register
@dataclass(frozen=True, slots=True, eq=False)
class KeyTag(Message):
    """The points of the hash (48 bytes) and the tag, its highest bit first in the lowest `n_bits` of `tag`."""

    kind: ClassVar[int] = 32
    points: Blob
    n_bits: U8
    tag: Blob

    @property
    def secret_bits(self) -> int:
        """The tag's length."""
        return self.n_bits


def tag_failure(n_bits: int, tag_bits: int) -> float:
    """Return eps_cor: a bound on the probability that different keys of `n_bits` pass."""
    return (limbs(-(-n_bits // 8)) + 2) / PRIME + math.ldexp(1.0, -tag_bits)


def tag_bits_for(n_bits: int, eps_cor: float) -> int:
    """Return the shortest tag whose failure probability is at most `eps_cor`.

    Raises
    ------
    BadRequestError
        No tag is that good.
    """
    for tag_bits in range(1, 127):
        if tag_failure(n_bits, tag_bits) <= eps_cor:
            return tag_bits
    msg = f"verification with eps_cor {eps_cor:g}: expected at least {tag_failure(n_bits, 126):.1g} for {n_bits} bits"
    raise BadRequestError(msg)


def make_tag(key: SecretBits, tag_bits: int, entropy: Callable[[int], bytes]) -> KeyTag:
    """Return the tag of a key at fresh random points.

    Parameters
    ----------
    key:
        The final key of this side.
    tag_bits:
        Length, 1 to 126; `tag_bits_for` gives it.
    entropy:
        Returns so many random bytes; `os.urandom` outside of tests.
    """
    if not 1 <= tag_bits <= 126:
        msg = f"verification with a tag of {tag_bits} bits: expected 1 to 126"
        raise BadRequestError(msg)
    points = entropy(48)
    return KeyTag(points, tag_bits, _tag(key, tag_bits, points))


def matches_tag(key: SecretBits, message: KeyTag, tag_bits: int) -> bool:
    """Return whether a key has this tag; one of another length than agreed never matches."""
    if message.n_bits != tag_bits or len(message.points) != 48:
        return False
    return hmac.compare_digest(_tag(key, tag_bits, message.points), message.tag)


def _tag(key: SecretBits, tag_bits: int, points: bytes) -> bytes:
    r, a, b = (element(points[at : at + 16]) for at in (0, 16, 32))
    value = (a * polynomial_hash(pack(key.reveal()), len(key), r) + b) % PRIME
    return (value >> (127 - tag_bits)).to_bytes(16, "big")
