"""Where to look next at a Hong-Ou-Mandel dip, so that its visibility is known soonest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qlab.analysis.two_photon_interference import dip_shape
from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from qlab.analysis.two_photon_interference import Dip

__all__ = ["next_delay"]


def next_delay(dip: Dip, measured_ps: ArrayLike, candidates_ps: ArrayLike) -> float:
    """Return the candidate at which one more acquisition lowers the variance of the visibility most.

    A c-optimal step: with the Fisher information I of the acquisitions so far, one at x adds g g^T / m for the mean m and
    its derivatives g, and the variance falls by (e I^-1 g)^2 / (m + g I^-1 g) (Fedorov, *Theory of Optimal Experiments*,
    1972, chapter 2; Sherman-Morrison).

    Parameters
    ----------
    dip:
        What is known of it.
    measured_ps, candidates_ps:
        Delays of the acquisitions so far, all as long as the next, and of those that are possible.

    Raises
    ------
    BadRequestError
        No candidates, or the acquisitions so far do not fix the dip.
    """
    candidates = np.asarray(candidates_ps, dtype=np.float64)
    mean, slope = _model(dip, np.asarray(measured_ps, dtype=np.float64))
    information = slope.T @ (slope / mean[:, None])
    if not candidates.size or np.linalg.cond(information) > 1e15:
        msg = f"{candidates.size} delays to choose from after {mean.size} acquisitions: expected some, and a fixed dip"
        raise BadRequestError(msg)
    covariance = np.linalg.inv(information)
    m, g = _model(dip, candidates)
    gain = (g @ covariance[1]) ** 2 / (m + np.einsum("ij,jk,ik->i", g, covariance, g))
    return float(candidates[int(np.argmax(gain))])


def _model(dip: Dip, x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return means and derivatives by level, visibility, centre and width."""
    u = (x - dip.centre_ps) / dip.fwhm_ps
    s, h = dip_shape(u, dip.shape), 1e-4
    ds = (dip_shape(u + h, dip.shape) - dip_shape(u - h, dip.shape)) / (2.0 * h)
    level, v = dip.level, dip.visibility
    slope = [1.0 - v * s, -level * s, level * v * ds / dip.fwhm_ps, level * v * ds * u / dip.fwhm_ps]
    # A dip to zero would make a single click there infinitely telling: half a click is the least that is believed.
    return np.maximum(level * (1.0 - v * s), 0.5), np.stack(slope, axis=1)
