"""The relation of two clocks from the pairs in the peak, by maximum likelihood.

Time differences x of pairs at s are Gaussian about a polynomial, those of accidental pairs uniform:

    p(x | s) = f N(x - c.phi(s); sigma) + (1 - f) / (2 B),   phi = (1, s, s^2/2),

found by expectation maximisation; the covariance is the inverse of the observed information, whose expectation is the
Cramer-Rao bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from qlab.timing.near import NearPairs

__all__ = ["PeakFit", "fit_peak"]

Floats = NDArray[np.float64]
ROUNDS = 200


@dataclass(frozen=True, slots=True)
class PeakFit:
    """A peak's polynomial and shape.

    Parameters
    ----------
    coefficients:
        Time difference, frequency difference and drift in ps, ps/s, ps/s^2; shape (order + 1,).
    covariance:
        Of the coefficients, shape (order + 1, order + 1).
    jitter_ps:
        Standard deviation of a pair's time difference.
    pairs:
        Pairs in the peak.
    """

    coefficients: Floats
    covariance: Floats
    jitter_ps: float
    pairs: float


def powers(s: Floats, order: int) -> Floats:
    """Return (1, s, s^2/2, ...) of times in s, shape (n, order + 1)."""
    columns = [np.ones_like(s)]
    for power in range(1, order + 1):
        columns.append(columns[-1] * s / power)
    return np.stack(columns, axis=1)


def fit_peak(near: NearPairs, jitter_ps: float, fraction: float, order: int) -> PeakFit:
    """Fit a polynomial to the residuals of pairs.

    Parameters
    ----------
    near:
        Pairs about the peak, the band wide against the jitter.
    jitter_ps, fraction:
        First guesses of the standard deviation, and of the part of the pairs that belong to the peak.
    order:
        Of the polynomial: 1 with frequency, 2 with drift.
    """
    phi, r = powers(near.s, order), near.residual_ps
    scale = np.maximum(np.abs(phi).max(axis=0), 1e-30)
    phi = phi / scale
    flat = 1.0 / (2.0 * near.half_ps)
    coefficients, sigma, f = np.zeros(order + 1), jitter_ps, min(max(fraction, 1e-3), 0.999)
    belongs = np.zeros(r.size)
    for _ in range(ROUNDS):
        off = r - phi @ coefficients
        bell = f * np.exp(-0.5 * (off / sigma) ** 2) / (sigma * np.sqrt(2.0 * np.pi))
        belongs = bell / (bell + (1.0 - f) * flat)
        weighted = phi * belongs[:, np.newaxis]
        moved = np.linalg.lstsq(weighted.T @ phi, weighted.T @ r, rcond=None)[0]
        off = r - phi @ moved
        total = max(float(belongs.sum()), 1.0)
        new_sigma = max(float(np.sqrt((belongs * off * off).sum() / total)), 1e-3)
        f = min(max(total / max(r.size, 1), 1e-6), 1.0 - 1e-6)
        still = np.max(np.abs(moved - coefficients)) < 1e-5 * sigma and abs(new_sigma - sigma) < 1e-5 * sigma
        coefficients, sigma = moved, new_sigma
        if still:
            break
    off = r - phi @ coefficients
    score = phi * (belongs * off / sigma**2)[:, np.newaxis]
    covariance = np.linalg.pinv(score.T @ score)
    return PeakFit(coefficients / scale, covariance / np.outer(scale, scale), sigma, float(belongs.sum()))
