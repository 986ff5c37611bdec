"""Whether something stayed as it was: mean, slope, and scatter beyond what counting explains."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["Drift", "fit_drift"]


@dataclass(frozen=True, slots=True)
class Drift:
    """A straight line through values over time.

    Attributes
    ----------
    mean, mean_sigma:
        In the middle of the times, where it does not depend on the slope.
    slope, slope_sigma:
        A second.
    excess:
        Relative standard deviation of the scatter around the line beyond the values' own uncertainties, 0 for none.
    chi2, degrees_of_freedom:
        Of the line, with the values' own uncertainties.
    """

    mean: float
    mean_sigma: float
    slope: float
    slope_sigma: float
    excess: float
    chi2: float
    degrees_of_freedom: int


def fit_drift(time_s: ArrayLike, values: ArrayLike, sigmas: ArrayLike) -> Drift:
    """Fit a line by weighted least squares; where it scatters too much, the uncertainties grow as that says.

    Parameters
    ----------
    time_s, values, sigmas:
        Shape (N,), N of at least 3, sigmas above 0.
    """
    t, y, s = (np.asarray(x, dtype=np.float64) for x in (time_s, values, sigmas))
    if t.ndim != 1 or t.size < 3 or not t.shape == y.shape == s.shape or not (s > 0).all():
        msg = (
            f"drift of {t.shape} times, {y.shape} values, {s.shape} sigmas; expected three or more each, sigmas above 0"
        )
        raise BadRequestError(msg)
    w = 1.0 / s**2
    middle = float((w * t).sum() / w.sum())
    mean = float((w * y).sum() / w.sum())
    spread = float((w * (t - middle) ** 2).sum())
    slope = float((w * (t - middle) * y).sum()) / spread if spread > 0 else 0.0
    rest = y - mean - slope * (t - middle)
    chi2, freedom = float((w * rest**2).sum()), t.size - 2
    scale = math.sqrt(max(chi2 / freedom, 1.0))
    beyond = max(float((rest**2).sum()) / freedom - float((s**2).mean()), 0.0)
    excess = math.sqrt(beyond) / abs(mean) if mean else 0.0
    slope_sigma = scale / math.sqrt(spread) if spread > 0 else math.inf
    return Drift(mean, scale / math.sqrt(float(w.sum())), slope, slope_sigma, excess, chi2, freedom)
