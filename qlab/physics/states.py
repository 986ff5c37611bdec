"""Two-qubit polarisation states as density matrices.

Basis order HH, HV, VH, VV with H = (1, 0); R = (H - iV)/sqrt 2 as in James et al., PRA 64, 052312 (2001).  Bloch vectors
are (Z, X, Y): Z towards H, X towards D, Y towards R.
"""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qlab.errors import WorldError

__all__ = ["BellName", "bell_state", "check_state", "concurrence", "dephased", "werner"]

Matrix: TypeAlias = NDArray[np.complex128]
BellName: TypeAlias = Literal["phi+", "phi-", "psi+", "psi-"]
_KETS = {"phi+": (1, 0, 0, 1), "phi-": (1, 0, 0, -1), "psi+": (0, 1, 1, 0), "psi-": (0, 1, -1, 0)}


def bell_state(name: BellName) -> Matrix:
    """Return the density matrix of a Bell state, shape (4, 4)."""
    ket = np.array(_KETS[name], dtype=np.complex128) / math.sqrt(2.0)
    return np.outer(ket, ket.conj())


def werner(name: BellName, visibility: float) -> Matrix:
    """Return a Bell state mixed with white noise: V |B><B| + (1 - V) 1/4 (Werner, PRA 40, 4277, 1989)."""
    return visibility * bell_state(name) + (1.0 - visibility) / 4.0 * np.eye(4)


def dephased(rho: Matrix, visibility: float) -> Matrix:
    """Multiply the coherences between different H/V outcomes by `visibility`."""
    return np.where(np.eye(4, dtype=bool), rho, visibility * rho)


def check_state(rho: Matrix) -> Matrix:
    """Return `rho` where it is a state; raises `WorldError` saying what is wrong."""
    if rho.shape != (4, 4):
        msg = f"density matrix of shape {rho.shape}: expected (4, 4)"
        raise WorldError(msg)
    if not np.allclose(rho, rho.conj().T, atol=1e-9):
        msg = "the density matrix is not Hermitian"
        raise WorldError(msg)
    if abs(np.trace(rho) - 1.0) > 1e-9:
        msg = f"the density matrix has trace {np.trace(rho).real:g}: expected 1"
        raise WorldError(msg)
    lowest = float(np.linalg.eigvalsh(rho)[0])
    if lowest < -1e-9:
        msg = f"the density matrix has the eigenvalue {lowest:g}: expected none below 0"
        raise WorldError(msg)
    return rho


def concurrence(rho: Matrix) -> float:
    """Return the concurrence (Wootters, PRL 80, 2245, 1998)."""
    flip = np.fliplr(np.diag([-1.0, 1.0, 1.0, -1.0])).astype(np.complex128)
    product = rho @ flip @ rho.conj() @ flip
    roots = np.sqrt(np.maximum(np.sort(np.linalg.eigvals(product).real)[::-1], 0.0))
    return float(max(0.0, roots[0] - roots[1] - roots[2] - roots[3]))
