"""Stated 68 % intervals against time tags of the simulated world: 200 seeded runs each, within three binomial sigma.

The counterpart of `test_coverage.py`, which draws counts from probabilities: here pairs are emitted, lost, detected with
jitter, darks, dead time and afterpulses, tagged, and counted by the tag engine.  Truths come by another way than the draws:
Born's rule on the state's matrix, sums over Fock states, generating functions.  Minutes; run it with
`pytest -m slow tests/analysis/test_coverage_of_tags.py`.
"""

from __future__ import annotations

import numpy as np
import pytest

from qlab.analysis.accidentals import accidental_counts
from qlab.analysis.bell import chsh
from qlab.analysis.photon_statistics import heralded_g2, pulsed_g2
from qlab.analysis.projections import NINE_SETTINGS, analyser_counts, bloch_projector
from qlab.analysis.state_estimation import maximum_likelihood
from qlab.analysis.state_intervals import linear_state
from qlab.analysis.state_measures import bell_weights, concurrence
from qlab.analysis.two_photon_interference import fit_dip
from qlab.physics.arm import Arm, BeamSplitter, PolarisingSplitter, Port
from qlab.physics.detector import Detector
from qlab.physics.fibre import Fibre
from qlab.physics.knob import Knob
from qlab.physics.line import PairLine
from qlab.physics.meeting import Entrance, Meeting
from qlab.physics.pulsed import PulsedPairLine
from qlab.physics.pulses import PulseTrain
from qlab.physics.routing import DelayLine
from qlab.physics.source import PairSource
from qlab.physics.states import bell_state
from qlab.physics.tagger import Tagger, WorldFeed
from qlab.physics.world import World
from qlab.tags.coincidence import coincidence_matrix

from ..physics.test_interference import hom_theory, product_state, sigma_per_ps, source, world_of
from .test_coverage import BAND, CHSH, LEVEL, RUNS, lab_state, mean_tables

pytestmark = pytest.mark.slow

WINDOW_PS = 2000
PULSES_HZ = 1.5e6
MM_PER_PS = 0.299792458 / 2  # of a stage that the light goes to and back


def turned(vector: tuple[float, ...], inside: Arm) -> Arm:
    """Put the state with this Bloch vector on the splitter's H."""
    _, states = np.linalg.eigh(bloch_projector(vector))
    return Fibre(inside, 0.0, turn=states[:, ::-1].conj().T)


def measured(rho: np.ndarray, setting: tuple, extinction_db: float, seconds: float, seed: int):
    """Return coincidences and expected accidentals, shape (2, 2) each, of an acquisition of the laboratory's photons."""
    detectors = {n: Detector(Knob(0.3), Knob(500.0), Knob(0.01), 120.0, 50_000) for n in range(1, 5)}
    alice, bob = (
        turned(vector, PolarisingSplitter(Port(n), Port(n + 1), extinction_db))
        for vector, n in zip(setting, (1, 3), strict=True)
    )
    line = PairLine(7, PairSource(6e5, rho, Knob(1.0)), alice, bob)
    block = WorldFeed(World(seed, [line], detectors), Tagger(), {n: (n + 1, 0) for n in range(4)}).read(
        0, round(seconds * 1e12)
    )
    singles = block.counts(4)
    counts = coincidence_matrix(block, (0, 1), (2, 3), WINDOW_PS)
    return counts, accidental_counts(singles[:2], singles[2:], WINDOW_PS, block.live_s)


def splitter_db(contrast: float) -> float:
    return float(-10 * np.log10((1 - contrast) / 2))


def test_tomography_from_tags() -> None:
    rho, contrast = lab_state()
    figures = {"fidelity": lambda states: bell_weights(states)[..., 0], "concurrence": concurrence}
    hits: dict[str, list[bool]] = {name: [] for name in figures}
    for run in range(RUNS):
        tables = [
            measured(rho, setting, splitter_db(contrast), 0.04, 1000 * run + k)
            for k, setting in enumerate(NINE_SETTINGS)
        ]
        counts, accidentals = (np.array(part) for part in zip(*tables, strict=True))
        data = analyser_counts(NINE_SETTINGS, counts, accidentals=accidentals, contrast=contrast)
        state = linear_state(data, maximum_likelihood(data).rho)
        for name, figure in figures.items():
            interval = state.interval(figure)
            hits[name].append(interval.low <= float(figure(rho[np.newaxis])[0]) <= interval.high)
    assert {name: float(np.mean(h)) for name, h in hits.items()} == pytest.approx(dict.fromkeys(hits, LEVEL), abs=BAND)


def test_chsh_from_tags() -> None:
    rho, contrast = lab_state()
    e = [(t[0, 0] + t[1, 1] - t[0, 1] - t[1, 0]) / t.sum() for t in mean_tables(rho, contrast, CHSH, 1.0)]
    truth = e[0] - e[1] + e[2] + e[3]
    hits = []
    for run in range(RUNS):
        tables = [measured(rho, s, splitter_db(contrast), 0.06, 10**6 + 10 * run + k) for k, s in enumerate(CHSH)]
        found = chsh([counts for counts, _ in tables], [accidentals for _, accidentals in tables], signs=(1, -1, 1, 1))
        hits.append(abs(found.s - truth) <= found.sigma)
    assert float(np.mean(hits)) == pytest.approx(LEVEL, abs=BAND)


def test_hom_visibility_from_tags() -> None:
    """Pure photons of two sources, 0.05 pairs a pulse: a dip of some 90 %, of 100 four-folds a point beside it."""
    mean, eta = 0.05, 0.8
    inside, outside = (float(hom_theory(v, mean=mean, eta=eta)[15]) for v in (1.0, 0.0))
    delays = np.linspace(-4.0, 4.0, 17) / sigma_per_ps(1.0)
    hits = []
    for run in range(RUNS):
        counts = []
        for k, delay_ps in enumerate(delays):
            arms: list[tuple[Arm, Arm]] = [
                (Port(1), DelayLine(Entrance(101), Knob(12.5 * MM_PER_PS))),
                (DelayLine(Entrance(102), Knob((12.5 + float(delay_ps)) * MM_PER_PS)), Port(2)),
            ]
            sources = [source(mean * PULSES_HZ / 1e7, product_state()) for _ in range(2)]
            world = world_of(
                arms,
                sources,
                [Meeting((101, 102), (Port(3), Port(4)))],
                dict.fromkeys((1, 2, 3, 4), eta),
                seed=2 * 10**6 + 100 * run + k,
                rate=Knob(PULSES_HZ),
            )
            counts.append(fourfolds(world, (1, 2, 3, 4), 0.13))
        dip = fit_dip(delays, counts)
        hits.append(abs(dip.visibility - (1 - inside / outside)) <= dip.visibility_sigma)
    assert float(np.mean(hits)) == pytest.approx(LEVEL, abs=BAND)


def fourfolds(world: World, ids: tuple[int, ...], seconds: float) -> int:
    """Return the pulses in which all of them clicked."""
    pulses = [np.unique(pulse_numbers(world, i, seconds)) for i in ids]
    shared, times = np.unique(np.concatenate(pulses), return_counts=True)
    return int((times == len(ids)).sum()) if shared.size else 0


def pulse_numbers(world: World, detector: int, seconds: float) -> np.ndarray:
    return np.rint(world.clicks(detector, 0, round(seconds * 1e12)) * (PULSES_HZ * 1e-12)).astype(np.int64)


@pytest.mark.parametrize(("modes", "mu"), [(1.0, 0.05), (4.0, 0.2)])
def test_g2_from_tags(modes: float, mu: float) -> None:
    """Free and heralded g2 of threshold detectors, from E[y^n] = (1 + mu (1 - y)/K)^-K."""
    eta, seconds = 0.6, 0.13

    def silent(y: float) -> float:
        return (1 + mu * (1 - y) / modes) ** -modes

    p1, p12 = 1 - silent(1 - eta / 2), 1 - 2 * silent(1 - eta / 2) + silent(1 - eta)
    herald = 1 - silent(1 - eta)
    h1 = herald - silent(1 - eta / 2) + silent((1 - eta) * (1 - eta / 2))
    h12 = 2 * h1 - herald + silent(1 - eta) - silent((1 - eta) ** 2)
    truths = {"free": p12 / p1**2, "heralded": h12 * herald / h1**2}
    hits: dict[str, list[bool]] = {name: [] for name in truths}
    for run in range(RUNS):
        one = PairSource(mu * PULSES_HZ, bell_state("phi+"), Knob(1.0))
        line = PulsedPairLine(3, one, BeamSplitter(Port(1), Port(2)), Port(3), PulseTrain(Knob(PULSES_HZ)), modes)
        detectors = {i: Detector(Knob(eta), dead_time_ps=20_000) for i in (1, 2, 3)}
        world = World(3 * 10**6 + run, [line], detectors)
        a, b, h = (np.unique(pulse_numbers(world, i, seconds)) for i in (1, 2, 3))
        ab = np.intersect1d(a, b)
        free = pulsed_g2(a.size, b.size, ab.size, round(PULSES_HZ * seconds))
        told = heralded_g2(h.size, np.intersect1d(a, h).size, np.intersect1d(b, h).size, np.intersect1d(ab, h).size)
        for name, found in (("free", free), ("heralded", told)):
            hits[name].append(found.low <= truths[name] <= found.high)
    for name, held in hits.items():
        assert LEVEL - BAND < np.mean(held) < LEVEL + BAND + 0.05 * (name == "heralded"), name
