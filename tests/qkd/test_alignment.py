"""Alignment and drift between two parties: delays, clocks and error rates from photons that are given away."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from qlab.qkd.aligning import AlignedReceiver, align_corrector, align_reference, steps_of
from qlab.qkd.choosing import ChosenTags
from qlab.qkd.corrector_party import corrector_block
from qlab.qkd.reference_party import reference_block
from qlab.qkd.rehearsal import converse
from qlab.qkd.sending import LEVELS_FROM, SentReceiver
from qlab.qkd.sifting import Outcome
from qlab.tags.stream import TagBlock
from tests.qkd.conftest import ACCEPTED
from tests.qkd.test_decoy_parties import ACCEPTED as ACCEPTED_OF_PULSES
from tests.qkd.test_decoy_parties import PULSES

FOUR = {0: Outcome("key", 0), 1: Outcome("key", 1), 2: Outcome("test", 0), 3: Outcome("test", 1)}
BASES = ("key", "test", "third")
DELAYS = {"alice": (100, 700, -900, -200), "bob": (5000, 5300, 4100, 4900)}
LATE_PS = 48_967_123


def entropy(seed: int) -> Any:
    return np.random.Generator(np.random.PCG64(seed)).bytes


class Source:
    """Makes pieces of photon pairs, or of pulses, of which each side takes its half; `drift_ps` more each piece."""

    def __init__(
        self, *, pulsed: bool = False, angles: bool = False, error_rate: float = 0.02, drift_ps: int = 0
    ) -> None:
        self.pulsed, self.angles, self.error_rate, self.drift_ps = pulsed, angles, error_rate, drift_ps
        self.settings = {"alice": 0, "bob": 0}
        self.pieces, self._ready = 0, {}

    def take(self, side: str) -> TagBlock:
        if side not in self._ready:
            self._ready = dict(zip(("alice", "bob"), self._draw(), strict=True))
        return self._ready.pop(side)

    def _draw(self) -> tuple[TagBlock, TagBlock]:
        rng = np.random.Generator(np.random.PCG64(self.pieces))
        late = self.pieces * self.drift_ps
        self.pieces += 1
        if self.pulsed:
            return self._pulses(rng, late)
        n = 20_000
        t = np.cumsum(rng.integers(100_000, 400_000, n)).astype(np.int64)
        span = int(t[-1]) + 10_000_000
        bits = rng.integers(0, 2, n)
        if self.angles:  # one analyser with two ports each: P(equal) = (1 + V cos 2(a - b)) / 2
            apart = math.radians((0.0, 22.5, -22.5)[self.settings["alice"]] - (0.0, 45.0)[self.settings["bob"]])
            equal = rng.random(n) < (1 + (1 - 2 * self.error_rate) * math.cos(2 * apart)) / 2
            ports = bits, np.where(equal, bits, 1 - bits)
        else:
            basis = rng.integers(0, 2, (2, n))
            other = np.where(basis[0] == basis[1], bits ^ (rng.random(n) < self.error_rate), rng.integers(0, 2, n))
            ports = 2 * basis[0] + bits, 2 * basis[1] + other
        blocks = []
        for side, port, later in (("alice", ports[0], 0), ("bob", ports[1], late)):
            delay = np.array(DELAYS[side])[port] + rng.integers(-60, 61, n) + later
            blocks.append(TagBlock.from_unsorted(t + delay + 20_000, port.astype(np.uint8), 0, span))
        return blocks[0], blocks[1]

    def _pulses(self, rng: np.random.Generator, late: int) -> tuple[TagBlock, TagBlock]:
        n = 150_000
        t = 2_000_000 * np.arange(1, n + 1)
        level = rng.choice(3, n, p=PULSES.probabilities)
        state, seen_in = 2 * rng.integers(0, 2, n) + rng.integers(0, 2, n), rng.integers(0, 2, n)
        clicked = rng.random(n) < 1 - np.exp(-0.3 * np.array(PULSES.mean_photons)[level])
        bit = np.where(seen_in == state // 2, state % 2 ^ (rng.random(n) < self.error_rate), rng.integers(0, 2, n))
        port = (2 * seen_in + bit)[clicked]
        span = int(t[-1]) + 100_000_000
        drives = TagBlock.from_unsorted(
            np.concatenate([t, t]), np.concatenate([state, LEVELS_FROM + level]).astype(np.uint8), 0, span
        )
        arrived = t[clicked] + LATE_PS + late + np.array(DELAYS["bob"])[port] + rng.integers(-100, 101, port.size)
        return drives, TagBlock.from_unsorted(arrived, port.astype(np.uint8), 0, span)


class Half:
    """One side's tags."""

    def __init__(self, source: Source, side: str) -> None:
        self._source, self._side = source, side

    def turn(self, setting: int) -> None:
        self._source.settings[self._side] = setting

    def start(self) -> None:
        """Begin."""

    def finish(self) -> TagBlock:
        return self._source.take(self._side)


class Unmoved(AlignedReceiver):
    """A receiver that does not follow."""

    def follow(self, lag_ps: float) -> None:
        """Take no note."""


def receivers(source: Source, settings: tuple[int, int] = (0, 0)) -> list[AlignedReceiver]:
    found = []
    for seed, (side, number) in enumerate(zip(("alice", "bob"), settings, strict=True)):
        tags, outcomes = Half(source, side), FOUR
        if number:
            tags = ChosenTags(tags, tags, (0, 1), (1.0,) * number, entropy(seed))  # type: ignore[assignment]
            outcomes = {2 * k + port: Outcome(BASES[k], port) for k in range(number) for port in (0, 1)}  # type: ignore[arg-type]
        found.append(AlignedReceiver(tags, outcomes, 500, entropy(seed)))
    return found


def align(two: Any, ours: AlignedReceiver, theirs: AlignedReceiver, **rules: Any) -> Any:
    policy = dataclasses.replace(two.policy, window_ps=1000, accepted=ACCEPTED, **rules)
    two.alice.policy = two.bob.policy = policy
    of_alice, of_bob = converse(align_reference(two.alice, ours), align_corrector(two.bob, theirs))
    assert of_alice == of_bob
    return of_alice


def assert_delays(ours: AlignedReceiver, theirs: AlignedReceiver, ports: int, late: int = 0) -> None:
    """Delays are relative to Alice's first detector; the jitter of +-60 ps leaves a fraction of a picosecond."""
    for channel, delay in ours.delays_ps.items():
        assert delay == pytest.approx(DELAYS["alice"][channel % ports] - DELAYS["alice"][0], abs=10)
    for channel, delay in theirs.delays_ps.items():
        assert delay == pytest.approx(DELAYS["bob"][channel % ports] + late - DELAYS["alice"][0], abs=10)


def test_four_detectors_each_are_aligned_with_one_piece(two: Any) -> None:
    ours, theirs = receivers(Source())
    report = align(two, ours, theirs)
    assert_delays(ours, theirs, 4)
    assert report.pairs == pytest.approx(10_000, abs=400)
    for rate in (report.key_error_rate, report.test_error_rate):
        assert rate == pytest.approx(0.02, abs=5 * math.sqrt(0.02 / 5000))


def test_analysers_that_are_set_are_aligned_at_agreed_settings(two: Any) -> None:
    source = Source(angles=True)
    ours, theirs = receivers(source, (2, 2))
    report = align(two, ours, theirs, chosen=(True, True))
    assert source.pieces == len(steps_of(two.alice.policy)) == 3
    assert_delays(ours, theirs, 2)
    # Settings 1 are 22.5 and 45 degrees here: the key basis alone is one.
    assert report.key_error_rate == pytest.approx(0.02, abs=5 * math.sqrt(0.02 / 20_000))


def test_e91_tells_the_error_rate_that_its_correlations_imply(two: Any) -> None:
    source = Source(angles=True, error_rate=0.03)
    ours, theirs = receivers(source, (3, 2))
    report = align(two, ours, theirs, chosen=(True, True), chsh=True)
    assert source.pieces == 2
    assert_delays(ours, theirs, 2)
    assert report.key_error_rate == pytest.approx(0.03, abs=5 * math.sqrt(0.03 / 20_000))
    # q = (1 - sqrt 2 E) / 2, and E of n pairs has a spread of sqrt((1 - E^2) / n), E^2 about 1/2.
    assert report.test_error_rate == pytest.approx(0.03, abs=5 * math.sqrt(0.5 / 20_000) / math.sqrt(2))


def test_pulses_are_found_near_the_delay_that_is_known_about(two: Any) -> None:
    ours, theirs = receivers(Source(pulsed=True))
    theirs.coarse_ps = 48_900_000
    report = align(two, ours, theirs, intensities=PULSES)
    for channel, delay in theirs.delays_ps.items():
        assert delay == pytest.approx(LATE_PS + DELAYS["bob"][channel], abs=15)
    assert report.test_error_rate == pytest.approx(0.02, abs=0.01)


@pytest.mark.parametrize("pulsed", [False, True])
@pytest.mark.parametrize("followed", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_drift_beyond_the_window_is_followed_from_piece_to_piece(pulsed: bool, followed: bool, two: Any) -> None:
    """200 ps a piece, a window of +-500 ps: after some pieces nothing would coincide any more."""
    source = Source(pulsed=pulsed, drift_ps=200)
    ours, theirs = receivers(source)
    rules: dict[str, Any] = {"key_bits": 40_000, "test_bits": 40_000, "most_pieces": 12}
    if pulsed:
        rules |= {"intensities": PULSES, "key_bits": 25_000, "test_bits": 25_000}
        theirs.coarse_ps = 48_900_000
    align(two, ours, theirs, **rules)
    two.alice.policy = two.bob.policy = dataclasses.replace(
        two.alice.policy, accepted=ACCEPTED_OF_PULSES if pulsed else ACCEPTED
    )
    if not followed:
        theirs = Unmoved(**{f.name: getattr(theirs, f.name) for f in dataclasses.fields(theirs)})
    sent: Any = ours
    if pulsed:
        sent = SentReceiver(Half(source, "alice"), FOUR, {LEVELS_FROM + k: k for k in range(3)}, 1000)
    made, other = converse(reference_block(two.alice, sent), corrector_block(two.bob, theirs))
    if followed:
        assert made.reason == ""
        assert made.key_bits == other.key_bits > 0
        assert theirs.lag_ps == pytest.approx(200 * (source.pieces - 1), abs=20)
    else:
        assert "after 12 pieces" in made.reason
