"""Theory against its own closed forms: Werner states, accidentals, dark counts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlab.analysis.bell import optimal_settings
from qlab.analysis.correlation import BELL_CORRELATIONS
from qlab.analysis.prediction import PairExperiment, bloch_analyser, linear_analyser, werner_state
from qlab.errors import BadRequestError

STATES = list(BELL_CORRELATIONS)


@pytest.mark.parametrize("state", STATES)
def test_werner_states_are_states_with_the_right_correlations(state: str) -> None:
    rho = werner_state(0.9, state)  # type: ignore[arg-type]
    assert np.trace(rho).real == pytest.approx(1)
    # eigenvalues (1 + 3 V) / 4 and three times (1 - V) / 4
    np.testing.assert_allclose(np.linalg.eigvalsh(rho), [0.025, 0.025, 0.025, 0.925], atol=1e-12)
    experiment = PairExperiment(rho, 1e5, 0.0)
    for axis in range(3):
        n = bloch_analyser(np.eye(3)[axis])
        expected = 0.9 * BELL_CORRELATIONS[state][axis]  # type: ignore[index]
        assert experiment.correlation(n, n) == pytest.approx(expected)


def test_phi_plus_is_h_h_plus_v_v() -> None:
    vector = np.array([1, 0, 0, 1]) / math.sqrt(2)
    np.testing.assert_allclose(werner_state(1.0), np.outer(vector, vector), atol=1e-12)


@given(st.floats(-90, 90), st.floats(-90, 90))
def test_linear_polarisers_give_cos_of_twice_the_difference(alpha: float, beta: float) -> None:
    experiment = PairExperiment(werner_state(0.95), 1e5, 0.0)
    e = experiment.correlation(linear_analyser(alpha), linear_analyser(beta))
    assert e == pytest.approx(0.95 * math.cos(math.radians(2 * (alpha - beta))), abs=1e-9)


def test_accidentals_lower_visibility_and_s_by_one_over_one_plus_mu() -> None:
    """Raw V = V0 / (1 + mu), mu = R T_w, whatever the efficiencies; S = 2 sqrt 2 V: section 5 of the reference."""
    rate, window_ps = 2e7, 2001
    mu = rate * window_ps * 1e-12
    experiment = PairExperiment(werner_state(0.97), rate, window_ps)
    alice = [linear_analyser(angle, 0.2) for angle in (0, 45)]
    bob = [linear_analyser(angle, 0.05) for angle in (22.5, 67.5)]
    assert experiment.visibility(alice[0], efficiency=0.05) == pytest.approx(0.97 / (1 + mu))
    assert experiment.visibility(alice[1], efficiency=0.05, corrected=True) == pytest.approx(0.97)
    assert experiment.chsh(alice, bob) == pytest.approx(2 * math.sqrt(2) * 0.97 / (1 + mu))
    assert experiment.chsh(alice, bob, corrected=True) == pytest.approx(2 * math.sqrt(2) * 0.97)


def test_rates_with_losses_and_dark_counts_are_those_of_the_formulas() -> None:
    experiment = PairExperiment(werner_state(1.0), 1e6, 1000.0, capture=0.9)
    alice = linear_analyser(0, (0.2, 0.1), (300.0, 400.0))
    bob = linear_analyser(0, 0.5, 100.0)
    s_a, s_b = experiment.singles_hz(alice, bob)
    assert s_a.tolist() == pytest.approx([0.5e6 * 0.2 + 300, 0.5e6 * 0.1 + 400])
    assert s_b.tolist() == pytest.approx([0.25e6 + 100] * 2)
    np.testing.assert_allclose(experiment.true_hz(alice, bob), 0.9 * 0.5e6 * np.diag([0.2 * 0.5, 0.1 * 0.5]), atol=1e-6)
    np.testing.assert_allclose(experiment.accidentals_hz(alice, bob), np.outer(s_a, s_b) * 1e-9)


def test_error_of_s_is_that_of_the_optimum() -> None:
    experiment = PairExperiment(werner_state(0.97), 1e5, 0.0)
    alice, bob = [linear_analyser(a) for a in (0, 45)], [linear_analyser(a) for a in (22.5, 67.5)]
    assert experiment.chsh_sigma(alice, bob, 2.0) == pytest.approx(math.sqrt(4 * (1 - 0.97**2 / 2) / 2e5))


def test_extinction_lowers_the_contrast_of_one_party() -> None:
    experiment = PairExperiment(werner_state(1.0), 1e5, 0.0)
    e = experiment.correlation(linear_analyser(0, extinction=0.01), linear_analyser(0))
    assert e == pytest.approx(1 - 2 * 0.01)


@given(st.integers(0, 1000))
def test_optimal_settings_of_any_state_reach_what_horodecki_allows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((4, 4)) + 1j * rng.standard_normal((4, 4))
    rho = root @ root.conj().T
    experiment = PairExperiment(rho / np.trace(rho), 1e5, 0.0)
    axes = [bloch_analyser(v) for v in np.eye(3)]
    t = np.array([[experiment.correlation(a, b) for b in axes] for a in axes])
    best = optimal_settings(t)
    s = experiment.chsh([bloch_analyser(v) for v in best.alice], [bloch_analyser(v) for v in best.bob])
    assert s == pytest.approx(best.s_max)
    assert s <= 2 * math.sqrt(2) + 1e-9


def test_impossible_analysers_are_refused() -> None:
    with pytest.raises(BadRequestError, match="not all 0"):
        bloch_analyser((0, 0, 0))
    with pytest.raises(BadRequestError, match="from 0 to 1"):
        linear_analyser(0, 1.2)
    with pytest.raises(BadRequestError, match="two each"):
        PairExperiment(werner_state(1), 1, 1).chsh([linear_analyser(0)], [linear_analyser(0)])
