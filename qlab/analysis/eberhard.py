"""The inequality of Clauser and Horne in Eberhard's form: a Bell test that counts every trial, one detector a side.

P. H. Eberhard, PRA 47, R747 (1993).  With o for "clicked", u for "nothing" (or the other detector),

    J = S_A(a1) + S_B(b1) - C(a1 b1) - C(a1 b2) - C(a2 b1) + C(a2 b2) >= 0

for all local models, where C are coincidences and S singles of equally many trials; -J by trials is the value of Clauser
and Horne, PRD 10, 526 (1974).  No fair sampling is assumed; efficiencies above 2/3 suffice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["EberhardOptimum", "EberhardResult", "eberhard_counts", "eberhard_optimum", "eberhard_trials"]

_GRID = 33
_ROUNDS = 60


@dataclass(frozen=True, slots=True)
class EberhardResult:
    """J and its standard error; negative J contradicts local realism. `units` says what J is by."""

    j: float
    sigma: float
    units: str
    method: str

    @property
    def violation_sigmas(self) -> float:
        """Standard errors by which J is below 0."""
        return -self.j / self.sigma if self.sigma else math.copysign(math.inf, -self.j)


@dataclass(frozen=True, slots=True)
class EberhardOptimum:
    """The state and the settings that are best at an efficiency.

    Attributes
    ----------
    j:
        By trials, at best.
    ratio:
        Of the smaller amplitude to the larger one: the state is (|HH> + r |VV>)/sqrt(1 + r^2).
    angles_deg:
        Of Alice's and Bob's analysers from H, (a1, a2), (b1, b2).
    concurrence:
        Of the state.
    max_background:
        Probability of a false click of either side a trial, up to which J can be below 0: J grows by twice that.
    """

    j: float
    ratio: float
    angles_deg: tuple[tuple[float, float], tuple[float, float]]
    concurrence: float
    max_background: float


def eberhard_counts(coincidences: ArrayLike, singles_a: float, singles_b: float) -> EberhardResult:
    """Return J of counts in equally long acquisitions, its error that of Poisson counts.

    Parameters
    ----------
    coincidences:
        Shape (2, 2), rows a1, a2, columns b1, b2.
    singles_a, singles_b:
        Alice's at (a1, b2), and Bob's at (a2, b1), as by Eberhard: so the coincidences are among them.

    Raises
    ------
    BadRequestError
        Negative counts, or more coincidences than singles.
    """
    c = np.asarray(coincidences, dtype=np.float64)
    if c.shape != (2, 2) or (c < 0).any() or singles_a < c[0, 1] or singles_b < c[1, 0]:
        msg = f"Eberhard: {c.tolist()} of singles {singles_a:g}, {singles_b:g}; expected (2, 2), not above the singles"
        raise BadRequestError(msg)
    alone = (singles_a - c[0, 1]) + (singles_b - c[1, 0])
    return EberhardResult(
        float(alone + c[1, 1] - c[0, 0]), math.sqrt(alone + c[1, 1] + c[0, 0]), "counts", "Eberhard's J, Poisson counts"
    )


def eberhard_trials(counts: ArrayLike) -> EberhardResult:
    """Return J by trials, where trials without a click were counted too; settings may have had unequally many.

    Parameters
    ----------
    counts:
        Shape (2, 2, outcomes, outcomes): settings, then outcomes; the first outcome is "o", the last "nothing".

    Notes
    -----
    In each setting a trial gives +1, -1 or 0: the variance of the mean of n of them is (<f^2> - <f>^2)/n.

    Raises
    ------
    BadRequestError
        Another shape, negative counts, or a setting without trials.
    """
    table = np.asarray(counts, dtype=np.float64)
    if table.ndim != 4 or table.shape[:2] != (2, 2) or min(table.shape[2:]) < 2 or (table < 0).any():
        msg = f"Eberhard: counts of shape {table.shape}; expected (2, 2, outcomes, outcomes), none negative"
        raise BadRequestError(msg)
    n = table.sum(axis=(2, 3))
    if (n <= 0).any():
        msg = f"Eberhard: {n.astype(int).tolist()} trials of the settings; expected some of each"
        raise BadRequestError(msg)
    p = table / n[:, :, None, None]
    # a1 b1: -C; a1 b2: clicks of Alice alone; a2 b1: clicks of Bob alone; a2 b2: +C.
    share = np.array([[p[0, 0, 0, 0], p[0, 1, 0, 1:].sum()], [p[1, 0, 1:, 0].sum(), p[1, 1, 0, 0]]])
    sign = np.array([[-1.0, 1.0], [1.0, 1.0]])
    variance = float((share * (1.0 - share) / n).sum())
    return EberhardResult(
        float((sign * share).sum()), math.sqrt(variance), "per trial", "Eberhard's J, multinomial trials"
    )


def eberhard_optimum(efficiency_a: float, efficiency_b: float | None = None) -> EberhardOptimum:
    """Return the lowest J that quantum theory allows, with its state and settings.

    Parameters
    ----------
    efficiency_a, efficiency_b:
        Of Alice's and Bob's arm; the same where the second is not given.

    Notes
    -----
    For given angles -J is the expectation of an operator, so that the best state is its eigenvector; the angles between the
    two settings of each party are all that matters, found on a grid that closes in.  At equal efficiencies both parties'
    are equal.  J is below 0 above 2/3, for unequal efficiencies above eta_b = eta_a / (3 eta_a - 1): A. Cabello and
    J.-A. Larsson, PRL 98, 220402 (2007).

    Raises
    ------
    BadRequestError
        An efficiency that is not above 0 and at most 1.
    """
    eta_a, eta_b = efficiency_a, efficiency_a if efficiency_b is None else efficiency_b
    if not (0.0 < eta_a <= 1.0 and 0.0 < eta_b <= 1.0):
        msg = f"Eberhard: efficiencies {eta_a:g} and {eta_b:g}; expected above 0 and at most 1"
        raise BadRequestError(msg)
    symmetric = eta_a == eta_b
    # In the logarithm of the angles, as they vanish towards the threshold.
    low, high = np.log(np.full(2, 1e-5)), np.log(np.full(2, math.pi / 2.0))
    best = np.zeros(2)
    for _ in range(_ROUNDS):
        first = np.linspace(low[0], high[0], _GRID)
        second = np.linspace(low[1], high[1], _GRID)
        u, v = (first, first) if symmetric else (g.ravel() for g in np.meshgrid(first, second))
        top = np.linalg.eigvalsh(_operator(np.exp(u), np.exp(v), eta_a, eta_b))[:, -1]
        k = int(np.argmax(top))
        best = np.array([u[k], v[k]])
        half = (high - low) / 4.0
        low, high = best - half, np.minimum(best + half, math.log(math.pi / 2.0))
        if half.max() < 1e-9:
            break
    values, vectors = np.linalg.eigh(_operator(np.exp(best[:1]), np.exp(best[1:]), eta_a, eta_b)[0])
    left, schmidt, right = np.linalg.svd(vectors[:, -1].reshape(2, 2))
    # Along the Schmidt bases the state is HH + r VV, or HH - r VV, which mirrored angles of Bob make the same.
    turn_a, turn_b = math.atan2(left[1, 0], left[0, 0]), math.atan2(right[0, 1], right[0, 0])
    mirror = math.copysign(1.0, float(np.linalg.det(left) * np.linalg.det(right)))
    a, b = float(np.exp(best[0])), float(np.exp(best[1]))
    alice = (_axis_deg(-turn_a), _axis_deg(a - turn_a))
    bob = (_axis_deg(-mirror * turn_b), _axis_deg(mirror * (b - turn_b)))
    ratio = float(schmidt[1] / schmidt[0])
    j = -float(values[-1])
    return EberhardOptimum(j, ratio, (alice, bob), 2.0 * ratio / (1.0 + ratio**2), max(-j / 2.0, 0.0))


def _operator(
    apart_a: NDArray[np.float64], apart_b: NDArray[np.float64], eta_a: float, eta_b: float
) -> NDArray[np.float64]:
    """Return -J as operators, shape (n, 4, 4): first settings along H, second ones turned by an angle."""
    zero = np.zeros_like(apart_a)
    a1, a2, b1, b2 = (_projectors(angle) for angle in (zero, apart_a, zero, apart_b))
    unit = np.broadcast_to(np.eye(2), a1.shape)

    def both(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.einsum("nij,nkl->nikjl", x, y).reshape(-1, 4, 4))

    together = both(a1, b1) + both(a1, b2) + both(a2, b1) - both(a2, b2)
    minus_j: NDArray[np.float64] = eta_a * eta_b * together - eta_a * both(a1, unit) - eta_b * both(unit, b1)
    return minus_j


def _projectors(angle: NDArray[np.float64]) -> NDArray[np.float64]:
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([np.stack([c * c, c * s], -1), np.stack([c * s, s * s], -1)], -2)


def _axis_deg(angle: float) -> float:
    """Return an axis' angle from -90 to 90 degrees."""
    return (math.degrees(angle) + 90.0) % 180.0 - 90.0
