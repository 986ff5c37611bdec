"""Reconciliation of a block: frames side by side in one exchange, so that a round trip serves them all."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from qlab.errors import KeyRefusedError, PeerError
from qlab.qkd.bits import SecretBits
from qlab.qkd.cascade import CascadeCorrector, CascadeReference
from qlab.qkd.cascade_schedule import schedule_for
from qlab.qkd.conversation import PARTS_LOG2, long_work
from qlab.qkd.ldpc import LdpcCorrector, LdpcReference
from qlab.qkd.ldpc_codes import LARGEST_RATE, frame_for
from qlab.qkd.reconcile_messages import FrameDone

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.qkd.conversation import Conversation, Talk
    from qlab.qkd.messages import Message
    from qlab.qkd.policy import QkdPolicy
    from qlab.qkd.reconcile_messages import Corrector, ReconcileOpen, Reference

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
    """Answer the corrector's questions until all frames are done, disclosing at most `limit_bits`.

    Returns how many bits the corrector says it has flipped.

    Raises
    ------
    KeyRefusedError
        More would have to be disclosed; what would go beyond the limit is not sent.
    """
    _require_code(policy, terms)
    frames = _frames(key, policy)
    machines = [_reference(frame, k, policy, terms, limit_bits, entropy) for k, frame in enumerate(frames)]
    told = corrected = 0

    def count(answers: list[Message]) -> None:
        nonlocal told
        told += sum(answer.secret_bits for answer in answers)
        if told > limit_bits:
            msg = f"reconciliation would disclose more than {limit_bits} of {len(key)} bits: no key would be left"
            raise KeyRefusedError(msg)

    unasked = [(part, said) for part, machine in enumerate(machines) if (said := machine.start()) is not None]
    count([said for _, said in unasked])
    for part, said in unasked:
        yield from talk.say(said, part)
    while not all(machine.done for machine in machines):
        message, part = yield from talk.hear_any()
        if part >= len(machines) or machines[part].done:
            msg = f"{policy.variant}: the corrector asks about frame {part} of {len(machines)}, or after it was done"
            raise PeerError(msg)
        reply = machines[part].receive(message)
        if isinstance(message, FrameDone):
            corrected += message.corrected
        if reply is not None:
            count([reply])
            yield from talk.say(reply, part)
    return corrected


def correct_frames(
    talk: Talk, key: SecretBits, policy: QkdPolicy, terms: ReconcileOpen
) -> Conversation[tuple[SecretBits, int]]:
    """Correct all frames; returns the corrected key and how many bits were flipped."""
    _require_code(policy, terms)
    machines = [_corrector(frame, k, policy, terms) for k, frame in enumerate(_frames(key, policy))]
    for part, machine in enumerate(machines):
        first = machine.start()
        if first is not None:
            yield from talk.say(first, part)
    while not all(machine.done for machine in machines):
        message, part = yield from talk.hear_any()
        if part >= len(machines):
            msg = f"{policy.variant}: the reference speaks of frame {part} of {len(machines)}"
            raise PeerError(msg)
        answer = partial(machines[part].receive, message)
        # A step of Cascade is short, a decoded frame is not.
        question = (yield from long_work(answer)) if policy.variant == "ldpc" else answer()
        if question is not None:
            yield from talk.say(question, part)
    corrected = SecretBits(np.concatenate([machine.key.reveal() for machine in machines]))
    return corrected, sum(machine.corrected_bits for machine in machines)


def _frames(key: SecretBits, policy: QkdPolicy) -> list[SecretBits]:
    bits = key.reveal()
    return [SecretBits(bits[i:j]) for i, j in frame_bounds(bits.size, policy.frame_bits)]


def _reference(
    frame: SecretBits,
    part: int,
    policy: QkdPolicy,
    terms: ReconcileOpen,
    limit_bits: int,
    entropy: Callable[[int], bytes],
) -> Reference:
    if policy.variant == "ldpc":
        return LdpcReference(frame, frame_for(len(frame), terms.error_rate), entropy)
    schedule = schedule_for(len(frame), terms.error_rate, policy.variant)
    return CascadeReference(frame, schedule, terms.seed + part, limit_bits=limit_bits)


def _corrector(frame: SecretBits, part: int, policy: QkdPolicy, terms: ReconcileOpen) -> Corrector:
    if policy.variant == "ldpc":
        return LdpcCorrector(frame, frame_for(len(frame), terms.error_rate), terms.error_rate)
    schedule = schedule_for(len(frame), terms.error_rate, policy.variant)
    return CascadeCorrector(frame, schedule, terms.seed + part, most_rounds=5000)


def _require_code(policy: QkdPolicy, terms: ReconcileOpen) -> None:
    if policy.variant == "ldpc" and terms.error_rate > LARGEST_RATE:
        msg = f"LDPC at an error rate of {terms.error_rate:.3g}: there are codes for at most {LARGEST_RATE:g}; use Cascade"
        raise KeyRefusedError(msg)
