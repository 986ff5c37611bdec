"""Pulsed light and gates: statistics as theory has them, and the same tags however they are asked for."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlab.physics.arm import Attenuator, BeamSplitter, PolarisingSplitter, Port
from qlab.physics.detector import Detector
from qlab.physics.knob import CELL_PS, Knob
from qlab.physics.pulsed import PulsedPairLine
from qlab.physics.pulses import Grid, PulseTrain
from qlab.physics.source import PairSource
from qlab.physics.states import bell_state
from qlab.physics.weak import Modulation, SentSignal, WeakSource, photons_per_watt
from qlab.physics.weak_line import WeakLine
from qlab.physics.world import World

S = 10**12
MHZ = 1e6
DEAD_PS = 20_000


def detector(
    efficiency: float, *, dark_hz: float = 0.0, dead_ps: int = DEAD_PS, gate: PulseTrain | None = None
) -> Detector:
    return Detector(Knob(efficiency), Knob(dark_hz), dead_time_ps=dead_ps, gate=gate)


def numbers(world: World, detector_id: int, stop_ps: int, period_ps: int = 1_000_000) -> set[int]:
    """Return the pulses in which a detector clicked."""
    return set((world.clicks(detector_id, 0, stop_ps) // period_ps).tolist())


def weak(
    photons: float,
    efficiency: float = 0.2,
    rate: Knob | None = None,
    *,
    seed: int = 5,
    modulation: Modulation | None = None,
    engine: str = "numpy",
) -> World:
    source = WeakSource(PulseTrain(rate or Knob(MHZ)), photons, modulation=modulation or Modulation())
    arm = Attenuator(PolarisingSplitter(Port(1), Port(2), math.inf), 10.0)
    line = WeakLine(9, source, arm)
    return World(seed, [line], {1: detector(efficiency), 2: detector(efficiency)}, engine=engine)


def pairs(mean: float, modes: float, efficiency: float = 0.1, *, seed: int = 5) -> World:
    """Return a crystal of product pairs: the signal heralds in 1, the idler is split to 2 and 3."""
    state = np.zeros((4, 4), np.complex128)
    state[0, 0] = 1.0
    source = PairSource(mean * MHZ, state, Knob(1.0))
    line = PulsedPairLine(9, source, Port(1), BeamSplitter(Port(2), Port(3)), PulseTrain(Knob(MHZ)), modes)
    return World(seed, [line], {n: detector(efficiency) for n in (1, 2, 3)})


# Pulses.


@settings(max_examples=300)
@given(
    st.integers(-(10**9), 10**15),
    st.integers(2**20, 2**62),
    st.integers(1, 7),
    st.integers(0, 10**16),
    st.integers(1, 2**40),
)
def test_edges_are_the_same_in_pieces_and_lie_where_integers_put_them(
    base: int, step: int, count: int, start: int, length: int
) -> None:
    step = max(step, length * 2**20 // 1000)
    spacing = max((step >> 20) // 10, 1)
    count = min(count, ((step >> 20) - 1) // spacing + 1)
    grid = Grid(base, step, count, spacing)
    whole = grid.between(start, start + length)
    middle = start + length // 3
    assert np.array_equal(whole, np.concatenate([grid.between(start, middle), grid.between(middle, start + length)]))

    def edge(n: int) -> int:
        return base + (n // count * step >> 20) + n % count * spacing

    first = grid.first(start)
    assert first == 0 or edge(first - 1) < start
    assert edge(first + whole.size) >= start + length
    assert whole.tolist() == [edge(first + k) for k in range(whole.size)]
    assert all(start <= t < start + length for t in whole.tolist())


@settings(max_examples=150)
@given(
    st.integers(1, 10**7),
    st.integers(0, 10**6),
    st.integers(1, 5),
    st.lists(st.integers(0, 2**38), min_size=1, max_size=50),
)
def test_a_gate_is_open_from_an_edge_for_its_width(rate_mhz: int, width: int, count: int, times: list[int]) -> None:
    train = PulseTrain(Knob(rate_mhz / 1000), delay_ps=Knob(1234.0), width_ps=Knob(width))
    train.burst_count, train.burst_period_ps = Knob(count), Knob(17_000_000.0)
    edges = train.edges(0, 2**38 + 1)
    # also where something happens
    t = np.array(
        sorted([*times, *edges[:20].tolist(), *(edges[:20] + width).tolist(), *(edges[:20] - 1).tolist()]), np.int64
    )
    t = t[(t >= 0) & (t <= 2**38)]
    before = edges.searchsorted(t, side="right") - 1
    expected = [i >= 0 and int(a) - int(edges[i]) < width for a, i in zip(t, before, strict=True)]
    assert train.is_open(t).tolist() == expected


def test_a_new_rate_moves_the_pulses_at_its_own_picosecond() -> None:
    rate = Knob(1e3)
    rate.set(3e6, at := 123_456_789_012)
    edges = PulseTrain(rate).edges(0, S)
    assert edges[edges < at].tolist() == list(range(0, at, 10**9))
    later = edges[edges >= at]
    assert later[:4].tolist() == [at, at + 333_333, at + 666_666, at + 1_000_000]
    assert abs(later.size - (S - at) * 3e-6) < 1


def test_a_rate_set_to_itself_changes_no_pulse() -> None:
    rate = Knob(3e6)
    rate.set(3e6, 100_000_000)
    assert np.array_equal(PulseTrain(rate).edges(0, S // 10), PulseTrain(Knob(3e6)).edges(0, S // 10))


def test_pulses_below_the_threshold_are_none() -> None:
    high = Knob(0.5)
    high.set(2.5, S // 2)
    edges = PulseTrain(Knob(10.0), high_v=high).edges(0, S)
    assert edges.tolist() == [5 * S // 10, 6 * S // 10, 7 * S // 10, 8 * S // 10, 9 * S // 10]


# Weak coherent pulses.


@pytest.mark.parametrize("photons", [0.5, 8.0, 60.0])
def test_a_weak_pulse_clicks_with_the_probability_of_a_poisson_distribution(photons: float) -> None:
    """P = 1 - exp(-mu eta), with 10 dB in the arm; bounds of 4 sigma, under 1 % for all three."""
    n, expected = 4_000_000, 1.0 - math.exp(-photons * 0.1 * 0.2)
    found = weak(photons).clicks(1, 0, 4 * S).size / n
    assert found == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / n))
    assert 4 * math.sqrt((1 - expected) / expected / n) < 0.021


def test_levels_and_states_reach_the_detectors_as_they_were_sent() -> None:
    """Each choice's click probability is 1 - exp(-mu T eta p) with p = |<s|H>|^2 up to extinction and misalignment."""
    modulation = Modulation(
        (1.0, 0.25, 0.0), (0.5, 0.3, 0.2), (0.0, 90.0, 45.0, -45.0), (0.4, 0.4, 0.1, 0.1), 20.0, 25.0, 3.0, key=77
    )
    world = weak(30.0, modulation=modulation)
    line = world.lines[0]
    assert isinstance(line, WeakLine)
    stop = 6 * S
    sent = line.source.sent(0, stop)
    assert sent.t_ps.size == 6_000_000
    assert np.bincount(sent.level) / 6e6 == pytest.approx([0.5, 0.3, 0.2], abs=1e-3)
    clicked = np.zeros(sent.t_ps.size, bool)
    clicked[world.clicks(1, 0, stop) // 1_000_000] = True
    leak, level_leak = 10**-2.5, 10**-2.0
    for level, asked in enumerate((1.0, 0.25, 0.0)):
        for state, angle in enumerate((0.0, 90.0, 45.0, -45.0)):
            of_it = (sent.level == level) & (sent.state == state)
            right = math.cos(math.radians(angle + 3.0)) ** 2
            p = (1 - leak) * right + leak * (1 - right)
            mean = 30.0 * 0.1 * 0.2 * (level_leak + (1 - level_leak) * asked) * p
            expected = 1.0 - math.exp(-mean)
            sigma = math.sqrt(expected * (1 - expected) / of_it.sum())
            assert clicked[of_it].mean() == pytest.approx(expected, abs=4.5 * sigma), (level, state)


def test_a_bright_pulse_clicks_once_and_costs_no_more_than_a_dim_one() -> None:
    world = weak(1e12)
    assert np.array_equal(world.clicks(1, 0, S // 100), np.arange(0, S // 100, 1_000_000))
    assert not world.clicks(2, 0, S // 100).size


def test_pulses_cut_from_a_laser_hold_the_photons_of_its_power() -> None:
    """1 mW at 1550 nm are 7.803e15 photons a second (CODATA 2018), so 780 in 100 ps at 1 uW."""
    power = Knob(1e-6)
    source = WeakSource(PulseTrain(Knob(MHZ)), photons_per_watt(100.0, 1550.0), power)
    assert source.mean_photons(0) == pytest.approx(780.3, rel=1e-4)
    assert power in source.knobs


def test_a_pattern_is_sent_in_turn() -> None:
    modulation = Modulation((1.0, 0.0), (1.0, 1.0), (0.0, 90.0), (1.0, 1.0), pattern=((0, 0), (1, 0), (0, 1)))
    source = WeakSource(PulseTrain(Knob(MHZ)), modulation=modulation)
    sent = source.sent(5_000_000, 12_000_000)
    assert sent.level.tolist() == [0, 0, 1, 0, 0, 1, 0]
    assert sent.state.tolist() == [1, 0, 0, 1, 0, 0, 1]
    assert SentSignal(source, state=1).edges(0, 6_000_001).tolist() == [2_000_000, 5_000_000]


# Pairs.


@pytest.mark.parametrize(("modes", "g2"), [(1.0, 2.0), (2.0, 1.5), (4.0, 1.25), (math.inf, 1.0)])
def test_one_arm_has_the_g2_of_its_modes(modes: float, g2: float) -> None:
    """g2(0) = 1 + 1/K (Christ et al., NJP 13, 033027, 2011); threshold detectors: exact click probabilities of a
    negative binomial distribution, P(no click at efficiency x) = (1 + mu x / K)^-K."""
    mean, eta, n = 0.4, 0.2, 8_000_000

    def dark(x: float) -> float:
        return math.exp(-mean * x) if math.isinf(modes) else (1 + mean * x / modes) ** -modes

    world = pairs(mean, modes, eta)
    a, b = numbers(world, 2, n * 1_000_000), numbers(world, 3, n * 1_000_000)
    single, both = 1 - dark(eta / 2), 1 - 2 * dark(eta / 2) + dark(eta)
    sigma = math.sqrt(both / n)
    assert len(a) / n == pytest.approx(single, abs=4 * math.sqrt(single / n))
    assert len(a & b) / n == pytest.approx(both, abs=4 * sigma)
    found = len(a & b) * n / (len(a) * len(b))
    assert found == pytest.approx(both / single**2, rel=4 * sigma / both)
    assert both / single**2 == pytest.approx(g2, rel=0.05)  # what is left is the detectors' saturation


@pytest.mark.parametrize("modes", [1.0, math.inf])
def test_a_heralded_photon_has_the_g2_of_theory(modes: float) -> None:
    """(4 mu + 6 mu^2)/(1 + 2 mu)^2 thermal, (2 mu + mu^2)/(1 + mu)^2 Poisson, at low efficiency (time-tags.md 5)."""
    mean, n = 0.1, 30_000_000
    world = pairs(mean, modes, 0.1)
    h, a, b = (numbers(world, i, n * 1_000_000) for i in (1, 2, 3))
    found = len(h) * len(h & a & b) / (len(h & a) * len(h & b))

    def dark(x: float) -> float:
        return math.exp(-mean * x) if math.isinf(modes) else 1 / (1 + mean * x)

    def none(*etas: float) -> float:
        """Return P(none of these detectors clicks); a pair is seen by at most one of 2 and 3."""
        herald, idler = etas
        return dark(1 - (1 - herald) * (1 - idler))

    e = 0.1
    p_h = 1 - none(e, 0)
    p_ha = 1 - none(e, 0) - none(0, e / 2) + none(e, e / 2)
    p_hab = p_ha - (none(0, e / 2) - none(e, e / 2) - none(0, e) + none(e, e))
    exact = p_h * p_hab / p_ha**2
    low = (4 * mean + 6 * mean**2) / (1 + 2 * mean) ** 2 if modes == 1 else (2 * mean + mean**2) / (1 + mean) ** 2
    assert exact == pytest.approx(low, rel=0.08)
    assert found == pytest.approx(exact, rel=4 / math.sqrt(len(h & a & b)))


def test_pairs_in_one_pulse_keep_their_polarisation_correlations() -> None:
    """Accidental pairs of the same pulse lower the visibility to V = 1/(1 + mu) for Poisson numbers (time-tags.md 5)."""
    mean, eta, n = 0.2, 0.05, 60_000_000
    arms = (PolarisingSplitter(Port(1), Port(2), math.inf), PolarisingSplitter(Port(3), Port(4), math.inf))
    line = PulsedPairLine(9, PairSource(mean * MHZ, bell_state("phi+"), Knob(1.0)), *arms, PulseTrain(Knob(MHZ)))
    world = World(3, [line], {i: detector(eta) for i in (1, 2, 3, 4)})
    h, v, hh, vv = (numbers(world, i, n * 1_000_000) for i in (1, 2, 3, 4))
    same, other = len(h & hh) + len(v & vv), len(h & vv) + len(v & hh)
    visibility = (same - other) / (same + other)
    right, wrong = (1 - 2 * math.exp(-mean * eta / 2) + math.exp(-mean * (eta - c)) for c in (eta**2 / 2, 0.0))
    expected = (right - wrong) / (right + wrong)  # the same, but for detectors that count no photons
    assert expected == pytest.approx(1 / (1 + mean), rel=0.01)
    assert visibility == pytest.approx(expected, abs=4 * math.sqrt((1 - expected**2) / (same + other)))


# Gates.


def test_darks_come_only_in_gates_and_as_often_as_they_are_open() -> None:
    gate = PulseTrain(Knob(MHZ), delay_ps=Knob(300_000.0), width_ps=Knob(100_000.0))
    world = World(3, [], {1: detector(0.0, dark_hz=20_000.0, dead_ps=0, gate=gate)})
    t = world.clicks(1, 0, 100 * S)
    assert t.size == pytest.approx(20_000 * 0.1 * 100, abs=4 * math.sqrt(200_000))
    phase = t % 1_000_000
    assert phase.min() >= 300_000
    assert phase.max() < 400_000


def test_a_shut_gate_makes_no_dead_time() -> None:
    """Of pulses every 100 ns with one in four gated, all gated ones click although the dead time is 350 ns."""
    light = PulseTrain(Knob(1e7))
    gate = PulseTrain(Knob(2.5e6), width_ps=Knob(10_000.0))
    line = WeakLine(9, WeakSource(light, 12.0), Port(1))
    world = World(3, [line], {1: detector(1.0, dead_ps=350_000, gate=gate)})
    assert world.clicks(1, 0, 10**9).tolist() == list(range(0, 10**9, 400_000))


def test_dead_time_loses_gates_after_a_click() -> None:
    """Each click blinds the next 2 gates: rate per gate m = p/(1 + 2 p) for click probability p."""
    gate = PulseTrain(Knob(MHZ), width_ps=Knob(5_000.0))
    line = WeakLine(9, WeakSource(PulseTrain(Knob(MHZ)), 1.0), Port(1))
    world = World(3, [line], {1: detector(0.3, dead_ps=2_500_000, gate=gate)})
    p, n = 1 - math.exp(-0.3), 4_000_000
    assert world.clicks(1, 0, 4 * S).size / n == pytest.approx(p / (1 + 2 * p), rel=0.005)


@pytest.mark.parametrize("engine", ["numpy", "numba"])
def test_afterpulses_die_out_over_the_gates(engine: str) -> None:
    """The carrier is set free after the dead time with mean tau: it meets gate j with P = e^(-a/tau) (1 - e^(-w/tau))."""
    if engine == "numba":
        pytest.importorskip("numba")
    light, tau, width, dead = PulseTrain(Knob(1e4)), 2_000_000.0, 100_000.0, 500_000
    gate = PulseTrain(Knob(MHZ), width_ps=Knob(width))
    one = Detector(Knob(1.0), Knob(0.0), Knob(0.3), dead_time_ps=dead, afterpulse_tau_ps=tau, gate=gate)
    world = World(3, [WeakLine(9, WeakSource(light, 30.0), Port(1))], {1: one}, engine=engine)
    t = world.clicks(1, 0, 20 * S)
    pulses = 200_000
    after = t[t % 100_000_000 >= 1_000_000] % 100_000_000
    for j in (1, 2, 3, 5):
        expected = 0.3 * math.exp(-(j * 1e6 - dead) / tau) * (1 - math.exp(-width / tau))
        found = np.count_nonzero((after >= j * 1_000_000) & (after < j * 1_000_000 + width)) / pulses
        # Afterpulses of afterpulses add up to p w/tau = 1.5 % of themselves; counting noise is 4 sigma.
        assert expected * (1 - 1e-9) - 4 * math.sqrt(expected / pulses) < found
        assert found < expected * 1.08 + 4 * math.sqrt(expected / pulses)
    assert (after % 1_000_000 < width).all()


# The same tags, however they are asked for.


def decoy_world(engine: str = "numpy") -> tuple[World, Knob, Knob]:
    rate, delay = Knob(2.5e6), Knob(0.0)
    modulation = Modulation((1.0, 0.3), (0.7, 0.3), (0.0, 90.0, 45.0), (0.4, 0.4, 0.2), 20.0, 25.0, key=4)
    train = PulseTrain(rate, delay_ps=delay, width_ps=Knob(30_000.0))
    line = WeakLine(
        9, WeakSource(train, 0.5, pulse_fwhm_ps=50.0, modulation=modulation), PolarisingSplitter(Port(1), Port(2))
    )
    source = PairSource(1e5, pump_power_w=Knob(1.0))
    crystal = PulsedPairLine(8, source, Port(3), PolarisingSplitter(Port(1), Port(4)), train, 1.0, 5.0)
    detectors = {
        n: Detector(Knob(0.4), Knob(500.0), Knob(0.05), 100.0, 30_000, 300_000.0, gate=train if n < 3 else None)
        for n in (1, 2, 3, 4)
    }
    return World(7, [line, crystal], detectors, signals={50: train}, engine=engine), rate, delay


def all_clicks(world: World, edges: list[int]) -> list[bytes]:
    ids = (1, 2, 3, 4, 50)
    parts = {i: [world.clicks(i, a, b) for a, b in itertools.pairwise(edges)] for i in ids}
    return [np.concatenate(parts[i]).tobytes() for i in ids]


STOP = 3 * CELL_PS
WHOLE = all_clicks(decoy_world()[0], [0, STOP])


@settings(max_examples=10)
@given(st.lists(st.integers(1, STOP - 1), max_size=8, unique=True))
def test_pulsed_tags_do_not_depend_on_polling(cuts: list[int]) -> None:
    assert all_clicks(decoy_world()[0], [0, *sorted(cuts), STOP]) == WHOLE


def test_both_engines_draw_the_same_pulsed_tags() -> None:
    pytest.importorskip("numba")
    assert all_clicks(decoy_world("numba")[0], [0, STOP]) == WHOLE


@settings(max_examples=8)
@given(st.integers(1, STOP - 1), st.integers(1, STOP - 1), st.sampled_from(["rate", "delay"]))
def test_a_setting_in_mid_run_gives_the_same_tags_for_any_polling(at: int, poll: int, what: str) -> None:
    def run(edges: list[int]) -> list[bytes]:
        world, rate, delay = decoy_world()
        parts: dict[int, list[np.ndarray]] = {i: [] for i in (1, 2, 3, 4, 50)}
        for a, b in itertools.pairwise(edges):
            if a == at:
                (rate if what == "rate" else delay).set(1.7e6 if what == "rate" else 77_000.0, at)
            for i, found in parts.items():
                found.append(world.clicks(i, a, b))
        return [np.concatenate(found).tobytes() for found in parts.values()]

    found = run(sorted({0, at, poll, STOP}))
    assert found == run([0, at, STOP])
    before = [np.frombuffer(w, np.int64) for w in WHOLE]
    for a, b in zip(before, (np.frombuffer(w, np.int64) for w in found), strict=True):
        assert np.array_equal(a[a < at], b[b < at])
