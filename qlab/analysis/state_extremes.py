"""Intervals of two figures of a state that have no smooth estimate: the largest S, and the entropy.

The largest S is a maximum over settings, each of which is linear in the state; where axes are about equally correlated, as
in every good pair source, the best settings for the counts are those that noise favours, and S at them comes out too large.
So settings are chosen from half of the counts, and S at them is taken from the other half: thinned Poisson counts are
independent.  (Both ways round, as in cross-fitting, would not do: where settings are undecided the two errors go together.)
What is left is too small by the square of the settings' error.

The entropy's slope is infinite where an eigenvalue vanishes.  Of a nearly pure state the counts tell the weight that is not
in the largest eigenvalue, and hardly how it is shared among the others: the interval holds what either extreme would give.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qlab.analysis.intervals import ONE_SIGMA, Interval
from qlab.analysis.state_intervals import linear_state
from qlab.analysis.state_measures import correlation_tensor, entropy_bits

if TYPE_CHECKING:
    from qlab.analysis.projections import ProjectionCounts
    from qlab.analysis.state_intervals import LinearState

__all__ = ["TSIRELSON", "entropy_interval", "largest_chsh_interval"]

Matrices: TypeAlias = NDArray[np.complex128]
SHARE = 0.5
"""Of the counts, for the choice of settings."""
CLEAR = 4.0
"""Standard deviations by which an eigenvalue must be off zero before its entropy is taken by its slope."""
TSIRELSON = 2.0 * math.sqrt(2.0)


def largest_chsh_interval(data: ProjectionCounts, state: LinearState, seed: int, level: float = ONE_SIGMA) -> Interval:
    """Return the largest S that any settings reach.

    Parameters
    ----------
    data:
        The counts.
    state:
        Their `linear_state`.
    seed:
        Of the thinning.
    """
    choosing = np.random.default_rng(seed).binomial(np.rint(data.counts).astype(np.int64), SHARE).astype(np.float64)
    some = replace(data, counts=choosing, accidentals=data.accidentals * SHARE)
    rest = replace(data, counts=data.counts - choosing, accidentals=data.accidentals * (1.0 - SHARE))
    slope = _best_settings(correlation_tensor(linear_state(some, state.near).rho))
    found = linear_state(rest, state.near).interval(
        lambda rho: (slope * correlation_tensor(rho)).sum(axis=(-2, -1)), level, bounds=(0.0, TSIRELSON)
    )
    method = f"settings from {SHARE:.0%} of the counts, S from the others"
    return Interval(found.value, found.low, found.high, level, "", method)


def _best_settings(t: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return dS/dT at the settings that are best for T, shape (3, 3): S is the sum of its product with T.

    R. Horodecki, P. Horodecki, M. Horodecki, Phys. Lett. A 200, 340 (1995).
    """
    left, singular, right = np.linalg.svd(t)
    size = math.hypot(singular[0], singular[1])
    if size == 0.0:
        return np.zeros((3, 3))
    return np.asarray(2.0 * (left[:, :2] * (singular[:2] / size)) @ right[:2])


def entropy_interval(state: LinearState, level: float = ONE_SIGMA) -> Interval:
    """Return the von Neumann entropy in bits.

    Eigenvalues that stand clear of zero are taken by their slope; the weight of the others counts as if it were all in one of
    them at the lower end, and evenly shared at the upper.  Such an interval holds the truth at least as often as it says.
    """
    values, vectors = np.linalg.eigh(state.near)
    sigmas = [_eigenvalue_sigma(state, vectors[:, k]) for k in range(values.size)]
    small = [k for k in range(values.size) if values[k] < CLEAR * sigmas[k]]
    if not small:
        return state.interval(entropy_bits, level, bounds=(0.0, math.log2(values.size)), units="bit")
    lump = vectors[:, small] @ vectors[:, small].conj().T
    weight = state.interval(lambda rho: np.einsum("ij,...ji->...", lump, rho).real, level, bounds=(0.0, 1.0))
    large = [k for k in range(values.size) if k not in small]

    def of_large(rho: Matrices) -> NDArray[np.float64]:
        """Return the entropy of the large eigenvalues, scaled to sum 1, by first-order perturbation of their weights."""
        p = np.einsum("ik,...ij,jk->...k", vectors[:, large].conj(), rho, vectors[:, large]).real
        p = np.maximum(p / p.sum(axis=-1, keepdims=True), 1e-300)
        return np.asarray(-(p * np.log2(p)).sum(axis=-1))

    inner = state.interval(of_large, level, bounds=(0.0, math.log2(len(large))))
    low = _binary(weight.low) + (1.0 - weight.low) * inner.low
    high = _binary(weight.high) + (1.0 - weight.high) * inner.high + weight.high * math.log2(len(small))
    value = float(entropy_bits(state.near))
    return Interval(min(max(value, low), high), low, high, level, "bit", "bounds by the weight of small eigenvalues")


def _eigenvalue_sigma(state: LinearState, vector: NDArray[np.complex128]) -> float:
    return state.interval(lambda rho: np.einsum("i,...ij,j->...", vector.conj(), rho, vector).real).sigma


def _binary(p: float) -> float:
    return 0.0 if p in (0.0, 1.0) else -p * math.log2(p) - (1.0 - p) * math.log2(1.0 - p)
