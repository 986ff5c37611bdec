"""What the intervals between one detector's clicks tell: dead time, rate, and afterpulses.

After each click the detector is dead for tau; then the next click is the next of a Poisson process of rate n or, with
probability p, an afterpulse with an exponential delay of mean tau_a after the dead time, whichever comes first.  Every click
starts anew, so that intervals are independent, with the survival S(t) = exp(-n t) (1 - p + p exp(-t / tau_a)) at t behind the
dead time; the mean of this is the rate formula 1/m = tau + (1 - p)/n + p/(n + 1/tau_a).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["ClickFigures", "click_figures"]

FEWEST = 100
LONGEST = 0.2
"""Afterpulses are looked for up to this part of the mean interval: slower ones look like the rate itself."""
_ROUNDS = 5000


@dataclass(frozen=True, slots=True)
class ClickFigures:
    """What one channel is like; each with its standard uncertainty.

    Attributes
    ----------
    rate_hz:
        Of the Poisson process: what the detector would count without dead time and afterpulses.
    dead_time_ps:
        Shortest interval, less what the shortest of so many is longer than the dead time on average.
    afterpulse_probability, afterpulse_tau_ps:
        Of each click; the mean delay after the dead time, which says nothing where the probability is near 0.
    clicks, live_s:
        How much was looked at.
    """

    rate_hz: float
    rate_hz_sigma: float
    dead_time_ps: float
    dead_time_ps_sigma: float
    afterpulse_probability: float
    afterpulse_probability_sigma: float
    afterpulse_tau_ps: float
    afterpulse_tau_ps_sigma: float
    clicks: int
    live_s: float


def click_figures(t_ps: ArrayLike, live_s: float) -> ClickFigures:
    """Fit the intervals between clicks by maximum likelihood.

    Parameters
    ----------
    t_ps:
        Sorted times of one channel, shape (n,), n >= 100; without gaps.
    live_s:
        Seconds in which it was live.

    Notes
    -----
    Expectation maximisation over which clicks were afterpulses (A. P. Dempster, N. M. Laird and D. B. Rubin, J. R. Stat.
    Soc. B 39, 1 (1977)); errors from the curvature of the likelihood.

    Raises
    ------
    BadRequestError
        Too few clicks, or two at the same time.
    """
    t = np.asarray(t_ps, dtype=np.int64)
    if t.ndim != 1 or t.size < FEWEST or live_s <= 0:
        msg = f"clicks: {t.size} in {live_s:g} s; expected at least {FEWEST}; measure longer"
        raise BadRequestError(msg)
    gaps = np.diff(t).astype(np.float64)
    shortest = float(gaps.min())
    if shortest <= 0:
        msg = "clicks: two at the same time, or not sorted; expected the times of one channel"
        raise BadRequestError(msg)
    x = gaps - shortest
    # Intervals are binned where there are many: the likelihood hardly notices bins of 1/500 of their spread.
    values, weights = _binned(x)
    theta = _fitted(values, weights)
    # What the shortest of N intervals lies above the dead time is exponential with this rate.
    hazard = gaps.size * (theta[0] + theta[1] / theta[2])
    covariance = _covariance(theta, values, weights)
    n, p, tau = theta
    return ClickFigures(
        rate_hz=n * 1e12,
        rate_hz_sigma=math.sqrt(covariance[0, 0]) * 1e12,
        dead_time_ps=shortest - 1.0 / hazard,
        dead_time_ps_sigma=1.0 / hazard,
        afterpulse_probability=p,
        afterpulse_probability_sigma=math.sqrt(covariance[1, 1]),
        afterpulse_tau_ps=tau,
        afterpulse_tau_ps_sigma=math.sqrt(covariance[2, 2]),
        clicks=int(t.size),
        live_s=live_s,
    )


def _binned(x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return representative values and how often they occur: means of bins that grow with the interval."""
    if x.size < 20_000:
        return x, np.ones_like(x)
    width = float(np.quantile(x, 0.02)) / 50.0
    bins = np.floor(np.log1p(x / max(width, 1.0) / 500.0) * 500.0).astype(np.int64)
    counts = np.bincount(bins)
    sums = np.bincount(bins, weights=x)
    seen = counts > 0
    return sums[seen] / counts[seen], counts[seen].astype(np.float64)


def _fitted(x: NDArray[np.float64], w: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rate per ps, probability and mean delay in ps."""
    total = float(w.sum())
    mean = float((w * x).sum()) / total
    order = np.argsort(x)
    early = float(x[order][np.searchsorted(np.cumsum(w[order]), 0.05 * total)])
    n, p, tau = 1.0 / mean, 0.02, max(early, 1.0)
    for _ in range(_ROUNDS):
        late = np.exp(-x / tau)
        density = n * (1.0 - p) + p * (n + 1.0 / tau) * late
        after = p * late / tau / density  # this click was an afterpulse
        censored = p * n * late / density  # there was one coming, but another click was first
        born = float((w * after).sum())
        new_n = (total - born) / float((w * x).sum())
        new_p = float((w * (after + censored)).sum()) / total
        new_tau = float((w * (after + censored) * x).sum()) / max(born, 1e-300)
        moved = abs(new_p - p) / max(p, 1e-6) + abs(new_tau / tau - 1.0) + abs(new_n / n - 1.0)
        n, p, tau = new_n, min(max(new_p, 0.0), 1.0), min(max(new_tau, 1.0), LONGEST * mean)
        if moved < 1e-9:
            break
    return np.array([n, p, tau])


def _log_likelihood(theta: NDArray[np.float64], x: NDArray[np.float64], w: NDArray[np.float64]) -> float:
    n, p, tau = theta
    density = n * (1.0 - p) + p * (n + 1.0 / tau) * np.exp(-x / tau)
    return float((w * (np.log(np.maximum(density, 1e-300)) - n * x)).sum())


def _covariance(theta: NDArray[np.float64], x: NDArray[np.float64], w: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the inverse of the observed information, from second differences."""
    scale = np.array([theta[0], max(theta[1], 1e-3), theta[2]])
    step = 1e-3 * scale
    information = np.empty((3, 3))
    for i in range(3):
        for j in range(3):
            total = 0.0
            for a, b in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
                moved = theta.copy()
                moved[i] += a * step[i]
                moved[j] += b * step[j]
                total += a * b * _log_likelihood(moved, x, w)
            information[i, j] = -total / (4.0 * step[i] * step[j])
    values, vectors = np.linalg.eigh(information * np.outer(scale, scale))
    inverse = (vectors / np.maximum(values, 1e-9 * values.max())) @ vectors.T
    return np.asarray(inverse * np.outer(scale, scale))
