"""Clocks without their reference, warm clocks, and generators that run on clocks."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlab.physics.ambient import Ambient, Warmth
from qlab.physics.arm import Port
from qlab.physics.clock_kinds import CLOCK_KINDS
from qlab.physics.detector import Detector
from qlab.physics.holdover import Holdover, known_to
from qlab.physics.knob import CELL_PS, Knob, Ramp
from qlab.physics.oscillator import Oscillator
from qlab.physics.pulses import PulseTrain
from qlab.physics.steering import Steering
from qlab.physics.wander import NoiseLevels, Wander
from qlab.physics.weak import WeakSource
from qlab.physics.weak_line import WeakLine
from qlab.physics.world import World

S = 10**12
LEVELS = NoiseLevels(white_fm=1e-11, flicker_fm=2e-12, random_walk_fm=1e-13, loop_s=50.0)


def outage(begin_s: float, end_s: float) -> Knob:
    knob = Knob(0.0)
    knob.set(1.0, round(begin_s * S))
    knob.set(0.0, round(end_s * S))
    return knob


def test_holdover_grows_as_a_free_oscillator_of_imperfectly_known_frequency() -> None:
    """Variance after T: s^2 T + D T^3/3 with D = 3 r^2 (SP 1065), (sigma_y(loop) T)^2, and the flicker noise between."""
    levels = NoiseLevels(white_fm=1e-11, random_walk_fm=1e-13, loop_s=50.0)
    lost, begins = Knob(0.0), np.arange(1, 401, dtype=np.int64) * 2000 * S
    for begin in begins.tolist():
        lost.set(1.0, begin)
        lost.set(0.0, begin + 500 * S)
    clock = Holdover(levels, 4, 3, (lost,))
    x = clock.error_ps((begins[:, None] + np.array([0, 100, 400]) * S).ravel()).reshape(-1, 3) * 1e-12
    moved = x[:, 1:] - x[:, :1]
    for i, t in enumerate((100.0, 400.0)):
        theory = 1e-22 * t + 1e-26 * t**3 + (known_to(levels) * t) ** 2
        assert moved[:, i].var() == pytest.approx(theory, rel=3.5 * math.sqrt(2.0 / begins.size))
    assert known_to(levels) ** 2 == pytest.approx(1e-22 / 50.0 + 1e-26 * 50.0)


def test_ageing_and_warmth_come_on_top_from_the_loss_on_and_the_loop_takes_all_off_again() -> None:
    day = 86400.0
    quiet = NoiseLevels(white_fm=1e-15, loop_s=200.0)
    ambient = Ambient(3.0)
    clock = Holdover(quiet, 1, 2, (outage(0.25 * day, 0.75 * day),), 1e-10, 1e-11, ambient)
    at = np.array([0.2, 0.25, 0.5, 0.75 - 1e-9, 0.75 + 200.0 / day, 0.75 + 4000.0 / day]) * day * S
    found = clock.error_ps(at.astype(np.int64))
    # Ageing a t^2/2; a swing of 3 K that stands at its height when the reference is lost.
    half = 0.5 * day
    ageing = 1e-10 * half * 0.5 / 2.0
    swung = 1e-11 * 3.0 * (day / math.tau * (math.cos(math.pi / 2) - math.cos(1.5 * math.pi)) - half)
    assert abs(found[0]) < 1.0
    assert abs(found[1]) < 1.0
    assert found[3] == pytest.approx((ageing + swung) * 1e12, rel=1e-4)
    assert found[4] / found[3] == pytest.approx(math.exp(-1.0), rel=1e-3)
    assert abs(found[5]) < 2.0


LOST = (outage(500.0, 900.0), outage(500.0, 900.0))
LOST[0].set(1.0, 1500 * S)
LOST[1].set(1.0, 1500 * S)
TOGETHER = Holdover(LEVELS, 5, 6, (LOST[0],), 1e-10)
ALONE = Holdover(LEVELS, 5, 6, (LOST[1], Knob(0.0)), 1e-10)


@settings(max_examples=25)
@given(st.lists(st.integers(0, 3000), min_size=2, max_size=12), st.integers(0, 11))
def test_holdover_is_the_same_however_one_asks(seconds: list[int], which: int) -> None:
    at = np.array(seconds, np.int64) * S
    together = TOGETHER.error_ps(at)
    for i in (which % at.size, 0, at.size - 1):
        assert ALONE.error_ps(at[i : i + 1])[0] == together[i]


def test_time_goes_on_smoothly_where_the_reference_is_lost_and_found() -> None:
    clock = Holdover(LEVELS, 5, 6, (outage(500.0, 900.0),), 1e-10)
    for edge in (500 * S, 900 * S):
        x = clock.error_ps(np.arange(edge - 5 * 10**6, edge + 6 * 10**6, 10**6, dtype=np.int64))
        assert np.abs(np.diff(x)).max() < 1e-3


def test_a_warm_clock_runs_after_the_integral_of_its_temperature() -> None:
    knob = Knob(0.0)
    knob.set(2.0, 1000 * S)
    warm = Warmth(1e-9, Ambient(5.0, knob))
    t = np.array([0, 500, 1000, 21600, 86400], np.int64) * S
    day = 86400.0
    swung = 5.0 * day / math.tau * (1.0 - np.cos(math.tau * t / S / day))
    assert warm.error_ps(t) == pytest.approx((swung + 2.0 * np.maximum(t / S - 1000.0, 0.0)) * 1e3, abs=1e-3)


WANDERS = {kind: Wander(CLOCK_KINDS[kind].noise, 1, 2) for kind in ("quartz", "rubidium")}


@settings(max_examples=40)
@given(
    st.lists(st.integers(0, 10**17), min_size=1, max_size=20),
    st.integers(-(10**12), 10**12),
    st.floats(-1e-3, 1e-3),
    st.sampled_from(["quartz", "rubidium"]),
)
def test_a_clocks_time_is_turned_back_into_the_worlds(times: list[int], offset: int, drift: float, kind: str) -> None:
    frequency = Knob(0.0)
    frequency.set(Ramp(S, 0.0, 100 * S, 1e-6), S)
    clock = Oscillator(
        offset, drift, wander=Wander(CLOCK_KINDS[kind].noise, 1, 2), steering=Steering(frequency, Knob(0.0))
    )
    local = np.array(times, np.int64) + 2 * 10**12
    t = clock.world(local)
    assert (clock.local(t, settle=False) >= local).all()
    assert (clock.local(t - 1, settle=False) < local).all()


def clocked(knob: Knob, seed: int = 1) -> tuple[World, Knob, Oscillator]:
    """Return a world with pulses at 1 MHz of a clock 100 ppm fast that a knob turns further, the knob and the clock."""
    clock = Oscillator(1234, 1e-4, wander=Wander(CLOCK_KINDS["quartz"].noise, 2, 3), steering=Steering(knob, Knob(0.0)))
    train = PulseTrain(Knob(1e6), clock=clock)
    line = WeakLine(9, WeakSource(train, 0.3), Port(1))
    detectors = {1: Detector(efficiency=Knob(0.5)), 2: Detector(efficiency=Knob(0.0))}
    return World(seed, [line], detectors, signals={7: train}), knob, clock


def test_a_generator_counts_the_seconds_of_its_clock_and_photons_come_with_its_pulses() -> None:
    world, knob, clock = clocked(Knob(0.0))
    knob.set(4e-4, S // 40)
    edges = world.clicks(7, 0, S // 20)
    assert edges.size == 50_000 + 5 + 10  # 100 ppm of 50 ms, 400 ppm of the last half
    due = clock.local(0) + np.arange(edges.size, dtype=np.int64) * 10**6
    late = clock.local(edges) - due
    assert ((late >= 0) & (late <= 1)).all()
    clicks = world.clicks(1, 0, S // 20)
    assert np.isin(clicks, edges).all()
    mean = edges.size * -math.expm1(-0.15)
    assert clicks.size == pytest.approx(mean, abs=4.0 * math.sqrt(mean))


def test_a_clock_that_is_turned_in_mid_run_changes_no_pulse_before_that_and_polling_changes_none() -> None:
    at = CELL_PS // 3 + 5
    world, knob, _ = clocked(Knob(0.0))
    early = [world.clicks(n, 0, at) for n in (1, 7)]
    knob.set(1e-4, at)
    late = [world.clicks(n, 0, 3 * CELL_PS) for n in (1, 7)]
    other, fresh, _ = clocked(Knob(0.0))
    fresh.set(1e-4, at)
    pieces = [*range(0, 3 * CELL_PS, CELL_PS // 7), 3 * CELL_PS]
    for n, before, after in zip((1, 7), early, late, strict=True):
        assert np.array_equal(after[: before.size], before)
        polled = np.concatenate([other.clicks(n, a, b) for a, b in pairwise(pieces)])
        assert np.array_equal(polled, after)
