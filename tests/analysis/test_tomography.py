"""Tomography against James et al. 2001, against states that are known, and against its own stated uncertainty."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlab.analysis.adaptive_settings import expected_information_bits, next_setting, second_step_settings
from qlab.analysis.projections import NINE_SETTINGS, ProjectionCounts, analyser_counts, bloch_projector
from qlab.analysis.state_estimation import linear_inversion, maximum_likelihood, maximum_likelihood_batch
from qlab.analysis.state_intervals import linear_state
from qlab.analysis.state_measures import (
    bell_diagonal,
    bell_weights,
    concurrence,
    correlation_tensor,
    entanglement_of_formation,
    entropy_bits,
    fidelity,
    largest_chsh,
    negativity,
    purity,
    tangle,
    trace_distance,
)
from qlab.analysis.state_report import describe_state
from qlab.analysis.state_sampling import StateSamples, sample_states, sample_states_batch
from qlab.errors import BadRequestError
from qlab.physics.jones import random_rotation
from qlab.physics.states import bell_state, dephased, werner

JAMES = ["HH", "HV", "VV", "VH", "RH", "RV", "DV", "DH", "DR", "DD", "RD", "HD", "VD", "VL", "HL", "RL"]
JAMES_COUNTS = (
    34749,
    324,
    35805,
    444,
    16324,
    17521,
    13441,
    16901,
    17932,
    32028,
    15132,
    17238,
    13171,
    17170,
    16722,
    33586,
)
"""D. F. V. James, P. G. Kwiat, W. J. Munro and A. G. White, PRA 64, 052312 (2001), section III."""
AXIS = {"H": (1, 0, 0), "V": (-1, 0, 0), "D": (0, 1, 0), "R": (0, 0, 1), "L": (0, 0, -1)}
PUBLISHED = np.array(
    [
        [0.5069, -0.0239 + 0.0106j, -0.0412 - 0.0221j, 0.4833 + 0.0329j],
        [-0.0239 - 0.0106j, 0.0048, 0.0023 + 0.0019j, -0.0296 - 0.0077j],
        [-0.0412 + 0.0221j, 0.0023 - 0.0019j, 0.0045, -0.0425 + 0.0192j],
        [0.4833 - 0.0329j, -0.0296 + 0.0077j, -0.0425 - 0.0192j, 0.4839],
    ]
)
"""Their maximum-likelihood matrix (equation 5.2 of the same paper)."""


def james() -> ProjectionCounts:
    projectors = np.array([np.kron(bloch_projector(AXIS[a]), bloch_projector(AXIS[b])) for a, b in JAMES])
    return ProjectionCounts(projectors, np.array(JAMES_COUNTS, np.float64), np.ones(16), np.zeros(16))


def test_linear_inversion_gives_the_published_matrix() -> None:
    """To the printed digits; it is not a state: one eigenvalue is above 1, two are below 0."""
    rho = linear_inversion(james())
    assert np.diag(rho).real.round(4).tolist() == [0.4872, 0.0045, 0.0062, 0.5020]
    upper = [rho[i, j] for i, j in ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))]
    printed = [
        -0.0042 + 0.0114j,
        -0.0098 - 0.0178j,
        0.5192 + 0.0380j,
        0.0271 - 0.0146j,
        -0.0648 - 0.0076j,
        -0.0695 + 0.0134j,
    ]
    assert np.abs(np.array(upper) - printed).max() < 7.1e-5
    assert np.linalg.eigvalsh(rho).round(4).tolist() == [-0.0653, -0.0244, 0.0681, 1.0215]
    assert float(purity(rho)) == pytest.approx(1.0531, abs=5e-5)


def test_the_maximum_is_at_least_as_likely_as_the_published_state() -> None:
    data, fit = james(), maximum_likelihood(james(), tolerance=1e-5)

    def functional(rho: np.ndarray) -> float:
        """Theirs, equation 4.3: the sum of (N p - n)^2 / (2 N p) with N = 71322."""
        mean = 71322 * np.einsum("mij,ji->m", data.projectors, rho).real
        return float(((mean - data.counts) ** 2 / (2 * mean)).sum())

    assert functional(PUBLISHED) == pytest.approx(486, abs=1)
    assert functional(fit.rho) < 350
    assert fit.gap < 1e-5
    assert np.linalg.eigvalsh(fit.rho)[0] > -1e-12


def test_nothing_near_the_maximum_is_likelier() -> None:
    """The stated gap is a bound: mixing in any other state never gains more."""
    data, rng = james(), np.random.default_rng(1)
    fit = maximum_likelihood(data, tolerance=1e-4)

    def value(sigma: np.ndarray) -> float:
        mean = np.einsum("mij,ji->m", data.projectors, sigma).real
        return float((data.counts * np.log(mean) - mean).sum())

    brightness = data.counts.sum() / np.einsum("mij,ji->", data.projectors, fit.rho).real
    best = value(brightness * fit.rho)
    for _ in range(300):
        g = rng.standard_normal((4, 4)) + 1j * rng.standard_normal((4, 4))
        other = g @ g.conj().T
        other /= np.trace(other).real
        for weight in (1e-6, 1e-4, 1e-2):
            assert value(brightness * ((1 - weight) * fit.rho + weight * other)) <= best + fit.gap


def expected(rho: np.ndarray, pairs: float) -> ProjectionCounts:
    data = analyser_counts(NINE_SETTINGS, np.ones((9, 2, 2)))
    mean = pairs * np.einsum("mij,ji->m", data.projectors, rho).real
    return analyser_counts(NINE_SETTINGS, mean.reshape(9, 2, 2))


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_counts_without_noise_give_the_state_back(seed: int, rank: int) -> None:
    rng = np.random.default_rng(seed)
    g = rng.standard_normal((4, rank)) + 1j * rng.standard_normal((4, rank))
    rho = g @ g.conj().T
    rho /= np.trace(rho).real
    data = expected(rho, 1e6)
    assert np.abs(linear_inversion(data) - rho).max() < 1e-9
    assert float(fidelity(maximum_likelihood(data, tolerance=1e-4).rho, rho)) > 0.9999


def test_unequal_live_times_and_accidentals_are_taken_into_account() -> None:
    """Accidentals of 5 % left in would cost 4 % of fidelity."""
    rng, rho = np.random.default_rng(2), werner("psi-", 0.95)
    live = np.linspace(1.0, 3.0, 9)
    mean = live[:, None, None] * expected(rho, 2e5).counts.reshape(9, 2, 2)
    accidentals = live[:, None, None] * np.full((9, 2, 2), 2500.0)
    data = analyser_counts(NINE_SETTINGS, rng.poisson(mean + accidentals), live_s=live, accidentals=accidentals)
    for found in (linear_inversion(data), maximum_likelihood(data).rho):
        assert float(bell_weights(found)[3]) == pytest.approx((1 + 3 * 0.95) / 4, abs=1.5e-3)


def test_the_stated_interval_holds_the_truth_as_often_as_it_says() -> None:
    """68.3 % of 200 runs, within three binomial standard deviations (9.9 %), and not by being vague."""
    runs = 200
    rng, rho = np.random.default_rng(20261124), dephased(werner("phi+", 0.94), 0.98)
    data = expected(rho, 3e4)
    counts = rng.poisson(np.maximum(data.counts, 0.0), size=(runs, 36)).astype(np.float64)
    found = sample_states_batch(data, counts, rng, chains=4, samples=100)
    fits = np.array([fit.rho for fit in maximum_likelihood_batch(data, counts)])
    for measure in (lambda states: bell_weights(states)[..., 0], concurrence):
        truth = float(measure(rho[np.newaxis])[0])
        intervals = [one.interval(measure) for one in found]
        covered = np.mean([interval.low <= truth <= interval.high for interval in intervals])
        assert abs(covered - 0.6827) < 3 * (0.6827 * 0.3173 / runs) ** 0.5
        assert np.mean([interval.sigma for interval in intervals]) == pytest.approx(np.std(measure(fits)), rel=0.15)


def test_figures_of_werner_states() -> None:
    """F = (1 + 3V)/4, C = (3V - 1)/2, S = 2 sqrt 2 V, purity (1 + 3V^2)/4, negativity (3V - 1)/4."""
    v = 0.9
    rho = werner("phi+", v)
    assert float(fidelity(rho, bell_state("phi+"))) == pytest.approx((1 + 3 * v) / 4)
    assert float(concurrence(rho)) == pytest.approx((3 * v - 1) / 2)
    assert float(tangle(rho)) == pytest.approx(((3 * v - 1) / 2) ** 2)
    assert float(largest_chsh(rho)) == pytest.approx(2 * 2**0.5 * v)
    assert float(purity(rho)) == pytest.approx((1 + 3 * v * v) / 4)
    assert float(negativity(rho)) == pytest.approx((3 * v - 1) / 4)
    assert bell_weights(rho) == pytest.approx([(1 + 3 * v) / 4] + [(1 - v) / 4] * 3)
    p = np.array([(1 + 3 * v) / 4] + [(1 - v) / 4] * 3)
    assert float(entropy_bits(rho)) == pytest.approx(float(-(p * np.log2(p)).sum()))
    assert float(entanglement_of_formation(bell_state("psi-"))) == pytest.approx(1.0)
    assert np.diag(correlation_tensor(bell_state("phi+"))) == pytest.approx([1, 1, -1])


def test_fidelity_of_two_mixed_states_is_that_of_commuting_ones() -> None:
    p, q = np.array([0.4, 0.3, 0.2, 0.1]), np.array([0.1, 0.2, 0.3, 0.4])
    assert float(fidelity(np.diag(p), np.diag(q))) == pytest.approx(np.sqrt(p * q).sum() ** 2)


def test_the_report_names_every_figure_with_its_interval() -> None:
    rng = np.random.default_rng(4)
    data = expected(werner("psi+", 0.96), 2000.0)
    noisy = analyser_counts(NINE_SETTINGS, rng.poisson(data.counts).reshape(9, 2, 2))
    found = describe_state(noisy, "psi+")
    assert found["fidelity_low"] < found["fidelity"] < found["fidelity_high"]
    assert found["fidelity"] == pytest.approx(0.97, abs=4 * found["fidelity_sigma"])
    assert found["chain_spread"] < 1.1
    again = describe_state(noisy, "psi+")
    assert {k: v for k, v in found.items() if k != "bell_weights"} == {
        k: v for k, v in again.items() if k != "bell_weights"
    }  # the same counts and seed, the same words
    assert found["bell_weights"].sum() == pytest.approx(1.0)


def test_leaky_splitters_are_not_held_against_the_state() -> None:
    """A leak of 1 % on each side would cost 3 % of fidelity."""
    rho = werner("phi+", 0.98)
    leaky = analyser_counts(NINE_SETTINGS, np.ones((9, 2, 2)), contrast=0.98)
    mean = 1e6 * np.einsum("mij,ji->m", leaky.projectors, rho).real.reshape(9, 2, 2)
    found = maximum_likelihood(analyser_counts(NINE_SETTINGS, mean, contrast=0.98)).rho
    assert float(bell_weights(found)[0]) == pytest.approx(0.985, abs=1e-4)
    blind = maximum_likelihood(analyser_counts(NINE_SETTINGS, mean)).rho
    assert float(bell_weights(blind)[0]) == pytest.approx((1 + 3 * 0.98 * 0.98**2) / 4, abs=1e-4)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: bloch_projector((1.0, 1.0, 0.0)), "length 1"),
        (lambda: analyser_counts(NINE_SETTINGS[:4], np.ones((4, 2, 2))), "span 10 of 16 dimensions"),
        (lambda: analyser_counts(NINE_SETTINGS, np.ones((8, 2, 2))), "for 9 settings"),
        (lambda: analyser_counts(NINE_SETTINGS, -np.ones((9, 2, 2))), "at least 0"),
        (lambda: analyser_counts(NINE_SETTINGS, np.zeros((9, 2, 2))), "nothing is left"),
        (lambda: sample_states(james(), np.random.default_rng(1), chains=1), "at least 2"),
        (lambda: purity(np.eye(3)), "(..., 4, 4)"),
    ],
)
def test_bad_input_is_named(make: object, text: str) -> None:
    with pytest.raises(BadRequestError) as error:
        make()  # type: ignore[operator]
    assert text in str(error.value)


def test_nearest_bell_diagonal_state_and_distances() -> None:
    rng = np.random.default_rng(9)
    g = rng.standard_normal((4, 4)) + 1j * rng.standard_normal((4, 4))
    rho = g @ g.conj().T / np.trace(g @ g.conj().T).real
    nearest = bell_diagonal(rho)
    assert bell_weights(nearest) == pytest.approx(bell_weights(rho))
    assert float(trace_distance(bell_diagonal(nearest), nearest)) == pytest.approx(0.0, abs=1e-12)
    off = float(np.linalg.norm(rho - nearest))
    for _ in range(200):  # no other mixture of Bell states is nearer
        p = rng.dirichlet(np.ones(4))
        other = sum(w * bell_state(name) for w, name in zip(p, ("phi+", "phi-", "psi+", "psi-"), strict=True))
        assert np.linalg.norm(rho - other) >= off
    assert float(trace_distance(bell_state("phi+"), bell_state("psi-"))) == pytest.approx(1.0)


def test_information_of_settings_is_that_of_outcomes_that_are_not_known_yet() -> None:
    """Samples that differ in Z alone: H/V tells them apart, D/A tells nothing."""
    states = np.array([np.diag([1.0, 0, 0, 0]), np.diag([0, 0, 0, 1.0])], dtype=complex)
    samples = StateSamples(states[:, np.newaxis], 1.0)
    z, x = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)
    assert expected_information_bits(samples, [(z, z), (x, x)]) == pytest.approx([1.0, 0.0], abs=1e-12)
    assert next_setting(samples, [(x, x), (z, z)]) == (z, z)


def test_settings_of_the_second_step_make_the_state_bell_diagonal() -> None:
    turned = np.kron(np.eye(2), random_rotation(3))
    rho = turned @ werner("phi+", 0.95) @ turned.conj().T
    settings = second_step_settings(rho)
    tables = np.array(
        [np.kron(np.eye(2) - 2 * bloch_projector(a), np.eye(2) - 2 * bloch_projector(b)) for a, b in settings]
    )
    e = np.einsum("mij,ji->m", tables, rho).real.reshape(3, 3)
    assert np.abs(e) == pytest.approx(0.95 * np.eye(3), abs=1e-9)


def test_adapted_settings_lower_the_error_of_the_fidelity() -> None:
    """Half of the pairs in the turned state's own axes, against all of them in the axes of the analysers: the same pairs."""
    rng = np.random.default_rng(12)
    turned = np.kron(np.eye(2), random_rotation(5))
    target = turned @ bell_state("phi+") @ turned.conj().T
    rho = turned @ werner("phi+", 0.995) @ turned.conj().T

    def counted(settings: list, pairs: float) -> np.ndarray:
        frame = analyser_counts(settings, np.ones((len(settings), 2, 2)))
        mean = pairs * np.einsum("mij,ji->m", frame.projectors, rho).real
        return rng.poisson(np.maximum(mean, 0)).reshape(-1, 2, 2)

    nine, errors = list(NINE_SETTINGS), {"fixed": [], "adapted": []}
    for _ in range(40):
        first, rest = counted(nine, 1000.0), counted(nine, 1000.0)
        axes = second_step_settings(maximum_likelihood(analyser_counts(nine, first)).rho)
        both = np.concatenate([first, counted(axes, 1000.0)])
        for name, data in (
            ("fixed", analyser_counts(nine, first + rest)),
            ("adapted", analyser_counts(nine + axes, both)),
        ):
            overlap = np.einsum("ij,ji->", target, linear_state(data).rho).real
            errors[name].append(overlap - 0.99625)
    assert np.std(errors["adapted"]) < 0.7 * np.std(errors["fixed"])
