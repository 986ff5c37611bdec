"""Bell tests: correlations with errors, the CHSH parameter, and the best that a correlation matrix allows.

A 2x2 table of counts has Alice's outcomes (+, -) as rows and Bob's as columns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "SIGNS",
    "ChshResult",
    "Correlation",
    "OptimalSettings",
    "chsh",
    "correlation",
    "game_p_value",
    "optimal_settings",
    "setting_sigma",
]

# S = E(a,b) - E(a,b') + E(a',b) + E(a',b'), the form in which angles of 0, 45 and 22.5, 67.5 degrees give +2 sqrt 2.
SIGNS = (1, -1, 1, 1)
_PRODUCT = np.array([[1.0, -1.0], [-1.0, 1.0]])


@dataclass(frozen=True, slots=True)
class Correlation:
    """The correlation E of two outcomes; `n` is the number of coincidences, accidentals taken off where asked."""

    e: float
    sigma: float
    n: float


@dataclass(frozen=True, slots=True)
class ChshResult:
    """A CHSH test: S with its error, and by how many of them it exceeds 2 (negative when it does not)."""

    s: float
    sigma: float
    terms: tuple[Correlation, ...]
    signs: tuple[int, ...] = SIGNS

    @property
    def violation_sigmas(self) -> float:
        """Standard deviations by which the size of S exceeds 2."""
        return (abs(self.s) - 2.0) / self.sigma if self.sigma else math.copysign(math.inf, abs(self.s) - 2.0)


@dataclass(frozen=True, slots=True)
class OptimalSettings:
    """Bloch vectors, shape (3,), that reach `s_max`; a, a' of Alice, b, b' of Bob, for the signs of `SIGNS`."""

    s_max: float
    alice: tuple[NDArray[np.float64], NDArray[np.float64]]
    bob: tuple[NDArray[np.float64], NDArray[np.float64]]


def correlation(counts: ArrayLike, accidentals: ArrayLike | None = None) -> Correlation:
    """Return E = (N++ + N-- - N+- - N-+) / N and its error.

    Parameters
    ----------
    counts:
        Shape (2, 2).
    accidentals:
        Expected accidental coincidences, shape (2, 2), subtracted where given; taken as known without error.

    Notes
    -----
    Poisson counts give sigma^2 = sum (s_ij - E)^2 N_ij / N_net^2, where s_ij is the product of the outcomes; without
    subtraction that is (1 - E^2) / N.

    Raises
    ------
    BadRequestError
        Not a 2x2 table of counts, or nothing left of it.
    """
    table = _table(counts)
    net = table if accidentals is None else table - np.asarray(accidentals, dtype=np.float64)
    total = float(net.sum())
    if total <= 0:
        msg = f"correlation of {table.tolist()}: {total:g} coincidences (accidentals taken off); expected more than 0"
        raise BadRequestError(msg)
    e = float((_PRODUCT * net).sum()) / total
    variance = float(((_PRODUCT - e) ** 2 * table).sum()) / total**2
    return Correlation(e, math.sqrt(variance), total)


def chsh(
    counts: Sequence[ArrayLike], accidentals: Sequence[ArrayLike] | None = None, *, signs: tuple[int, ...] = SIGNS
) -> ChshResult:
    """Return S of four 2x2 tables of counts, at the settings (a,b), (a,b'), (a',b), (a',b').

    Parameters
    ----------
    counts:
        Shape (4, 2, 2).
    accidentals:
        Of the same shape, subtracted where given.
    signs:
        Signs of the four correlations; an odd number of them is -1.

    Notes
    -----
    sigma_S = sqrt(sum (1 - E_i^2) / N_i), for independent Poisson counts without subtraction.
    """
    if len(counts) != 4 or len(signs) != 4 or math.prod(signs) != -1:
        msg = f"CHSH: {len(counts)} settings and signs {signs}; expected four settings, and one or three signs of -1"
        raise BadRequestError(msg)
    background: Sequence[ArrayLike | None] = [None] * 4 if accidentals is None else accidentals
    terms = tuple(correlation(c, a) for c, a in zip(counts, background, strict=True))
    s = sum(sign * term.e for sign, term in zip(signs, terms, strict=True))
    return ChshResult(s, math.sqrt(sum(term.sigma**2 for term in terms)), terms, signs)


def setting_sigma(
    t: ArrayLike, alice: ArrayLike, alice_covariance: ArrayLike, bob: ArrayLike, bob_covariance: ArrayLike
) -> float:
    """Return the standard deviation of E = a.T b that comes of analysers which do not stand quite where they should.

    Parameters
    ----------
    t:
        T_ij = <sigma_i x sigma_j>, shape (3, 3).
    alice, bob:
        The Bloch vectors that the analysers were sent to, shape (3,).
    alice_covariance, bob_covariance:
        Of these vectors, shape (3, 3).

    Notes
    -----
    To first order, var E = (T b)' C_a (T b) + (T' a)' C_b (T' a).
    """
    matrix, a, b = (np.asarray(x, dtype=np.float64) for x in (t, alice, bob))
    to_alice, to_bob = matrix @ b, matrix.T @ a
    variance = to_alice @ np.asarray(alice_covariance) @ to_alice + to_bob @ np.asarray(bob_covariance) @ to_bob
    return math.sqrt(float(variance))


def optimal_settings(t: ArrayLike) -> OptimalSettings:
    """Return the largest S that a correlation matrix allows, and the directions that reach it.

    Parameters
    ----------
    t:
        T_ij = <sigma_i x sigma_j>, shape (3, 3).

    Notes
    -----
    S_max = 2 sqrt(u1 + u2) with the two largest eigenvalues u of T^T T: Horodecki, Horodecki and Horodecki,
    Phys. Lett. A 200, 340 (1995).
    """
    matrix = np.asarray(t, dtype=np.float64)
    if matrix.shape != (3, 3) or not np.isfinite(matrix).all():
        msg = f"correlation matrix of shape {matrix.shape}: expected 3 x 3 finite numbers"
        raise BadRequestError(msg)
    left, singular, right = np.linalg.svd(matrix)
    s1, s2 = float(singular[0]), float(singular[1])
    # a.T(b - b') + a'.T(b + b') with b + b' = 2 cos x v1 and b - b' = 2 sin x v2 is largest at tan x = s2 / s1.
    x = math.atan2(s2, s1)
    b = math.cos(x) * right[0] + math.sin(x) * right[1]
    b_prime = math.cos(x) * right[0] - math.sin(x) * right[1]
    return OptimalSettings(2.0 * math.hypot(s1, s2), (left[:, 1], left[:, 0]), (b, b_prime))


def game_p_value(wins: int, trials: int) -> float:
    """Bound the probability that local hidden variables win at least so many CHSH games (at most 3/4 each).

    Notes
    -----
    Hoeffding's inequality, p <= exp(-2 n (w/n - 3/4)^2): valid with memory, as wins beyond 3/4 form a supermartingale;
    it assumes settings drawn at random for every trial, and no selection of trials.
    """
    if not 0 <= wins <= trials or trials < 1:
        msg = f"{wins} games won of {trials}: expected 0 <= won <= played, and at least one played"
        raise BadRequestError(msg)
    excess = wins / trials - 0.75
    return 1.0 if excess <= 0 else math.exp(-2.0 * trials * excess**2)


def _table(counts: ArrayLike) -> NDArray[np.float64]:
    table = np.asarray(counts, dtype=np.float64)
    if table.shape != (2, 2) or not (table >= 0).all():
        msg = f"counts {table.tolist()}: expected two rows of two numbers, none negative"
        raise BadRequestError(msg)
    return table
