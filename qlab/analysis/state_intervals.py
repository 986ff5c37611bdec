"""Intervals of figures of a state that hold the truth as often as they say, also where the state is nearly pure.

Positivity pulls every estimate of a nearly pure state away from it, and a flat prior more so: with few counts the posterior
of `qlab.analysis.state_sampling` hardly holds the truth.  Linear inversion has no such bias.  So the figure is taken of a
physical state nearby and carried on along its gradient to the linear inversion, whose errors are those of the counts: the
one-step estimator (A. W. van der Vaart, "Asymptotic statistics" (1998), section 5.7).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qlab.analysis.central_path import hermitian_basis
from qlab.analysis.intervals import ONE_SIGMA, Interval
from qlab.analysis.state_estimation import maximum_likelihood
from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.analysis.projections import ProjectionCounts

__all__ = ["KINK", "LinearState", "linear_state"]

Matrices: TypeAlias = NDArray[np.complex128]
KINK = 5.0
"""Standard deviations by which a state is mixed before the slope of a figure with a kink at pure states is taken."""
_STEP = 1e-5


@dataclass(frozen=True, slots=True)
class LinearState:
    """An unbiased estimate of a state, and a physical one near it.

    Attributes
    ----------
    rho:
        Weighted linear inversion, shape (d, d), of trace 1; it may have negative eigenvalues.
    near:
        The state of the largest likelihood, shape (d, d).
    covariance:
        Of the coordinates of `rho` in an orthonormal basis of Hermitian matrices, shape (d^2, d^2).
    """

    rho: Matrices
    near: Matrices
    covariance: NDArray[np.float64]

    def interval(
        self,
        figure: Callable[[Matrices], NDArray[np.float64]],
        level: float = ONE_SIGMA,
        *,
        bounds: tuple[float, float] = (-math.inf, math.inf),
        units: str = "",
        mixed_by: float = 0.0,
    ) -> Interval:
        """Return a figure of the state with its interval.

        Parameters
        ----------
        figure:
            Takes a stack of states, for example `qlab.analysis.state_measures.concurrence`; differentiable near the state,
            which entropy is not at a pure one.
        bounds:
            Between which the figure lies for any state: the interval is cut there, which loses no truth.
        mixed_by:
            For a convex figure with a kink where eigenvalues vanish, as concurrence: its slope is taken at a state that is so
            many standard deviations of a matrix element more mixed than the likeliest; `KINK` is enough.
        """
        basis = hermitian_basis(self.rho.shape[0])
        size = self.near.shape[0]
        share = min(mixed_by * math.sqrt(float(np.trace(self.covariance))) / size, 1.0)
        at = (1.0 - share) * self.near + share * np.eye(size) / size
        ahead, behind = (np.asarray(figure(at + sign * _STEP * basis), np.float64) for sign in (1.0, -1.0))
        gradient = (ahead - behind) / (2.0 * _STEP)
        away = np.einsum("kij,ji->k", basis, self.rho - at).real
        value = float(np.asarray(figure(at[np.newaxis]))[0] + gradient @ away)
        reach = _quantile(level) * math.sqrt(float(gradient @ self.covariance @ gradient))
        value, low, high = (min(max(edge, bounds[0]), bounds[1]) for edge in (value, value - reach, value + reach))
        return Interval(value, low, high, level, units, "one step from the likeliest state to linear inversion")


def linear_state(data: ProjectionCounts, near: Matrices | None = None) -> LinearState:
    """Return the linear inversion of counts with its covariance.

    Parameters
    ----------
    near:
        The state of the largest likelihood where it is known already, shape (d, d).

    Notes
    -----
    Generalised least squares.  Variances are those of Poisson counts around the likeliest state, not below that of half a
    count, where a projection was hardly ever seen.
    """
    near = maximum_likelihood(data).rho if near is None else near
    basis = hermitian_basis(near.shape[0])
    design = np.einsum("mij,kji->mk", data.projectors, basis).real * data.weights[:, None]
    net = data.counts - data.accidentals
    seen = design @ np.einsum("kij,ji->k", basis, near).real
    brightness = float(net.sum() / seen.sum())
    variance = np.maximum(brightness * seen + data.accidentals, 0.5)
    covariance = np.linalg.inv(design.T @ (design / variance[:, None]))
    sigma = covariance @ (design.T @ (net / variance))
    traces = np.trace(basis, axis1=1, axis2=2).real
    total = float(traces @ sigma)
    if total <= 0:
        msg = f"tomography: linear inversion gives a trace of {total:g}; expected more than 0: count longer"
        raise BadRequestError(msg)
    x = sigma / total
    jacobian = (np.eye(x.size) - np.outer(x, traces)) / total
    rho: Matrices = np.tensordot(x, basis, axes=1)
    return LinearState(rho, near, jacobian @ covariance @ jacobian.T)


def _quantile(level: float) -> float:
    if not 0.0 < level < 1.0:
        msg = f"interval of level {level:g}: expected between 0 and 1, for example 0.68"
        raise BadRequestError(msg)
    return float(_norm().isf((1.0 - level) / 2.0))


def _norm() -> Any:
    try:
        from scipy.stats import norm
    except ImportError as error:
        msg = "quantiles need scipy: pip install 'qlab[lab]'"
        raise BadRequestError(msg) from error
    return norm
