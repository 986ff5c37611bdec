"""Following two clocks through acquisitions with gaps; times by the 1 pps of a clock."""

from __future__ import annotations

import numpy as np
import pytest

from qlab.errors import BadRequestError
from qlab.physics.oscillator import Oscillator
from qlab.physics.pps import PulsePerSecond
from qlab.tags.stream import TagBlock
from qlab.timing.acquire import Search
from qlab.timing.follow import ClockFollower, ClockReport
from qlab.timing.kalman import ClockNoise
from qlab.timing.pps import on_pulses
from tests.timing.pairs import TwoClocks, tags_of_pairs

SEARCH = Search(max_offset_ps=2 * 10**9, max_frequency=1e-7, max_drift_per_s=1e-10, span_s=1.0)
QUIET = ClockNoise(white_fm=1e-12, random_walk_fm=1e-14, drift_walk=0.0)
S = 10**12


def at(clocks: TwoClocks, start_s: int, pairs: float, seed: int) -> tuple[np.ndarray, np.ndarray, int, int]:
    """Return an acquisition of 0.5 s that begins at a time."""
    later = TwoClocks(
        round(float(clocks.difference_ps(start_s * S))),
        clocks.frequency + clocks.drift_per_s * start_s,
        clocks.drift_per_s,
    )
    a, b = tags_of_pairs(later, seed=seed, pairs=pairs, duration_s=0.5, rate_hz=5e4)
    return a + start_s * S, b + start_s * S, start_s * S, start_s * S + S // 2


def pull(report: ClockReport, clocks: TwoClocks) -> float:
    return (report.offset_ps - float(clocks.difference_ps(report.t_ps))) / report.sigma_ps


def test_clocks_coast_between_acquisitions_through_a_fade_and_are_searched_anew_when_lost() -> None:
    clocks = TwoClocks(10**9, 3e-8, 1e-12)
    follower = ClockFollower(SEARCH, noise=QUIET, max_half_ps=3e5)
    pulls, sigmas = [], []
    for i, start_s in enumerate((0, 10, 60, 120, 180)):
        report = follower.add(*at(clocks, start_s, 0.1, 20 + i))
        assert report.locked, (start_s, report)
        pulls.append(pull(report, clocks))
        sigmas.append(report.sigma_ps)
    assert np.abs(pulls).max() < 4.0
    assert max(sigmas) < 25.0
    faded = follower.add(*at(clocks, 240, 0.0, 30))
    assert faded.status == "faded"
    assert faded.sigma_ps > 1.5 * sigmas[-1]
    assert "no pairs" in faded.reason
    assert abs(pull(faded, clocks)) < 4.0
    assert follower.add(*at(clocks, 250, 0.1, 31)).locked
    # A week later nothing is known any more: what is found comes from a search.
    lost = follower.add(*at(clocks, 600_000, 0.0, 32))
    assert (lost.status, lost.sigma_ps > 1e8) == ("lost", True)
    # After 6e5 s at 1e-12 a second the frequency is out of what is searched; a clock of constant frequency is found.
    steady = TwoClocks(-(10**9), 2e-8)
    again = follower.add(*at(steady, 3, 0.1, 33))
    assert again.locked
    assert abs(pull(again, steady)) < 4.0


def test_steering_is_foreseen() -> None:
    before = TwoClocks(10**9, 3e-8)
    follower = ClockFollower(SEARCH, noise=QUIET)
    follower.add(*at(before, 0, 0.1, 40))
    follower.add(*at(before, 10, 0.1, 41))
    follower.steer(-3e-8, 15 * S)  # 0.6 us less after 20 s: a hundred of its gates
    after = TwoClocks(round(float(before.difference_ps(15 * S))), 0.0)
    report = follower.add(*at(after, 35, 0.1, 42))
    assert report.locked
    assert abs(pull(report, after)) < 4.0
    assert abs(report.frequency) < 5.0 * report.sigma_frequency


def test_a_block_is_moved_to_whole_seconds_of_the_pulses() -> None:
    clock = Oscillator(123_456_789, 2e-9)
    pulses = clock.local(PulsePerSecond(clock).edges(10 * S, 14 * S))
    assert pulses.tolist() == [11 * S, 12 * S, 13 * S, 14 * S]
    # A tagger on this clock, whose driver takes the beginning for 10 s: its zero is 400 ns off.
    t = np.concatenate([pulses, pulses + 5]) - 400_000
    block = TagBlock.from_unsorted(t, np.repeat([3, 0], 4), 10 * S, 15 * S)
    found = on_pulses(block, 3)
    assert found.t[found.ch == 0].tolist() == (pulses + 5).tolist()
    assert found.start_ps == 10 * S + 400_000


def test_a_missing_1_pps_and_other_pulses_are_named() -> None:
    block = TagBlock(np.array([S, S + S // 3]), np.array([0, 0]), 0, 2 * S)
    with pytest.raises(BadRequestError, match="bob: no 1 pps on input 4 in 2 s"):
        on_pulses(block, 3, "bob")
    with pytest.raises(BadRequestError, match="us off whole seconds"):
        on_pulses(block, 0)
