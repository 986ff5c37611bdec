"""Accidentals, Klyshko efficiencies and error rates against drawn streams and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from qlab.analysis.accidentals import (
    accidental_counts,
    accidental_rate_hz,
    car,
    effective_window_ps,
    jitter_capture,
    klyshko_efficiency,
)
from qlab.analysis.qber import binary_entropy, error_rate
from qlab.errors import BadRequestError
from qlab.tags.coincidence import coincidence_matrix
from qlab.tags.stream import TagBlock


def test_window_includes_both_edges_and_the_grid() -> None:
    assert effective_window_ps(100) == 101  # |dt| <= 50 ps on a grid of 1 ps
    assert effective_window_ps(101) == 101
    assert effective_window_ps(1875, 156.25) == 13 * 156.25
    with pytest.raises(BadRequestError):
        effective_window_ps(-1)


def test_independent_streams_coincide_at_the_predicted_rate() -> None:
    rng = np.random.default_rng(7)
    n, seconds, window_ps = 400_000, 1, 2000
    t = rng.integers(0, seconds * 10**12, 2 * n)
    block = TagBlock.from_unsorted(t, np.arange(2 * n) % 2, 0, seconds * 10**12)
    expected = accidental_counts([n], [n], window_ps, seconds)[0, 0]
    assert expected == pytest.approx(accidental_rate_hz(n, n, window_ps))
    assert expected == pytest.approx(4e5 * 4e5 * 2001e-12)  # S_A S_B T_w
    # a Poisson number of mean 320; 4 sigma
    assert coincidence_matrix(block, [0], [1], window_ps)[0, 0] == pytest.approx(expected, abs=4 * math.sqrt(expected))


def test_klyshko_finds_the_efficiencies_of_thinned_pairs() -> None:
    pairs, eta_a, eta_b, dark_b = 1e6, 0.2, 0.35, 500.0
    accidentals = 60.0
    coincidences = pairs * eta_a * eta_b * 0.845 + accidentals
    found = klyshko_efficiency(coincidences, accidentals, pairs * eta_b + dark_b, dark_b, capture=0.845)
    assert found == pytest.approx(eta_a)
    assert car(coincidences, accidentals) == pytest.approx(pairs * eta_a * eta_b * 0.845 / accidentals)
    with pytest.raises(BadRequestError):
        klyshko_efficiency(1, 0, 5, 5)
    with pytest.raises(BadRequestError):
        car(5, 0)


def test_jitter_capture_has_the_values_of_the_reference() -> None:
    assert jitter_capture(201, 50, 50) == pytest.approx(0.845, abs=5e-4)
    fwhm = 2 * math.sqrt(2 * math.log(2)) * 70
    assert jitter_capture(fwhm, 70, 0) == pytest.approx(0.761, abs=5e-4)
    assert jitter_capture(2 * fwhm, 0, 70) == pytest.approx(0.981, abs=1e-3)
    assert jitter_capture(100, 0, 0) == 1.0


def test_error_rate_takes_the_relation_from_the_majority_or_from_the_caller() -> None:
    found = error_rate([[45, 3], [2, 50]])
    assert found.value == pytest.approx(0.05)
    assert (found.relation, found.n) == ("correlated", 100)
    assert found.sigma == pytest.approx(math.sqrt(0.05 * 0.95 / 100))
    assert error_rate([[3, 45], [50, 2]]).value == pytest.approx(0.05)
    assert error_rate([[3, 45], [50, 2]]).relation == "anticorrelated"
    assert error_rate([[3, 45], [50, 2]], relation="correlated").value == pytest.approx(0.95)
    assert error_rate([[55, 13], [12, 60]], np.full((2, 2), 10.0)).value == pytest.approx(0.05)
    with pytest.raises(BadRequestError):
        error_rate([[0, 0], [0, 0]])
    with pytest.raises(BadRequestError):
        error_rate([1, 2])


def test_binary_entropy_has_its_known_values() -> None:
    assert (binary_entropy(0), binary_entropy(0.5), binary_entropy(1)) == (0, 1, 0)
    assert binary_entropy(0.11) == pytest.approx(0.49992, abs=1e-5)  # the 11 % threshold of BB84: 1 - 2 h = 0
    with pytest.raises(BadRequestError):
        binary_entropy(1.1)
