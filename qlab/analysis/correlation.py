"""The correlation matrix of two qubits, and the turn of Bob's frame that makes it a Bell state's.

Axes are those of the Pauli matrices: x is D/A, y is circular, z is H/V; T_ij = <sigma_i x sigma_j>.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from qlab.analysis.bell import correlation
from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["BELL_CORRELATIONS", "BellState", "align_frames", "bell_fidelity", "correlation_matrix"]

BellState = Literal["phi+", "phi-", "psi+", "psi-"]

# Diagonals of T of the four Bell states, in the order x, y, z (phi: HH +- VV, psi: HV +- VH).
BELL_CORRELATIONS: dict[BellState, tuple[float, float, float]] = {
    "phi+": (1.0, -1.0, 1.0),
    "phi-": (-1.0, 1.0, 1.0),
    "psi+": (1.0, 1.0, -1.0),
    "psi-": (-1.0, -1.0, -1.0),
}


def correlation_matrix(
    counts: ArrayLike, accidentals: ArrayLike | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return T and its standard errors, both of shape (3, 3).

    Parameters
    ----------
    counts:
        Shape (3, 3, 2, 2): Alice's axis, Bob's axis, Alice's outcome, Bob's outcome.
    accidentals:
        Of the same shape, subtracted where given.
    """
    tables = np.asarray(counts, dtype=np.float64)
    if tables.shape != (3, 3, 2, 2):
        msg = f"counts of shape {tables.shape}: expected (3, 3, 2, 2), axes x y z and outcomes + - of both parties"
        raise BadRequestError(msg)
    background = None if accidentals is None else np.broadcast_to(np.asarray(accidentals, np.float64), tables.shape)
    t, sigma = np.empty((3, 3)), np.empty((3, 3))
    for i, j in np.ndindex(3, 3):
        term = correlation(tables[i, j], None if background is None else background[i, j])
        t[i, j], sigma[i, j] = term.e, term.sigma
    return t, sigma


def align_frames(t: ArrayLike, target: BellState = "phi+") -> NDArray[np.float64]:
    """Return the proper rotation of Bob's Bloch sphere that brings T nearest to a Bell state's.

    Parameters
    ----------
    t:
        Correlation matrix, shape (3, 3).
    target:
        The Bell state.

    Returns
    -------
    R, shape (3, 3), det R = +1, such that T R^T is nearest to the target: Bob's photons turned by R (or his analyser
    by its inverse).

    Notes
    -----
    Minimise |T R^T - D| over rotations, D = diag of the target: the orthogonal Procrustes problem restricted to
    det = +1 (Kabsch, Acta Cryst. A32, 922 (1976)).  A reflection is not physical: T of a Bell state has det -1.
    """
    matrix = np.asarray(t, dtype=np.float64)
    if matrix.shape != (3, 3) or not np.isfinite(matrix).all():
        msg = f"correlation matrix of shape {matrix.shape}: expected 3 x 3 finite numbers"
        raise BadRequestError(msg)
    left, _, right = np.linalg.svd(np.diag(BELL_CORRELATIONS[target]) @ matrix)
    handed = np.diag([1.0, 1.0, float(np.sign(np.linalg.det(left @ right)))])
    return np.asarray(left @ handed @ right, dtype=np.float64)


def bell_fidelity(t: ArrayLike, target: BellState = "phi+") -> float:
    """Return the fidelity with a Bell state, (1 + sum_i D_i T_ii) / 4."""
    diagonal = np.diag(np.asarray(t, dtype=np.float64))
    return float(1.0 + diagonal @ np.array(BELL_CORRELATIONS[target])) / 4.0
