"""The world's clicks: the same however they are asked for, and right to their statistics."""

from __future__ import annotations

import hashlib
import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlab.errors import WorldError
from qlab.physics.arm import Arm, PolarisingSplitter, Port, WavePlate
from qlab.physics.detector import Detector
from qlab.physics.fibre import Fibre
from qlab.physics.knob import CELL_PS, Knob, Ramp, Relaxation
from qlab.physics.line import PairLine
from qlab.physics.settle import alive
from qlab.physics.source import PairSource
from qlab.physics.states import bell_state, werner
from qlab.physics.world import World
from qlab.tags.coincidence import coincidence_matrix, histogram
from qlab.tags.stream import TagBlock

S = 10**12


def make(
    *,
    seed: int = 7,
    rate_hz: float = 2e5,
    efficiency: float = 0.3,
    dark_hz: float = 300.0,
    dead_ps: int = 50_000,
    afterpulse: float = 0.02,
    jitter_ps: float = 200.0,
    visibility: float = 1.0,
    extra: bool = False,
) -> tuple[World, Knob]:
    numbers = [11, 12, 13, 14] + ([99] if extra else [])
    detectors = {
        n: Detector(Knob(efficiency), Knob(dark_hz), Knob(afterpulse), jitter_ps, dead_ps, 30_000.0) for n in numbers
    }
    plate = Knob(0.0)
    signal: Arm = WavePlate(PolarisingSplitter(Port(11), Port(12)), math.pi, plate)
    idler: Arm = Fibre(PolarisingSplitter(Port(13), Port(14)), length_m=2000.0)
    source = PairSource(rate_hz, werner("phi+", visibility), Knob(1.0), Knob(25.0))
    return World(seed, [PairLine(5, source, signal, idler)], detectors), plate


def digest(world: World, edges: list[int], detectors: tuple[int, ...] = (11, 12, 13, 14)) -> str:
    parts: dict[int, list[np.ndarray]] = {d: [] for d in detectors}
    for a, b in itertools.pairwise(edges):
        for d in detectors:
            parts[d].append(world.clicks(d, a, b))
    return hashlib.sha256(b"".join(np.concatenate(parts[d]).tobytes() for d in detectors)).hexdigest()


def edges_of(step: int, stop: int) -> list[int]:
    return [*range(0, stop, step), stop]


STOP = 6 * CELL_PS
WHOLE = digest(make()[0], [0, STOP])


@settings(max_examples=15)
@given(st.integers(10**9, 10**12))
def test_tags_do_not_depend_on_the_polling_interval(step_ps: int) -> None:
    assert digest(make()[0], edges_of(step_ps, STOP)) == WHOLE


@pytest.mark.parametrize("cells", [1, 2, 3, 5, 60])
def test_tags_do_not_depend_on_the_chunk_size(cells: int) -> None:
    assert digest(make()[0], edges_of(cells * CELL_PS, STOP)) == WHOLE


def test_tags_are_the_same_in_a_second_process() -> None:
    code = "from tests.physics.test_world import *; print(digest(make()[0], [0, STOP]))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == WHOLE


def test_an_unrelated_instrument_changes_nothing_and_another_seed_everything() -> None:
    assert digest(make(extra=True)[0], [0, STOP]) == WHOLE
    assert digest(make(seed=8)[0], [0, STOP]) != WHOLE


@settings(max_examples=10)
@given(st.lists(st.integers(1, 3 * CELL_PS), min_size=1, max_size=4, unique=True), st.integers(10**9, 10**11))
def test_settings_in_mid_cell_give_the_same_tags_for_any_polling(times: list[int], step_ps: int) -> None:
    def run(step: int) -> str:
        world, plate = make()
        parts = []
        now = 0
        changes = sorted(times)
        for edge in edges_of(step, 4 * CELL_PS)[1:]:
            while changes and changes[0] <= edge:
                at = changes.pop(0)
                parts.append(world.clicks(11, now, at))
                now = at
                plate.set(Ramp(at, plate.value(at), at + S // 10, plate.value(at) + 20.0), at)
            parts.append(world.clicks(11, now, edge))
            now = edge
        return hashlib.sha256(np.concatenate(parts).tobytes()).hexdigest()

    assert run(step_ps) == run(4 * CELL_PS)


@settings(max_examples=10)
@given(
    st.lists(
        st.tuples(st.integers(1, 10 * CELL_PS), st.sampled_from(["dark", "afterpulse", "efficiency"])), max_size=4
    ),
    st.integers(10**9, 10**12),
)
def test_a_detector_changed_in_any_cell_gives_the_same_tags_for_any_polling(
    changes: list[tuple[int, str]], step_ps: int
) -> None:
    def run(step: int) -> str:
        world, _ = make()
        detector = world.detectors[11]
        waiting = sorted(changes)
        parts, now = [], 0
        for edge in edges_of(step, 10 * CELL_PS)[1:]:
            while waiting and waiting[0][0] <= edge:
                at, what = waiting.pop(0)
                parts.append(world.clicks(11, now, at))
                now = at
                if what == "dark":
                    detector.dark_rate_hz.set(2000.0 + detector.dark_rate_hz.value(at), at)
                elif what == "afterpulse":
                    detector.afterpulse_probability.set(0.2, at)
                else:
                    detector.efficiency.set(0.1, at)
            parts.append(world.clicks(11, now, edge))
            now = edge
        return hashlib.sha256(np.concatenate(parts).tobytes()).hexdigest()

    assert run(step_ps) == run(10 * CELL_PS)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3 * CELL_PS), st.sampled_from(["step", "ramp", "relaxation"]), st.integers(1, 2 * CELL_PS)
        ),
        max_size=4,
        unique_by=lambda setting: setting[0],
    )
)
def test_a_segment_is_known_to_last_at_least_to_the_next_break(settings_made: list[tuple[int, str, int]]) -> None:
    knob = Knob(0.0)
    for at, kind, lasts in sorted(settings_made):
        profile = {"step": 1.0, "ramp": Ramp(at, 0.0, at + lasts, 1.0), "relaxation": Relaxation(at, 0.0, 1.0, lasts)}
        knob.set(profile[kind], at)
    for begin in range(0, 4 * CELL_PS, CELL_PS):
        breaks = [begin, *knob.breaks(begin, begin + CELL_PS), begin + CELL_PS]
        for start, stop in itertools.pairwise(breaks):
            assert knob.horizon(start) >= stop


def test_a_pump_that_ramps_up_makes_pairs_at_its_mean_power() -> None:
    world, _ = make(dead_ps=0, afterpulse=0.0, dark_hz=0.0)
    world.lines[0].source.pump_power_w.set(Ramp(0, 0.0, 2 * S, 2.0), 0)
    n = world.clicks(11, 0, 2 * S).size
    # The power is held for 4.3 ms at a time, at its value at the beginning: half a step below the mean of 1 W.
    expected = 2e5 * 0.5 * 0.3 * 2 * (1.0 - 0.5 * 2**32 / S)
    _within(n, expected, math.sqrt(expected))


def test_the_past_cannot_be_changed() -> None:
    world, plate = make()
    world.clicks(11, 0, CELL_PS)
    with pytest.raises(WorldError, match="past"):
        plate.set(10.0, CELL_PS // 2)


def test_a_long_wait_costs_only_a_warm_up_and_changes_nothing_after_it() -> None:
    late = 4000 * CELL_PS
    straight = make()[0].clicks(11, late, late + CELL_PS)
    before = make()[0]
    before.clicks(11, late - 3 * CELL_PS, late)
    assert np.array_equal(before.clicks(11, late, late + CELL_PS), straight)


def _within(measured: float, expected: float, sigma: float, most: float = 4.0) -> None:
    assert abs(measured - expected) < most * sigma, (measured, expected, (measured - expected) / sigma)


def test_singles_are_half_the_pairs_times_the_efficiency_plus_darks() -> None:
    world, _ = make(dead_ps=0, afterpulse=0.0)
    seconds = 8
    n = world.clicks(11, 0, seconds * S).size
    expected = (2e5 * 0.5 * 0.3 + 300.0) * seconds  # phi+ is unpolarised on each side
    _within(n, expected, math.sqrt(expected))


def test_non_paralysable_dead_time_follows_its_formula() -> None:
    # m = n/(1 + n tau), e.g. Knoll, Radiation Detection and Measurement, eq. 4.23
    world, _ = make(rate_hz=0.0, dark_hz=1e6, dead_ps=500_000, afterpulse=0.0)
    seconds = 2
    n = world.clicks(11, 0, seconds * S).size
    expected = 1e6 / (1 + 1e6 * 5e-7) * seconds
    _within(n, expected, math.sqrt(expected) / 1.5)


def test_afterpulses_of_every_order_follow_the_renewal_formula() -> None:
    # An afterpulse candidate comes after tau + Exp(tau_ap) with probability p; the next click is the earlier of it and the
    # Poisson stream: 1/m = tau + (1 - p)/n + p/(n + 1/tau_ap), every order included because each click renews it.
    n, p, tau, tau_ap = 2e5, 0.05, 1e-7, 3e-8
    world, _ = make(rate_hz=0.0, dark_hz=n, dead_ps=100_000, afterpulse=p)
    seconds = 10
    found = world.clicks(11, 0, seconds * S).size
    expected = seconds / (tau + (1 - p) / n + p / (n + 1 / tau_ap))
    _within(found, expected, math.sqrt(expected) * 1.1)


def _block(world: World, seconds: int) -> TagBlock:
    delay = round(2000.0 * 1.468 / 299_792_458.0 * S)
    t, ch = [], []
    for channel, d in enumerate((11, 12, 13, 14)):
        clicks = world.clicks(d, 0, seconds * S) - (delay if d in (13, 14) else 0)
        t.append(clicks)
        ch.append(np.full(clicks.size, channel))
    return TagBlock.from_unsorted(np.concatenate(t), np.concatenate(ch), 0, seconds * S)


def test_coincidences_klyshko_and_correlations_follow_the_state() -> None:
    seconds = 10
    world, _ = make(dead_ps=0, afterpulse=0.0, dark_hz=0.0, visibility=0.9)
    matrix = coincidence_matrix(_block(world, seconds), [0, 1], [2, 3], 2001)
    total = matrix.sum()
    expected = 2e5 * 0.3**2 * seconds
    accidentals = (2e5 * 0.3) ** 2 * 2.001e-9 * seconds
    _within(total, expected + accidentals, math.sqrt(expected))
    e = (matrix[0, 0] + matrix[1, 1] - matrix[0, 1] - matrix[1, 0]) / total
    _within(e, 0.9 * expected / (expected + accidentals), math.sqrt((1 - 0.81) / total))


def test_accidentals_are_the_product_of_the_rates_and_the_full_width() -> None:
    # A = S1 S2 T_w with T_w = 2w + 1 ps for |dt| <= w
    world, _ = make(rate_hz=0.0, dark_hz=2.5e5, dead_ps=0, afterpulse=0.0)
    seconds = 4
    matrix = coincidence_matrix(_block(world, seconds), [0, 1], [2, 3], 200_000)
    singles = 2.0 * 2.5e5 * seconds  # of either side
    expected = singles**2 * 200_001e-12 / seconds
    # The counts' own fluctuation and that of both sides' singles: 0.26 %, so that 1 % more or less would show.
    _within(float(matrix.sum()), expected, expected * math.sqrt(1.0 / expected + 2.0 / singles), 3.5)


def test_jitter_captures_what_the_error_function_says() -> None:
    # f = erf(T_w/(2 sqrt 2 sigma)), sigma^2 = sA^2 + sB^2 (reference: any table of the normal integral)
    world, _ = make(dead_ps=0, afterpulse=0.0, dark_hz=0.0, jitter_ps=117.741)  # sigma 50 ps each
    seconds = 10
    block = _block(world, seconds)
    narrow = coincidence_matrix(block, [0, 1], [2, 3], 200).sum()
    expected = 2e5 * 0.09 * seconds * math.erf(201 / (2 * math.sqrt(2) * math.sqrt(2) * 50))
    _within(float(narrow), expected + (6e4) ** 2 * 2.01e-10 * seconds, math.sqrt(expected))
    # and its width, which is known to 1/sqrt(2 N) = 0.17 %
    lags, counts = 0, 0
    for a, b in ((0, 2), (0, 3), (1, 2), (1, 3)):
        lags, found = histogram(block, a, b, 500, 1)
        counts = counts + found
    counts = counts - (6e4) ** 2 * 1e-12 * seconds
    width = math.sqrt((counts * (lags + 0.0) ** 2).sum() / counts.sum() - 1.0 / 12.0)
    assert width == pytest.approx(math.sqrt(2.0) * 50.0, rel=0.007)


def test_gaps_of_darks_are_exponential_and_uniform_in_the_cell() -> None:
    world, _ = make(rate_hz=0.0, dark_hz=2e4, dead_ps=0, afterpulse=0.0)
    t = world.clicks(11, 0, 16 * S)
    u = np.sort(1.0 - np.exp(-np.diff(t) * 1e-12 * 2e4))
    distance = np.abs(u - (np.arange(u.size) + 0.5) / u.size).max()
    assert distance < 1.95 / math.sqrt(u.size)  # Kolmogorov-Smirnov, 0.1 %
    cells = 16 * S // CELL_PS
    folded = np.histogram((t[t < cells * CELL_PS] % CELL_PS), bins=64, range=(0, CELL_PS))[0]
    chi2 = ((folded - folded.mean()) ** 2 / folded.mean()).sum()
    assert abs(chi2 - 63) < 4 * math.sqrt(2 * 63)


def test_opposite_dispersion_cancels_between_the_arms() -> None:
    # Franson, PRA 45, 3126 (1992): the spread is |D_A L_A + D_B L_B| dlambda
    def width(d_a: float, d_b: float) -> float:
        detectors = {n: Detector(Knob(1.0), Knob(0.0), Knob(0.0)) for n in (1, 2)}
        a = Fibre(Port(1), length_m=1000.0, dispersion_ps_nm_km=d_a)
        b = Fibre(Port(2), length_m=1000.0, dispersion_ps_nm_km=d_b)
        source = PairSource(5e4, bell_state("phi+"), Knob(1.0), Knob(25.0), bandwidth_nm=2.35482)
        world = World(3, [PairLine(5, source, a, b)], detectors)
        t1, t2 = world.clicks(1, 0, 4 * S), world.clicks(2, 0, 4 * S)
        n = min(t1.size, t2.size)
        return float(np.std(t1[:n] - t2[:n]))

    # 2e5 pairs tell a width to 0.16 %
    assert width(100.0, 0.0) == pytest.approx(100.0, rel=0.006)
    # The arrival difference is D_A d - D_B (-d): equal dispersion adds, opposite cancels.
    assert width(100.0, 100.0) == pytest.approx(200.0, rel=0.006)
    assert width(100.0, -100.0) < 1.5


@given(st.lists(st.integers(0, 3000), max_size=60), st.integers(1, 400))
def test_dead_time_equals_the_walk_of_one_event_after_the_other(times: list[int], dead: int) -> None:
    t = np.sort(np.array(times, np.int64))
    last, expected = -(2**62), []
    for x in t.tolist():
        keep = x - last >= dead
        expected.append(keep)
        last = x if keep else last
    assert alive(t, dead, -(2**62)).tolist() == expected


def test_a_setting_after_a_poll_changes_nothing_before_it_where_fibres_disperse() -> None:
    """The detunings of what was polled must be drawn as if nothing had been set."""

    def run(*, poll: bool) -> np.ndarray:
        plate = Knob(0.0)
        signal: Arm = Fibre(WavePlate(Port(1), math.pi, plate), 5000.0, dispersion_ps_nm_km=17.0)
        line = PairLine(5, PairSource(2e5, pump_power_w=Knob(1.0)), signal, Port(2))
        world = World(7, [line], {n: Detector(Knob(0.5)) for n in (1, 2)})
        middle = CELL_PS // 2
        before = world.clicks(1, 0, middle) if poll else np.empty(0, np.int64)
        plate.set(10.0, middle)
        return np.concatenate([before, world.clicks(1, before.size and middle, CELL_PS)])

    assert np.array_equal(run(poll=True), run(poll=False))
