"""Blocks of BB84 with decoy states between two parties: what the bounds say is what comes out, and none under attack."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from qlab.errors import PeerError
from qlab.qkd.bits import SecretBits
from qlab.qkd.corrector_party import corrector_block
from qlab.qkd.decoy import DecoyCounts, Intensities, decoy_bounds, decoy_secret_bits
from qlab.qkd.messages import decode
from qlab.qkd.reference_party import reference_block
from qlab.qkd.rehearsal import converse
from qlab.qkd.sending import LEVELS_FROM, SentReceiver
from qlab.qkd.sifting import Detections, Outcome
from qlab.tags.stream import TagBlock

PULSES = Intensities((0.6, 0.2, 0.0006), (0.4, 0.4, 0.2))
ETA, WRONG, PERIOD_PS = 0.3, 0.01, 10_000
ACCEPTED = frozenset(
    {"basis-choice", "clicks-in-gate", "counted-leakage", "variable-length", "phase-randomised", "known-intensities"}
)


class Given:
    """A receiver with one piece."""

    def __init__(self, found: Any) -> None:
        self._found = [found]

    def prepare(self) -> None:
        """Nothing to set."""

    def start(self) -> None:
        """Begin."""

    def finish(self) -> Any:
        return self._found.pop() if self._found else None

    def locate(self, found: Detections, theirs_ps: Any) -> Detections:
        return found

    def follow(self, lag_ps: float) -> None:
        """No drift."""


ONE_DECOY = Intensities((0.5, 0.15), (0.6, 0.4))


def pulses(seed: int, n: int, sent: Intensities, *, splitting: bool = False) -> tuple[TagBlock, Detections, Any]:
    """Return the drives of Alice's modulators, Bob's detections, and levels and bases of all pulses."""
    rng = np.random.Generator(np.random.PCG64(seed))
    level = rng.choice(len(sent.mean_photons), n, p=sent.probabilities).astype(np.uint8)
    state, test = rng.integers(0, 2, n, dtype=np.uint8), (rng.random((2, n)) < 0.4).astype(np.uint8)
    photons = rng.poisson(np.array(sent.mean_photons)[level])
    seen = rng.random(n) < 1 - (1 - ETA) ** photons
    if splitting:  # one photon of several is kept, single ones are blocked, the line has no loss
        seen = photons >= 2
    t = PERIOD_PS * np.arange(1, n + 1)
    drives = TagBlock.from_unsorted(
        np.concatenate([t, t]), np.concatenate([2 * test[0] + state, LEVELS_FROM + level]), 0, int(t[-1]) + 1
    )
    bits = (state ^ (rng.random(n) < WRONG)).astype(np.uint8)
    found = Detections(t[seen] + 100, test[1][seen], SecretBits(bits[seen]), 0, 0)
    return drives, found, (level, test, seen, bits != state)


def block(
    two: Any, intensities: Intensities = PULSES, *, seed: int = 1, wire: Any = lambda _, data: (data,), **more: Any
) -> Any:
    policy = dataclasses.replace(
        two.policy, intensities=intensities, accepted=ACCEPTED, key_bits=1000, test_bits=1000, window_ps=1000
    )
    two.alice.policy = two.bob.policy = policy
    drives, found, truth = pulses(1, 600_000, intensities, **more)
    outcomes = {c: Outcome("test" if c >= 2 else "key", (0, 1)[c % 2]) for c in range(4)}
    sent = SentReceiver(
        Given(drives), outcomes, {LEVELS_FROM + k: k for k in range(len(intensities.mean_photons))}, 1000
    )
    return *converse(reference_block(two.alice, sent), corrector_block(two.bob, Given(found)), wire), truth


@pytest.mark.parametrize("sent", [PULSES, ONE_DECOY], ids=["two", "one"])
def test_a_block_of_weak_pulses_gives_the_key_that_the_bounds_allow(sent: Intensities, two: Any) -> None:
    of_alice, of_bob, (level, test, seen, wrong) = block(two, sent)
    counts = [
        tuple(np.bincount(level[seen & (test == basis).all(axis=0) & extra], minlength=len(sent.mean_photons)).tolist())
        for basis, extra in ((0, True), (0, wrong), (1, True), (1, wrong))
    ]
    expected = decoy_bounds(sent, DecoyCounts(*counts), two.policy.target.eps_sec)
    assert of_alice.reason == ""
    assert of_alice.estimated.bounds == of_bob.estimated.bounds
    assert of_alice.estimated.bounds == expected
    disclosed = sum(of_alice.disclosed.values())
    length = decoy_secret_bits(expected, disclosed, two.policy.target.eps_sec, sent.parts)
    assert of_alice.key_bits == of_bob.key_bits == length > 0
    assert of_alice.estimated.n_key == sum(counts[0])
    two.assert_settled()
    (number,) = two.alice.ledger.blocks("usable")
    assert (two.alice.ledger.deliver(number).reveal() == two.bob.ledger.deliver(number).reveal()).all()


def test_photon_number_splitting_leaves_no_single_photons_and_no_key(two: Any) -> None:
    for made in block(two, splitting=True)[:2]:
        assert made.key_bits == 0
        assert "at least 0 came from single photons" in made.reason


def test_a_peer_that_tells_other_levels_is_not_believed(two: Any) -> None:
    def wire(_: str, data: bytes) -> tuple[bytes]:
        if type(decode(data)[0]).__name__ != "SentLevels":
            return (data,)
        return (data[:20] + b"\x09" + data[21:],)  # an intensity that there is not

    assert isinstance(block(two, wire=wire)[1], PeerError)
