"""Photons of two sources that meet: dips, swapped entanglement and GHZ states as an exact sum over Fock states has them."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlab.errors import WorldError
from qlab.physics.arm import Arm, Attenuator, BeamSplitter, Fibre, PolarisingSplitter, Port, WavePlate
from qlab.physics.detector import Detector
from qlab.physics.joint import JointLine
from qlab.physics.knob import CELL_PS, Knob
from qlab.physics.meeting import Entrance, Meeting
from qlab.physics.pulsed import PulsedPairLine
from qlab.physics.pulses import PulseTrain
from qlab.physics.routing import DelayLine
from qlab.physics.sight import Emitter, Sight, pattern_probabilities
from qlab.physics.source import PairSource
from qlab.physics.squeezed import bell_mixture
from qlab.physics.states import bell_state, werner
from qlab.physics.wavepacket import WavePacket, overlap_matrix
from qlab.physics.world import World

S = 10**12
RATE_HZ = 1e7
PERIOD_PS = 100_000

# An independent calculation: Fock states, pair by pair, creation operator by creation operator.


def fock_clicks(
    pair_numbers: list[float],
    pair_terms: list[list[tuple[complex, int, int]]],
    modes: dict[int, dict[int, complex]],
    detectors: dict[int, list[int]],
    efficiency: float,
    most: int,
) -> dict[frozenset[int], float]:
    """Return the probability of each pattern of clicks by summing over Fock states with up to `most` pairs in all.

    Parameters
    ----------
    pair_numbers:
        tanh r of each source: |psi> = N sum_n (tanh r)^n (sum_t c_t a_t+ b_t+)^n / n! |0>, with terms of weight 1.
    pair_terms:
        For each source (c, mode of one photon, mode of the other).
    modes:
        What becomes of a mode's creation operator: amplitudes by output mode.
    detectors:
        The output modes that each sees.
    """
    result: dict[frozenset[int], float] = defaultdict(float)
    left = 1.0
    for numbers in itertools.product(range(most + 1), repeat=len(pair_numbers)):
        if sum(numbers) > most:
            continue
        state: dict[tuple[tuple[int, int], ...], complex] = {(): 1.0 + 0.0j}
        for n, terms in zip(numbers, pair_terms, strict=True):
            for _ in range(n):
                grown: dict[tuple[tuple[int, int], ...], complex] = defaultdict(complex)
                for occupation, amplitude in state.items():
                    for c, one, other in terms:
                        for (i, x), (j, y) in itertools.product(modes[one].items(), modes[other].items()):
                            new = dict(occupation)
                            new[i] = new.get(i, 0) + 1
                            new[j] = new.get(j, 0) + 1
                            grown[tuple(sorted(new.items()))] += amplitude * c * x * y
                state = grown
        weight = 1.0
        for n, terms, tanh in zip(numbers, pair_terms, pair_numbers, strict=True):
            weight *= (1 - tanh**2) ** len(terms) * tanh ** (2 * n) / math.factorial(n) ** 2
        for occupation, amplitude in state.items():
            p = weight * abs(amplitude) ** 2 * math.prod(math.factorial(k) for _, k in occupation)
            left -= p
            held = dict(occupation)
            chances = {
                d: 1 - math.prod((1 - efficiency) ** held.get(mode, 0) for mode in seen)
                for d, seen in detectors.items()
            }
            for clicked in itertools.product((False, True), repeat=len(chances)):
                q = math.prod(c if yes else 1 - c for yes, c in zip(clicked, chances.values(), strict=True))
                if q:
                    result[frozenset(d for d, yes in zip(chances, clicked, strict=True) if yes)] += p * q
    assert 0 <= left < 1e-4  # of the pulses have more pairs
    return result


def splitter(t: float, v: complex, first: int, c: int, d: int, spare_c: int, spare_d: int) -> dict[int, dict[int, complex]]:
    """Return where modes `first` and `first + 1` go; the second is alike by v, the rest leaves in spare modes."""
    r, u = math.sqrt(1 - t), math.sqrt(1 - abs(v) ** 2)
    t = math.sqrt(t)
    return {
        first: {c: t, d: -r},
        first + 1: {c: r * v, d: t * v, spare_c: r * u, spare_d: t * u},
    }


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


def hom_theory(v: float, mean: float = 0.1, eta: float = 0.6, t: float = 0.5) -> dict[frozenset[int], float]:
    """Return the patterns of the same by Fock states; v is the overlap of the amplitudes."""
    tanh = math.sqrt(mean / (1 + mean))
    modes = splitter(t, v, 10, 3, 4, 33, 44) | {1: {1: 1.0}, 2: {2: 1.0}}
    terms = [[(1.0, 1, 10)], [(1.0, 11, 2)]]
    seen = {1: [1], 2: [2], 3: [3, 33], 4: [4, 44]}
    return fock_clicks([tanh, tanh], terms, modes, seen, eta, 5)


def sigma_per_ps(bandwidth_nm: float) -> float:
    return 2 * math.pi * 299792.458 * bandwidth_nm / 1550.0**2 / (2 * math.sqrt(2 * math.log(2)))


@pytest.mark.parametrize(("delay_ps", "t", "overlap"), [(0.0, 0.5, 1.0), (1.5, 0.5, 1.0), (0.0, 0.35, 0.8), (200.0, 0.5, 1.0)])
def test_two_heralded_photons_click_as_fock_states_say(delay_ps: float, t: float, overlap: float) -> None:
    """All 16 patterns, multi-pair emission, saturation and loss included; |<a|b>|^2 = exp(-(sigma tau)^2) for Gaussians
    (Hong, Ou, Mandel, PRL 59, 2044, 1987; Mosley et al., PRL 100, 133601, 2008)."""
    v = math.sqrt(overlap) * math.exp(-((sigma_per_ps(1.0) * delay_ps) ** 2) / 2)
    theory = hom_theory(v, t=t)
    n = 3_000_000
    found = patterns(hom_world(delay_ps, t=t, overlap=overlap), (1, 2, 3, 4), n * PERIOD_PS)
    for mask in range(1, 16):
        p = theory[frozenset(bit + 1 for bit in range(4) if mask >> bit & 1)]
        assert found[mask] / n == pytest.approx(p, abs=4.5 * math.sqrt(p / n) + 1e-5), mask


@pytest.mark.parametrize("schmidt", [1.0, 1.25, 2.0])
def test_faint_heralded_photons_dip_by_their_purity(schmidt: float) -> None:
    """V = 1/K at mu -> 0, and the dip is exp(-(sigma tau / K)^2): tables, not draws, so that no noise hides an error."""
    packet = WavePacket(1550.0, 1.0, schmidt)
    weights = np.sqrt(packet.weights)
    tau = np.array([0.0, 1.0, 2.5])
    overlaps = [
        float((np.abs(weights[:, None] * overlap_matrix(packet, packet, t) * weights) ** 2).sum()) for t in tau
    ]
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
    theory = [hom_theory(v, 0.02, 1.0)[frozenset((1, 2, 3, 4))] for v in (1.0, 0.0)]
    assert visibility[1.0][0] == pytest.approx(1 - theory[0] / theory[1], abs=4 * visibility[1.0][1])
    # To first order in mu the extra pairs cost both the same.
    assert visibility[1.5][0] - visibility[1.0][0] == pytest.approx(1 / 1.5 - 1.0, abs=0.04 + 4 * visibility[1.5][1])
