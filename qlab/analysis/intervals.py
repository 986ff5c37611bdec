"""Confidence intervals of counts and fractions, without approximations where few were counted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from qlab.errors import BadRequestError

__all__ = ["ONE_SIGMA", "Interval", "fraction_interval", "poisson_interval", "ratio_interval"]

ONE_SIGMA = 0.6826894921370859
"""What one standard deviation to either side of a normal distribution holds."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with the equal-tailed interval that holds it with probability `level`.

    `units` is empty for a pure number; `method` says in words how the interval was made.
    """

    value: float
    low: float
    high: float
    level: float = ONE_SIGMA
    units: str = ""
    method: str = ""

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
    return Interval(float(count), low, float(chi2.isf(tail, 2 * count + 2)) / 2.0, level, "", "exact Poisson, Garwood")


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
    return Interval(successes / trials, low, high, level, "", "exact binomial, Clopper and Pearson")


def ratio_interval(first: int, second: int, scale: float = 1.0, level: float = ONE_SIGMA) -> Interval:
    """Return the exact interval of the ratio of two Poisson means, times `scale`.

    Given their sum the first count is binomial, whatever the means: J. Przyborowski and H. Wilenski, Biometrika 31, 313
    (1940).  Infinite where the second count is 0.

    Parameters
    ----------
    first, second:
        Counts; at least one is not 0.
    scale:
        Live time of the second by that of the first, say.

    Raises
    ------
    BadRequestError
        Negative counts, nothing counted, or a scale that is not above 0.
    """
    if min(first, second) < 0 or first + second < 1 or not scale > 0:
        msg = f"ratio of {first} and {second} counts, times {scale:g}: expected counts of at least 0, not both, scale above 0"
        raise BadRequestError(msg)
    share = fraction_interval(first, first + second, level)

    def odds(p: float) -> float:
        return scale * p / (1.0 - p) if p < 1.0 else math.inf

    return Interval(odds(share.value), odds(share.low), odds(share.high), level, "", "exact ratio of Poisson means")


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
