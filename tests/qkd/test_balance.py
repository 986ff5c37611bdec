"""Detectors that do not click alike are noticed by what is in no key, before Eve can make use of them."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from qlab.errors import KeyRefusedError
from qlab.qkd.assumptions import DeviceFacts, bbm92_assumptions, decoy_assumptions
from qlab.qkd.balance import ALONE, Balance, thirds
from qlab.qkd.bits import SecretBits
from qlab.qkd.corrector_party import corrector_block
from qlab.qkd.decoy import Intensities
from qlab.qkd.reference_party import reference_block
from qlab.qkd.rehearsal import converse
from qlab.qkd.sending import SentReceiver
from qlab.qkd.sifting import Detections, Outcome
from tests.qkd.conftest import ACCEPTED, Pieces
from tests.qkd.test_decoy_parties import ACCEPTED as ACCEPTED_OF_PULSES
from tests.qkd.test_decoy_parties import LEVELS_FROM, PULSES, Given, pulses

NOTHING = np.zeros(0, dtype=np.int64)


def seen(ones: float, n: int, seed: int = 1) -> Detections:
    """Return detections in the key basis of which such a share are ones."""
    rng = np.random.Generator(np.random.PCG64(seed))
    bits = (rng.random(n) < ones).astype(np.uint8)
    return Detections(np.arange(n, dtype=np.int64), np.zeros(n, np.uint8), SecretBits(bits), 0, 0)


def test_lags_fall_into_thirds_of_the_window() -> None:
    lags = np.array([-500, -170, -166, 0, 166, 170, 500])
    assert thirds(lags, 1000).tolist() == [0, 0, 1, 1, 1, 2, 2]


def test_even_detectors_are_within_chance_and_uneven_ones_are_not() -> None:
    for seed in range(50):
        even = Balance()
        even.add(seen(0.5, 20_000, seed), NOTHING)
        worst = even.worst()
        assert worst is not None
        assert worst.at_least == 0.0
    uneven = Balance()
    uneven.add(seen(0.52, 40_000), NOTHING)  # efficiencies of 48 to 52: 1 - 48/52
    worst = uneven.worst()
    assert worst is not None
    # Counts of n bits spread by sqrt(n): the mismatch by sqrt(n) over the larger one.
    assert worst.mismatch == pytest.approx(1 - 48 / 52, abs=4 * math.sqrt(40_000) / 20_800)
    assert worst.at_least == pytest.approx(worst.mismatch - 5 * math.sqrt(40_000) / 20_800, abs=1e-3)
    assert Balance().worst() is None


def test_what_may_be_in_the_key_is_not_counted() -> None:
    balance = Balance()
    third = np.array([0, 2, ALONE, 1] * 25, dtype=np.uint8)
    balance.add(seen(0.5, 100), np.arange(50), third)  # left are 12 early ones, 12 late ones, and the others
    assert balance.counts.sum() == 50
    assert balance.counts[0].sum(axis=1).tolist() == [12, 26, 12]


def test_the_assumption_says_what_was_claimed_and_what_was_counted() -> None:
    uneven = Balance()
    uneven.add(seen(0.56, 40_000), NOTHING)
    good = DeviceFacts(0.0, (1000,), True, 0.0, True)
    claims = {0.0: False, None: False, 0.3: False}
    for claim, held in claims.items():
        facts = dataclasses.replace(good, efficiency_mismatch=claim, imbalance=uneven.worst())
        item = next(i for i in bbm92_assumptions(facts, 10**5, 10**4).items if i.name == "equal-efficiencies")
        assert item.held is held
        assert "of 40000 counted in the middle, key basis" in item.evidence
    with pytest.raises(KeyRefusedError, match=r"equal-efficiencies \(mismatch 0.00%; this block: 2"):
        bbm92_assumptions(dataclasses.replace(good, imbalance=uneven.worst()), 10**5, 10**4, ACCEPTED).require()
    even = Balance()
    even.add(seen(0.5, 40_000), NOTHING)
    bbm92_assumptions(dataclasses.replace(good, imbalance=even.worst()), 10**5, 10**4, ACCEPTED).require()


@pytest.mark.parametrize(
    ("gate_ps", "window_ps", "held"), [(None, 1000, None), (0, 1000, True), (1000, 1000, True), (900, 1000, False)]
)
def test_a_window_longer_than_the_gate_takes_clicks_from_behind_it(
    gate_ps: int | None, window_ps: int, held: bool | None
) -> None:
    facts = DeviceFacts(0.0, gate_ps=gate_ps, window_ps=window_ps)
    item = next(i for i in decoy_assumptions(facts, 10, 10).items if i.name == "clicks-in-gate")
    assert item.held is held


def test_a_party_whose_detectors_differ_gets_no_key(two: Any) -> None:
    """Bob's detector for 1 in the key basis is less efficient: among what he alone detects zeros are too many."""
    rng = np.random.Generator(np.random.PCG64(4))
    n = 12_000
    t = np.cumsum(rng.integers(3000, 50_000, n)).astype(np.int64)
    bits, basis = rng.integers(0, 2, n, dtype=np.uint8), (rng.random((2, n)) < 0.3).astype(np.uint8)
    found = (bits == 0) | (basis[1] == 1) | (rng.random(n) < 0.6)
    ours = Pieces([Detections(t, basis[0], SecretBits(bits), 0, 0)])
    theirs = Pieces([Detections(t[found], basis[1][found], SecretBits(bits[found]), 0, 0)])
    made, refused = converse(reference_block(two.alice, ours), corrector_block(two.bob, theirs))
    assert "equal-efficiencies" in refused.reason
    assert "key basis" in refused.reason
    # A refused block tells as well on what its key would have rested.
    text = str(refused)
    assert "NOT MET                equal-efficiencies: detection does not depend on basis or bit" in text
    assert "not checked, accepted  basis-choice" in text
    assert "phase error below" in text
    assert "no key: no key" not in text
    assert made.key_bits == refused.key_bits == 0


@pytest.mark.parametrize("shifted", [False, True])
def test_a_time_shift_shows_where_early_and_late_detections_are(shifted: bool, two: Any) -> None:
    """Early light is seen by the detectors for 0 alone, late light by those for 1: no errors, no key."""
    policy = dataclasses.replace(
        two.policy,
        intensities=Intensities(PULSES.mean_photons, PULSES.probabilities),
        accepted=ACCEPTED_OF_PULSES,
        key_bits=1000,
        test_bits=1000,
        window_ps=1000,
    )
    two.alice.policy = two.bob.policy = policy
    drives, found, _ = pulses(1, 600_000, PULSES)
    bits = found.bits.reveal()
    if shifted:
        late = np.random.Generator(np.random.PCG64(6)).random(bits.size) < 0.5
        seen_too = late == (bits == 1)
        t = (found.t_ps + np.where(late, 300, -300))[seen_too]
        found = Detections(t, found.settings[seen_too], SecretBits(bits[seen_too]), 0, 0)
    outcomes = {c: Outcome("test" if c >= 2 else "key", (0, 1)[c % 2]) for c in range(4)}
    sent = SentReceiver(Given(drives), outcomes, {LEVELS_FROM + k: k for k in range(3)}, 1000)
    of_alice, of_bob = converse(reference_block(two.alice, sent), corrector_block(two.bob, Given(found)))
    if not shifted:
        assert of_alice.key_bits == of_bob.key_bits > 0
        return
    assert of_alice.key_bits == of_bob.key_bits == 0
    assert "equal-efficiencies (mismatch 0.00%; this block: 100.00%" in of_bob.reason
    assert "counted early" in of_bob.reason or "counted late" in of_bob.reason


def test_a_block_that_never_fills_is_given_up(two: Any) -> None:
    two.alice.policy = two.bob.policy = dataclasses.replace(two.policy, most_pieces=3)
    empty = [Detections(NOTHING, np.zeros(0, np.uint8), SecretBits(np.zeros(0, np.uint8)), 0, 0) for _ in range(5)]
    made, other = converse(
        reference_block(two.alice, Pieces(list(empty))), corrector_block(two.bob, Pieces(list(empty)))
    )
    assert "0 bits of the key and 0 of the test after 3 pieces" in made.reason
    assert "is there light" in other.reason
