"""The state that projections tell of: by linear inversion, and by maximum likelihood among physical states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qlab.analysis.central_path import CentralPath, hermitian_basis, whitened_subspace
from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from qlab.analysis.central_path import Subspace
    from qlab.analysis.projections import ProjectionCounts

__all__ = ["StateFit", "linear_inversion", "maximum_likelihood", "maximum_likelihood_batch", "whitened"]

Matrices: TypeAlias = NDArray[np.complex128]


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
    basis = hermitian_basis(d)
    design = np.einsum("mij,kji->mk", data.projectors, basis).real
    rates = (data.counts - data.accidentals) / data.weights
    coefficients, *_ = np.linalg.lstsq(design, rates, rcond=None)
    sigma: Matrices = np.tensordot(coefficients, basis, axes=1)
    trace = float(np.trace(sigma).real)
    if trace <= 0:
        msg = f"tomography of {m} projections: linear inversion gives a trace of {trace:g}; expected more than 0"
        raise BadRequestError(msg)
    return sigma / trace


def maximum_likelihood(data: ProjectionCounts, *, tolerance: float = 1e-3, within: Subspace | None = None) -> StateFit:
    """Return the physical state of the largest Poisson likelihood.

    Parameters
    ----------
    tolerance:
        Stop when no state can have a log-likelihood larger by more than this.
    within:
        Where the matrix is looked for; everywhere by default.

    Raises
    ------
    BadRequestError
        It did not come so close.
    """
    return maximum_likelihood_batch(data, data.counts[np.newaxis], tolerance=tolerance, within=within)[0]


def maximum_likelihood_batch(
    data: ProjectionCounts, counts: NDArray[np.float64], *, tolerance: float = 1e-3, within: Subspace | None = None
) -> list[StateFit]:
    """Return the fits of several sets of counts of the same projections, shape (batch, m).

    Notes
    -----
    sum n_m log(q_m) - q_m with q_m = Tr(sigma P_m) w_m + b_m is concave in the positive sigma = N rho.  Newton's method on
    it plus a barrier mu log det sigma follows the central path as mu falls (S. Boyd and L. Vandenberghe, "Convex
    optimization" (2004), section 11.3); on that path nothing better is further away than mu d.
    """
    unwhiten, projectors = whitened(data)
    path = CentralPath(
        projectors, np.asarray(counts, np.float64), data.accidentals, whitened_subspace(within, unwhiten)
    )
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
