"""Figures of merit of two-qubit states; all take one density matrix or a stack, shape (..., 4, 4), and return shape (...)."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qlab.analysis.projections import PAULI
from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = [
    "BELL_NAMES",
    "bell_diagonal",
    "bell_weights",
    "concurrence",
    "correlation_tensor",
    "entanglement_of_formation",
    "entropy_bits",
    "fidelity",
    "largest_chsh",
    "negativity",
    "purity",
    "tangle",
    "trace_distance",
]

Matrices: TypeAlias = NDArray[np.complex128]
Numbers: TypeAlias = NDArray[np.float64]

BELL_NAMES = ("phi+", "phi-", "psi+", "psi-")
_BELL = np.array([[1, 0, 0, 1], [1, 0, 0, -1], [0, 1, 1, 0], [0, 1, -1, 0]], dtype=np.complex128) / 2.0**0.5
_FLIP = np.fliplr(np.diag([-1.0, 1.0, 1.0, -1.0])).astype(np.complex128)


def fidelity(rho: ArrayLike, target: ArrayLike) -> Numbers:
    """Return (Tr sqrt(sqrt(s) rho sqrt(s)))^2 with a target state, shape (4, 4); <psi|rho|psi> for a pure one.

    R. Jozsa, J. Mod. Opt. 41, 2315 (1994).
    """
    states, goal = _states(rho), np.asarray(target, np.complex128)
    values, vectors = np.linalg.eigh(goal)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.conj().T
    inner = np.linalg.eigvalsh(root @ states @ root)
    return np.asarray(np.sqrt(np.maximum(inner, 0.0)).sum(axis=-1) ** 2)


def purity(rho: ArrayLike) -> Numbers:
    """Return Tr rho^2."""
    states = _states(rho)
    return np.asarray(np.einsum("...ij,...ji->...", states, states).real)


def entropy_bits(rho: ArrayLike) -> Numbers:
    """Return the von Neumann entropy in bits."""
    values = np.maximum(np.linalg.eigvalsh(_states(rho)), 1e-300)
    return np.asarray(-(values * np.log2(values)).sum(axis=-1))


def concurrence(rho: ArrayLike) -> Numbers:
    """Return the concurrence: W. K. Wootters, PRL 80, 2245 (1998)."""
    states = _states(rho)
    products = np.linalg.eigvals(states @ _FLIP @ states.conj() @ _FLIP).real
    roots = np.sort(np.sqrt(np.maximum(products, 0.0)), axis=-1)
    return np.asarray(np.maximum(2.0 * roots[..., -1] - roots.sum(axis=-1), 0.0))


def tangle(rho: ArrayLike) -> Numbers:
    """Return the concurrence squared."""
    return np.asarray(concurrence(rho) ** 2)


def entanglement_of_formation(rho: ArrayLike) -> Numbers:
    """Return the entanglement of formation in ebits: h((1 + sqrt(1 - C^2)) / 2), Wootters (1998)."""
    x = (1.0 + np.sqrt(np.maximum(1.0 - tangle(rho), 0.0))) / 2.0
    y = np.maximum(1.0 - x, 1e-300)
    return np.asarray(-(x * np.log2(x) + (1.0 - x) * np.log2(y)))


def negativity(rho: ArrayLike) -> Numbers:
    """Return the sum of the negative eigenvalues of the partial transpose, as a positive number; 1/2 for a Bell state."""
    states = _states(rho)
    parts = states.reshape(*states.shape[:-2], 2, 2, 2, 2)
    transposed = np.swapaxes(parts, -3, -1).reshape(states.shape)
    values = np.linalg.eigvalsh(transposed)
    return np.asarray(-np.minimum(values, 0.0).sum(axis=-1))


def correlation_tensor(rho: ArrayLike) -> Numbers:
    """Return T_ij = Tr(rho sigma_i x sigma_j) along Z, X, Y, shape (..., 3, 3)."""
    products = np.array([[np.kron(a, b) for b in PAULI] for a in PAULI])
    return np.asarray(np.einsum("...kl,ijlk->...ij", _states(rho), products).real)


def largest_chsh(rho: ArrayLike) -> Numbers:
    """Return the largest S that any settings reach: Horodecki, Horodecki and Horodecki, Phys. Lett. A 200, 340 (1995)."""
    singular = np.linalg.svd(correlation_tensor(rho), compute_uv=False)
    return np.asarray(2.0 * np.hypot(singular[..., 0], singular[..., 1]))


def bell_weights(rho: ArrayLike) -> Numbers:
    """Return the weights of phi+, phi-, psi+, psi- in the Bell-diagonal part, shape (..., 4): the fidelities with each."""
    return np.asarray(np.einsum("ki,...ij,kj->...k", _BELL.conj(), _states(rho), _BELL).real)


def bell_diagonal(rho: ArrayLike) -> Matrices:
    """Return the nearest Bell-diagonal state, sum of the Bell states by their weights, shape (..., 4, 4).

    Nearest in Hilbert-Schmidt distance, of which the off-diagonal part is orthogonal; by local rotations alone (twirling) any
    state is turned into it: C. H. Bennett et al., PRA 54, 3824 (1996).
    """
    return np.asarray(np.einsum("...k,ki,kj->...ij", bell_weights(rho), _BELL, _BELL.conj()))


def trace_distance(rho: ArrayLike, other: ArrayLike) -> Numbers:
    """Return Tr|rho - other|/2, by which the probability of any outcome differs at most."""
    return np.asarray(np.abs(np.linalg.eigvalsh(_states(rho) - _states(other))).sum(axis=-1) / 2.0)


def _states(rho: ArrayLike) -> Matrices:
    states = np.asarray(rho, dtype=np.complex128)
    if states.shape[-2:] != (4, 4):
        msg = f"density matrices of shape {states.shape}: expected (..., 4, 4)"
        raise BadRequestError(msg)
    return states
