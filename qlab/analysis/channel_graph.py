"""From what pairs of channels show to what each channel is: delays from lags, jitters from widths.

A lag tells a difference of two channels, so that delays are known but for one constant a group.  The square of a width tells
a sum, and a sum tells its parts only where an odd ring of pairs closes: with three detectors that all see coincidences with
each other (or two and a trigger) each jitter is known, with two parties of a pair source none is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qlab.analysis.pair_peaks import FWHM_PER_SIGMA
from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from qlab.analysis.pair_peaks import PeakFit

__all__ = ["ChannelFigures", "channel_delays", "channel_jitters"]

_KNOWN = 1e-6


@dataclass(frozen=True, slots=True)
class ChannelFigures:
    """One figure a channel, in the order asked for; NaN where the pairs do not tell.

    Attributes
    ----------
    values, sigmas:
        Shape (channels,).
    chi2, degrees_of_freedom:
        How well the pairs agree with each other.
    """

    values: NDArray[np.float64]
    sigmas: NDArray[np.float64]
    chi2: float
    degrees_of_freedom: int


def channel_delays(
    fits: Mapping[tuple[int, int], PeakFit], channels: Sequence[int], reference: int | None = None
) -> ChannelFigures:
    """Return each channel's delay in ps behind the reference, by least squares over all peaks.

    Parameters
    ----------
    fits:
        Peaks by pair (a, b): the lag of b behind a.
    channels:
        Whose delays are wanted.
    reference:
        The channel with delay 0; the first, if left out.
    """
    origin = channels[0] if reference is None else reference
    if origin not in channels:
        msg = f"channel delays: reference {origin} is none of the channels {list(channels)}"
        raise BadRequestError(msg)
    others = [c for c in channels if c != origin]
    rows = [[float(c == b) - float(c == a) for c in others] for a, b in fits]
    lags = np.array([fit.centre_ps for fit in fits.values()])
    errors = np.array([fit.centre_ps_sigma for fit in fits.values()])
    found = _solve(rows, lags, errors, len(others))
    place = channels.index(origin)
    return ChannelFigures(
        np.insert(found.values, place, 0.0), np.insert(found.sigmas, place, 0.0), found.chi2, found.degrees_of_freedom
    )


def channel_jitters(fits: Mapping[tuple[int, int], PeakFit], channels: Sequence[int]) -> ChannelFigures:
    """Return each channel's jitter, full width at half maximum in ps, from the squares of the peaks' widths.

    A square that comes out below 0, as that of a channel much sharper than its partners may, counts as 0.
    """
    rows = [[float(c in pair) for c in channels] for pair in fits]
    squares = np.array([fit.sigma_ps**2 for fit in fits.values()])
    errors = np.array([2.0 * fit.sigma_ps * fit.sigma_ps_sigma for fit in fits.values()])
    found = _solve(rows, squares, errors, len(channels))
    sigma = np.sqrt(np.maximum(found.values, 0.0))
    # d sigma = d(sigma^2) / (2 sigma), which says nothing where sigma is near 0: there the square's own root bounds it.
    spread = np.minimum(found.sigmas / np.maximum(2.0 * sigma, 1e-12), np.sqrt(found.sigmas))
    return ChannelFigures(sigma * FWHM_PER_SIGMA, spread * FWHM_PER_SIGMA, found.chi2, found.degrees_of_freedom)


def _solve(
    rows: list[list[float]], values: NDArray[np.float64], errors: NDArray[np.float64], unknowns: int
) -> ChannelFigures:
    """Solve by weighted least squares; unknowns that the equations leave free are NaN."""
    matrix = np.array(rows).reshape(len(rows), unknowns)
    weight = 1.0 / np.maximum(errors, 1e-9)
    scaled = matrix * weight[:, np.newaxis]
    inverse = np.linalg.pinv(scaled, rcond=1e-10)
    solution = inverse @ (values * weight)
    sigmas = np.sqrt((inverse**2).sum(axis=1))
    # An unknown is known where its unit vector lies in the space that the equations span.
    span = np.linalg.pinv(matrix) @ matrix
    free = np.abs(span - np.eye(unknowns)).max(axis=1, initial=0.0) > _KNOWN
    residual = (values - matrix @ solution) * weight
    rank = int(np.linalg.matrix_rank(matrix)) if matrix.size else 0
    solution[free] = sigmas[free] = np.nan
    return ChannelFigures(solution, sigmas, float(residual @ residual), len(rows) - rank)
