"""Blocks of E91 between two parties: the key is as long as S of the same block allows, none without a violation."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from qlab.errors import BadRequestError, KeyRefusedError, PeerError
from qlab.qkd.accounting import estimate_chsh
from qlab.qkd.assumptions import DeviceFacts
from qlab.qkd.bits import SecretBits
from qlab.qkd.choosing import ChosenTags
from qlab.qkd.chsh_assumptions import e91_assumptions
from qlab.qkd.chsh_sifting import SIGNS, SettingAnswer, SettingOffer, match_settings, offer_settings, take_settings
from qlab.qkd.corrector_party import corrector_block
from qlab.qkd.device_independent import (
    TSIRELSON,
    chsh_budget,
    chsh_deviation,
    device_independent_bits,
    device_independent_rate,
    eavesdropper_information,
    enough_rounds,
    implied_error_rate,
)
from qlab.qkd.finite_key import SecurityTarget
from qlab.qkd.messages import decode, encode
from qlab.qkd.reference_party import reference_block
from qlab.qkd.rehearsal import converse
from qlab.qkd.sifting import Detections
from qlab.tags.stream import TagBlock
from tests.qkd.conftest import QUICK, Pieces

ACCEPTED = frozenset(
    {"basis-choice", "fair-sampling", "collective-attacks", "closed-devices", "counted-leakage", "variable-length"}
)
POLICY = dataclasses.replace(
    QUICK,
    chsh=True,
    chosen=(True, True),
    key_bits=6000,
    test_bits=12_000,
    tolerance=0.03,
    accepted=ACCEPTED,
    target=SecurityTarget(1e-3, 1e-6),
)
ANGLES_A, ANGLES_B = np.radians([0.0, 22.5, -22.5]), np.radians([0.0, 45.0])


def pairs(seed: int, visibility: float, n: int = 60_000) -> tuple[Pieces, Pieces]:
    """Return what both detect of a Werner state with this visibility: P(equal) = (1 + V cos 2(a - b)) / 2."""
    rng = np.random.Generator(np.random.PCG64(seed))
    t = np.cumsum(rng.integers(3000, 50_000, n)).astype(np.int64)
    a, b = rng.choice(3, n, p=(0.5, 0.25, 0.25)).astype(np.uint8), rng.choice(2, n, p=(0.6, 0.4)).astype(np.uint8)
    bits = rng.integers(0, 2, n, dtype=np.uint8)
    equal = rng.random(n) < (1 + visibility * np.cos(2 * (ANGLES_A[a] - ANGLES_B[b]))) / 2
    sides = ((a, bits, 0), (b, bits ^ ~equal, 100))
    of_alice, of_bob = (
        Pieces([Detections(t + shift, setting, SecretBits((seen & 1).astype(np.uint8)), 0, 0)])
        for setting, seen, shift in sides
    )
    return of_alice, of_bob


def block(two: Any, visibility: float, seed: int = 1, wire: Any = lambda _, data: (data,)) -> tuple[Any, Any]:
    two.alice.policy = two.bob.policy = POLICY
    ours, theirs = pairs(seed, visibility)
    return converse(reference_block(two.alice, ours), corrector_block(two.bob, theirs), wire)


def test_the_key_is_as_long_as_s_of_the_same_block_allows(two: Any) -> None:
    of_alice, of_bob = block(two, 0.97)
    known = of_alice.estimated
    assert of_alice.reason == ""
    assert of_alice.key_bits == of_bob.key_bits > 1000
    assert known == dataclasses.replace(of_bob.estimated, phase_error=known.phase_error)
    assert known.n_key == pytest.approx(60_000 * 0.5 * 0.6, abs=5 * math.sqrt(60_000 * 0.3 * 0.7))
    # S = 2 sqrt 2 V; its spread is that of four means of +-1.
    assert known.chsh.s == pytest.approx(TSIRELSON * 0.97, abs=5 * known.chsh.sigma)
    assert known.chsh.sigma == pytest.approx(
        math.sqrt((1 - 0.97**2 / 2) * sum(1 / n for n in known.chsh.rounds)), rel=0.02
    )
    assert known.test_error_rate == pytest.approx(0.015, abs=5 * known.chsh.sigma / (2 * TSIRELSON))
    errors = of_alice.corrected_bits
    assert errors == pytest.approx(0.015 * known.n_key, abs=5 * math.sqrt(0.015 * known.n_key))
    disclosed = sum(of_alice.disclosed.values())
    low = TSIRELSON * 0.94 - chsh_deviation(known.chsh.rounds, 0.25e-3)
    assert of_alice.key_bits == device_independent_bits(known.n_key, low, disclosed, 1e-3)
    text = str(of_alice)
    assert f"S = {known.chsh.s:.4f}" in text
    assert "NOT MET, accepted      fair-sampling" in text
    assert "smoothing (asymptotic equipartition, collective attacks)" in text
    two.assert_settled()
    assert (two.alice.ledger.deliver(0).reveal() == two.bob.ledger.deliver(0).reveal()).all()


@pytest.mark.parametrize(("visibility", "rate"), [(0.90, 0.05), (1 / math.sqrt(2), 0.1464), (0.5, 0.25)])
def test_too_small_an_s_is_an_error_rate_that_is_too_high(visibility: float, rate: float, two: Any) -> None:
    for made in block(two, visibility):
        assert made.key_bits == 0
        assert "look for an eavesdropper" in made.reason
        assert made.excess_error_rate == pytest.approx(rate, abs=0.012) or "gave the block up" in made.reason


def test_a_block_too_short_for_its_bounds_has_no_key() -> None:
    policy = dataclasses.replace(POLICY, target=SecurityTarget(1e-10, 1e-15))
    perfect = [round(n * (1 + e / math.sqrt(2)) / 2) for n, e in ((2000, 1), (2000, 1), (2000, 1), (2000, -1))]
    with pytest.raises(KeyRefusedError, match="leaves nothing of 6000 bits"):
        estimate_chsh(policy, 6000, [2000] * 4, perfect)
    with pytest.raises(KeyRefusedError, match="equipartition bound does not hold"):
        estimate_chsh(policy, 100, [2000] * 4, perfect)
    with pytest.raises(KeyRefusedError, match="expected some of each"):
        estimate_chsh(policy, 6000, [2000, 2000, 0, 2000], perfect)


def test_finite_lengths_end_in_the_asymptotic_rate() -> None:
    """Of endless blocks nothing is left but n (1 - h(Q) - chi(S)), Acin et al. (2007)."""
    q, n = 0.015, 10**14
    s = TSIRELSON * (1 - 2 * q)
    h = -q * math.log2(q) - (1 - q) * math.log2(1 - q)
    low = s - chsh_deviation([n] * 4, 1e-10)
    assert device_independent_bits(n, low, n * h, 1e-10) / n == pytest.approx(device_independent_rate(q, s), abs=1e-4)
    assert device_independent_rate(0.07149, TSIRELSON * (1 - 2 * 0.07149)) == pytest.approx(0.0, abs=2e-4)
    # chi of Pironio et al. (2009); a block at the printed numbers by hand: n = 1e6, S = 2.6, eps = 1e-10, 100,000 disclosed.
    spread = 4 * math.log2(2 + math.sqrt(2)) * math.sqrt(1e6 * math.log2(2 / (1e-10 / 8) ** 2))
    by_hand = 1e6 * (1 - 0.418420) - spread - 100_000 - 2 * math.log2(1e10)
    assert device_independent_bits(10**6, 2.6, 100_000, 1e-10) == pytest.approx(by_hand, abs=2)
    assert eavesdropper_information(2.6) == pytest.approx(0.418420, abs=1e-6)
    assert device_independent_bits(10**6, 1.9, 0, 1e-10) == 0
    assert not enough_rounds(100, 1e-10)
    assert chsh_budget(SecurityTarget(1e-10, 1e-15)).total == pytest.approx(1e-10 + 1e-15)
    assert implied_error_rate(2.0) == pytest.approx((1 - 1 / math.sqrt(2)) / 2)
    with pytest.raises(BadRequestError, match="four pairs of settings"):
        chsh_deviation([10, 10, 10], 0.1)


def test_hoeffdings_bound_on_s_is_never_passed_more_often_than_it_says() -> None:
    rng = np.random.Generator(np.random.PCG64(5))
    rounds, tail = (300, 100, 200, 50), 0.05
    likely = (1 + np.array(SIGNS) / math.sqrt(2)) / 2
    equal = rng.binomial(np.array(rounds)[:, None], likely[:, None], (4, 20_000))
    e = 2 * equal / np.array(rounds)[:, None] - 1
    s = e[0] + e[1] + e[2] - e[3]
    assert (s - TSIRELSON > chsh_deviation(rounds, tail)).mean() < tail


def test_pairs_go_to_key_or_to_a_cell_of_the_test() -> None:
    t = np.array([1000, 2000, 3000, 4000, 5000, 9000], dtype=np.int64)
    alice = Detections(
        t, np.array([0, 0, 1, 1, 2, 2], np.uint8), SecretBits(np.array([1, 0, 1, 0, 1, 0], np.uint8)), 0, 0
    )
    bob = Detections(
        t[:5] + 20, np.array([0, 1, 0, 1, 1], np.uint8), SecretBits(np.array([1, 1, 0, 0, 1], np.uint8)), 0, 0
    )
    offered, _ = decode(encode(offer_settings(alice), 1))
    matched = match_settings(bob, offered, 100)
    kept = take_settings(alice, decode(encode(matched.reply, 1))[0])
    assert kept.key.reveal().tolist() == matched.kept.key.reveal().tolist() == [1]
    assert kept.cells.tolist() == matched.kept.cells.tolist() == [0, 1, 3]
    assert (kept.test.reveal().tolist(), matched.kept.test.reveal().tolist()) == ([1, 0, 1], [0, 0, 1])
    assert matched.lags_ps.tolist() == [20] * 5
    with pytest.raises(PeerError, match="0 to 2"):
        match_settings(bob, SettingOffer(t, bytes([0, 1, 2, 3, 0, 0])), 100)
    for kept_, settings in (([0, 0], b"\0\0"), ([9], b"\0"), ([0], b""), ([0], b"\2"), ([1], b"\1")):
        with pytest.raises(PeerError, match="not all of use"):
            take_settings(alice, SettingAnswer(np.array(kept_, dtype=np.int64), settings))


def test_a_peer_that_counts_more_equal_outcomes_than_there_were_rounds_is_not_believed(two: Any) -> None:
    def wire(_: str, data: bytes) -> tuple[bytes]:
        return (data[:-8] + (10**6).to_bytes(8, "big") if type(decode(data)[0]).__name__ == "ChshCounts" else data,)

    assert isinstance(block(two, 0.97, wire=wire)[0], PeerError)
    assert two.alice.ledger.blocks("usable") == []


def test_a_key_needs_every_assumption_or_somebody_who_answers_for_it() -> None:
    facts = DeviceFacts(0.0, (1000,), True, 0.0, True, basis_choice="analyser", hold_s=0.5)
    e91_assumptions(facts, 10**5, 10**5, 1e-10, 0.4, ACCEPTED).require()
    for name in sorted(ACCEPTED):
        with pytest.raises(KeyRefusedError, match=f"assumptions not met: {name} "):
            e91_assumptions(facts, 10**5, 10**5, 1e-10, 0.4, ACCEPTED - {name}).require()
    with pytest.raises(KeyRefusedError, match=r"fair-sampling \(40.00% of the detections .* 92.4% are needed"):
        e91_assumptions(facts, 10**5, 10**5, 1e-10, 0.4).require()
    with pytest.raises(KeyRefusedError, match="block-length"):
        e91_assumptions(facts, 50, 10**5, 1e-10, 0.4, ACCEPTED).require()


class Bench:
    """A tagger with two clicks a piece, and what turns the plate before it."""

    def __init__(self) -> None:
        self.turned: list[int] = []

    def turn(self, setting: int) -> None:
        self.turned.append(setting)

    def start(self) -> None:
        """Begin."""

    def finish(self) -> TagBlock:
        return TagBlock.from_unsorted(np.array([5, 9, 12]), np.array([6, 4, 1], np.uint8), 0, 20)


def test_settings_are_drawn_with_their_shares_and_channels_tell_setting_and_port() -> None:
    bench = Bench()
    chosen = ChosenTags(bench, bench, (4, 6), (0.5, 0.3, 0.2), np.random.Generator(np.random.PCG64(8)).bytes)
    for _ in range(4000):
        chosen.prepare()
    counts = np.bincount(bench.turned, minlength=3)
    for count, share in zip(counts, (0.5, 0.3, 0.2), strict=True):
        assert count == pytest.approx(4000 * share, abs=5 * math.sqrt(4000 * share * (1 - share)))
    chosen.prepare(2)
    chosen.start()
    piece = chosen.finish()
    assert piece is not None
    assert bench.turned[-1] == 2
    assert piece.ch.tolist() == [5, 4]  # the channel 1 is no port of this analyser
    assert piece.t.tolist() == [5, 9]
    with pytest.raises(BadRequestError, match="two or more"):
        ChosenTags(bench, bench, (4, 4), (0.5, 0.5), lambda n: bytes(n))
