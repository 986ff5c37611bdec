"""The shape in time of photons that meet: Schmidt modes of a pulsed source, and how much of two photons is alike.

A crystal whose joint spectrum is a double Gaussian makes pairs in Hermite-Gaussian modes of a geometric distribution,
lambda_k = (1 - x) x^k with x = (K - 1)/(K + 1) for the Schmidt number K (Law, Walmsley, Eberly, PRL 84, 5304, 2000;
Grice, U'Ren, Walmsley, PRA 64, 063815, 2001).  A heralded photon then has the purity 1/K, and the dip of two such photons
the visibility 1/K and the shape exp(-(sigma tau / K)^2), sigma being the deviation of the angular frequency.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from qlab.errors import WorldError
from qlab.physics.arm import SPEED_OF_LIGHT_M_PER_S
from qlab.physics.detector import FWHM_PER_SIGMA

__all__ = ["MOST_SCHMIDT", "WavePacket", "is_apart", "overlap_matrix"]

Matrix: TypeAlias = NDArray[np.complex128]
MOST_SCHMIDT = 2.0
"""Photons that are less pure than 1/2 need too many modes for a table of click patterns."""
_LEFT_OUT = 1e-5
"""Share of the pairs in the modes that are left out; the others are scaled up, so that the mean number is exact."""
_FINEST = 2**15
_NM_PER_PS = SPEED_OF_LIGHT_M_PER_S * 1e-3


@dataclass(frozen=True, slots=True)
class WavePacket:
    """One photon of a pulsed pair.

    Parameters
    ----------
    wavelength_nm, bandwidth_nm:
        Centre and full width at half maximum of its spectrum.
    schmidt:
        The Schmidt number K of the pair's spectrum, 1 to `MOST_SCHMIDT`.
    """

    wavelength_nm: float
    bandwidth_nm: float
    schmidt: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what cannot be taken apart into a few modes."""
        if not 1.0 <= self.schmidt <= MOST_SCHMIDT or not self.bandwidth_nm > 0.0:
            msg = (
                f"a photon of Schmidt number {self.schmidt:g} and bandwidth {self.bandwidth_nm:g} nm; expected 1 to "
                f"{MOST_SCHMIDT:g}, and above 0"
            )
            raise WorldError(msg)

    @property
    def centre_per_ps(self) -> float:
        """Return the angular frequency in rad/ps."""
        return 2.0 * math.pi * _NM_PER_PS / self.wavelength_nm

    @property
    def sigma_per_ps(self) -> float:
        """Return the standard deviation of the angular frequency in rad/ps."""
        return 2.0 * math.pi * _NM_PER_PS * self.bandwidth_nm / self.wavelength_nm**2 / FWHM_PER_SIGMA

    @property
    def narrow_per_ps(self) -> float:
        """Return that of the lowest mode."""
        return self.sigma_per_ps / math.sqrt(self.schmidt)

    @property
    def weights(self) -> tuple[float, ...]:
        """Return the share of the pairs in each mode that is kept."""
        x = (self.schmidt - 1.0) / (self.schmidt + 1.0)
        count = 1 if x <= _LEFT_OUT else math.ceil(math.log(_LEFT_OUT) / math.log(x))
        kept = 1.0 - x**count
        return tuple((1.0 - x) * x**k / kept for k in range(count))

    def reach_ps(self, chirp_ps2: float = 0.0) -> float:
        """Return the time from its middle beyond which nothing is left of any mode, with a chirp in ps^2."""
        edge = math.sqrt(2.0 * len(self.weights)) + 5.0
        return edge * (
            1.0 / (math.sqrt(2.0) * self.narrow_per_ps) + math.sqrt(2.0) * self.narrow_per_ps * abs(chirp_ps2)
        )

    def modes(self, omega: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the modes at angular frequencies from the centre, shape (modes, omega)."""
        y = omega / (math.sqrt(2.0) * self.narrow_per_ps)
        lowest = np.exp(-y * y / 2.0) / math.sqrt(self.narrow_per_ps) / (2.0 * math.pi) ** 0.25
        found = [lowest]
        for k in range(len(self.weights) - 1):
            before = found[k - 1] * math.sqrt(k / (k + 1.0)) if k else 0.0
            found.append(math.sqrt(2.0 / (k + 1.0)) * y * found[k] - before)
        return np.array(found)


def is_apart(a: WavePacket, b: WavePacket, delay_ps: float, chirp_ps2: float = 0.0) -> bool:
    """Return whether two photons miss each other in time: nobody could take the one for the other."""
    return abs(delay_ps) > a.reach_ps() + b.reach_ps(chirp_ps2)


def overlap_matrix(a: WavePacket, b: WavePacket, delay_ps: float, chirp_ps2: float = 0.0) -> Matrix:
    """Return the inner products of the modes of two photons, the second later by a delay and chirped, shape (a, b).

    O_kl = Int a_k(w) b_l(w) exp(i w tau + i chirp w^2 / 2) dw by the trapezoidal rule, which converges exponentially for
    such functions.  The phase of the carrier is left out: it belongs to nobody who counts clicks of independent sources.
    """
    if is_apart(a, b, delay_ps, chirp_ps2):
        return np.zeros((len(a.weights), len(b.weights)), np.complex128)
    shift = b.centre_per_ps - a.centre_per_ps
    edges = [math.sqrt(2.0) * p.narrow_per_ps * (math.sqrt(2.0 * len(p.weights)) + 5.0) for p in (a, b)]
    low, high = max(-edges[0], shift - edges[1]), min(edges[0], shift + edges[1])
    if low >= high:
        return np.zeros((len(a.weights), len(b.weights)), np.complex128)
    longest_ps = abs(delay_ps) + a.reach_ps() + b.reach_ps(chirp_ps2)
    n = min(max(math.ceil((high - low) * longest_ps / math.pi), 64), _FINEST)
    omega, step = np.linspace(low, high, n, retstep=True)
    phase = np.exp(1j * (omega * delay_ps + chirp_ps2 * omega * omega / 2.0))
    found: Matrix = (a.modes(omega) * phase) @ b.modes(omega - shift).T * step
    return found
