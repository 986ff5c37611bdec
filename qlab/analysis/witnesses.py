"""Entanglement witnesses: numbers that no separable state makes negative, from two or three local settings.

Bell states: O. Guehne et al., PRA 66, 062305 (2002), three settings; two settings and GHZ states: G. Toth and O. Guehne, PRL
94, 060501 (2005).  Errors are those of independent settings, each with multinomial outcomes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qlab.analysis.correlation import BELL_CORRELATIONS
from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from qlab.analysis.correlation import BellState

__all__ = ["Witness", "bell_witness", "bell_witness_two_settings", "ghz_witness"]


@dataclass(frozen=True, slots=True)
class Witness:
    """A witness and what it says of the fidelity.

    Attributes
    ----------
    value, sigma:
        Of the witness; below 0 the state is entangled (GHZ: genuinely, all parties together).
    fidelity, fidelity_sigma:
        With the target state, or, where `bound` is set, what it is at least.
    bound:
        Two settings bound the fidelity from below only.
    """

    value: float
    sigma: float
    fidelity: float
    fidelity_sigma: float
    bound: bool
    method: str
    units: str = ""

    @property
    def sigmas(self) -> float:
        """Standard errors by which the witness is below 0."""
        return -self.value / self.sigma if self.sigma else math.copysign(math.inf, -self.value)


def bell_witness(xx: ArrayLike, yy: ArrayLike, zz: ArrayLike, target: BellState = "phi+") -> Witness:
    """Return W = 1/2 - |Bell><Bell| = 1/4 - (D_x XX + D_y YY + D_z ZZ)/4, which fixes the fidelity as well.

    Parameters
    ----------
    xx, yy, zz:
        Counts with both analysers along D/A, along R/L, and along H/V, shape (2, 2); rows Alice's outcomes + and -.
    target:
        The Bell state, as in `qlab.analysis.correlation`.

    Raises
    ------
    BadRequestError
        Other shapes, negative counts, or an empty table.
    """
    signs = BELL_CORRELATIONS[target]
    total, variance = 0.0, 0.0
    for counts, sign in zip((xx, yy, zz), signs, strict=True):
        mean, square = _mean(counts, sign * _parity(2), 2)
        total, variance = total + mean, variance + square
    sigma = math.sqrt(variance) / 4.0
    fidelity = (1.0 + total) / 4.0
    return Witness(0.5 - fidelity, sigma, fidelity, sigma, bound=False, method="three settings, Guehne et al. 2002")


def bell_witness_two_settings(xx: ArrayLike, zz: ArrayLike, target: BellState = "phi+") -> Witness:
    """Return W = 1 - D_x XX - D_z ZZ; the fidelity is at least (D_x XX + D_z ZZ)/2, as (1 - D_x XX)(1 - D_z ZZ) >= 0."""
    signs = BELL_CORRELATIONS[target]
    (x, var_x), (z, var_z) = (_mean(c, s * _parity(2), 2) for c, s in zip((xx, zz), (signs[0], signs[2]), strict=True))
    sigma = math.sqrt(var_x + var_z)
    return Witness(
        1.0 - x - z, sigma, (x + z) / 2.0, sigma / 2.0, bound=True, method="two settings, Toth and Guehne 2005"
    )


def ghz_witness(xxx: ArrayLike, zzz: ArrayLike) -> Witness:
    """Return W = 3 - 2 [(1 + X...X)/2 + (P(0...0) + P(1...1))] of the state (|0...0> + |1...1>)/sqrt 2.

    Parameters
    ----------
    xxx, zzz:
        Counts with all parties along X, and all along Z, shape (2,) * n for n parties, outcome + first.

    Notes
    -----
    Equation 6 with the generators Z_k Z_(k+1), whose projectors together are that on equal outcomes.  W >= 1 - 2 |GHZ><GHZ|,
    so that the fidelity is at least (1 - W)/2.  It detects GHZ states with white noise of a share below 1/(3 - 4/2^n).

    Raises
    ------
    BadRequestError
        Not the same number of parties, 2 at least, negative counts, or an empty table.
    """
    n = np.asarray(xxx).ndim
    alike = np.zeros((2,) * n)
    alike[(0,) * n] = alike[(1,) * n] = 1.0
    parity, var_parity = _mean(xxx, _parity(n), n)
    equal, var_equal = _mean(zzz, alike, n)
    sigma = math.sqrt(var_parity + 4.0 * var_equal)
    value = 3.0 - (1.0 + parity) - 2.0 * equal
    return Witness(
        value,
        sigma,
        (1.0 - value) / 2.0,
        sigma / 2.0,
        bound=True,
        method=f"two settings of {n} parties, Toth and Guehne 2005",
    )


def _parity(n: int) -> NDArray[np.float64]:
    """Return the product of n outcomes +1 and -1, shape (2,) * n."""
    product = np.ones(())
    for _ in range(n):
        product = np.multiply.outer(product, np.array([1.0, -1.0]))
    return np.asarray(product)


def _mean(counts: ArrayLike, values: NDArray[np.float64], n: int) -> tuple[float, float]:
    """Return the mean of what outcomes are worth, and the variance of that mean.

    One count of either extreme value is added for the variance only: a perfect correlation is not stated without error.
    """
    table = np.asarray(counts, dtype=np.float64)
    if n < 2 or table.shape != (2,) * n or (table < 0).any() or table.sum() <= 0:
        msg = f"witness: counts of shape {table.shape}; expected (2,) * {max(n, 2)} parties, not negative, not all 0"
        raise BadRequestError(msg)
    total = float(table.sum())
    mean = float((table * values).sum()) / total
    low, high = float(values.min()), float(values.max())
    blunt = (mean * total + low + high) / (total + 2.0)
    square = (float((table * values**2).sum()) + low**2 + high**2) / (total + 2.0)
    return mean, (square - blunt**2) / total
