"""Correlation matrices from counts, and the rotation that undoes a fibre."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlab.analysis.correlation import BELL_CORRELATIONS, align_frames, bell_fidelity, correlation_matrix
from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from qlab.analysis.correlation import BellState

STATES: list[BellState] = ["phi+", "phi-", "psi+", "psi-"]


def rotation(seed: int) -> np.ndarray:
    q = np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))[0]
    return np.asarray(q * np.linalg.det(q))


def test_matrix_of_counts_is_entrywise_the_correlation() -> None:
    t = np.array([[0.9, 0.1, 0], [0, -0.8, 0.2], [0.3, 0, 0.7]])
    signs = np.array([[1, -1], [-1, 1]])
    counts = 250 * (1 + t[:, :, None, None] * signs)
    found, sigma = correlation_matrix(counts + 10, np.full((3, 3, 2, 2), 10.0))
    np.testing.assert_allclose(found, t, atol=1e-12)
    np.testing.assert_allclose(correlation_matrix(counts)[1], np.sqrt((1 - t**2) / 1000))
    assert (sigma > correlation_matrix(counts)[1]).all()
    with pytest.raises(BadRequestError, match=r"expected \(3, 3, 2, 2\)"):
        correlation_matrix(np.zeros((3, 3)))


@pytest.mark.parametrize("target", STATES)
@given(st.integers(0, 10_000), st.sampled_from(STATES), st.floats(0.3, 1))
def test_any_turn_of_bobs_frame_is_undone(target: BellState, seed: int, source: BellState, visibility: float) -> None:
    """A maximally entangled state is any other one up to a rotation on one side."""
    t = visibility * np.diag(BELL_CORRELATIONS[source]) @ rotation(seed).T
    r = align_frames(t, target)
    np.testing.assert_allclose(r @ r.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(r) == pytest.approx(1)
    np.testing.assert_allclose(t @ r.T, visibility * np.diag(BELL_CORRELATIONS[target]), atol=1e-9)
    # F = (1 + 3 V) / 4 of a Werner state, section 5 of the reference
    assert bell_fidelity(t @ r.T, target) == pytest.approx((1 + 3 * visibility) / 4)


@given(st.integers(0, 1000))
def test_no_rotation_of_noisy_data_does_better(seed: int) -> None:
    rng = np.random.default_rng(seed)
    t = 0.9 * np.diag(BELL_CORRELATIONS["psi-"]) @ rotation(seed).T + 0.2 * rng.standard_normal((3, 3))
    r = align_frames(t, "phi+")
    best = bell_fidelity(t @ r.T)
    assert all(bell_fidelity(t @ rotation(other).T) <= best + 1e-9 for other in range(20))


def test_what_is_no_matrix_is_refused() -> None:
    with pytest.raises(BadRequestError, match="3 x 3"):
        align_frames(np.full((3, 3), np.nan))
