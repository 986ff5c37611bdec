"""Correlations, S and its error, Horodecki's bound: against closed forms and against drawn counts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlab.analysis.bell import SIGNS, chsh, correlation, game_p_value, optimal_settings, setting_sigma
from qlab.errors import BadRequestError


def ideal_counts(e: float, n: float) -> np.ndarray:
    return n / 4 * np.array([[1 + e, 1 - e], [1 - e, 1 + e]])


def test_correlation_and_its_error_are_the_textbook_ones() -> None:
    found = correlation([[40, 10], [20, 30]])
    assert found.e == pytest.approx((40 + 30 - 10 - 20) / 100)
    assert found.sigma == pytest.approx(math.sqrt((1 - 0.4**2) / 100))  # sigma_E^2 = (1 - E^2) / N
    assert found.n == 100


def test_subtracted_accidentals_raise_the_correlation_and_its_error() -> None:
    raw = ideal_counts(0.8, 1000) + 25
    found = correlation(raw, np.full((2, 2), 25.0))
    assert found.e == pytest.approx(0.8)
    # sum (s - E)^2 N / N_net^2 = ((1 - E^2) N_net + (1 + E^2) N_accidental) / N_net^2, because the latter have E = 0
    assert found.sigma == pytest.approx(math.sqrt((1 - 0.64) * 1000 + (1 + 0.64) * 100) / 1000)


def test_s_at_the_optimum_is_tsirelsons_with_the_error_of_the_reference() -> None:
    visibility, n = 0.97, 10_000
    e = visibility / math.sqrt(2)
    found = chsh([ideal_counts(sign * e, n) for sign in SIGNS])
    assert found.s == pytest.approx(2 * math.sqrt(2) * visibility)
    assert found.sigma == pytest.approx(math.sqrt(4 * (1 - visibility**2 / 2) / n))
    assert found.violation_sigmas == pytest.approx((found.s - 2) / found.sigma)


def test_stated_error_of_s_is_its_spread() -> None:
    rng = np.random.default_rng(20261123)
    tables = np.array([ideal_counts(sign * 0.68, 400) for sign in SIGNS])
    results = [chsh(list(rng.poisson(tables))) for _ in range(2000)]
    spread = np.std([r.s for r in results])
    # the spread of 2000 draws is known to 1 / sqrt(4000) = 1.6 %; 5 sigma
    assert spread == pytest.approx(np.mean([r.sigma for r in results]), rel=0.08)


def test_wrong_tables_are_refused() -> None:
    with pytest.raises(BadRequestError, match="expected more than 0"):
        correlation([[0, 0], [0, 0]])
    with pytest.raises(BadRequestError, match="two rows of two"):
        correlation([[1, -1], [0, 0]])
    with pytest.raises(BadRequestError, match="four settings"):
        chsh([ideal_counts(0.5, 10)] * 3)
    with pytest.raises(BadRequestError, match="one or three signs"):
        chsh([ideal_counts(0.5, 10)] * 4, signs=(1, 1, 1, 1))
    with pytest.raises(BadRequestError, match="3 x 3"):
        optimal_settings(np.eye(2))


@given(st.lists(st.floats(-1, 1), min_size=9, max_size=9))
def test_optimal_settings_reach_horodeckis_bound(values: list[float]) -> None:
    t = np.array(values).reshape(3, 3)
    found = optimal_settings(t)
    eigenvalues = np.sort(np.linalg.eigvalsh(t.T @ t))
    assert found.s_max == pytest.approx(2 * math.sqrt(max(eigenvalues[-1] + eigenvalues[-2], 0.0)), abs=1e-6)
    (a, a2), (b, b2) = found.alice, found.bob
    assert a @ t @ b - a @ t @ b2 + a2 @ t @ b + a2 @ t @ b2 == pytest.approx(found.s_max, abs=1e-9)
    assert [float(np.linalg.norm(v)) for v in (a, a2, b, b2)] == pytest.approx([1.0] * 4)


def test_probability_bound_of_the_game() -> None:
    assert game_p_value(75, 100) == 1.0
    assert game_p_value(85, 100) == pytest.approx(math.exp(-2 * 100 * 0.1**2))
    with pytest.raises(BadRequestError):
        game_p_value(5, 4)


def test_the_error_of_the_settings_is_the_spread_of_e_when_analysers_stray() -> None:
    rng = np.random.default_rng(5)
    t = np.diag([0.95, 0.93, -0.94])
    a, b = np.array([1.0, 0.0, 0.0]), np.array([1.0, 1.0, 0.0]) / math.sqrt(2.0)
    straying = np.diag([0.0, 2.5e-3, 1e-3]) ** 2
    strayed_a = rng.multivariate_normal(a, straying, 20_000)
    strayed_b = rng.multivariate_normal(b, 2.0 * straying, 20_000)
    e = np.einsum("ni,ij,nj->n", strayed_a, t, strayed_b)
    # the spread of a standard deviation of 20,000 normal values is 0.5 %
    assert setting_sigma(t, a, straying, b, 2.0 * straying) == pytest.approx(e.std(), rel=0.02)
