"""Witnesses, joint spectra, bootstraps and exact ratios: against theory, and against their own stated uncertainty."""

from __future__ import annotations

import math

import numpy as np
import pytest

from qlab.analysis.accidentals import counted_car
from qlab.analysis.bootstrap import bootstrap_blocks, bootstrap_counts
from qlab.analysis.intervals import Interval, ratio_interval
from qlab.analysis.photon_statistics import mode_number, purity_from_g2
from qlab.analysis.prediction import PairExperiment, bloch_analyser, werner_state
from qlab.analysis.spectral import gaussian_jsa, purity_of_joint_spectrum, schmidt_modes
from qlab.analysis.two_photon_interference import counted_dip, splitter_limit
from qlab.analysis.visibility import counted_visibility
from qlab.analysis.witnesses import bell_witness, bell_witness_two_settings, ghz_witness
from qlab.errors import BadRequestError

RUNS = 200
BAND = 3 * (0.6827 * 0.3173 / RUNS) ** 0.5


# -- witnesses


def tables(rho: np.ndarray, n: float) -> list[np.ndarray]:
    experiment = PairExperiment(rho, n, 0.0)
    return [experiment.true_hz(bloch_analyser(v), bloch_analyser(v)) for v in np.eye(3)]


@pytest.mark.parametrize("target", ["phi+", "phi-", "psi+", "psi-"])
def test_the_witness_of_three_settings_is_a_half_less_the_fidelity(target: str) -> None:
    """F = (1 + 3V)/4 for a Werner state: entangled, and detected, above V = 1/3."""
    for v in (0.3, 0.36, 0.9):
        found = bell_witness(*tables(werner_state(v, target), 1e4), target)  # type: ignore[arg-type]
        assert found.value == pytest.approx(0.5 - (1 + 3 * v) / 4)
        assert (found.value < 0) is (v > 1 / 3)


def test_two_settings_detect_above_one_half_and_bound_the_fidelity() -> None:
    for v in (0.45, 0.55, 0.95):
        x, _, z = tables(werner_state(v), 1e4)
        found = bell_witness_two_settings(x, z)
        assert found.value == pytest.approx(1 - 2 * v)
        assert found.bound
        assert found.fidelity <= (1 + 3 * v) / 4


def test_no_product_state_makes_a_witness_negative() -> None:
    rng = np.random.default_rng(1)
    for _ in range(200):
        a, b = rng.standard_normal((2, 2, 2)) @ np.array([1.0, 1j])
        psi = np.kron(a / np.linalg.norm(a), b / np.linalg.norm(b))
        x, y, z = tables(np.outer(psi, psi.conj()), 1e5)
        assert bell_witness(x, y, z).value > -1e-9
        assert bell_witness_two_settings(x, z).value > -1e-9


@pytest.mark.parametrize("n", [3, 4])
def test_ghz_states_are_detected_up_to_the_noise_of_the_paper(n: int) -> None:
    """White noise below 1/(3 - 4/2^n): Toth and Guehne (2005); 2/5 for three qubits."""
    limit = 1.0 / (3.0 - 4.0 / 2**n)
    for noise in (limit - 0.01, limit + 0.01):
        parity = np.array([(-1.0) ** bin(k).count("1") for k in range(2**n)]).reshape((2,) * n)
        equal = np.zeros((2,) * n)
        equal[(0,) * n] = equal[(1,) * n] = 0.5
        x = 1e6 * ((1 - noise) * (1 + parity) + noise) / 2**n
        z = 1e6 * ((1 - noise) * equal + noise / 2**n)
        found = ghz_witness(x, z)
        assert (found.value < 0) is (noise < limit)
        assert found.fidelity <= 1 - noise + noise / 2**n + 1e-12


def test_the_error_of_a_witness_is_its_spread() -> None:
    rng, (x, y, z) = np.random.default_rng(2), tables(werner_state(0.8), 400.0)
    runs = [bell_witness(rng.poisson(x), rng.poisson(y), rng.poisson(z)) for _ in range(1500)]
    assert np.std([r.value for r in runs]) == pytest.approx(np.mean([r.sigma for r in runs]), rel=0.08)
    ghz = np.full((2, 2, 2), 3.0)
    ghz[0, 0, 0] = ghz[1, 1, 1] = 60.0
    runs = [ghz_witness(rng.poisson(ghz) + 1, rng.poisson(ghz)) for _ in range(1500)]
    assert np.std([r.value for r in runs]) == pytest.approx(np.mean([r.sigma for r in runs]), rel=0.08)
    assert (
        bell_witness([[9, 0], [0, 9]], [[0, 9], [9, 0]], [[9, 0], [0, 9]]).sigma > 0.04
    )  # nine of nine prove no certainty


# -- joint spectra


def test_purity_of_a_gaussian_joint_amplitude_has_its_closed_form() -> None:
    """exp(-(a s^2 + 2 b s i + c i^2)): Mehler's formula gives weights (1 - q) q^k, purity sqrt(1 - b^2/(ac))."""
    w = np.linspace(-6, 6, 241)
    for pump, matching, angle in ((1.0, 1.0, 45.0), (0.3, 1.5, 45.0), (1.0, 0.4, 70.0)):
        t = math.radians(angle)
        a = 1 / (4 * pump**2) + math.sin(t) ** 2 / (2 * matching**2)
        c = 1 / (4 * pump**2) + math.cos(t) ** 2 / (2 * matching**2)
        b = 1 / (4 * pump**2) - math.sin(t) * math.cos(t) / (2 * matching**2)
        purity = math.sqrt(1 - b * b / (a * c))
        found = schmidt_modes(gaussian_jsa(4 * w, 4 * w, pump, matching, angle))
        assert found.purity == pytest.approx(purity, rel=1e-6)
        assert found.mode_number == pytest.approx(1 / purity, rel=1e-6)
        q = (1 - purity) / (1 + purity)
        assert found.weights[:4] == pytest.approx([(1 - q) * q**k for k in range(4)], rel=1e-5, abs=1e-12)
        entropy = 0.0 if q < 1e-12 else -math.log2(1 - q) - q / (1 - q) * math.log2(q)
        assert found.entropy_bits == pytest.approx(entropy, abs=1e-6)


def test_modes_make_up_the_amplitude_and_a_chirp_lowers_the_purity() -> None:
    w = np.linspace(-5, 5, 81)
    f = gaussian_jsa(w, w, 0.7, 0.9).astype(complex)
    chirped = f * np.exp(0.4j * (w[:, None] + w[None, :]) ** 2)
    found = schmidt_modes(chirped)
    rebuilt = np.einsum("k,kn,km->nm", np.sqrt(found.weights), found.signal, found.idler)
    assert np.abs(rebuilt - chirped / np.linalg.norm(chirped)).max() < 1e-12
    assert found.purity < schmidt_modes(np.abs(chirped)).purity


def test_the_interval_of_purity_from_a_counted_spectrum_holds_the_truth() -> None:
    w = np.linspace(-2.5, 2.5, 12)
    intensity = gaussian_jsa(w, w, 0.5, 0.9) ** 2
    truth = schmidt_modes(np.sqrt(intensity)).purity
    rng, hits = np.random.default_rng(4), []
    for run in range(60):
        found = purity_of_joint_spectrum(rng.poisson(4e5 * intensity / intensity.sum()), seed=run, resamplings=80)
        hits.append(found.low <= truth <= found.high)
    assert abs(np.mean(hits) - 0.6827) < 3 * (0.6827 * 0.3173 / 60) ** 0.5


def test_purity_from_g2_agrees_with_the_mode_number() -> None:
    g2 = Interval(1.8, 1.7, 1.9)
    assert purity_from_g2(g2).value * mode_number(g2).value == pytest.approx(1.0)
    assert (purity_from_g2(g2).low, purity_from_g2(g2).high) == pytest.approx((0.7, 0.9))


# -- bootstraps


def test_bootstrap_over_counts_gives_poisson_errors_and_repeats_with_its_seed() -> None:
    found = bootstrap_counts([400.0, 900.0], lambda n: n[0] / n[1], seed=1, resamplings=4000)
    assert float(found.sigma) == pytest.approx(4 / 9 * math.sqrt(1 / 400 + 1 / 900), rel=0.06)
    again = bootstrap_counts([400.0, 900.0], lambda n: n[0] / n[1], seed=1, resamplings=4000)
    assert (again.replicas == found.replicas).all()
    assert abs(float(found.bias)) < 0.01


def test_bootstrap_over_blocks_sees_a_drift_that_poisson_errors_do_not() -> None:
    """A rate that wanders by 20 % from block to block: the spread of the sum of n is its own, not Poisson's."""
    rng, errors, sums = np.random.default_rng(6), [], []
    for run in range(200):
        blocks = rng.poisson(1000 * (1 + 0.2 * rng.standard_normal(50)).clip(0.1))[:, None]
        errors.append(float(bootstrap_blocks(blocks, lambda n: n[0], seed=run, resamplings=200).sigma))
        sums.append(float(blocks.sum()))
    assert np.mean(errors) == pytest.approx(np.std(sums), rel=0.15)  # 200 values: 5 %, three sigmas
    assert np.mean(errors) > 4 * math.sqrt(50_000)


def test_blocks_drawn_together_keep_a_slow_drift() -> None:
    rng = np.random.default_rng(7)
    slow = np.repeat(1 + 0.3 * rng.standard_normal(40), 10).clip(0.1)
    blocks = rng.poisson(500 * slow)[:, None]
    alone = float(bootstrap_blocks(blocks, lambda n: n[0], seed=1).sigma)
    together = float(bootstrap_blocks(blocks, lambda n: n[0], seed=1, length=20).sigma)
    assert together > 2 * alone


# -- exact ratios


@pytest.mark.parametrize(("a", "b"), [(12.0, 40.0), (300.0, 25.0), (4.0, 5.0)])
def test_the_interval_of_a_ratio_holds_the_truth_at_least_as_often_as_it_says(a: float, b: float) -> None:
    rng = np.random.default_rng(8)
    pairs = [(int(x), int(y)) for x, y in zip(rng.poisson(a, 600), rng.poisson(b, 600), strict=True) if x + y]
    hits = [(i := ratio_interval(x, y, 2.0)).low <= 2.0 * a / b <= i.high for x, y in pairs]
    assert np.mean(hits) > 0.6827 - 3 * (0.6827 * 0.3173 / len(hits)) ** 0.5
    assert np.mean(hits) < 0.90  # exact intervals of few counts hold more


def test_car_visibility_and_dip_of_two_counts() -> None:
    """CAR is true by accidental coincidences: 1030 with 30 a window are 1000 / 30."""
    car = counted_car(1030, 300, windows=10)
    assert car.value == pytest.approx(1000 / 30)
    assert car.sigma == pytest.approx(1030 / 30 * math.sqrt(1 / 1030 + 1 / 300), rel=0.06)
    assert counted_car(5, 0).high == math.inf
    assert counted_visibility(980, 20).value == pytest.approx(0.96)
    assert counted_visibility(50, 0).low < 1.0 == counted_visibility(50, 0).high
    dip = counted_dip(40, 1000, live_ratio=2.0)
    assert dip.value == pytest.approx(0.92)
    assert dip.sigma == pytest.approx(0.08 * math.sqrt(1 / 40 + 1 / 1000), rel=0.12)  # exact: wider
    assert splitter_limit(0.5) == 1.0
    assert splitter_limit(0.4) == pytest.approx(2 * 0.24 / 0.52)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: bell_witness(np.ones((2, 3)), np.ones((2, 2)), np.ones((2, 2))), "(2,) * 2"),
        (lambda: ghz_witness(np.ones((2, 2, 2)), np.ones((2, 2))), "(2,) * 3"),
        (lambda: schmidt_modes(np.zeros((3, 3))), "not all 0"),
        (lambda: bootstrap_counts([-1.0], np.sum, seed=1), "none negative"),
        (lambda: bootstrap_blocks(np.ones((7, 1)), np.sum, seed=1), "at least 8"),
        (lambda: bootstrap_counts([1.0], np.sum, seed=1).interval(1.5), "between 0 and 1"),
        (lambda: ratio_interval(0, 0), "not both"),
        (lambda: splitter_limit(1.0), "splitter of transmission 1"),
    ],
)
def test_bad_input_is_named(make: object, text: str) -> None:
    with pytest.raises(BadRequestError) as error:
        make()  # type: ignore[operator]
    assert text in str(error.value)
