"""What a continuously pumped pair source should do at any pump power, from what it did at some.

Pairs are born at random in time at a rate R = b (P - P0); an arm of efficiency eta with dark rate d clicks at
S = (eta R + d) / (1 - p) where a share p of the clicks are afterpulses.  Within a window of full width T there are
f eta_a eta_b R coincidences of pairs and S_a S_b T accidental ones, so that the ratio of both is highest where darks are as
many as photons, and falls as 1 / (R T) above; Poissonian pairs as in H. Takesue and K. Shimizu, Opt. Commun. 283, 276 (2010).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["ArmFigures", "Brightness", "expected_car", "fit_brightness"]


@dataclass(frozen=True, slots=True)
class ArmFigures:
    """An arm: efficiency from the pair's birth, dark clicks a second without afterpulses, and the share of afterpulses."""

    efficiency: float
    dark_hz: float = 0.0
    afterpulses: float = 0.0

    def singles_hz(self, pairs_hz: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the clicks a second, dead time left out."""
        return (self.efficiency * pairs_hz + self.dark_hz) / (1.0 - self.afterpulses)


@dataclass(frozen=True, slots=True)
class Brightness:
    """A line through pair rates over pump power, R = slope (P - threshold).

    Attributes
    ----------
    slope, slope_sigma:
        Pairs a second and unit of power.
    threshold, threshold_sigma:
        Power below which there are none: 0 for spontaneous pairs whose pump power was measured.
    chi2, degrees_of_freedom:
        Of the line.
    """

    slope: float
    slope_sigma: float
    threshold: float
    threshold_sigma: float
    chi2: float
    degrees_of_freedom: int


def fit_brightness(power: ArrayLike, pairs_hz: ArrayLike, sigmas_hz: ArrayLike) -> Brightness:
    """Fit the line by weighted least squares.

    Parameters
    ----------
    power, pairs_hz, sigmas_hz:
        Shape (N,), three different powers at least.
    """
    x, y, s = (np.asarray(v, dtype=np.float64) for v in (power, pairs_hz, sigmas_hz))
    if x.ndim != 1 or not x.shape == y.shape == s.shape or np.unique(x).size < 3 or not (s > 0).all():
        msg = f"brightness from {x.shape} powers, {y.shape} rates, {s.shape} sigmas; expected 3 different powers, sigmas > 0"
        raise BadRequestError(msg)
    design = np.stack([x, np.ones_like(x)], axis=1) / s[:, None]
    covariance = np.linalg.inv(design.T @ design)
    slope, offset = (float(v) for v in covariance @ design.T @ (y / s))
    chi2 = float((((y - slope * x - offset) / s) ** 2).sum())
    gradient = np.array([offset / slope**2, -1.0 / slope])
    return Brightness(
        slope,
        math.sqrt(covariance[0, 0]),
        -offset / slope,
        math.sqrt(float(gradient @ covariance @ gradient)),
        chi2,
        x.size - 2,
    )


def expected_car(
    pairs_hz: ArrayLike, a: ArmFigures, b: ArmFigures, window_ps: float, capture: float = 1.0
) -> NDArray[np.float64]:
    """Return (C - A) / A of a continuous source at these pair rates.

    Parameters
    ----------
    pairs_hz:
        Pairs that are made a second, shape (N,).
    a, b:
        The arms.
    window_ps:
        Full width that enters accidentals.
    capture:
        Share of pairs that jitter leaves in the window.
    """
    rates = np.asarray(pairs_hz, dtype=np.float64)
    true = capture * a.efficiency * b.efficiency * rates
    return np.asarray(true / (a.singles_hz(rates) * b.singles_hz(rates) * window_ps * 1e-12))
