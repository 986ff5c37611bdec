"""Reconciliation in one message: the reference sends a syndrome, the corrector finds its errors from it.

    corrector                                   reference
                               <-               LdpcSyndrome
    LdpcDone                   ->

The corrector decodes the *difference* of the two keys: the syndrome of its own word, added to the one it was sent, is that of
the errors.  What it finds has the right syndrome; whether it is the right key, verification says.

Leakage is the length of the syndrome less the punctured bits (`qlab.qkd.ldpc_codes`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from qlab.errors import BadRequestError, KeyRefusedError, PeerError
from qlab.qkd.bits import Bits, SecretBits
from qlab.qkd.ldpc_engine import LARGEST, SCALE, LdpcEngine, ldpc_engine
from qlab.qkd.messages import U8, U32, BitString, Message, register

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.qkd.ldpc_codes import LdpcFrame

__all__ = ["LdpcDone", "LdpcSyndrome", "correct_with_syndrome", "make_syndrome"]

MOST_ITERATIONS = 100


@register
@dataclass(frozen=True, slots=True, eq=False)
class LdpcSyndrome(Message):
    """Syndrome of the reference's word: rows of the base matrix, how many random bits, the parities of all checks."""

    kind: ClassVar[int] = 21
    rows: U8
    punctured: U32
    bits: BitString

    @property
    def secret_bits(self) -> int:
        """As many as there are parities that no random bit hides."""
        return max(self.bits.size - self.punctured, 0)


@register
@dataclass(frozen=True, slots=True, eq=False)
class LdpcDone(Message):
    """The errors of a frame were found; `corrected` bits were flipped."""

    kind: ClassVar[int] = 22
    corrected: U32


def make_syndrome(
    key: SecretBits, frame: LdpcFrame, entropy: Callable[[int], bytes], engine: LdpcEngine | None = None
) -> LdpcSyndrome:
    """Return the message of the reference.

    Parameters
    ----------
    key, frame:
        Its key, and where the bits are in the code word.
    entropy:
        Returns so many random bytes; `os.urandom` outside of tests.  The punctured bits are drawn from it and forgotten.
    engine:
        The best one that is installed by default.
    """
    word = _word(key, frame)
    n = frame.punctured.size
    word[frame.punctured] = np.unpackbits(np.frombuffer(entropy(-(-n // 8)), dtype=np.uint8))[:n]
    return LdpcSyndrome(frame.code.rows, n, (engine or ldpc_engine()).syndrome(frame.code, word))


def correct_with_syndrome(
    key: SecretBits, frame: LdpcFrame, message: LdpcSyndrome, error_rate: float, engine: LdpcEngine | None = None
) -> tuple[SecretBits, int]:
    """Return the corrected key, and how many bits were flipped.

    Parameters
    ----------
    key, frame:
        The key of the corrector; the same frame as at the reference.
    message:
        What the reference sent.
    error_rate:
        Expected, above 0 and below 0.5.
    engine:
        The best one that is installed by default; all find the same.

    Raises
    ------
    PeerError
        The message is not of this frame.
    KeyRefusedError
        No errors with this syndrome were found: there are more than the frame was made for.
    """
    code = frame.code
    if (message.rows, message.punctured, message.bits.size) != (code.rows, frame.punctured.size, code.n_checks):
        msg = (
            f"LDPC: a syndrome of {message.bits.size} bits, {message.rows} rows, {message.punctured} punctured came; "
            f"expected {code.n_checks} bits, {code.rows} rows, {frame.punctured.size} punctured"
        )
        raise PeerError(msg)
    if not 0.0 < error_rate < 0.5:
        msg = f"LDPC at an error rate of {error_rate}: expected 0 < rate < 0.5"
        raise BadRequestError(msg)
    engine = engine or ldpc_engine()
    ratios = np.zeros(code.n_bits, dtype=np.int16)
    ratios[frame.key] = max(1, min(round(SCALE * math.log((1.0 - error_rate) / error_rate)), LARGEST))
    ratios[frame.shortened] = LARGEST
    odd = engine.syndrome(code, _word(key, frame)) ^ message.bits
    errors, iterations = engine.decode(code, odd, ratios, MOST_ITERATIONS)
    if not iterations:
        msg = f"LDPC: {MOST_ITERATIONS} iterations found no errors with this syndrome in {len(key)} bits: there are too many"
        raise KeyRefusedError(msg)
    found = errors[frame.key]
    return SecretBits(key.reveal() ^ found), int(found.sum())


def _word(key: SecretBits, frame: LdpcFrame) -> Bits:
    if len(key) != frame.key.size:
        msg = f"LDPC on a key of {len(key)} bits: the frame is for {frame.key.size}"
        raise BadRequestError(msg)
    word = np.zeros(frame.code.n_bits, dtype=np.uint8)
    word[frame.key] = key.reveal()
    return word
