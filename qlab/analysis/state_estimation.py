"""The state that projections tell of: by linear inversion, and by maximum likelihood among physical states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from qlab.analysis.projections import ProjectionCounts

__all__ = ["StateFit", "linear_inversion", "maximum_likelihood", "maximum_likelihood_batch"]

Matrices: TypeAlias = NDArray[np.complex128]
_SMALL = 1e-300
_SHRINK = 0.1
_NEWTON_STEPS = 40
_NEAR = 0.05
"""Newton decrement at which a point counts as on the path."""
_HALVINGS = 30


@dataclass(frozen=True, slots=True)
class StateFit:
    """A fitted state.

    Attributes
    ----------
    rho:
        Shape (d, d), of trace 1, without negative eigenvalues.
    log_likelihood:
        Of the Poisson counts, a constant left out.
    gap:
        A bound of what any other state could have more.
    iterations:
        That it took.
    """

    rho: Matrices
    log_likelihood: float
    gap: float
    iterations: int


def linear_inversion(data: ProjectionCounts) -> Matrices:
    """Return the Hermitian matrix of trace 1 whose probabilities come closest to the frequencies, shape (d, d).

    Notes
    -----
    Least squares over all projections, each divided by its weight; with as many projections as unknowns it fits exactly,
    as in James et al., PRA 64, 052312 (2001), section III.  It may have negative eigenvalues.
    """
    m, d = data.projectors.shape[:2]
    basis = _hermitian_basis(d)
    design = np.einsum("mij,kji->mk", data.projectors, basis).real
    rates = (data.counts - data.accidentals) / data.weights
    coefficients, *_ = np.linalg.lstsq(design, rates, rcond=None)
    sigma: Matrices = np.tensordot(coefficients, basis, axes=1)
    trace = float(np.trace(sigma).real)
    if trace <= 0:
        msg = f"tomography of {m} projections: linear inversion gives a trace of {trace:g}; expected more than 0"
        raise BadRequestError(msg)
    return sigma / trace


def maximum_likelihood(data: ProjectionCounts, *, tolerance: float = 1e-3) -> StateFit:
    """Return the physical state of the largest Poisson likelihood.

    Parameters
    ----------
    tolerance:
        Stop when no state can have a log-likelihood larger by more than this.

    Raises
    ------
    BadRequestError
        It did not come so close.
    """
    return maximum_likelihood_batch(data, data.counts[np.newaxis], tolerance=tolerance)[0]


def maximum_likelihood_batch(
    data: ProjectionCounts, counts: NDArray[np.float64], *, tolerance: float = 1e-3
) -> list[StateFit]:
    """Return the fits of several sets of counts of the same projections, shape (batch, m).

    Notes
    -----
    sum n_m log(q_m) - q_m with q_m = Tr(sigma P_m) w_m + b_m is concave in the positive sigma = N rho.  Newton's method on
    it plus a barrier mu log det sigma follows the central path as mu falls (S. Boyd and L. Vandenberghe, "Convex
    optimization" (2004), section 11.3); on that path nothing better is further away than mu d.
    """
    unwhiten, projectors = whitened(data)
    path = CentralPath(projectors, np.asarray(counts, np.float64), data.accidentals)
    sigma, steps = path.follow(tolerance)
    value, gap = path.value(sigma), path.gap(sigma)
    if (worst := float(gap.max())) > 10.0 * tolerance:
        msg = (
            f"tomography: the log-likelihood is within {worst:.2g} of its maximum; expected {tolerance:g}; ask for less"
        )
        raise BadRequestError(msg)
    rho = unwhiten @ sigma @ unwhiten
    rho /= np.trace(rho, axis1=1, axis2=2).real[:, None, None]
    return [StateFit(rho[i], float(value[i]), float(gap[i]), steps) for i in range(rho.shape[0])]


def whitened(data: ProjectionCounts) -> tuple[Matrices, Matrices]:
    """Return A and A P_m A w_m, which add up to 1: shapes (d, d) and (m, d, d)."""
    whole = np.einsum("m,mij->ij", data.weights, data.projectors)
    values, vectors = np.linalg.eigh(whole)
    unwhiten: Matrices = (vectors / np.sqrt(values)) @ vectors.conj().T
    return unwhiten, data.weights[:, None, None] * (unwhiten @ data.projectors @ unwhiten)


class CentralPath:
    """The barrier method for a batch of counts; the projectors add up to 1, so Tr sigma is the mean total.

    Matrices of the batch have shape (batch, d, d), their coordinates in `_hermitian_basis` shape (batch, d^2).
    """

    def __init__(self, projectors: Matrices, counts: NDArray[np.float64], accidentals: NDArray[np.float64]) -> None:
        d = projectors.shape[1]
        self.basis = _hermitian_basis(d)
        self._flat = self.basis.reshape(d * d, d * d)
        self._a = np.einsum("mij,kji->mk", projectors, self.basis).real
        self._n = counts
        self._b = accidentals
        self._d = d

    def _coordinates(self, matrices: Matrices) -> NDArray[np.float64]:
        return np.asarray((matrices.reshape(-1, self._d**2) @ self._flat.conj().T).real)

    def matrices(self, x: NDArray[np.float64]) -> Matrices:
        """Return the matrices of coordinates."""
        return (x @ self._flat).reshape(-1, self._d, self._d)

    def _q(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(x @ self._a.T + self._b)

    def value(self, sigma: Matrices) -> NDArray[np.float64]:
        """Return the log-likelihoods, shape (batch,)."""
        return self.log_likelihood(self._coordinates(sigma))

    def log_likelihood(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the log-likelihoods at coordinates, shape (batch,)."""
        return self._value(self._q(x))

    def _value(self, q: NDArray[np.float64]) -> NDArray[np.float64]:
        logs = np.where(self._n > 0, self._n * np.log(np.maximum(q, _SMALL)), 0.0)
        return np.asarray((logs - q).sum(axis=1))

    def gap(self, sigma: Matrices) -> NDArray[np.float64]:
        """Return bounds of what is missing: by concavity, that of the tangent plane over all matrices of twice the trace."""
        x = self._coordinates(sigma)
        g = self.matrices((self._n / self._q(x) - 1.0) @ self._a)
        room = 2.0 * np.trace(sigma, axis1=1, axis2=2).real
        here = np.einsum("bij,bji->b", g, sigma).real
        return np.asarray(np.maximum(room * np.maximum(np.linalg.eigvalsh(g)[:, -1], 0.0) - here, 0.0))

    def follow(self, tolerance: float) -> tuple[Matrices, int]:
        """Return the matrices at the end of the path, and the Newton steps that it took."""
        x, steps = self._approach(0.1 * tolerance / self._d)
        return self.matrices(x), steps

    def centre(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the coordinates at mu = 1, shape (batch, d^2), and the inverse of minus the Hessian there."""
        x, _ = self._approach(1.0)
        _, hessian, _ = self._derivatives(x, 1.0)
        return x, np.asarray(np.linalg.inv(hessian), np.float64)

    def _approach(self, last: float) -> tuple[NDArray[np.float64], int]:
        net = np.maximum(self._n.sum(axis=1) - self._b.sum(), 1.0)
        x = self._coordinates(net[:, None, None] * np.eye(self._d, dtype=np.complex128) / self._d)
        mu, steps = max(float(net.max()), last), 0
        while True:
            for _ in range(_NEWTON_STEPS):
                steps += 1
                x, moved = self._newton(x, mu)
                if moved < _NEAR:
                    break
            if mu <= last:
                return x, steps
            mu = max(mu * _SHRINK, last)

    def _newton(self, x: NDArray[np.float64], mu: float) -> tuple[NDArray[np.float64], float]:
        """Take one step for all; returns the largest squared Newton decrement by mu."""
        gradient, hessian, turned = self._derivatives(x, mu)
        step = np.linalg.solve(hessian, gradient[:, :, None])[:, :, 0]
        rise = (gradient * step).sum(axis=1)
        lowest = np.linalg.eigvalsh((step[:, None, :] @ turned).reshape(-1, self._d, self._d))[:, 0]
        length = np.minimum(1.0, 0.95 / np.maximum(-lowest, 1e-12))
        begin = self._barred(x, mu)
        for _ in range(_HALVINGS):
            bad = self._barred(x + length[:, None] * step, mu) < begin + 0.1 * length * rise - 1e-13 * np.abs(begin)
            if not bad.any():
                break
            length = np.where(bad, length / 2.0, length)
        return x + length[:, None] * step, float(rise.max()) / mu

    def _derivatives(
        self, x: NDArray[np.float64], mu: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], Matrices]:
        """Return gradient, minus the Hessian, and the basis where sigma is 1 and the barrier's Hessian is mu."""
        q = self._q(x)
        inverse = np.linalg.inv(np.linalg.cholesky(self.matrices(x)))
        turned = (inverse[:, None] @ self.basis @ inverse.conj().transpose(0, 2, 1)[:, None]).reshape(*x.shape, -1)
        gradient = (self._n / q - 1.0) @ self._a + mu * turned[:, :, :: self._d + 1].real.sum(axis=2)
        hessian = np.einsum("mj,bm,mk->bjk", self._a, self._n / q**2, self._a, optimize=True)
        hessian += mu * np.einsum("bjx,bkx->bjk", turned, turned.conj(), optimize=True).real
        return gradient, hessian, turned

    def _barred(self, x: NDArray[np.float64], mu: float) -> NDArray[np.float64]:
        sign, logarithm = np.linalg.slogdet(self.matrices(x))
        return np.where(sign.real > 0, self._value(self._q(x)) + mu * logarithm, -np.inf)


def _hermitian_basis(d: int) -> Matrices:
    """Return an orthonormal basis of the Hermitian matrices, shape (d^2, d, d)."""
    found = []
    for i in range(d):
        for j in range(d):
            unit = np.zeros((d, d), np.complex128)
            if i == j:
                unit[i, i] = 1.0
            elif i < j:
                unit[i, j] = unit[j, i] = 0.5**0.5
            else:
                unit[i, j], unit[j, i] = 1j * 0.5**0.5, -1j * 0.5**0.5
            found.append(unit)
    return np.array(found)
