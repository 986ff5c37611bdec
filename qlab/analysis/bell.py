"""The CHSH test: correlations and S with their uncertainties, and the best S that a state allows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["CHSH_ANGLES_DEG", "Chsh", "chsh", "correlation", "horodecki_s"]

CHSH_ANGLES_DEG = ((0.0, 22.5), (0.0, -22.5), (45.0, 22.5), (45.0, -22.5))
"""Linear polarisation settings (a, b), (a, b'), (a', b), (a', b') that are best for phi+."""


@dataclass(frozen=True, slots=True)
class Chsh:
    """The result of a CHSH test.

    Attributes
    ----------
    s, sigma:
        S and its standard uncertainty.
    e, e_sigma:
        The four correlations, shape (4,), in the order of `CHSH_ANGLES_DEG`.
    """

    s: float
    sigma: float
    e: NDArray[np.float64]
    e_sigma: NDArray[np.float64]


def correlation(counts: NDArray[np.integer], accidentals: NDArray[np.floating] | float = 0.0) -> tuple[float, float]:
    """Return E = (N_same - N_different)/N of a 2x2 count matrix, and its uncertainty.

    sigma_E = sqrt((1 - E^2)/N) for multinomial counts; subtracted accidentals enlarge it by the noise they had.

    Raises
    ------
    BadRequestError
        The matrix is not 2x2, or there is no count left.
    """
    raw = np.asarray(counts, dtype=np.float64)
    if raw.shape != (2, 2):
        msg = f"correlation: counts of shape {raw.shape}; expected (2, 2)"
        raise BadRequestError(msg)
    net = raw - accidentals
    total = float(net.sum())
    if total <= 0.0:
        msg = "correlation: there is no coincidence in this setting; check source, delays and window"
        raise BadRequestError(msg)
    signs = np.array([[1.0, -1.0], [-1.0, 1.0]])
    e = float((signs * net).sum() / total)
    variance = float(((signs - e) ** 2 * raw).sum()) / total**2
    return e, math.sqrt(variance)


def chsh(counts: Sequence[NDArray[np.integer]], accidentals: Sequence[NDArray[np.floating]] | None = None) -> Chsh:
    """Return S = E(a,b) + E(a,b') + E(a',b) - E(a',b') (Clauser, Horne, Shimony, Holt, PRL 23, 880, 1969).

    Parameters
    ----------
    counts:
        Four 2x2 matrices, in the order of `CHSH_ANGLES_DEG`.
    accidentals:
        Expected accidentals of the same shapes, to be subtracted.
    """
    if len(counts) != 4:
        msg = f"chsh: {len(counts)} settings; expected 4"
        raise BadRequestError(msg)
    pairs = [correlation(n, 0.0 if accidentals is None else accidentals[i]) for i, n in enumerate(counts)]
    e = np.array([p[0] for p in pairs])
    sigma = np.array([p[1] for p in pairs])
    s = float(e[0] + e[1] + e[2] - e[3])
    return Chsh(s, float(np.sqrt((sigma**2).sum())), e, sigma)


def horodecki_s(t: NDArray[np.floating]) -> float:
    """Return 2 sqrt(u1 + u2), u the largest eigenvalues of T^T T (Horodecki, Phys. Lett. A 200, 340, 1995)."""
    values = np.sort(np.linalg.eigvalsh(np.asarray(t).T @ np.asarray(t)))
    return 2.0 * math.sqrt(float(values[-1] + values[-2]))
