"""Fringes: exact ones come back exactly, drawn ones within their stated errors."""

from __future__ import annotations

import numpy as np
import pytest

from qlab.analysis.visibility import fit_fringe
from qlab.errors import BadRequestError

ANGLES = np.arange(0, 180, 15.0)


def fringe(visibility: float, phase_deg: float, mean: float, period_deg: float = 180.0) -> np.ndarray:
    return mean * (1 + visibility * np.cos(2 * np.pi * (ANGLES - phase_deg) / period_deg))


@pytest.mark.parametrize("period_deg", [180.0, 90.0])
def test_exact_fringe_comes_back(period_deg: float) -> None:
    counts = fringe(0.93, 22.5, 500, period_deg)
    found = fit_fringe(ANGLES, counts, period_deg=period_deg)
    assert found.visibility == pytest.approx(0.93)
    assert found.phase_deg == pytest.approx(22.5)
    assert found.mean == pytest.approx(500)
    assert found.chi2 == pytest.approx(0.0, abs=1e-12)
    assert found.degrees_of_freedom == ANGLES.size - 3
    np.testing.assert_allclose(found(ANGLES), counts)


def test_accidentals_lower_the_raw_visibility_by_the_formula() -> None:
    """Raw V = V0 / (1 + A / mean), section 5 of the reference with A a flat background."""
    counts = fringe(0.98, 40, 400) + 50
    assert fit_fringe(ANGLES, counts).visibility == pytest.approx(0.98 / (1 + 50 / 400))
    corrected = fit_fringe(ANGLES, counts, np.full(ANGLES.size, 50.0))
    assert corrected.visibility == pytest.approx(0.98)
    assert corrected.visibility_sigma > fit_fringe(ANGLES, fringe(0.98, 40, 400)).visibility_sigma


def test_errors_and_chi2_are_those_of_poisson_counts() -> None:
    rng = np.random.default_rng(1)
    fits = [fit_fringe(ANGLES, rng.poisson(fringe(0.9, 30, 300))) for _ in range(1000)]
    pulls = np.array([(f.visibility - 0.9) / f.visibility_sigma for f in fits])
    phases = np.array([(f.phase_deg - 30) / f.phase_sigma_deg for f in fits])
    # 1000 draws: the mean of pulls is known to 0.03, their spread to 2.2 %; 4 sigma each, and 0.05 for the bias of V
    assert abs(pulls.mean()) < 0.17
    assert pulls.std() == pytest.approx(1, abs=0.1)
    assert abs(phases.mean()) < 0.13
    assert phases.std() == pytest.approx(1, abs=0.1)
    # 12 - 3 degrees of freedom; its mean is known to sqrt(18 / 1000) = 0.13
    assert np.mean([f.chi2 for f in fits]) == pytest.approx(9, abs=0.7)


def test_flat_counts_have_no_visibility() -> None:
    found = fit_fringe(ANGLES, np.full(ANGLES.size, 100.0))
    assert found.visibility == pytest.approx(0, abs=1e-9)


def test_angles_that_fix_no_sinusoid_are_refused() -> None:
    with pytest.raises(BadRequestError, match="at least 4"):
        fit_fringe([0, 1, 2], [1, 2, 3])
    with pytest.raises(BadRequestError, match="do not fix"):
        fit_fringe([0, 90, 180, 270], [1, 2, 1, 2])
    with pytest.raises(BadRequestError, match="expected light"):
        fit_fringe(ANGLES, np.zeros(ANGLES.size))
