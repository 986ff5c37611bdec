"""Photons of two sources that meet: dips, swapped entanglement and GHZ states as an exact sum over Fock states has them."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlab.errors import WorldError
from qlab.physics.arm import Arm, Attenuator, BeamSplitter, PolarisingSplitter, Port, WavePlate
from qlab.physics.detector import Detector
from qlab.physics.fibre import Fibre
from qlab.physics.joint import JointLine
from qlab.physics.knob import CELL_PS, Knob
from qlab.physics.meeting import Entrance, Meeting
from qlab.physics.pulsed import PulsedPairLine
from qlab.physics.pulses import PulseTrain
from qlab.physics.routing import DelayLine
from qlab.physics.sight import Emitter, pattern_probabilities, sights
from qlab.physics.source import PairSource
from qlab.physics.squeezed import bell_mixture
from qlab.physics.states import bell_state, werner
from qlab.physics.wavepacket import WavePacket, overlap_matrix
from qlab.physics.world import World

from .fock import PSI_MINUS, PSI_PLUS, bits, correlation, fock_bell_pairs, fock_clicks, splitter

S = 10**12
RATE_HZ = 1e7
PERIOD_PS = 100_000

# The world.


def source(mean: float, state: np.ndarray, *, bandwidth_nm: float = 1.0) -> PairSource:
    return PairSource(mean * RATE_HZ, state, Knob(1.0), signal_nm=1550.0, idler_nm=1550.0, bandwidth_nm=bandwidth_nm)


def product_state() -> np.ndarray:
    state = np.zeros((4, 4), np.complex128)
    state[0, 0] = 1.0
    return state


def world_of(
    arms: list[tuple[Arm, Arm]],
    sources: list[PairSource],
    meetings: list[Meeting],
    detectors: dict[int, float],
    *,
    modes: float = 1.0,
    seed: int = 11,
    rate: Knob | None = None,
) -> World:
    train = PulseTrain(rate or Knob(RATE_HZ))
    lines = [
        PulsedPairLine(k, one, signal, idler, train, modes)
        for k, (one, (signal, idler)) in enumerate(zip(sources, arms, strict=True))
    ]
    joint = JointLine(9, lines, meetings)
    found = {i: Detector(Knob(eta), dead_time_ps=20_000) for i, eta in detectors.items()}
    return World(seed, [joint], found)


def patterns(world: World, ids: tuple[int, ...], stop_ps: int) -> np.ndarray:
    """Count pulses by who clicked in them, as bits in the order of `ids`."""
    n = stop_ps // PERIOD_PS
    held = np.zeros(n, np.int64)
    for bit, i in enumerate(ids):
        pulses = world.clicks(i, 0, stop_ps) // PERIOD_PS
        held[pulses[pulses < n]] |= 1 << bit
    return np.bincount(held, minlength=1 << len(ids))


def hom_world(delay_ps: float, mean: float = 0.1, eta: float = 0.6, *, t: float = 0.5, modes: float = 1.0,
              overlap: float = 1.0, bandwidth_nm: float = 1.0) -> World:  # fmt: skip
    """Heralds 1 and 2; their partners meet and end at 3 and 4."""
    arms: list[tuple[Arm, Arm]] = [
        (Port(1), Entrance(101)),
        (DelayLine(Entrance(102), Knob(delay_ps * 0.299792458 / 2), 2), Port(2)),
    ]
    meeting = Meeting((101, 102), (Port(3), Port(4)), (t, t), overlap)
    sources = [source(mean, product_state(), bandwidth_nm=bandwidth_nm) for _ in range(2)]
    return world_of(arms, sources, [meeting], {1: eta, 2: eta, 3: eta, 4: eta}, modes=modes)


def hom_theory(v: float, mean: float = 0.1, eta: float = 0.6, t: float = 0.5) -> np.ndarray:
    """Return the patterns of the same by Fock states; v is the overlap of the amplitudes."""
    tanh = math.sqrt(mean / (1 + mean))
    modes = splitter(t, v, 10, 3, 4, 33, 44) | {1: {1: 1.0}, 2: {2: 1.0}}
    terms = [[(1.0, 1, 10)], [(1.0, 11, 2)]]
    seen = {1: [1], 2: [2], 3: [3, 33], 4: [4, 44]}
    return fock_clicks([tanh, tanh], terms, modes, seen, eta, 5)


def sigma_per_ps(bandwidth_nm: float) -> float:
    return 2 * math.pi * 299792.458 * bandwidth_nm / 1550.0**2 / (2 * math.sqrt(2 * math.log(2)))


@pytest.mark.parametrize(
    ("delay_ps", "t", "overlap"), [(0.0, 0.5, 1.0), (1.5, 0.5, 1.0), (0.0, 0.35, 0.8), (200.0, 0.5, 1.0)]
)
def test_two_heralded_photons_click_as_fock_states_say(delay_ps: float, t: float, overlap: float) -> None:
    """All 16 patterns, multi-pair emission, saturation and loss included; |<a|b>|^2 = exp(-(sigma tau)^2) for Gaussians
    (Hong, Ou, Mandel, PRL 59, 2044, 1987; Mosley et al., PRL 100, 133601, 2008)."""
    v = math.sqrt(overlap) * math.exp(-((sigma_per_ps(1.0) * delay_ps) ** 2) / 2)
    theory = hom_theory(v, t=t)
    n = 3_000_000
    found = patterns(hom_world(delay_ps, t=t, overlap=overlap), (1, 2, 3, 4), n * PERIOD_PS)
    for mask in range(1, 16):
        p = theory[mask]
        assert found[mask] / n == pytest.approx(p, abs=4.5 * math.sqrt(p / n) + 1e-5), mask


@pytest.mark.parametrize("schmidt", [1.0, 1.25, 2.0])
def test_faint_heralded_photons_dip_by_their_purity(schmidt: float) -> None:
    """V = 1/K at mu -> 0, and the dip is exp(-(sigma tau / K)^2): tables, not draws, so that no noise hides an error."""
    packet = WavePacket(1550.0, 1.0, schmidt)
    weights = np.sqrt(packet.weights)
    tau = np.array([0.0, 1.0, 2.5])
    overlaps = [float((np.abs(weights[:, None] * overlap_matrix(packet, packet, t) * weights) ** 2).sum()) for t in tau]
    sigma = sigma_per_ps(1.0)
    assert overlaps == pytest.approx(np.exp(-((sigma * tau / schmidt) ** 2)) / schmidt, abs=2e-5)


def test_a_dip_of_real_sources_is_as_deep_as_purity_and_pairs_allow() -> None:
    """Impure photons of a thermal source, by draws: at low mean the visibility tends to 1/K less the multi-pair part."""
    visibility = {}
    for schmidt in (1.0, 1.5):
        counts = []
        for delay_ps in (0.0, 300.0):
            world = hom_world(delay_ps, 0.02, 1.0, modes=schmidt)
            counts.append(patterns(world, (1, 2, 3, 4), 6_000_000 * PERIOD_PS)[15])
        visibility[schmidt] = 1 - counts[0] / counts[1], math.sqrt(counts[0] + 1) / counts[1]
    theory = [hom_theory(v, 0.02, 1.0)[15] for v in (1.0, 0.0)]
    assert visibility[1.0][0] == pytest.approx(1 - theory[0] / theory[1], abs=4 * visibility[1.0][1])
    # To first order in mu the extra pairs cost both the same.
    assert visibility[1.5][0] - visibility[1.0][0] == pytest.approx(1 / 1.5 - 1.0, abs=0.04 + 4 * visibility[1.5][1])


# Entanglement of photons that never met.

QUARTER = math.pi / 4


def analyser(angle: float, transmitted: int, reflected: int) -> Arm:
    """Linear polarisation at an angle, by a half-wave plate and a splitter."""
    return WavePlate(
        PolarisingSplitter(Port(transmitted), Port(reflected), math.inf), math.pi, Knob(math.degrees(angle) / 2)
    )


def two_bell_pairs(
    outer: tuple[float, float], inner: tuple[float, float], transmittances: tuple[float, float], *, mean: float, eta: float,
    state: np.ndarray | None = None, overlap: float = 1.0, modes: float = 1.0, seed: int = 11,
) -> World:  # fmt: skip
    """Outer photons at detectors 1 to 4 at two angles, the outputs of the splitter at 5 to 8 at two more."""
    arms: list[tuple[Arm, Arm]] = [
        (analyser(outer[0], 1, 2), Entrance(101)),
        (analyser(outer[1], 3, 4), Entrance(102)),
    ]
    meeting = Meeting((101, 102), (analyser(inner[0], 5, 6), analyser(inner[1], 7, 8)), transmittances, overlap)
    sources = [source(mean, bell_state("phi+") if state is None else state) for _ in range(2)]
    return world_of(arms, sources, [meeting], dict.fromkeys(range(1, 9), eta), modes=modes, seed=seed)


def table(world: World) -> np.ndarray:
    """Return the probability of each pattern of the detectors 1, 2, ..., by bits."""
    line = world.lines[0]
    assert isinstance(line, JointLine)
    efficiencies = {i: d.efficiency.value(0) for i, d in world.detectors.items()}
    seen = sorted(sights(line.leaves(world.detectors, 0), line.packets, efficiencies), key=lambda s: s.detector_id)
    emitters = [
        Emitter(one.source.rate_hz(0) / RATE_HZ, bell_mixture(one.source.state), pair)
        for one, pair in zip(line.sources, zip(line.packets[::2], line.packets[1::2], strict=True), strict=True)
    ]
    return pattern_probabilities(emitters, seen)


@pytest.mark.parametrize("angles", [(0.0, 0.0), (QUARTER, QUARTER), (0.3, -0.2)])
@pytest.mark.parametrize("v", [1.0, 0.8])
def test_swapped_pairs_click_as_fock_states_say(angles: tuple[float, float], v: float) -> None:
    """All 256 patterns of two entangled sources and a Bell-state analyser, with multi-pairs, loss and threshold detectors.

    The same sum as in Scherer, Howard, Sanders, Tittel, PRA 80, 062310 (2009); what is left out has five pairs.
    """
    mean, eta = 0.02, 0.6
    theory = fock_bell_pairs(angles, (0.0, 0.0), (0.5, 0.5), mean=mean, eta=eta, v=v)
    found = table(two_bell_pairs(angles, (0.0, 0.0), (0.5, 0.5), mean=mean, eta=eta, overlap=v * v))
    assert np.abs(found[1:] - theory[1:]).max() < 2e-8
    for heralds in (PSI_MINUS, PSI_PLUS):
        assert correlation(found, heralds)[1] > 1e-6
        assert correlation(found, heralds)[0] == pytest.approx(correlation(theory, heralds)[0], abs=2e-3)


def test_the_outer_photons_are_in_the_state_that_the_inner_ones_were_found_in() -> None:
    """Faint sources: psi- is left in psi-, psi+ in psi+ (Zukowski, Zeilinger, Horne, Ekert, PRL 71, 4287, 1993; Pan,
    Bouwmeester, Weinfurter, Zeilinger, PRL 80, 3891, 1998); each is found in one of eight
    pairs of pairs."""
    for heralds, xx in ((PSI_MINUS, -1.0), (PSI_PLUS, 1.0)):
        for angle, expected in ((0.0, -1.0), (QUARTER, xx)):
            p = table(two_bell_pairs((angle, angle), (0.0, 0.0), (0.5, 0.5), mean=1e-4, eta=1.0))
            e, total = correlation(p, heralds)
            assert e == pytest.approx(expected, abs=2e-3)
            assert total == pytest.approx(1e-8 / 4, rel=2e-3)


def test_drawn_four_folds_have_the_correlations_of_the_table() -> None:
    """Clicks of the world, bright sources: every four-fold pattern, and the number of clicks of each detector."""
    angles, n = (QUARTER, QUARTER), 3_000_000
    world = two_bell_pairs(angles, (0.0, 0.0), (0.5, 0.5), mean=0.2, eta=0.8, state=werner("phi+", 0.95), overlap=0.9)
    p = table(world)
    found = patterns(world, tuple(range(1, 9)), n * PERIOD_PS)
    assert found.sum() == n
    for herald in PSI_MINUS + PSI_PLUS:
        for pair in ((1, 3), (1, 4), (2, 3), (2, 4)):
            expected = n * p[bits(*pair, *herald)]
            assert expected > 50
            assert found[bits(*pair, *herald)] == pytest.approx(expected, abs=4.5 * math.sqrt(expected))
    chi2 = sum((found[k] - n * p[k]) ** 2 / (n * p[k]) for k in range(256) if n * p[k] > 20)
    degrees = sum(1 for k in range(256) if n * p[k] > 20)
    assert abs(chi2 - degrees) < 4.5 * math.sqrt(2 * degrees)


def test_two_pairs_on_a_polarising_splitter_are_a_ghz_state() -> None:
    """(HHHH - VVVV)/sqrt 2 where each of four parties sees one photon (Pan, Daniell, Gasparoni, Weihs, Zeilinger, PRL 86,
    4435, 2001): only HHHH and VVVV along H/V, and <XXXX> = -1 along the diagonals, less what further pairs make of it."""
    parties = tuple(itertools.product((1, 2), (3, 4), (5, 6), (7, 8)))

    def fourfolds(angle: float, mean: float, v: float) -> np.ndarray:
        four = (angle,) * 4
        found = table(two_bell_pairs(four[:2], four[2:], (1.0, 0.0), mean=mean, eta=0.6, overlap=v * v))
        theory = fock_bell_pairs(four[:2], four[2:], (1.0, 0.0), mean=mean, eta=0.6, v=v)
        assert np.abs(found[1:] - theory[1:]).max() < 2e-8
        return np.array([found[bits(*who)] for who in parties])

    signs = np.array([math.prod(1 if d % 2 else -1 for d in who) for who in parties])
    populations = fourfolds(0.0, 1e-3, 1.0)
    assert populations[0] + populations[-1] == pytest.approx(populations.sum(), rel=0.01)
    assert populations[0] == pytest.approx((1e-3 / 2) ** 2 * 0.6**4, rel=0.01)
    coherent = fourfolds(QUARTER, 1e-3, 1.0)
    assert signs @ coherent / coherent.sum() == pytest.approx(-1.0, abs=0.01)
    # Photons that are told apart leave a mixture: <XXXX> falls with |<a|b>|^2.
    partly = fourfolds(QUARTER, 1e-3, math.sqrt(0.7))
    assert signs @ partly / partly.sum() == pytest.approx(-0.7, abs=0.01)


def test_drawn_ghz_four_folds_have_the_correlation_of_the_table() -> None:
    four, n = (QUARTER,) * 4, 3_000_000
    world = two_bell_pairs(four[:2], four[2:], (1.0, 0.0), mean=0.15, eta=0.8)
    p, found = table(world), patterns(world, tuple(range(1, 9)), n * PERIOD_PS)
    signs = {
        who: math.prod(1 if d % 2 else -1 for d in who) for who in itertools.product((1, 2), (3, 4), (5, 6), (7, 8))
    }
    total = sum(int(found[bits(*who)]) for who in signs)
    e = sum(sign * int(found[bits(*who)]) for who, sign in signs.items()) / total
    expected = sum(sign * p[bits(*who)] for who, sign in signs.items()) / sum(p[bits(*who)] for who in signs)
    assert expected < -0.5
    assert e == pytest.approx(expected, abs=4 * math.sqrt((1 - expected**2) / total))


@pytest.mark.parametrize("mean", [0.05, 0.5])
def test_pairs_of_one_pulse_stimulate_each_other(mean: float) -> None:
    """One thermal mode a polarisation: V = (1 + mu/2)/(1 + 3 mu/2) at low efficiency (time-tags.md 5), while pairs that are
    independent in polarisation have that of their number's statistics, here g2 = 3/2: 1/(1 + 3 mu/2)."""
    arms: list[tuple[Arm, Arm]] = [(analyser(0.0, 1, 2), analyser(0.0, 3, 4))]
    world = world_of(arms, [source(mean, bell_state("phi+"))], [], dict.fromkeys(range(1, 5), 1e-3))
    p = table(world)
    both = {
        pair: sum(p[k] for k in range(16) if k & bits(*pair) == bits(*pair))
        for pair in itertools.product((1, 2), (3, 4))
    }
    visibility = (both[1, 3] + both[2, 4] - both[1, 4] - both[2, 3]) / sum(both.values())
    assert visibility == pytest.approx((1 + mean / 2) / (1 + 3 * mean / 2), abs=2e-3)
    singles = [sum(p[k] for k in range(16) if k & bits(d)) for d in (1, 2, 3, 4)]
    assert singles == pytest.approx([mean * 1e-3 / 2] * 4, rel=2e-3)


# Dispersion, bad wiring, and the same tags however they are asked for.


def test_unequal_dispersion_before_the_splitter_spoils_the_dip() -> None:
    """|<a|b>|^2 = 1/sqrt(1 + (phi sigma^2)^2 / 1) of two Gaussians with chirps that differ by phi: from
    Int exp(-w^2/(2 s^2) + i phi w^2/2) dw = s sqrt(2 pi) (1 - i phi s^2)^(-1/2)."""
    packet = WavePacket(1550.0, 2.0)
    phi = 3.0
    found = abs(overlap_matrix(packet, packet, 0.0, phi)[0, 0]) ** 2
    assert found == pytest.approx(1 / math.sqrt(1 + (phi * sigma_per_ps(2.0) ** 2) ** 2), rel=1e-6)
    # 10 m of fibre of 17 ps/(nm km) make a chirp of -0.217 ps^2 at 1550 nm: phi = -D L lambda^2 / (2 pi c).
    arms: list[tuple[Arm, Arm]] = [(Port(1), Fibre(Entrance(101), 10.0, dispersion_ps_nm_km=17.0)),
                                   (Fibre(Entrance(102), 10.0), Port(2))]  # fmt: skip
    sources = [source(0.001, product_state(), bandwidth_nm=8.0) for _ in range(2)]
    world = world_of(arms, sources, [Meeting((101, 102), (Port(3), Port(4)))], dict.fromkeys((1, 2, 3, 4), 1.0))
    chirp = 0.17 * 1550.0**2 / (2 * math.pi * 299792.458)
    alike = 1 / math.sqrt(1 + (chirp * sigma_per_ps(8.0) ** 2) ** 2)
    assert table(world)[15] == pytest.approx((1 - alike) / 2 * 1e-6, rel=0.02)


def test_photons_of_other_colours_do_not_interfere() -> None:
    """|<a|b>|^2 = 2 s t/(s^2 + t^2) exp(-(w - w')^2 / (2 (s^2 + t^2))) for Gaussian spectra of deviations s and t."""
    a, b = WavePacket(1550.0, 1.0), WavePacket(1551.5, 1.4)
    s, t = a.sigma_per_ps, b.sigma_per_ps
    expected = (
        2 * s * t / (s * s + t * t) * math.exp(-((b.centre_per_ps - a.centre_per_ps) ** 2) / (2 * (s * s + t * t)))
    )
    assert 0.1 < expected < 0.5
    assert abs(overlap_matrix(a, b, 0.0)[0, 0]) ** 2 == pytest.approx(expected, rel=1e-6)


def test_sources_that_do_not_pulse_together_are_refused() -> None:
    lines = [
        PulsedPairLine(k, source(0.1, product_state()), Port(1), Entrance(101 + k), PulseTrain(Knob(RATE_HZ)), 1.0)
        for k in (0, 1)
    ]
    with pytest.raises(WorldError, match="one output of one generator"):
        JointLine(9, lines, [Meeting((101, 102), (Port(3), Port(4)))])


def test_photons_that_are_no_purer_than_half_are_refused() -> None:
    with pytest.raises(WorldError, match="Schmidt number inf"):
        WavePacket(1550.0, 1.0, math.inf)


def moving_world() -> tuple[World, Knob, Knob]:
    """Everything at once: a moving stage, a changed rate, Werner states, darks, dead times, jitter."""
    position, rate = Knob(0.0), Knob(2.5e6)
    train = PulseTrain(rate)
    arms: list[tuple[Arm, Arm]] = [
        (analyser(0.2, 1, 2), Attenuator(Entrance(101), 1.0)),
        (
            Fibre(Port(3), 20.0, dispersion_ps_nm_km=17.0),
            DelayLine(BeamSplitter(Entrance(102), Port(3), 0.8), position),
        ),
    ]
    meeting = Meeting((101, 102), (analyser(0.0, 4, 5), Port(6)), overlap=0.95)
    lines = [
        PulsedPairLine(
            k, PairSource(2e5, werner("phi+", 0.9), Knob(1.0), signal_nm=1550, idler_nm=1550), a, b, train, 1.1, 3.0
        )
        for k, (a, b) in enumerate(arms)
    ]
    found = {i: Detector(Knob(0.5), Knob(300.0), Knob(0.02), 80.0, 30_000) for i in range(1, 7)}
    return World(7, [JointLine(9, lines, [meeting])], found), position, rate


STOP = 2 * CELL_PS


def all_clicks(edges: list[int], at: int | None = None, what: str = "position") -> list[np.ndarray]:
    world, position, rate = moving_world()
    parts: dict[int, list[np.ndarray]] = {i: [] for i in range(1, 7)}
    for a, b in itertools.pairwise(edges):
        if a == at:
            (position if what == "position" else rate).set(0.3 if what == "position" else 3e6, at)
        for i, found in parts.items():
            found.append(world.clicks(i, a, b))
    return [np.concatenate(found) for found in parts.values()]


@settings(max_examples=4)
@given(st.lists(st.integers(1, STOP - 1), max_size=6, unique=True))
def test_interfering_tags_do_not_depend_on_polling(cuts: list[int]) -> None:
    whole = all_clicks([0, STOP])
    assert all(t.size > 1000 for t in whole)
    for a, b in zip(all_clicks([0, *sorted(cuts), STOP]), whole, strict=True):
        assert np.array_equal(a, b)


@settings(max_examples=4)
@given(st.integers(1, STOP - 1), st.integers(1, STOP - 1), st.sampled_from(["position", "rate"]))
def test_a_setting_in_mid_run_changes_nothing_before_it(at: int, poll: int, what: str) -> None:
    found = all_clicks(sorted({0, at, poll, STOP}), at, what)
    for a, b, whole in zip(found, all_clicks([0, at, STOP], at, what), all_clicks([0, STOP]), strict=True):
        assert np.array_equal(a, b)
        assert np.array_equal(a[a < at], whole[whole < at])
