"""Tracking against the truth: drift, fades, noise of the clocks, and no lock on chance."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from qlab.errors import BadRequestError
from qlab.timing.acquire import ClockLock, Search, acquire
from qlab.timing.kalman import ClockNoise, ClockState
from qlab.timing.track import ClockTracker, TrackPoint
from tests.timing.pairs import Times, TwoClocks, tags_of_pairs

SEARCH = Search(
    max_offset_ps=2 * 10**9, max_frequency=2e-5, max_drift_per_s=5e-7, span_s=1.0, frequency_steps=(1.5e-5,)
)


def first_lock(a: Times, b: Times) -> ClockLock:
    lock = acquire(a[: np.searchsorted(a, 11 * 10**11)], b, SEARCH)
    assert isinstance(lock, ClockLock), lock
    return lock


def follow(tracker: ClockTracker, a: Times, b: Times, chunk_ps: int, stop_ps: int) -> list[TrackPoint]:
    points = []
    for start in range(0, stop_ps, chunk_ps):
        stop = min(start + chunk_ps, stop_ps)
        mine, other = (t[slice(*np.searchsorted(t, [start, stop]))] for t in (a, b))
        points += tracker.feed(mine, other, stop)
    return points


@pytest.mark.parametrize("clocks", [TwoClocks(10**9, 1e-5, 2e-8), TwoClocks(-(10**9), -1e-5, -2e-7)])
def test_drift_is_followed_and_a_fade_is_survived(clocks: TwoClocks) -> None:
    a, b = tags_of_pairs(clocks, seed=3, pairs=0.05, duration_s=8.0, fade_s=(4.0, 5.5))
    points = follow(ClockTracker(first_lock(a, b)), a, b, 10**12, 8 * 10**12)
    errors = np.array([p.offset_ps - float(clocks.difference_ps(p.t_ps)) for p in points])
    faded = np.array([p.status == "faded" for p in points])
    inside = np.array([4.05e12 < p.t_ps - 0.5e11 < 5.45e12 for p in points])
    assert faded[inside].all()
    assert not faded[~inside & np.array([abs(p.t_ps - 4.75e12) > 1e12 for p in points])].any()
    pulls = errors / np.array([p.sigma_ps for p in points])
    assert np.abs(pulls).max() < 5.0
    assert np.sqrt(np.mean(errors[~faded] ** 2)) < 40.0
    assert points[-1].status == "tracking"


def test_chunks_of_any_size_give_the_same_points() -> None:
    clocks = TwoClocks(10**9, 1e-5, 2e-8)
    a, b = tags_of_pairs(clocks, seed=4, pairs=0.05, duration_s=3.0)
    lock = first_lock(a, b)
    whole = follow(ClockTracker(lock), a, b, 3 * 10**12, 3 * 10**12)
    pieces = follow(ClockTracker(lock), a, b, 37_000_000_000, 3 * 10**12)
    assert len(whole) > 15
    assert pieces == whole


def test_memory_stays_bounded() -> None:
    a, b = tags_of_pairs(TwoClocks(10**9, 1e-6), seed=5, pairs=0.05, duration_s=1.2)
    tracker = ClockTracker(first_lock(a, b))
    used = []
    tracemalloc.start()
    for second in range(30):
        later_a, later_b = tags_of_pairs(TwoClocks(10**9, 1e-6), seed=50 + second, pairs=0.05, duration_s=1.0)
        # From second to second the second clock has moved on by 1 us.
        shift = second * 10**12
        tracker.feed(later_a + shift, later_b + shift + second * 10**6, shift + 10**12)
        used.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert tracker.status == "tracking"
    assert used[-1] < 1.5 * max(used[1:5])


def test_a_lost_lock_is_reported_and_nothing_is_found_in_noise() -> None:
    clocks = TwoClocks(10**9, 1e-5)
    a, b = tags_of_pairs(clocks, seed=6, pairs=0.05, duration_s=12.0, fade_s=(2.0, 12.0))
    tracker = ClockTracker(first_lock(a, b), noise=ClockNoise(random_walk_fm=1e-9), max_half_ps=1e5)
    points = follow(tracker, a, b, 10**12, 12 * 10**12)
    statuses = [p.status for p in points]
    assert statuses[-1] == "lost"
    assert statuses.count("lost") == 1
    assert "tracking" not in statuses[statuses.index("faded") :]


def test_the_filter_grows_as_its_noise_says() -> None:
    # White frequency noise: variance q t of the phase; random walk of the frequency: q t^3 / 3.
    still = ClockState(np.zeros(3), np.zeros((3, 3)))
    white = still.after(100.0, ClockNoise(white_fm=1e-11, random_walk_fm=0.0, drift_walk=0.0))
    assert white.sigma_ps == pytest.approx(1e-11 * 1e12 * 10.0)
    walk = still.after(100.0, ClockNoise(white_fm=0.0, random_walk_fm=1e-12, drift_walk=0.0))
    assert walk.sigma_ps == pytest.approx(1e-12 * 1e12 * np.sqrt(100.0**3 / 3.0))
    halves = still.after(40.0, ClockNoise()).after(60.0, ClockNoise())
    assert halves.covariance == pytest.approx(still.after(100.0, ClockNoise()).covariance)


def test_an_impossible_step_is_refused() -> None:
    a, b = tags_of_pairs(TwoClocks(10**9), seed=7, pairs=0.1, duration_s=1.2)
    with pytest.raises(BadRequestError, match="step_s 0"):
        ClockTracker(first_lock(a, b), step_s=0)
