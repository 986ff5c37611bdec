"""Visibility of a fringe: coincidences against the angle of a polariser."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qlab.analysis.intervals import ONE_SIGMA, Interval, fraction_interval
from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Fringe", "counted_visibility", "fit_fringe"]


@dataclass(frozen=True, slots=True)
class Fringe:
    """A fitted fringe, ``mean * (1 + visibility * cos(2 pi (angle - phase_deg) / period_deg))``.

    `chi2` is to be compared with `degrees_of_freedom`.
    """

    visibility: float
    visibility_sigma: float
    phase_deg: float
    phase_sigma_deg: float
    mean: float
    mean_sigma: float
    period_deg: float
    chi2: float
    degrees_of_freedom: int

    def __call__(self, angle_deg: ArrayLike) -> NDArray[np.float64]:
        """Return the fitted counts at the angles."""
        x = 2.0 * np.pi * (np.asarray(angle_deg, dtype=np.float64) - self.phase_deg) / self.period_deg
        return np.asarray(self.mean * (1.0 + self.visibility * np.cos(x)), dtype=np.float64)


def counted_visibility(most: int, least: int, level: float = ONE_SIGMA) -> Interval:
    """Return (max - min)/(max + min) of two counts of equal live time, with its exact interval.

    The share of the larger is binomial.  The extremes are to be known beforehand: picked from a scan, they flatter.
    """
    share = fraction_interval(most, most + least, level)
    low, value, high = (2.0 * p - 1.0 for p in (share.low, share.value, share.high))
    return Interval(value, low, high, level, "", share.method)


def fit_fringe(
    angle_deg: ArrayLike, counts: ArrayLike, accidentals: ArrayLike | None = None, *, period_deg: float = 180.0
) -> Fringe:
    """Fit a sinusoid of known period to counts.

    Parameters
    ----------
    angle_deg, counts:
        Shape (n,), n >= 4: three parameters are fitted.
    accidentals:
        Expected accidental counts at each angle, subtracted where given (the noise stays that of the raw counts).
    period_deg:
        180 for a polariser, 90 for a half-wave plate.

    Notes
    -----
    c0 + c1 cos + c2 sin is linear: weighted least squares with variances from the fit itself (two rounds), not from
    the counts, which would pull the fit to low ones.  Errors of visibility and phase by linear propagation.

    Raises
    ------
    BadRequestError
        Too few points, unequal lengths, angles that do not tell the parameters apart, or no light.
    """
    angle, raw = np.asarray(angle_deg, dtype=np.float64), np.asarray(counts, dtype=np.float64)
    if angle.ndim != 1 or angle.shape != raw.shape or angle.size < 4:
        msg = f"fringe: {angle.shape} angles and {raw.shape} counts; expected equal lengths of at least 4"
        raise BadRequestError(msg)
    background = np.zeros_like(raw) if accidentals is None else np.asarray(accidentals, dtype=np.float64)
    net = raw - background
    x = 2.0 * np.pi * angle / period_deg
    design = np.stack([np.ones_like(x), np.cos(x), np.sin(x)], axis=1)
    if np.linalg.matrix_rank(design, tol=1e-6) < 3:
        msg = f"fringe: angles {angle.tolist()} do not fix a sinusoid of period {period_deg:g} degrees"
        raise BadRequestError(msg)
    variance = np.full_like(raw, max(float(raw.mean()), 1.0))
    for _ in range(3):
        normal = design.T @ (design / variance[:, np.newaxis])
        covariance = np.linalg.inv(normal)
        c = covariance @ (design.T @ (net / variance))
        variance = np.maximum(design @ c + background, 1.0)
    if c[0] <= 0:
        msg = f"fringe: a mean of {c[0]:g} counts; expected light"
        raise BadRequestError(msg)
    amplitude = math.hypot(c[1], c[2])
    chi2 = float(((net - design @ c) ** 2 / variance).sum())
    degrees = period_deg / (2.0 * math.pi)
    if amplitude == 0.0:
        sigma = math.sqrt(covariance[1, 1]) / c[0]
        return Fringe(
            0.0, sigma, 0.0, period_deg / 2.0, c[0], math.sqrt(covariance[0, 0]), period_deg, chi2, angle.size - 3
        )
    by_visibility = np.array([-amplitude / c[0], c[1] / amplitude, c[2] / amplitude]) / c[0]
    by_phase = np.array([0.0, -c[2], c[1]]) / amplitude**2
    return Fringe(
        visibility=amplitude / float(c[0]),
        visibility_sigma=math.sqrt(by_visibility @ covariance @ by_visibility),
        phase_deg=(math.atan2(c[2], c[1]) * degrees) % period_deg,
        phase_sigma_deg=math.sqrt(by_phase @ covariance @ by_phase) * degrees,
        mean=float(c[0]),
        mean_sigma=math.sqrt(covariance[0, 0]),
        period_deg=period_deg,
        chi2=chi2,
        degrees_of_freedom=angle.size - 3,
    )
