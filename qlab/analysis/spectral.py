"""Spectral purity of a pair source: the Schmidt decomposition of its joint spectral amplitude.

C. K. Law, I. A. Walmsley and J. H. Eberly, PRL 84, 5304 (2000); A. Christ et al., New J. Phys. 13, 033027 (2011).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from qlab.analysis.bootstrap import bootstrap_counts
from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from qlab.analysis.intervals import Interval

__all__ = ["SchmidtModes", "gaussian_jsa", "purity_of_joint_spectrum", "schmidt_modes"]


@dataclass(frozen=True, slots=True)
class SchmidtModes:
    """Modes of a joint amplitude.

    Attributes
    ----------
    weights:
        lambda_k^2, largest first, of sum 1; shape (modes,).
    signal, idler:
        Mode functions on the grids, shape (modes, n) and (modes, m), each of norm 1.
    """

    weights: NDArray[np.float64]
    signal: NDArray[np.complex128]
    idler: NDArray[np.complex128]

    @property
    def purity(self) -> float:
        """Of a heralded photon, sum lambda^4 = 1/K."""
        return float((self.weights**2).sum())

    @property
    def mode_number(self) -> float:
        """Schmidt number K."""
        return 1.0 / self.purity

    @property
    def g2(self) -> float:
        """Of one arm without heralding, 1 + 1/K at low gain."""
        return 1.0 + self.purity

    @property
    def entropy_bits(self) -> float:
        """Of the spectral entanglement, -sum lambda^2 log2 lambda^2."""
        p = self.weights[self.weights > 0]
        return float(-(p * np.log2(p)).sum())


def schmidt_modes(amplitude: ArrayLike) -> SchmidtModes:
    """Decompose a joint spectral amplitude, on even grids of signal and idler frequency.

    Parameters
    ----------
    amplitude:
        f(omega_s, omega_i), shape (n, m), of any norm, complex where its phase is known.

    Raises
    ------
    BadRequestError
        Not a matrix, not finite, or 0 everywhere.
    """
    f = np.asarray(amplitude, dtype=np.complex128)
    norm = float(np.linalg.norm(f)) if f.ndim == 2 and np.isfinite(f).all() else 0.0
    if norm == 0.0:
        msg = f"joint spectral amplitude of shape {f.shape}: expected two axes, finite numbers, not all 0"
        raise BadRequestError(msg)
    left, singular, right = np.linalg.svd(f / norm, full_matrices=False)
    return SchmidtModes(singular**2, left.T, right)


def gaussian_jsa(
    signal: ArrayLike, idler: ArrayLike, pump_sigma: float, phase_matching_sigma: float, angle_deg: float = 45.0
) -> NDArray[np.float64]:
    """Return exp(-(s + i)^2/(4 p^2)) exp(-(s sin a - i cos a)^2 /(2 q^2)): a Gaussian pump and phase matching.

    Parameters
    ----------
    signal, idler:
        Detunings, shapes (n,) and (m,), in the unit of the widths.
    pump_sigma, phase_matching_sigma:
        Standard deviation of the pump's intensity, and width of the phase matching.
    angle_deg:
        Of the ridge of the phase matching from the axis of the signal; at 45 degrees s = i, as in symmetric group-velocity
        matching.
    """
    s, i = np.meshgrid(np.asarray(signal, np.float64), np.asarray(idler, np.float64), indexing="ij")
    a = math.radians(angle_deg)
    across = s * math.sin(a) - i * math.cos(a)
    return np.asarray(np.exp(-((s + i) ** 2) / (4.0 * pump_sigma**2) - across**2 / (2.0 * phase_matching_sigma**2)))


def purity_of_joint_spectrum(counts: ArrayLike, *, seed: int, resamplings: int = 200) -> Interval:
    """Return the purity that a measured joint spectral intensity allows at most, with a bootstrap interval.

    Parameters
    ----------
    counts:
        Coincidences by signal and idler frequency, shape (n, m), background taken off beforehand or negligible.

    Notes
    -----
    The amplitude is taken as the square root of the counts, of flat phase: a chirp of the pump hides, and lowers the purity.
    Noise of the counts adds modes; the basic interval takes that bias off to first order, so that it may lie above the value.
    """
    table = np.asarray(counts, dtype=np.float64)

    def purity(sample: NDArray[np.float64]) -> Any:
        return schmidt_modes(np.sqrt(sample)).purity

    return bootstrap_counts(table, purity, seed=seed, resamplings=resamplings).interval()
