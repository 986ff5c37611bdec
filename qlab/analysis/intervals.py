"""Confidence intervals of counts and fractions, without approximations where few were counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from qlab.errors import BadRequestError

__all__ = ["ONE_SIGMA", "Interval", "fraction_interval", "poisson_interval"]

ONE_SIGMA = 0.6826894921370859
"""What one standard deviation to either side of a normal distribution holds."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with the equal-tailed interval that holds it with probability `level`."""

    value: float
    low: float
    high: float
    level: float = ONE_SIGMA

    @property
    def sigma(self) -> float:
        """Half its width."""
        return (self.high - self.low) / 2.0


def poisson_interval(count: int, level: float = ONE_SIGMA) -> Interval:
    """Return the exact interval of a Poisson mean: F. Garwood, Biometrika 28, 437 (1936).

    Raises
    ------
    BadRequestError
        A negative count, or a level not between 0 and 1.
    """
    chi2 = _stats().chi2
    tail = _tail(level)
    if count < 0:
        msg = f"interval of {count} counts: expected at least 0"
        raise BadRequestError(msg)
    low = float(chi2.ppf(tail, 2 * count)) / 2.0 if count else 0.0
    return Interval(float(count), low, float(chi2.isf(tail, 2 * count + 2)) / 2.0, level)


def fraction_interval(successes: int, trials: int, level: float = ONE_SIGMA) -> Interval:
    """Return the exact interval of a probability: C. J. Clopper and E. S. Pearson, Biometrika 26, 404 (1934).

    Raises
    ------
    BadRequestError
        Not 0 <= successes <= trials with at least one trial, or a level not between 0 and 1.
    """
    beta = _stats().beta
    tail = _tail(level)
    if not 0 <= successes <= trials or trials < 1:
        msg = f"interval of {successes} of {trials}: expected 0 <= successes <= trials, and at least one trial"
        raise BadRequestError(msg)
    low = float(beta.ppf(tail, successes, trials - successes + 1)) if successes else 0.0
    high = float(beta.isf(tail, successes + 1, trials - successes)) if successes < trials else 1.0
    return Interval(successes / trials, low, high, level)


def _stats() -> Any:
    try:
        from scipy import stats
    except ImportError as error:
        msg = "exact intervals need scipy: pip install 'qlab[lab]'"
        raise BadRequestError(msg) from error
    return stats


def _tail(level: float) -> float:
    if not 0.0 < level < 1.0:
        msg = f"interval of level {level:g}: expected between 0 and 1, for example 0.68"
        raise BadRequestError(msg)
    return (1.0 - level) / 2.0
