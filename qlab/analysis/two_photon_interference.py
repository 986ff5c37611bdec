"""The Hong-Ou-Mandel dip: coincidences behind a beam splitter against the delay of one photon."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from qlab.analysis.intervals import ONE_SIGMA, Interval, ratio_interval
from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Dip", "DipShape", "counted_dip", "dip_shape", "fit_dip", "splitter_limit"]

DipShape = Literal["gauss", "triangle", "sech2", "sinc"]
_SHAPES = ("gauss", "triangle", "sech2", "sinc")
_SINC_HALF = 1.895494267033981
"""sin(x)/x = 1/2 at this x."""


@dataclass(frozen=True, slots=True)
class Dip:
    """A fitted dip, ``level * (1 - visibility * shape((delay - centre) / fwhm))``.

    `chi2` is to be compared with `degrees_of_freedom`; `covariance` is that of level, visibility, centre and width.
    """

    visibility: float
    visibility_sigma: float
    centre_ps: float
    centre_sigma_ps: float
    fwhm_ps: float
    fwhm_sigma_ps: float
    level: float
    level_sigma: float
    chi2: float
    degrees_of_freedom: int
    shape: DipShape

    def __call__(self, delay_ps: ArrayLike) -> NDArray[np.float64]:
        """Return the fitted counts at the delays."""
        x = (np.asarray(delay_ps, dtype=np.float64) - self.centre_ps) / self.fwhm_ps
        return self.level * (1.0 - self.visibility * dip_shape(x, self.shape))


def dip_shape(x: NDArray[np.float64], shape: DipShape) -> NDArray[np.float64]:
    """Return the shape of a dip of unit depth and unit full width at half depth.

    "gauss" for photons of Gaussian spectrum (C. K. Hong, Z. Y. Ou and L. Mandel, PRL 59, 2044 (1987)), "triangle" for type-II
    pairs of a crystal pumped continuously, "sech2" for photons of soliton-shaped pulses, "sinc" behind flat-topped filters: a
    dip is the Fourier transform of the spectrum.
    """
    if shape == "triangle":
        return np.maximum(1.0 - np.abs(x), 0.0)
    if shape == "sech2":
        return np.asarray(1.0 / np.cosh(2.0 * math.acosh(math.sqrt(2.0)) * x) ** 2)
    if shape == "sinc":
        return np.asarray(np.sinc(2.0 * _SINC_HALF / math.pi * x))
    return np.asarray(np.exp(-4.0 * math.log(2.0) * x * x))


def counted_dip(inside: int, outside: int, live_ratio: float = 1.0, level: float = ONE_SIGMA) -> Interval:
    """Return the visibility 1 - C_in/C_out of two counts with its exact interval.

    Parameters
    ----------
    inside, outside:
        Coincidences at the centre of the dip, which is known beforehand, and far from it.
    live_ratio:
        Live time outside by that inside.
    """
    ratio = ratio_interval(inside, outside, live_ratio, level)
    return Interval(1.0 - ratio.value, 1.0 - ratio.high, 1.0 - ratio.low, level, "", ratio.method)


def splitter_limit(transmission: float) -> float:
    """Return the visibility 2RT/(R^2 + T^2) of identical photons at a splitter without loss, R = 1 - T.

    Hong, Ou and Mandel (1987), equation 12 and what follows: what is measured by this is the overlap of the photons.
    """
    if not 0.0 < transmission < 1.0:
        msg = f"splitter of transmission {transmission:g}: expected between 0 and 1"
        raise BadRequestError(msg)
    reflection = 1.0 - transmission
    return 2.0 * reflection * transmission / (reflection**2 + transmission**2)


def fit_dip(
    delay_ps: ArrayLike, counts: ArrayLike, accidentals: ArrayLike | None = None, *, shape: DipShape = "gauss"
) -> Dip:
    """Fit a dip (or a peak: negative visibility) to counts by maximum likelihood.

    Parameters
    ----------
    delay_ps, counts:
        Shape (n,), n >= 6: four parameters are fitted.
    accidentals:
        Expected accidental counts at each delay, where they are not to be held against the visibility.

    Notes
    -----
    Poisson likelihood by iteratively reweighted least squares from the best point of a grid of centres and widths, as the
    dip may be anywhere; errors from the Fisher information.

    Raises
    ------
    BadRequestError
        Too few points, unequal lengths, an unknown shape, no light, or no dip that the data could tell.
    """
    x, raw = np.asarray(delay_ps, dtype=np.float64), np.asarray(counts, dtype=np.float64)
    if x.ndim != 1 or x.shape != raw.shape or x.size < 6 or shape not in _SHAPES:
        msg = f"dip: {x.shape} delays, {raw.shape} counts, {shape!r}; expected equal lengths of at least 6, one of {_SHAPES}"
        raise BadRequestError(msg)
    background = np.zeros_like(raw) if accidentals is None else np.asarray(accidentals, dtype=np.float64)
    if not (raw >= 0).all() or (raw - background).sum() <= 0:
        msg = f"dip: {raw.sum():g} counts, {background.sum():g} of them accidental; expected light"
        raise BadRequestError(msg)
    theta = _start(x, raw, background, shape)
    for _ in range(60):
        mean, slope = _model(theta, x, background, shape)
        weight = 1.0 / np.maximum(mean, 0.5)
        information = slope.T @ (slope * weight[:, None])
        step = np.linalg.lstsq(information, slope.T @ (weight * (raw - mean)), rcond=None)[0]
        step[2] = np.clip(step[2], -0.3 * theta[3], 0.3 * theta[3])
        step[3] = np.clip(step[3], -0.3 * theta[3], 0.3 * theta[3])
        theta = theta + step
        if (np.abs(step) < 1e-9 * np.maximum(np.abs(theta), 1e-9)).all():
            break
    mean, slope = _model(theta, x, background, shape)
    weight = 1.0 / np.maximum(mean, 0.5)
    information = slope.T @ (slope * weight[:, None])
    if np.linalg.cond(information) > 1e16 or not np.isfinite(theta).all() or theta[3] <= 0:
        msg = "dip: the data fix no dip; scan further out and closer, or count longer"
        raise BadRequestError(msg)
    sigma = np.sqrt(np.diag(np.linalg.inv(information)))
    chi2 = float(((raw - mean) ** 2 * weight).sum())
    level, visibility, centre, width = theta.tolist()
    return Dip(
        visibility, float(sigma[1]), centre, float(sigma[2]), width, float(sigma[3]), level, float(sigma[0]),
        chi2, x.size - 4, shape,
    )  # fmt: skip


def _model(
    theta: NDArray[np.float64], x: NDArray[np.float64], background: NDArray[np.float64], shape: DipShape
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return means and their derivatives by level, visibility, centre and width, shapes (n,) and (n, 4)."""
    level, visibility, centre, width = theta
    u = (x - centre) / width
    s = dip_shape(u, shape)
    h = 1e-4
    ds = (dip_shape(u + h, shape) - dip_shape(u - h, shape)) / (2.0 * h)
    mean = background + level * (1.0 - visibility * s)
    slope = np.stack(
        [1.0 - visibility * s, -level * s, level * visibility * ds / width, level * visibility * ds * u / width], axis=1
    )
    return np.maximum(mean, 1e-9), slope


def _start(
    x: NDArray[np.float64], raw: NDArray[np.float64], background: NDArray[np.float64], shape: DipShape
) -> NDArray[np.float64]:
    """Return the best of a grid: for each centre and width the level and depth follow linearly."""
    span = float(x.max() - x.min())
    centre, width = (
        grid.ravel() for grid in np.meshgrid(np.linspace(x.min(), x.max(), 41), span * np.geomspace(0.03, 1.0, 16))
    )
    weight = 1.0 / np.maximum(raw, 1.0)
    net = raw - background
    s = dip_shape((x - centre[:, None]) / width[:, None], shape)
    one, ws, wss = weight.sum(), s @ weight, (s * s) @ weight
    wy, wsy = weight @ net, s @ (weight * net)
    det = one * wss - ws * ws
    usable = det > 1e-9 * one * wss
    det = np.where(usable, det, 1.0)
    level, depth = (wss * wy - ws * wsy) / det, (ws * wy - one * wsy) / det
    chi2 = (weight * (net - level[:, None] + depth[:, None] * s) ** 2).sum(axis=1)
    best = int(np.argmin(np.where(usable & (level > 0), chi2, np.inf)))
    return np.array([level[best], depth[best] / level[best], centre[best], width[best]])
