"""Maximum likelihood among positive matrices: Newton's method along the central path of a barrier, and how far it is off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["CentralPath", "Subspace", "hermitian_basis", "whitened_subspace"]

Matrices: TypeAlias = NDArray[np.complex128]
_SMALL = 1e-300
_SHRINK = 0.1
_NEWTON_STEPS = 40
_NEAR = 0.05
"""Newton decrement at which a point counts as on the path."""
_HALVINGS = 30


@dataclass(frozen=True, slots=True)
class Subspace:
    """A linear space of Hermitian matrices to which the fit is held, for example those of channels that lose nothing.

    `basis` is orthonormal, shape (k, d, d), and `start` a positive matrix in it, shape (d, d).
    """

    basis: Matrices
    start: Matrices


def whitened_subspace(within: Subspace | None, unwhiten: Matrices) -> Subspace | None:
    """Return the subspace as the whitened matrices see it, its basis orthonormal again and its start of trace d."""
    if within is None:
        return None
    k, d = within.basis.shape[:2]
    whiten = np.linalg.inv(unwhiten)
    # Real coordinates in all Hermitian matrices, so that an orthonormal basis keeps to them.
    whole = hermitian_basis(d).reshape(d * d, -1)
    coordinates = ((whiten @ within.basis @ whiten).reshape(k, -1) @ whole.conj().T).real
    orthonormal = np.linalg.qr(coordinates.T)[0].T
    start = whiten @ within.start @ whiten
    return Subspace((orthonormal @ whole).reshape(k, d, d), start * (d / np.trace(start).real))


class CentralPath:
    """The barrier method for a batch of counts; the projectors add up to 1, so Tr sigma is the mean total.

    Matrices of the batch have shape (batch, d, d), their coordinates shape (batch, k): in an orthonormal basis of all
    Hermitian matrices, k = d^2, or of a subspace.
    """

    def __init__(
        self,
        projectors: Matrices,
        counts: NDArray[np.float64],
        accidentals: NDArray[np.float64],
        within: Subspace | None = None,
    ) -> None:
        d = projectors.shape[1]
        within = within or Subspace(hermitian_basis(d), np.eye(d, dtype=np.complex128))
        self.basis, self._start = within.basis, within.start
        self._flat = self.basis.reshape(-1, d * d)
        self._beside = _complement(self.basis)
        self._projectors = projectors
        self._a = np.einsum("mij,kji->mk", projectors, self.basis).real
        self._n = counts
        self._b = accidentals
        self._d = d
        self._last = 0.0

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
        g = np.tensordot(self._n / self._q(x) - 1.0, self._projectors, axes=1)
        if self._beside.size:
            g = g - self._multiplied(g, sigma)
        room = 2.0 * np.trace(sigma, axis1=1, axis2=2).real
        here = np.einsum("bij,bji->b", g, sigma).real
        return np.asarray(np.maximum(room * np.maximum(np.linalg.eigvalsh(g)[:, -1], 0.0) - here, 0.0))

    def _multiplied(self, g: Matrices, sigma: Matrices) -> Matrices:
        """Return what Lagrange multipliers of the subspace take off the gradient; any would leave the bound true.

        On the path the gradient less that is minus the barrier's, -mu sigma^-1: the multipliers are those that come closest,
        where distance is measured as the barrier does.
        """
        values, vectors = np.linalg.eigh(sigma)
        root = (vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]) @ vectors.conj().swapaxes(1, 2)
        seen = (root[:, None] @ self._beside @ root[:, None]).reshape(*sigma.shape[:1], len(self._beside), -1)
        goal = (root @ g @ root + self._last * np.eye(self._d)).reshape(*sigma.shape[:1], -1)
        normal = (seen @ seen.conj().swapaxes(1, 2)).real
        along = np.einsum("bcx,bx->bc", seen.conj(), goal).real
        return np.tensordot(np.linalg.solve(normal, along[:, :, None])[:, :, 0], self._beside, axes=1)

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
        x = self._coordinates(net[:, None, None] * self._start / self._d)
        mu, steps = max(float(net.max()), last), 0
        self._last = last
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


def _complement(basis: Matrices) -> Matrices:
    """Return an orthonormal basis of the Hermitian matrices orthogonal to those of a subspace, shape (d^2 - k, d, d)."""
    k, d = basis.shape[:2]
    whole = hermitian_basis(d).reshape(d * d, -1)
    coordinates = (basis.reshape(k, -1) @ whole.conj().T).real
    rest = np.linalg.qr(coordinates.T, mode="complete")[0].T[k:]
    found: Matrices = (rest @ whole).reshape(d * d - k, d, d)
    return found


def hermitian_basis(d: int) -> Matrices:
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
