"""Clocks: their noise against its closed forms, what steers them, and that nobody's way of asking changes anything."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlab.errors import WorldError
from qlab.physics.clock_kinds import CLOCK_KINDS
from qlab.physics.knob import Knob, Ramp, Relaxation, Step
from qlab.physics.oscillator import Oscillator
from qlab.physics.steering import Steering
from qlab.physics.wander import NoiseLevels, Wander

if TYPE_CHECKING:
    from numpy.typing import NDArray

S = 10**12
POINTS, SEEDS = 2**14, 6
EACH_SECOND = np.arange(POINTS, dtype=np.int64) * S


@lru_cache
def path(levels: NoiseLevels, seed: int) -> NDArray[np.float64]:
    return Wander(levels, seed, 7).phase_ps(EACH_SECOND)


def second_differences(levels: NoiseLevels, m: int) -> tuple[float, float]:
    """Return the Allan variance at `m` seconds from several clocks, and its standard error from their spread."""
    found = []
    for seed in range(SEEDS):
        x = path(levels, seed) * 1e-12
        d = x[2 * m :] - 2.0 * x[m:-m] + x[: -2 * m]
        found.append(float(np.mean(d * d)) / (2.0 * m * m))
    return float(np.mean(found)), float(np.std(found, ddof=1)) / math.sqrt(SEEDS)


@pytest.mark.parametrize("m", [1, 16, 256])
@pytest.mark.parametrize(
    ("levels", "power"),
    [
        (NoiseLevels(white_fm=3e-11), -1),
        (NoiseLevels(flicker_fm=3e-11), 0),
        (NoiseLevels(random_walk_fm=3e-11), 1),
    ],
    ids=["white", "flicker", "random walk"],
)
def test_frequency_noise_has_the_allan_variance_of_its_power_law(levels: NoiseLevels, power: int, m: int) -> None:
    """W. J. Riley, NIST SP 1065 (2008), section 6.1: the variance goes as tau^-1, tau^0 and tau^1."""
    theory = 9e-22 * float(m) ** power
    # edf of the fully overlapping estimator, from N = 2^14 points per clock: at least N / m of them (ibid., 5.4.2)
    sigma = math.sqrt(2.0 * m / (POINTS * SEEDS)) * 1.4
    assert second_differences(levels, m)[0] == pytest.approx(theory, rel=3.5 * sigma)


@pytest.mark.parametrize("m", [1, 16, 256])
def test_white_phase_noise_has_its_allan_variance(m: int) -> None:
    """SP 1065: sigma_y^2 = 3 sigma_x^2 / tau^2, at sampling times that lie anywhere between grid points."""
    theory = 3.0 * (5e-12 / m) ** 2
    assert second_differences(NoiseLevels(white_pm_ps=5.0), m)[0] == pytest.approx(theory, rel=0.04)


def test_flicker_phase_noise_grows_by_its_level_with_each_factor_of_time() -> None:
    """E[(x(t + T) - x(t))^2] = 2 b^2 (gamma + ln(2 pi f_h T)) for S_x = b^2 / f up to f_h: only its growth is free of f_h."""
    square = []
    for seed in range(SEEDS):
        x = Wander(NoiseLevels(flicker_pm_ps=4.0), seed, 7).phase_ps(EACH_SECOND)
        square.append([np.mean((x[m:] - x[:-m]) ** 2) for m in (1, 100)])
    near, far = np.mean(square, axis=0)
    assert far - near == pytest.approx(2.0 * 16.0 * math.log(100.0), rel=0.05)


def test_a_loop_bounds_the_phase_of_white_frequency_noise() -> None:
    """Ornstein-Uhlenbeck: variance D b / 2 with D = s^2 per second."""
    levels = NoiseLevels(white_fm=1e-11, loop_s=20.0)
    variance = np.mean([Wander(levels, seed, 7).phase_ps(EACH_SECOND).var() for seed in range(SEEDS)])
    assert variance == pytest.approx(100.0 * 20.0 / 2.0, rel=0.06)  # 20 s of 2^14 s and six clocks: 2 %


TOGETHER, ALONE = (Wander(NoiseLevels(1.0, 2.0, 1e-11, 1e-11, 1e-12), 3, 7) for _ in range(2))


@settings(max_examples=30)
@given(st.lists(st.integers(0, 30 * 86400 * S), min_size=1, max_size=20), st.integers(0, 19))
def test_the_path_is_the_same_however_one_asks(times: list[int], which: int) -> None:
    t = np.array(times, np.int64)
    together = TOGETHER.phase_ps(t)
    one = which % t.size
    alone = ALONE.phase_ps(t[one : one + 1])
    assert together[one] == alone[0]


def test_other_clocks_and_other_seeds_go_other_ways() -> None:
    levels = CLOCK_KINDS["rubidium"].noise
    paths = [Wander(levels, seed, key).phase_ps(EACH_SECOND[:100]) for seed, key in ((1, 1), (1, 2), (2, 1))]
    assert not any((a == b).all() for a, b in ((paths[0], paths[1]), (paths[0], paths[2]), (paths[1], paths[2])))


def numeric_integral(knob: Knob, t: NDArray[np.int64]) -> NDArray[np.float64]:
    step = S // 1000
    fine = np.arange(0, int(t[-1]) + step, step)
    sums = np.concatenate([[0.0], np.cumsum([knob.value(int(u) + step // 2) * step for u in fine[:-1]])])
    return np.interp(t, fine, sums)


@pytest.mark.parametrize(
    "profile",
    [
        2e-9,
        Ramp(2 * S, 0.0, 9 * S, 5e-9),
        Relaxation(2 * S, 4e-9, 1e-9, S),
        Step(1e-9, 5 * S + 123, -1e-9),
    ],
)
def test_frequency_adds_up_to_phase(profile: float | Ramp | Relaxation | Step) -> None:
    knob = Knob(1e-9)
    knob.set(profile, 2 * S)
    t = np.arange(0, 12 * S, S // 3, dtype=np.int64)
    expected = numeric_integral(knob, t)
    assert (
        np.abs(Steering(knob, Knob(0.0)).error_ps(t) - expected).max() < 1.5
    )  # of 4e4 ps; a relaxation's chords: 3000 (0.0687)^2 / 12


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 20 * S), st.integers(0, 4)), max_size=6), st.lists(st.integers(0, 25 * S)))
def test_steering_is_the_same_bits_however_one_asks(changes: list[tuple[int, int]], times: list[int]) -> None:
    """Settings come when lab time is there; who had asked before, and how often, must not show."""

    def profile(t: int, kind: int) -> float | Ramp | Relaxation | Step:
        ramp, step = Ramp(t + S, 1e-9, t + 3 * S, -2e-9), Step(3e-9, t + 2 * S + 1, 0.0)
        return (1e-9, -3e-9, ramp, Relaxation(t, 3e-9, 1e-9, 7 * S // 10), step)[kind]

    asked = np.array(sorted(times), np.int64)
    known, pieces = Knob(2e-10), []
    once = Steering(known, known)
    knob = Knob(2e-10)
    often = Steering(knob, knob)
    at = 0
    for t, kind in sorted(changes):
        known.set(profile(t, kind), t)
        until = int(np.searchsorted(asked, t, side="right"))
        pieces += [often.error_ps(asked[i : i + 1]) for i in range(at, until)]
        at = until
        knob.set(profile(t, kind), t)
    pieces.append(often.error_ps(asked[at:]))
    assert (np.concatenate(pieces) == once.error_ps(asked)).all()
    assert (often.error_ps(asked) == once.error_ps(asked)).all()


def test_turning_the_phase_is_seen_at_once_and_goes_smoothly() -> None:
    phase = Knob(0.0)
    phase.set(Relaxation(S, 0.0, 8000.0, S), S)
    t = np.arange(0, 6 * S, S // 97, dtype=np.int64)
    x = Steering(Knob(0.0), phase).error_ps(t)
    theory = np.where(t >= S, 8000.0 * (1.0 - np.exp(-(t - S) / S)), 0.0)
    assert np.abs(x - theory).max() < 6.0  # chords of 69 ms: 8000 * 0.069^2 / 8
    phase.set(0.0, 7 * S)
    assert Steering(Knob(0.0), phase).error_ps(np.array([7 * S, 7 * S + 1])).tolist() == pytest.approx(
        [7980.2, 0.0], abs=0.1
    )


def test_the_past_of_a_clock_cannot_be_changed_once_tags_carry_it() -> None:
    frequency = Knob(0.0)
    oscillator = Oscillator(steering=Steering(frequency, Knob(0.0)))
    oscillator.local(5 * S)
    with pytest.raises(WorldError, match="past is settled"):
        frequency.set(1e-9, 4 * S)


def test_ageing_is_a_parabola() -> None:
    day = 86400 * S
    assert Oscillator(ageing_per_day=1e-10).local(2 * day) - 2 * day == round(
        1e-10 * 2 * day
    )  # a t^2 / 2 with t = 2 days


def test_a_clock_that_follows_another_carries_its_errors_too() -> None:
    master = Oscillator(offset_ps=500, drift=1e-9, wander=Wander(CLOCK_KINDS["ocxo"].noise, 1, 2))
    slave = Oscillator(offset_ps=-20, master=master)
    t = EACH_SECOND[:1000] + 77
    assert (slave.local(t) == master.local(t) - 20).all()
    assert slave.local(5 * S) == master.local(5 * S) - 20


@pytest.mark.parametrize("kind", CLOCK_KINDS)
def test_time_does_not_run_backwards_on_any_kind_of_clock(kind: str) -> None:
    oscillator = Oscillator(wander=Wander(CLOCK_KINDS[kind].noise, 5, 5), drift=-1e-7)
    t = np.arange(3 * S, 3 * S + 200_000_000, 997, dtype=np.int64)
    assert (np.diff(oscillator.local(t)) >= 0).all()
