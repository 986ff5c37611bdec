"""Figures of a channel for one qubit; all take a Choi matrix or a stack, shape (..., 4, 4), of any trace.

The Choi matrix is that of `qlab.analysis.process_tomography`, input first.  What is asked relative to a channel that loses
nothing is taken of J normalised to trace 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qlab.analysis.projections import PAULI
from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = [
    "average_fidelity",
    "chi_matrix",
    "choi_of_kraus",
    "diattenuation",
    "mueller_matrix",
    "nearest_unitary",
    "pdl_db",
    "process_fidelity",
]

Matrices: TypeAlias = NDArray[np.complex128]
Numbers: TypeAlias = NDArray[np.float64]

_BASIS = np.concatenate([np.eye(2, dtype=np.complex128)[None], PAULI])
_VECTORS = np.array([pauli.T.ravel() for pauli in _BASIS])
"""(1 x sigma) sum |ii>, of 1, Z, X, Y, shape (4, 4)."""


def choi_of_kraus(kraus: ArrayLike) -> Matrices:
    """Return J of E(rho) = sum K rho K^dagger, from operators of shape (n, 2, 2)."""
    operators = np.asarray(kraus, dtype=np.complex128)
    if operators.ndim != 3 or operators.shape[1:] != (2, 2):
        msg = f"Kraus operators of shape {operators.shape}: expected (n, 2, 2)"
        raise BadRequestError(msg)
    vectors = operators.swapaxes(1, 2).reshape(-1, 4)
    return np.asarray(vectors.T @ vectors.conj())


def process_fidelity(choi: ArrayLike, unitary: ArrayLike) -> Numbers:
    """Return <U|J|U>/4 with a unitary channel, the fidelity of the states that stand for the channels."""
    u = np.asarray(unitary, dtype=np.complex128).T.ravel() / 2.0**0.5
    return np.asarray(np.einsum("i,...ij,j->...", u.conj(), _normal(choi), u).real / 2.0)


def average_fidelity(choi: ArrayLike, unitary: ArrayLike) -> Numbers:
    """Return (2F + 1)/3, the mean over all pure inputs of a channel that loses nothing.

    M. Horodecki, P. Horodecki and R. Horodecki, PRA 60, 1888 (1999); M. A. Nielsen, Phys. Lett. A 303, 249 (2002).
    """
    return np.asarray((2.0 * process_fidelity(choi, unitary) + 1.0) / 3.0)


def chi_matrix(choi: ArrayLike) -> Matrices:
    """Return chi of E(rho) = sum chi_mn sigma_m rho sigma_n in 1, Z, X, Y, of trace 1, shape (..., 4, 4).

    I. L. Chuang and M. A. Nielsen, J. Mod. Opt. 44, 2455 (1997).
    """
    return np.asarray(np.einsum("mi,...ij,nj->...mn", _VECTORS.conj(), _normal(choi), _VECTORS) / 4.0)


def mueller_matrix(choi: ArrayLike) -> Numbers:
    """Return M_ij = Tr(sigma_i E(sigma_j))/2 over 1, Z, X, Y, shape (..., 4, 4): what the channel does to Stokes vectors.

    These are (S0, S1, S2, S3) with S3 towards R.
    """
    products = np.array([[np.kron(b.T, a) for b in _BASIS] for a in _BASIS])
    return np.asarray(np.einsum("...kl,ijlk->...ij", _normal(choi), products).real / 2.0)


def diattenuation(choi: ArrayLike) -> Numbers:
    """Return (T_max - T_min)/(T_max + T_min) over all polarisations: the length of the first row of the Mueller matrix.

    S.-Y. Lu and R. A. Chipman, J. Opt. Soc. Am. A 13, 1106 (1996), equation 36.
    """
    first = mueller_matrix(choi)[..., 0, :]
    return np.asarray(np.linalg.norm(first[..., 1:], axis=-1) / first[..., 0])


def pdl_db(choi: ArrayLike) -> Numbers:
    """Return the polarisation-dependent loss 10 log10(T_max/T_min) in dB."""
    d = diattenuation(choi)
    return np.asarray(10.0 * np.log10((1.0 + d) / np.maximum(1.0 - d, 1e-300)))


def nearest_unitary(choi: ArrayLike) -> Matrices:
    """Return the unitary that the channel comes nearest to, shape (2, 2), its largest element real.

    It is the polar factor of the Kraus operator of the largest weight; its inverse undoes the link.
    """
    j = _normal(choi)
    if j.ndim != 2:
        msg = f"nearest unitary of Choi matrices of shape {j.shape}: expected one, (4, 4)"
        raise BadRequestError(msg)
    leading = np.linalg.eigh(j)[1][:, -1].reshape(2, 2).T
    left, _, right = np.linalg.svd(leading)
    u = left @ right
    largest = u.ravel()[int(np.argmax(np.abs(u)))]
    return np.asarray(u * (largest.conjugate() / abs(largest)))


def _normal(choi: ArrayLike) -> Matrices:
    j = np.asarray(choi, dtype=np.complex128)
    if j.shape[-2:] != (4, 4):
        msg = f"Choi matrices of shape {j.shape}: expected (..., 4, 4)"
        raise BadRequestError(msg)
    return np.asarray(2.0 * j / np.trace(j, axis1=-2, axis2=-1).real[..., None, None])
