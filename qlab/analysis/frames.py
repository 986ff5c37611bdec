"""Which rotation of one analyser's Bloch sphere makes a measured state look like the wanted one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["TARGETS", "align_frame"]

TARGETS: dict[str, tuple[float, float, float]] = {
    "phi+": (1.0, 1.0, -1.0),
    "phi-": (1.0, -1.0, 1.0),
    "psi+": (-1.0, 1.0, 1.0),
    "psi-": (-1.0, -1.0, -1.0),
}
"""Diagonals of the correlation matrix of the Bell states in (Z, X, Y)."""


def align_frame(
    t: NDArray[np.floating], target: Literal["phi+", "phi-", "psi+", "psi-"] = "phi+"
) -> tuple[NDArray[np.float64], float]:
    """Return the proper rotation R of Bob's frame that maximises Tr(D T R), D the target's diagonal, and a fidelity.

    The orthogonal Procrustes problem with det R = +1 (Kabsch, Acta Cryst. A32, 922, 1976).

    Parameters
    ----------
    t:
        Measured correlations T[i, j] of Alice's axis i with Bob's axis j, order (Z, X, Y), shape (3, 3).
    target:
        The Bell state wanted.

    Returns
    -------
    R, shape (3, 3), and F = (1 + Tr(D T R))/4, the fidelity if the marginals are unpolarised.
    """
    d = np.diag(TARGETS[target])
    u, _, vh = np.linalg.svd(d @ np.asarray(t, dtype=np.float64))
    flip = np.diag([1.0, 1.0, float(np.sign(np.linalg.det(u @ vh)))])
    r = vh.T @ flip @ u.T
    return r, float((1.0 + np.trace(d @ t @ r)) / 4.0)
