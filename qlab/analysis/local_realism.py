"""How unlikely a Bell test's counts would be under local realism, whatever happened between trials.

Prediction-based ratios: Y. Zhang, S. Glancy and E. Knill, PRA 84, 062118 (2011).  From earlier data a factor
R(outcome) >= 0 is chosen for each trial so that no local model gives it a mean above 1; the product over trials then is a
test martingale, and p <= 1 / product.  Neither identical trials nor the absence of memory are assumed; settings must be
drawn at random for each trial with known probabilities, and no trial may be left out: for counts that were post-selected
the p-value holds only under fair sampling.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np

from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["best_factors", "log10_p_value", "quantum_counts"]


def best_factors(counts: ArrayLike, settings: ArrayLike | None = None) -> NDArray[np.float64]:
    """Return the factors that would have gained most on these counts.

    Parameters
    ----------
    counts:
        Earlier trials, shape (settings of Alice, of Bob, outcomes of Alice, of Bob); two settings and two outcomes each,
        or three outcomes where "nothing" counts as one.
    settings:
        Probabilities of the settings, shape (2, 2); equal where not given.

    Notes
    -----
    The maximum of sum f log R over R with E_local R <= 1 is R = f / q, with q the local distribution closest to the
    frequencies f in relative entropy; q is a mixture of deterministic strategies, found by expectation maximisation until
    the bound holds for every strategy, by which R finally is divided: it is valid however early the iteration ends.
    """
    table = np.asarray(counts, dtype=np.float64)
    if (
        table.ndim != 4
        or table.shape[:2] != (2, 2)
        or table.shape[2] != table.shape[3]
        or (table < 0).any()
        or table.sum() <= 0
    ):
        msg = f"counts of shape {table.shape}: expected (2, 2, outcomes, outcomes), none negative, not all 0"
        raise BadRequestError(msg)
    chances = _chances(settings)
    local = _strategies(table.shape[2]) * chances[None, :, :, None, None]
    # A little of every local strategy keeps outcomes that were not seen possible.
    f = table + 0.5 * chances[:, :, None, None] / table.shape[2] ** 2
    f = f / f.sum(axis=(2, 3), keepdims=True) * chances[:, :, None, None]
    flat = local.reshape(local.shape[0], -1)
    weights = np.full(flat.shape[0], 1.0 / flat.shape[0])
    for _ in range(20_000):
        q = np.maximum(weights @ flat, 1e-300)
        gain = flat @ (f.ravel() / q)
        if gain.max() < 1.0 + 1e-7:
            break
        weights = weights * gain
        weights /= weights.sum()
    ratio = f.ravel() / np.maximum(weights @ flat, 1e-300)
    ratio /= max(float((flat @ ratio).max()), 1.0)
    return np.asarray(ratio.reshape(table.shape))


def log10_p_value(counts: ArrayLike, factors: ArrayLike) -> float:
    """Return log10 of the bound on the p-value of trials that came after the factors were chosen; 0 is no evidence.

    Parameters
    ----------
    counts:
        Of the shape of `factors`.
    """
    table, r = np.asarray(counts, dtype=np.float64), np.asarray(factors, dtype=np.float64)
    if table.shape != r.shape:
        msg = f"counts of shape {table.shape} and factors of shape {r.shape}: expected the same"
        raise BadRequestError(msg)
    seen = table > 0
    if (r[seen] <= 0).any():
        return 0.0
    gained = float((table[seen] * np.log10(r[seen])).sum())
    return min(-gained, 0.0)


def quantum_counts(
    visibility: float, trials: float, settings: ArrayLike | None = None, *, efficiency: float = 1.0
) -> NDArray[np.float64]:
    """Return the mean counts of a Werner state at the best CHSH settings, shape (2, 2, 2, 2); with losses (2, 2, 3, 3).

    Parameters
    ----------
    visibility, efficiency:
        Of the state, and of both parties; below 1 "nothing" is the third outcome.
    """
    e = visibility / math.sqrt(2.0)
    signs = np.array([[1.0, -1.0], [1.0, 1.0]])
    same = np.array([[1.0, -1.0], [-1.0, 1.0]])
    joint = (1.0 + e * signs[:, :, None, None] * same[None, None]) / 4.0
    if efficiency < 1.0:
        lossy = np.zeros((2, 2, 3, 3))
        lossy[..., :2, :2] = efficiency**2 * joint
        lossy[..., :2, 2] = lossy[..., 2, :2] = efficiency * (1.0 - efficiency) / 2.0
        lossy[..., 2, 2] = (1.0 - efficiency) ** 2
        joint = lossy
    return np.asarray(trials * _chances(settings)[:, :, None, None] * joint)


def _chances(settings: ArrayLike | None) -> NDArray[np.float64]:
    chances = np.full((2, 2), 0.25) if settings is None else np.asarray(settings, dtype=np.float64)
    if chances.shape != (2, 2) or (chances <= 0).any() or abs(float(chances.sum()) - 1.0) > 1e-9:
        msg = f"probabilities of settings {chances.tolist()}: expected (2, 2), above 0, of sum 1"
        raise BadRequestError(msg)
    return chances


def _strategies(outcomes: int) -> NDArray[np.float64]:
    """Return all deterministic local strategies as probabilities, shape (outcomes^4, 2, 2, outcomes, outcomes)."""
    found = []
    for a0, a1, b0, b1 in itertools.product(range(outcomes), repeat=4):
        one = np.zeros((2, 2, outcomes, outcomes))
        for x, a in enumerate((a0, a1)):
            for y, b in enumerate((b0, b1)):
                one[x, y, a, b] = 1.0
        found.append(one)
    return np.array(found)
