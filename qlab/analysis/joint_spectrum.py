"""The joint spectrum of photon pairs of a pulsed source, from when both photons arrive behind dispersive fibres.

A fibre of dispersion D (ps/nm, of the whole way) delays a photon by D times its detuning: so its arrival after the pump's
pulse tells its wavelength, and that of both photons the joint spectral intensity (M. Avenhaus, A. Eckstein, P. J. Mosley, C.
Silberhorn, Opt. Lett. 34, 2873 (2009)).  Covariances add: what detectors, tagger and pump pulse smear is taken off as the
covariance of a measurement without the fibres, whatever its shape.

Of a double Gaussian with the correlation rho of the intensity the Schmidt number is K = 1 / sqrt(1 - rho^2) (W. P. Grice,
A. B. U'Ren and I. A. Walmsley, PRA 64, 063815 (2001)), and a heralded photon's purity 1/K.  The phase of the amplitude is
lost: a chirp of the pump would lower the purity further.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qlab.analysis.intervals import ONE_SIGMA, Interval
from qlab.analysis.pair_peaks import FWHM_PER_SIGMA
from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["ArrivalSpread", "JointSpectrum", "joint_spectrum", "spread_of_sums"]

_FIELDS = ((3, 1, 1), (4, 1, 2), (5, 2, 2))
"""Of 1, x, y, x^2, x y, y^2: the second moments, and what they are the products of."""


@dataclass(frozen=True, slots=True)
class ArrivalSpread:
    """How the arrivals of both photons of a pair are spread.

    Attributes
    ----------
    pairs:
        How many, accidentals taken off.
    covariance:
        In ps^2, signal first; shape (2, 2).
    errors:
        Covariance of the estimates of var x, cov xy and var y, in ps^4; shape (3, 3).
    """

    pairs: float
    covariance: NDArray[np.float64]
    errors: NDArray[np.float64]

    @property
    def relative_error(self) -> float:
        """Return the larger relative standard uncertainty of both widths."""
        return float(max(math.sqrt(self.errors[k, k]) / self.covariance[i, i] for i, k in ((0, 0), (1, 2))) / 2.0)


@dataclass(frozen=True, slots=True)
class JointSpectrum:
    """A joint spectral intensity, as far as its second moments tell it.

    Attributes
    ----------
    signal_nm, idler_nm:
        Full widths at half maximum of both photons' spectra, each with its standard uncertainty.
    correlation:
        Of the wavelengths of both photons: below 0 where their energies add up to that of a narrow pump.
    purity, schmidt_number:
        Of a double Gaussian.
    """

    signal_nm: float
    signal_nm_sigma: float
    idler_nm: float
    idler_nm_sigma: float
    correlation: float
    correlation_sigma: float
    purity: Interval
    schmidt_number: Interval


def spread_of_sums(sums: ArrayLike, accidentals: ArrayLike, share: float) -> ArrivalSpread:
    """Return the spread from sums over pairs, and over pairs of different pulses.

    Parameters
    ----------
    sums, accidentals:
        Sum of f_i f_j over pairs of one pulse, and of pulses that are displaced, f = (1, x, y, x^2, x y, y^2) of the arrivals
        x and y in ps; shape (6, 6).
    share:
        How many of the displaced pairs are expected among those of one pulse, for each: one over the number of displacements.

    Raises
    ------
    BadRequestError
        Fewer than 20 pairs more than accidentals.
    """
    one, other = np.asarray(sums, np.float64), np.asarray(accidentals, np.float64)
    if one.shape != (6, 6) or other.shape != (6, 6):
        msg = f"arrival spread: sums of shapes {one.shape} and {other.shape}; expected (6, 6)"
        raise BadRequestError(msg)
    net, errors = one[0] - share * other[0], one + share**2 * other  # sums of Poisson events
    n = float(net[0])
    if n < 20.0:
        msg = f"arrival spread of {n:.0f} pairs, accidentals taken off; expected at least 20: count longer"
        raise BadRequestError(msg)
    values, slopes = np.empty(3), np.zeros((3, 6))
    for k, (second, i, j) in enumerate(_FIELDS):
        mean_i, mean_j = net[i] / n, net[j] / n
        values[k] = net[second] / n - mean_i * mean_j
        slopes[k, second] += 1.0 / n
        slopes[k, i] -= mean_j / n
        slopes[k, j] -= mean_i / n
        slopes[k, 0] += (2.0 * mean_i * mean_j - net[second] / n) / n
    covariance = np.array([[values[0], values[1]], [values[1], values[2]]])
    return ArrivalSpread(n, covariance, slopes @ errors @ slopes.T)


def joint_spectrum(
    spread: ArrivalSpread,
    dispersion_ps_nm: tuple[float, float],
    reference: ArrivalSpread | None = None,
    dispersion_sigma: float = 0.0,
) -> JointSpectrum:
    """Return widths, correlation and Schmidt number.

    Parameters
    ----------
    spread:
        Behind the dispersive fibres.
    dispersion_ps_nm:
        Of the signal's and of the idler's way, their signs counting.
    reference:
        The same without dispersion; without it the purity is an upper bound, as jitter hides correlations.
    dispersion_sigma:
        Relative standard uncertainty of the dispersions; the correlation does not need them.

    Raises
    ------
    BadRequestError
        No dispersion in an arm, or arrivals that it does not spread.
    """
    d_a, d_b = dispersion_ps_nm
    covariance, errors = spread.covariance, spread.errors
    if reference is not None:
        covariance, errors = covariance - reference.covariance, errors + reference.errors
    (xx, xy), (_, yy) = covariance
    if d_a == 0 or d_b == 0 or not min(xx, yy) > 0:
        msg = (
            f"joint spectrum behind {d_a:g} and {d_b:g} ps/nm, which spread arrivals by {xx:.0f} and {yy:.0f} ps^2; expected "
            "dispersion in both arms, and arrivals that it spreads"
        )
        raise BadRequestError(msg)
    root = math.sqrt(xx * yy)
    rho = xy / root
    slope = np.array([-rho / (2.0 * xx), 1.0 / root, -rho / (2.0 * yy)])
    rho_sigma = math.sqrt(float(slope @ errors @ slope))
    rho = math.copysign(1.0, d_a * d_b) * min(max(rho, -1.0), 1.0)
    widths = []
    for variance, error, d in ((xx, errors[0, 0], d_a), (yy, errors[2, 2], d_b)):
        nm = FWHM_PER_SIGMA * math.sqrt(variance) / abs(d)
        widths += [nm, nm * math.hypot(math.sqrt(error) / (2.0 * variance), dispersion_sigma)]
    purity = _purity(rho, rho_sigma)
    number = Interval(
        1.0 / purity.value, 1.0 / purity.high, 1.0 / purity.low, purity.level, "", "one over that of the purity"
    )
    return JointSpectrum(widths[0], widths[1], widths[2], widths[3], rho, rho_sigma, purity, number)


def _purity(rho: float, sigma: float) -> Interval:
    """Return sqrt(1 - rho^2): what noise adds to rho^2 is taken off, and the interval is that of |rho|, on Fisher's scale."""
    most = 1.0 - 1e-9
    z, z_sigma = math.atanh(min(abs(rho), most)), sigma / max(1.0 - rho**2, 1e-9)
    weakest, strongest = (math.tanh(max(z + sign * z_sigma, 0.0)) for sign in (-1.0, 1.0))
    value = math.sqrt(1.0 - min(max(rho**2 - sigma**2, 0.0), most))
    low, high = (math.sqrt(1.0 - min(one**2, most)) for one in (strongest, weakest))
    return Interval(value, min(low, value), max(high, value), ONE_SIGMA, "", "covariance of arrivals, double Gaussian")
