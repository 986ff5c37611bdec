"""The bandwidth of photon pairs from how far dispersion tears them apart in time.

The photons of a pair of a narrow pump have opposite detunings, x of the signal and -(idler_nm / signal_nm)^2 x of the idler.
Behind dispersions D_s and D_i (ps/nm, of the whole way) their lag is x (D_s + (idler_nm / signal_nm)^2 D_i): opposite
dispersions cancel, however far the photons are from each other (J. D. Franson, PRA 45, 3126 (1992)).  The lag's width, less
that of the detectors, is the bandwidth: so A. Valencia et al., PRL 88, 183601 (2002), measured spectra.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from qlab.errors import BadRequestError

__all__ = ["Bandwidth", "pair_bandwidth", "pair_dispersion"]


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """Full widths at half maximum of both spectra, in nm, and that of the lag by dispersion alone."""

    signal_nm: float
    signal_nm_sigma: float
    idler_nm: float
    idler_nm_sigma: float
    dispersed_ps: float
    dispersed_ps_sigma: float


def pair_dispersion(
    signal_ps_per_nm: float, idler_ps_per_nm: float, signal_nm: float = 1.0, idler_nm: float = 1.0
) -> float:
    """Return how much later idler's lag behind signal is for each nanometre of the signal's detuning, its sign left out."""
    return abs(signal_ps_per_nm + (idler_nm / signal_nm) ** 2 * idler_ps_per_nm)


def pair_bandwidth(
    width_ps: tuple[float, float],
    reference_ps: tuple[float, float],
    dispersion_ps_per_nm: tuple[float, float],
    idler_to_signal: float = 1.0,
) -> Bandwidth:
    """Return the bandwidth of Gaussian spectra.

    Parameters
    ----------
    width_ps, reference_ps:
        Full widths at half maximum of the coincidence peak with dispersion and without, each with its uncertainty.
    dispersion_ps_per_nm:
        `pair_dispersion`, with its uncertainty.
    idler_to_signal:
        Ratio of the wavelengths.

    Raises
    ------
    BadRequestError
        Dispersions that cancel, or a peak that is no wider with than without.
    """
    (wide, wide_sigma), (narrow, narrow_sigma), (d, d_sigma) = width_ps, reference_ps, dispersion_ps_per_nm
    if not d > 0 or not wide > narrow >= 0:
        msg = (
            f"bandwidth of a peak of {wide:.1f} ps, {narrow:.1f} ps without dispersion, at {d:g} ps/nm; expected dispersions "
            "that do not cancel, and a peak that they make wider"
        )
        raise BadRequestError(msg)
    dispersed = math.sqrt(wide**2 - narrow**2)
    dispersed_sigma = math.hypot(wide * wide_sigma, narrow * narrow_sigma) / dispersed
    nm = dispersed / d
    sigma = nm * math.hypot(dispersed_sigma / dispersed, d_sigma / d)
    ratio = idler_to_signal**2
    return Bandwidth(nm, sigma, nm * ratio, sigma * ratio, dispersed, dispersed_sigma)
