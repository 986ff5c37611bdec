"""Accidental coincidences, their ratio to true ones, and efficiencies by Klyshko's method."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from qlab.analysis.intervals import ONE_SIGMA, Interval, ratio_interval
from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "accidental_counts",
    "accidental_rate_hz",
    "car",
    "counted_car",
    "effective_window_ps",
    "jitter_capture",
    "klyshko_efficiency",
]


def effective_window_ps(window_ps: float, resolution_ps: float = 1) -> float:
    """Return the width that enters accidentals: a window of |dt| <= w on bins holds 2 floor(w / bin) + 1 of them."""
    if window_ps < 0 or resolution_ps <= 0:
        msg = f"window of {window_ps} ps on bins of {resolution_ps} ps: expected a full width >= 0 and a bin > 0"
        raise BadRequestError(msg)
    half_ps = window_ps // 2 if resolution_ps == 1 else window_ps / 2
    return (2 * math.floor(half_ps / resolution_ps) + 1) * resolution_ps


def accidental_rate_hz(rate_a_hz: float, rate_b_hz: float, window_ps: float, resolution_ps: float = 1) -> float:
    """Return A = S_a S_b T_w, exact for independent Poisson streams."""
    return rate_a_hz * rate_b_hz * effective_window_ps(window_ps, resolution_ps) * 1e-12


def accidental_counts(
    singles_a: ArrayLike, singles_b: ArrayLike, window_ps: float, live_s: float, resolution_ps: float = 1
) -> NDArray[np.float64]:
    """Return expected accidentals of every pair of channels, shape (na, nb), from counts of singles in `live_s`."""
    if live_s <= 0:
        msg = f"accidentals: live time of {live_s} s; expected more than 0"
        raise BadRequestError(msg)
    a, b = np.asarray(singles_a, dtype=np.float64), np.asarray(singles_b, dtype=np.float64)
    return np.outer(a, b) * (effective_window_ps(window_ps, resolution_ps) * 1e-12 / live_s)


def car(coincidences: float, accidentals: float) -> float:
    """Return the coincidence-to-accidental ratio (C - A) / A, C being the raw coincidences."""
    if accidentals <= 0:
        msg = f"CAR with {accidentals} accidentals: expected more than 0"
        raise BadRequestError(msg)
    return (coincidences - accidentals) / accidentals


def counted_car(coincidences: int, accidentals: int, windows: int = 1, level: float = ONE_SIGMA) -> Interval:
    """Return (C - A) / A with its exact interval, A counted in displaced windows; some papers quote C / A, which is 1 more.

    Parameters
    ----------
    coincidences:
        Counted in the window of the peak, accidental ones included.
    accidentals:
        Counted in all displaced windows together, each as wide as that of the peak.
    windows:
        How many.

    Raises
    ------
    BadRequestError
        Negative counts, or nothing was counted.
    """
    ratio = ratio_interval(coincidences, accidentals, float(windows), level)
    return Interval(ratio.value - 1.0, ratio.low - 1.0, ratio.high - 1.0, level, "", f"(C - A)/A, {ratio.method}")


def klyshko_efficiency(
    coincidences: float, accidentals: float, singles_partner: float, dark_partner: float = 0.0, capture: float = 1.0
) -> float:
    """Return an arm's efficiency from coincidences and the *other* arm's singles, (C - A) / (S - dark) / f.

    Parameters
    ----------
    coincidences, accidentals, singles_partner, dark_partner:
        Counts of one time, or rates.
    capture:
        Fraction f of pairs that jitter leaves in the window, see `jitter_capture`.
    """
    if singles_partner <= dark_partner or not 0 < capture <= 1:
        msg = f"Klyshko: {singles_partner} singles, {dark_partner} dark, capture {capture}; expected light, 0 < f <= 1"
        raise BadRequestError(msg)
    return (coincidences - accidentals) / (singles_partner - dark_partner) / capture


def jitter_capture(window_ps: float, sigma_a_ps: float, sigma_b_ps: float) -> float:
    """Return the fraction of pairs in a full window, f = erf(T_w / (2 sqrt 2 sigma)), sigma^2 = sa^2 + sb^2."""
    sigma_ps = math.hypot(sigma_a_ps, sigma_b_ps)
    return 1.0 if sigma_ps == 0 else math.erf(window_ps / (2.0 * math.sqrt(2.0) * sigma_ps))
