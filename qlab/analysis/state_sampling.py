"""The states that counts allow: samples of the posterior, and credible intervals of whatever is asked of the state.

The prior is flat in the matrix elements of states (Hilbert-Schmidt measure: K. Zyczkowski and H.-J. Sommers, J. Phys. A 34,
7111 (2001)) and flat in the logarithm of the brightness; R. Blume-Kohout, New J. Phys. 12, 043034 (2010) on why an interval
should come from it and not from resampling a maximum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qlab.analysis.central_path import CentralPath, whitened_subspace
from qlab.analysis.intervals import ONE_SIGMA, Interval
from qlab.analysis.state_estimation import whitened
from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.analysis.central_path import Subspace
    from qlab.analysis.projections import ProjectionCounts

__all__ = ["StateSamples", "sample_states", "sample_states_batch"]

Matrices: TypeAlias = NDArray[np.complex128]
_STRIDE = 8


@dataclass(frozen=True, slots=True)
class StateSamples:
    """Samples of the posterior.

    Attributes
    ----------
    rho:
        Shape (chains, samples, d, d).
    acceptance:
        Fraction of proposals that were taken.
    """

    rho: Matrices
    acceptance: float

    def interval(self, figure: Callable[[Matrices], NDArray[np.float64]], level: float = ONE_SIGMA) -> Interval:
        """Return median and equal-tailed interval of a figure of the state, for example `concurrence`."""
        values = figure(self.rho.reshape(-1, *self.rho.shape[2:]))
        low, value, high = np.quantile(values, [(1.0 - level) / 2.0, 0.5, (1.0 + level) / 2.0])
        return Interval(float(value), float(low), float(high), level)

    def spread(self, figure: Callable[[Matrices], NDArray[np.float64]]) -> float:
        """Return R-hat, how much wider all chains are than each (A. Gelman and D. B. Rubin 1992): 1 when they agree."""
        chains, samples = self.rho.shape[:2]
        values = figure(self.rho.reshape(-1, *self.rho.shape[2:])).reshape(chains, samples)
        within = float(values.var(axis=1, ddof=1).mean())
        between = float(values.mean(axis=1).var(ddof=1))
        return float(np.sqrt(1.0 + between / within)) if within > 0 else 1.0

    @property
    def mean(self) -> Matrices:
        """The Bayesian mean, shape (d, d): the estimate with the smallest expected error."""
        found: Matrices = self.rho.mean(axis=(0, 1))
        return found


def sample_states(
    data: ProjectionCounts,
    rng: np.random.Generator,
    *,
    chains: int = 16,
    samples: int = 250,
    within: Subspace | None = None,
) -> StateSamples:
    """Draw states from the posterior of counts.

    Parameters
    ----------
    rng:
        Where the randomness comes from.
    chains, samples:
        Chains side by side, and samples that each keeps.
    within:
        Where the matrix lies; everywhere by default.
    """
    return sample_states_batch(data, data.counts[np.newaxis], rng, chains=chains, samples=samples, within=within)[0]


def sample_states_batch(
    data: ProjectionCounts,
    counts: NDArray[np.float64],
    rng: np.random.Generator,
    *,
    chains: int = 16,
    samples: int = 250,
    within: Subspace | None = None,
) -> list[StateSamples]:
    """Draw states for several sets of counts of the same projections, shape (batch, m).

    Notes
    -----
    A Metropolis walk in the k = d^2 real coordinates of sigma = N rho, where the posterior is L(sigma) / (Tr sigma)^k.
    Its steps have the covariance of the Newton step at the barrier mu = 1, which knows both the counts and the border of
    the states, times 2.38^2 / k (A. Gelman, G. O. Roberts and W. R. Gilks 1996).
    """
    if chains < 2 or samples < 2:
        msg = f"sampling states: {chains} chains of {samples} samples; expected at least 2 of each"
        raise BadRequestError(msg)
    batch, d = counts.shape[0], data.projectors.shape[1]
    unwhiten, projectors = whitened(data)
    space = whitened_subspace(within, unwhiten)
    path = CentralPath(projectors, np.asarray(counts, np.float64), data.accidentals, space)
    begin, covariance = path.centre()
    walk = CentralPath(projectors, np.repeat(counts, chains, axis=0), data.accidentals, space)
    root = np.repeat(np.linalg.cholesky(covariance), chains, axis=0) * (2.38 / begin.shape[1] ** 0.5)
    trace = np.trace(unwhiten @ walk.basis @ unwhiten, axis1=1, axis2=2).real

    def target(x: NDArray[np.float64]) -> NDArray[np.float64]:
        inside = np.linalg.eigvalsh(walk.matrices(x))[:, 0] > 0
        value = walk.log_likelihood(np.where(inside[:, None], x, np.repeat(begin, chains, axis=0)))
        return np.where(inside, value - begin.shape[1] * np.log(np.maximum(x @ trace, 1e-300)), -np.inf)

    x = np.repeat(begin, chains, axis=0)
    now, taken, kept = target(x), 0.0, []
    warm = samples * _STRIDE // 4
    for step in range(warm + samples * _STRIDE):
        tried = x + np.einsum("bij,bj->bi", root, rng.standard_normal(x.shape))
        there = target(tried)
        accept = np.log(rng.random(there.size)) < there - now
        x, now = np.where(accept[:, None], tried, x), np.where(accept, there, now)
        taken += float(accept.mean())
        if step >= warm and step % _STRIDE == 0:
            kept.append(x)
    rho = unwhiten @ walk.matrices(np.concatenate(kept)) @ unwhiten
    rho /= np.trace(rho, axis1=1, axis2=2).real[:, None, None]
    stacked = rho.reshape(len(kept), batch, chains, d, d).transpose(1, 2, 0, 3, 4)
    return [StateSamples(one, taken / (warm + samples * _STRIDE)) for one in stacked]
