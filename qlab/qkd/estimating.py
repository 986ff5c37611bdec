"""Parameter estimation between both parties: test bits are told, errors counted; with decoy states by intensity.

    reference                                       corrector
    SentLevels (decoy states)                  ->
    TestBits                                   ->
                                               <-   ErrorCount; LevelErrors with decoy states, ChshCounts with E91
    ... reconciliation, verification ...
                                               <-   LevelErrors of the key basis (one decoy state)

With one decoy state the vacuum is bounded by the errors of the key basis, which are known once they are corrected; before
that they are guessed, and nothing rests on the guess but the decision to go on.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from qlab.errors import PeerError
from qlab.qkd.accounting import estimate, estimate_chsh, estimate_decoy
from qlab.qkd.block_messages import ErrorCount, LevelErrors, SentLevels, TestBits
from qlab.qkd.chsh_sifting import ChshCounts, rounds_of
from qlab.qkd.decoy import DecoyCounts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from qlab.qkd.accounting import EstimatedBlock
    from qlab.qkd.conversation import Conversation, Talk
    from qlab.qkd.policy import QkdPolicy
    from qlab.qkd.sifting import Sifted

__all__ = ["complete_corrector", "complete_reference", "estimate_corrector", "estimate_reference"]


def estimate_reference(
    talk: Talk, policy: QkdPolicy, sifted: Sifted, error_rate: float
) -> Conversation[EstimatedBlock]:
    """Tell the test bits, and return what the block is worth; raises `KeyRefusedError` where that is nothing.

    `error_rate` is the guess for the key basis.
    """
    if policy.chsh:
        yield from talk.say(TestBits(sifted.test.reveal()))
        rounds = rounds_of(sifted)
        equal = (yield from talk.hear(ChshCounts)).equal
        if equal.size != rounds.size or (equal < 0).any() or (equal > rounds).any():
            msg = f"the peer counts {equal.tolist()} equal outcomes of {rounds.tolist()}; the block is given up"
            raise PeerError(msg)
        return estimate_chsh(policy, len(sifted.key), rounds.tolist(), equal.tolist())
    if policy.intensities is None:
        yield from talk.say(TestBits(sifted.test.reveal()))
        count = yield from talk.hear(ErrorCount)
        return estimate(policy, len(sifted.key), len(sifted.test), count.errors)
    yield from talk.say(SentLevels(sifted.key_levels.tobytes(), sifted.test_levels.tobytes()))
    yield from talk.say(TestBits(sifted.test.reveal()))
    told = yield from talk.hear(LevelErrors)
    levels = len(policy.intensities.mean_photons)
    in_test = _by_level(sifted.test_levels, levels)
    if told.errors.size != levels or (told.errors < 0).any() or (told.errors > in_test).any():
        msg = f"the peer counts errors {told.errors.tolist()} of test bits {in_test.tolist()}; the block is given up"
        raise PeerError(msg)
    counts = _counts(_by_level(sifted.key_levels, levels), in_test, told.errors, error_rate)
    return estimate_decoy(policy, policy.intensities, counts)


def estimate_corrector(
    talk: Talk, policy: QkdPolicy, sifted: Sifted, error_rate: float
) -> Conversation[tuple[EstimatedBlock, NDArray[np.uint8]]]:
    """Count the errors of the test bits; as `estimate_reference`, and the intensities of the key's pulses."""
    key_levels = test_levels = np.zeros(0, dtype=np.uint8)
    if policy.intensities is not None:
        sent = yield from talk.hear(SentLevels)
        key_levels, test_levels = (np.frombuffer(levels, dtype=np.uint8) for levels in (sent.key, sent.test))
        most = max(int(key_levels.max(initial=0)), int(test_levels.max(initial=0)))
        sizes = (key_levels.size, test_levels.size)
        if sizes != (len(sifted.key), len(sifted.test)) or most >= len(policy.intensities.mean_photons):
            msg = f"the peer tells {sizes} intensities up to number {most}; here are {len(sifted.key)} and {len(sifted.test)}"
            raise PeerError(msg)
    theirs = (yield from talk.hear(TestBits)).bits
    if theirs.size != len(sifted.test):
        msg = f"the peer compares {theirs.size} test bits, here are {len(sifted.test)}; the block is given up"
        raise PeerError(msg)
    wrong = (theirs ^ sifted.test.reveal()).astype(np.bool_)
    if policy.chsh:
        rounds = rounds_of(sifted)
        agree = np.bincount(sifted.cells[~wrong], minlength=4).astype(np.int64)
        yield from talk.say(ChshCounts(agree))
        return estimate_chsh(policy, len(sifted.key), rounds.tolist(), agree.tolist()), key_levels
    if policy.intensities is None:
        errors = int(np.count_nonzero(wrong))
        yield from talk.say(ErrorCount(errors))
        return estimate(policy, len(sifted.key), len(sifted.test), errors), key_levels
    levels = len(policy.intensities.mean_photons)
    by_level = _by_level(test_levels[wrong], levels)
    yield from talk.say(LevelErrors(by_level))
    counts = _counts(_by_level(key_levels, levels), _by_level(test_levels, levels), by_level, error_rate)
    return estimate_decoy(policy, policy.intensities, counts), key_levels


def complete_reference(talk: Talk, policy: QkdPolicy, known: EstimatedBlock) -> Conversation[EstimatedBlock]:
    """Hear the errors of the key basis where these are needed, and return what the block is worth with them."""
    if policy.intensities is None or known.counts is None or len(policy.intensities.mean_photons) != 2:
        return known
    told = (yield from talk.hear(LevelErrors)).errors
    if told.size != 2 or (told < 0).any() or (told > known.counts.key).any():
        msg = f"the peer corrected {told.tolist()} of {known.counts.key} bits; the block is given up"
        raise PeerError(msg)
    return estimate_decoy(policy, policy.intensities, replace(known.counts, key_errors=tuple(told.tolist())))


def complete_corrector(
    talk: Talk, policy: QkdPolicy, known: EstimatedBlock, wrong_levels: NDArray[np.uint8]
) -> Conversation[EstimatedBlock]:
    """Tell the errors of the key basis, by the intensities of the pulses of wrong bits; as `complete_reference`."""
    if policy.intensities is None or known.counts is None or len(policy.intensities.mean_photons) != 2:
        return known
    told = _by_level(wrong_levels, 2)
    yield from talk.say(LevelErrors(told))
    return estimate_decoy(policy, policy.intensities, replace(known.counts, key_errors=tuple(told.tolist())))


def _by_level(numbers: NDArray[np.uint8], levels: int) -> NDArray[np.int64]:
    return np.bincount(numbers, minlength=levels).astype(np.int64)


def _counts(
    key: NDArray[np.int64], test: NDArray[np.int64], errors: NDArray[np.int64], error_rate: float
) -> DecoyCounts:
    """Return the counts, with a guess of the errors of the key basis."""
    if not key.sum() or not test.sum():
        key, test = key + (key.sum() == 0), test + (test.sum() == 0)
    guess = np.round(error_rate * key).astype(np.int64)
    return DecoyCounts(tuple(key.tolist()), tuple(guess.tolist()), tuple(test.tolist()), tuple(errors.tolist()))
