"""Stability of clocks: Allan and kindred deviations, MTIE, with confidence intervals.

The estimators are those of the package allantools (W. J. Riley, NIST SP 1065 (2008)); here they get units, intervals from the
equivalent degrees of freedom (C. Greenhall, W. Riley, PTTI 2003), and a common result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qlab.errors import BadRequestError

__all__ = ["DEVIATIONS", "Stability", "StabilityKind", "stability"]

Floats = NDArray[np.float64]
StabilityKind = Literal["adev", "oadev", "mdev", "tdev", "hdev", "ohdev", "mtie"]
DEVIATIONS: dict[str, tuple[bool, bool, int]] = {
    # overlapping, modified, order of the difference
    "adev": (False, False, 2),
    "oadev": (True, False, 2),
    "mdev": (True, True, 2),
    "tdev": (True, True, 2),
    "hdev": (False, False, 3),
    "ohdev": (True, False, 3),
}
LEAST_POINTS = 8
NOISE_POINTS = 32
"""Phases, after averaging, that tell the kind of noise; with fewer the one of the last shorter time is taken."""


@dataclass(frozen=True, slots=True)
class Stability:
    """Deviation against averaging time.

    Parameters
    ----------
    kind:
        Which.
    tau_s:
        Averaging times in s, shape (n,).
    deviation:
        Fractional frequency; in s for `tdev` and `mtie`; shape (n,).
    low, high:
        Ends of the 68.3 % interval, shape (n,); those of `mtie`, which has none, are the value itself.
    count:
        Terms that were averaged, shape (n,).
    """

    kind: StabilityKind
    tau_s: Floats
    deviation: Floats
    low: Floats
    high: Floats
    count: NDArray[np.int64]


def stability(
    phase_s: ArrayLike, interval_s: float, kind: StabilityKind = "oadev", tau_s: ArrayLike | None = None
) -> Stability:
    """Compute a deviation of a series of time errors.

    Parameters
    ----------
    phase_s:
        Time errors in s, equally spaced, shape (n,).
    interval_s:
        Their spacing.
    kind:
        `adev`, `oadev` (overlapping), `mdev` (modified), `tdev` (time), `hdev`, `ohdev` (Hadamard) or `mtie`.
    tau_s:
        Averaging times; octaves by default.

    Raises
    ------
    BadRequestError
        Too few or unusable time errors, or no such deviation.
    """
    import allantools

    x = np.asarray(phase_s, dtype=np.float64)
    if kind != "mtie" and kind not in DEVIATIONS:
        msg = f"there is no deviation {kind!r}; expected {', '.join([*DEVIATIONS, 'mtie'])}"
        raise BadRequestError(msg)
    if x.ndim != 1 or x.size < LEAST_POINTS or not np.isfinite(x).all() or not interval_s > 0:
        msg = (
            f"stability of {x.size} time errors, {int((~np.isfinite(x)).sum())} of them no numbers, every {interval_s:g} s; "
            f"expected a list of at least {LEAST_POINTS} finite ones and an interval above 0"
        )
        raise BadRequestError(msg)
    taus = "octave" if tau_s is None else np.asarray(tau_s, dtype=np.float64)
    found = getattr(allantools, kind)(x, rate=1.0 / interval_s, data_type="phase", taus=taus)
    tau, deviation, count = (np.asarray(each) for each in (found[0], found[1], found[3]))
    low, high = deviation.copy(), deviation.copy()
    if kind != "mtie":
        alpha = 0
        for i, (at, value) in enumerate(zip(tau, deviation, strict=True)):
            factor = round(at / interval_s)
            alpha = _noise(x, factor, alpha)
            low[i], high[i] = _interval(kind, float(value), alpha, factor, x.size)
    return Stability(kind, tau, deviation, low, high, count.astype(np.int64))


def _noise(x: Floats, factor: int, otherwise: int) -> int:
    """Return the power law of the frequency noise at an averaging factor, by the lag-1 autocorrelation."""
    import allantools

    if x.size // factor < NOISE_POINTS:
        return otherwise
    alpha = allantools.autocorr_noise_id(x, af=factor, data_type="phase", dmin=0, dmax=2)[0]
    return int(min(max(alpha, -2), 2))


def _interval(kind: str, deviation: float, alpha: int, factor: int, n: int) -> tuple[float, float]:
    import allantools

    overlapping, modified, order = DEVIATIONS[kind]
    if deviation == 0.0:
        return 0.0, 0.0
    try:
        edf = allantools.edf_greenhall(alpha, order, factor, n, overlapping=overlapping, modified=modified)
    except NotImplementedError:
        # White phase noise at the longest times, which the package leaves out: those of flicker phase noise are fewer.
        edf = allantools.edf_greenhall(1, order, factor, n, overlapping=overlapping, modified=modified)
    low, high = allantools.confidence_interval(deviation, edf=max(float(edf), 1.0))
    return float(low), float(high)
