"""Reconciliation of a block: frames side by side in one exchange, so that a round trip of Cascade serves them all."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from qlab.errors import KeyRefusedError, PeerError
from qlab.qkd.bits import SecretBits
from qlab.qkd.cascade import CascadeCorrector, CascadeDone, CascadeReference
from qlab.qkd.cascade_schedule import schedule_for
from qlab.qkd.conversation import PARTS_LOG2
from qlab.qkd.reconciling_ldpc import correct_syndromes, send_syndromes

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.qkd.block_messages import ReconcileOpen
    from qlab.qkd.conversation import Conversation, Talk
    from qlab.qkd.policy import QkdPolicy

__all__ = ["answer_frames", "correct_frames", "frame_bounds"]


def frame_bounds(n_bits: int, most: int) -> list[tuple[int, int]]:
    """Return where frames begin and end: as few as possible of at most `most` bits, of about the same length."""
    frames = -(-n_bits // most)
    if frames >= 1 << PARTS_LOG2:
        msg = f"a raw key of {n_bits} bits makes {frames} frames of {most}: expected fewer than {1 << PARTS_LOG2}"
        raise KeyRefusedError(msg)
    cuts = [n_bits * k // frames for k in range(frames + 1)]
    return list(pairwise(cuts))


def answer_frames(
    talk: Talk,
    key: SecretBits,
    policy: QkdPolicy,
    terms: ReconcileOpen,
    limit_bits: int,
    entropy: Callable[[int], bytes],
) -> Conversation[int]:
    """Answer the corrector's questions, or send syndromes, until all frames are done, disclosing at most `limit_bits`.

    Returns how many bits the corrector says it has flipped.
    """
    bits = key.reveal()
    bounds = frame_bounds(bits.size, policy.frame_bits)
    if policy.variant == "ldpc":
        return (yield from send_syndromes(talk, key, bounds, terms, limit_bits, entropy))
    variant = policy.variant
    machines = [
        CascadeReference(
            SecretBits(bits[i:j]),
            schedule_for(j - i, terms.error_rate, variant),
            terms.seed + k,
            limit_bits=limit_bits,
        )
        for k, (i, j) in enumerate(bounds)
    ]
    told = corrected = 0
    while not all(machine.done for machine in machines):
        message, part = yield from talk.hear_any()
        if part >= len(machines) or machines[part].done:
            msg = f"Cascade: the corrector asks about frame {part} of {len(machines)}, or after it was done"
            raise PeerError(msg)
        reply = machines[part].receive(message)
        if isinstance(message, CascadeDone):
            corrected += message.corrected
        if reply is None:
            continue
        told += reply.secret_bits
        if told > limit_bits:
            msg = f"reconciliation would disclose more than {limit_bits} of {bits.size} bits: no key would be left"
            raise KeyRefusedError(msg)
        yield from talk.say(reply, part)
    return corrected


def correct_frames(
    talk: Talk, key: SecretBits, policy: QkdPolicy, terms: ReconcileOpen
) -> Conversation[tuple[SecretBits, int]]:
    """Correct all frames; returns the corrected key and how many bits were flipped."""
    bits = key.reveal()
    bounds = frame_bounds(bits.size, policy.frame_bits)
    if policy.variant == "ldpc":
        return (yield from correct_syndromes(talk, key, bounds, terms))
    variant = policy.variant
    machines = [
        CascadeCorrector(
            SecretBits(bits[i:j]),
            schedule_for(j - i, terms.error_rate, variant),
            terms.seed + k,
            most_rounds=5000,
        )
        for k, (i, j) in enumerate(bounds)
    ]
    for part, machine in enumerate(machines):
        yield from talk.say(machine.start(), part)
    while not all(machine.done for machine in machines):
        message, part = yield from talk.hear_any()
        if part >= len(machines):
            msg = f"Cascade: the reference answers about frame {part} of {len(machines)}"
            raise PeerError(msg)
        question = machines[part].receive(message)
        if question is not None:
            yield from talk.say(question, part)
    corrected = SecretBits(np.concatenate([machine.key.reveal() for machine in machines]))
    return corrected, sum(machine.corrected_bits for machine in machines)
