"""Reconciliation of a block in one message a frame: syndromes go one way, how many bits were flipped comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qlab.errors import KeyRefusedError, PeerError
from qlab.qkd.bits import SecretBits
from qlab.qkd.conversation import long_work
from qlab.qkd.ldpc import LdpcDone, LdpcSyndrome, correct_with_syndrome, make_syndrome
from qlab.qkd.ldpc_codes import LARGEST_RATE, frame_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.qkd.block_messages import ReconcileOpen
    from qlab.qkd.conversation import Conversation, Talk

__all__ = ["correct_syndromes", "send_syndromes"]

Bounds = list[tuple[int, int]]


def send_syndromes(
    talk: Talk, key: SecretBits, bounds: Bounds, terms: ReconcileOpen, limit_bits: int, entropy: Callable[[int], bytes]
) -> Conversation[int]:
    """Send the syndrome of each frame, disclosing at most `limit_bits`; returns how many bits the corrector has flipped.

    Raises
    ------
    KeyRefusedError
        The syndromes would disclose more; nothing is sent then.
    """
    _require_code(terms.error_rate)
    bits = key.reveal()
    frames = [frame_for(j - i, terms.error_rate) for i, j in bounds]
    if sum(frame.leaked_bits for frame in frames) > limit_bits:
        msg = f"reconciliation would disclose more than {limit_bits} of {bits.size} bits: no key would be left"
        raise KeyRefusedError(msg)
    for part, ((i, j), frame) in enumerate(zip(bounds, frames, strict=True)):
        yield from talk.say(make_syndrome(SecretBits(bits[i:j]), frame, entropy), part)
    return (yield from talk.hear(LdpcDone)).corrected


def correct_syndromes(
    talk: Talk, key: SecretBits, bounds: Bounds, terms: ReconcileOpen
) -> Conversation[tuple[SecretBits, int]]:
    """Take the syndrome of each frame; returns the corrected key and how many bits were flipped."""
    _require_code(terms.error_rate)
    bits = key.reveal()
    syndromes = []
    for part in range(len(bounds)):
        message, at = yield from talk.hear_any()
        if not isinstance(message, LdpcSyndrome) or at != part:
            msg = f"LDPC: {type(message).__name__} of frame {at} came where the syndrome of frame {part} was expected"
            raise PeerError(msg)
        syndromes.append(message)

    def correct(part: int) -> tuple[SecretBits, int]:
        i, j = bounds[part]
        frame = frame_for(j - i, terms.error_rate)
        return correct_with_syndrome(SecretBits(bits[i:j]), frame, syndromes[part], terms.error_rate)

    found = yield from long_work(lambda: [correct(part) for part in range(len(bounds))])
    flipped = sum(n for _, n in found)
    yield from talk.say(LdpcDone(flipped))
    return SecretBits(np.concatenate([corrected.reveal() for corrected, _ in found])), flipped


def _require_code(error_rate: float) -> None:
    if error_rate > LARGEST_RATE:
        msg = f"LDPC at an error rate of {error_rate:.3g}: there are codes for at most {LARGEST_RATE:g}; use Cascade"
        raise KeyRefusedError(msg)
