"""What theory expects of a pair source between two analysers, accidentals and dark counts included.

Written from the formulas alone and independent of the simulated world, which it is there to check.  A continuous-wave
source of `pair_rate_hz`, pairs Poisson in time; no dead time, no afterpulses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qlab.analysis.bell import SIGNS
from qlab.analysis.correlation import BELL_CORRELATIONS
from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from qlab.analysis.correlation import BellState

__all__ = ["Analyser", "PairExperiment", "bloch_analyser", "linear_analyser", "werner_state"]

Complex = NDArray[np.complex128]

_PAULI = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]], dtype=np.complex128)


@dataclass(frozen=True, slots=True)
class Analyser:
    """A party's measurement: POVM elements of the outcomes + and - (losses included), and dark counts of each.

    Parameters
    ----------
    povm:
        Shape (2, 2, 2): outcome, then a matrix in the basis H, V.
    dark_hz:
        Dark count rate of each outcome's detector.
    """

    povm: Complex
    dark_hz: tuple[float, float] = (0.0, 0.0)


def bloch_analyser(
    direction: ArrayLike,
    efficiency: float | tuple[float, float] = 1.0,
    dark_hz: float | tuple[float, float] = 0.0,
    extinction: float = 0.0,
) -> Analyser:
    """Return an ideal two-outcome analyser along a direction of the Bloch sphere (x D/A, y circular, z H/V).

    Parameters
    ----------
    direction:
        Shape (3,), of any length but 0.
    efficiency, dark_hz:
        Of both detectors, or of (+, -).
    extinction:
        Fraction of light that leaves by the wrong port.
    """
    n = np.asarray(direction, dtype=np.float64)
    norm = float(np.linalg.norm(n))
    if n.shape != (3,) or norm == 0:
        msg = f"analyser along {n.tolist()}: expected three numbers, not all 0"
        raise BadRequestError(msg)
    eta = efficiency if isinstance(efficiency, tuple) else (efficiency, efficiency)
    dark = dark_hz if isinstance(dark_hz, tuple) else (dark_hz, dark_hz)
    if not all(0 <= e <= 1 for e in eta) or not 0 <= extinction <= 1:
        msg = f"analyser with efficiencies {eta} and extinction {extinction}: expected numbers from 0 to 1"
        raise BadRequestError(msg)
    spin = (1.0 - 2.0 * extinction) * np.tensordot(n / norm, _PAULI, axes=1)
    unit = np.eye(2)
    return Analyser(np.stack([eta[0] * (unit + spin) / 2.0, eta[1] * (unit - spin) / 2.0]), dark)


def linear_analyser(
    angle_deg: float,
    efficiency: float | tuple[float, float] = 1.0,
    dark_hz: float | tuple[float, float] = 0.0,
    extinction: float = 0.0,
) -> Analyser:
    """Return a polarising splitter at an angle from H: + is the polarisation along it, - the one across."""
    double = math.radians(2.0 * angle_deg)
    return bloch_analyser((math.sin(double), 0.0, math.cos(double)), efficiency, dark_hz, extinction)


def werner_state(visibility: float, target: BellState = "phi+") -> Complex:
    """Return V |Bell><Bell| + (1 - V) / 4, as (1 + sum V D_i sigma_i x sigma_i) / 4; shape (4, 4), basis HH HV VH VV."""
    rho = np.eye(4, dtype=np.complex128)
    for sign, pauli in zip(BELL_CORRELATIONS[target], _PAULI, strict=True):
        rho += visibility * sign * np.kron(pauli, pauli)
    return rho / 4.0


@dataclass(frozen=True, slots=True)
class PairExperiment:
    """A source and what counts as a coincidence.

    Parameters
    ----------
    rho:
        Density matrix, shape (4, 4), basis HH HV VH VV.
    pair_rate_hz:
        Pairs that the source emits into the two arms (losses are in the analysers).
    window_ps:
        Full width that enters accidentals (see `qlab.analysis.accidentals.effective_window_ps`).
    capture:
        Fraction of pairs that jitter leaves inside the window.
    """

    rho: Complex = field(repr=False)
    pair_rate_hz: float
    window_ps: float
    capture: float = 1.0

    def singles_hz(self, alice: Analyser, bob: Analyser) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the rates of single clicks of both parties, each of shape (2,)."""
        rho = self.rho.reshape(2, 2, 2, 2)
        marginal_a = np.einsum("ikjk->ij", rho)
        marginal_b = np.einsum("kikj->ij", rho)
        s_a = self.pair_rate_hz * np.einsum("oij,ji->o", alice.povm, marginal_a).real + alice.dark_hz
        s_b = self.pair_rate_hz * np.einsum("oij,ji->o", bob.povm, marginal_b).real + bob.dark_hz
        return s_a, s_b

    def true_hz(self, alice: Analyser, bob: Analyser) -> NDArray[np.float64]:
        """Return the rates of coincidences of one pair, f R Tr(rho A_i x B_j); shape (2, 2)."""
        rho = self.rho.reshape(2, 2, 2, 2)
        joint = np.einsum("aij,bkl,jlik->ab", alice.povm, bob.povm, rho).real
        return np.asarray(self.capture * self.pair_rate_hz * joint, dtype=np.float64)

    def accidentals_hz(self, alice: Analyser, bob: Analyser) -> NDArray[np.float64]:
        """Return the rates of accidental coincidences, S_a S_b T_w; shape (2, 2)."""
        return np.outer(*self.singles_hz(alice, bob)) * (self.window_ps * 1e-12)

    def coincidences_hz(self, alice: Analyser, bob: Analyser) -> NDArray[np.float64]:
        """Return the rates of all coincidences, true and accidental; shape (2, 2)."""
        return self.true_hz(alice, bob) + self.accidentals_hz(alice, bob)

    def correlation(self, alice: Analyser, bob: Analyser, *, corrected: bool = False) -> float:
        """Return E as it would be counted, or `corrected` for accidentals."""
        rates = self.true_hz(alice, bob) if corrected else self.coincidences_hz(alice, bob)
        return float((rates[0, 0] + rates[1, 1] - rates[0, 1] - rates[1, 0]) / rates.sum())

    def chsh(
        self,
        alice: Sequence[Analyser],
        bob: Sequence[Analyser],
        *,
        corrected: bool = False,
        signs: tuple[int, ...] = SIGNS,
    ) -> float:
        """Return S for Alice's two settings (a, a') and Bob's (b, b')."""
        settings = [(a, b) for a in alice for b in bob]
        if len(settings) != 4:
            msg = f"CHSH: {len(alice)} settings of Alice and {len(bob)} of Bob; expected two each"
            raise BadRequestError(msg)
        terms = [self.correlation(a, b, corrected=corrected) for a, b in settings]
        return sum(sign * term for sign, term in zip(signs, terms, strict=True))

    def chsh_sigma(self, alice: Sequence[Analyser], bob: Sequence[Analyser], acquisition_s: float) -> float:
        """Return the expected error of S, sqrt(sum (1 - E_i^2) / N_i), for `acquisition_s` at each setting."""
        variance = 0.0
        for a in alice:
            for b in bob:
                n = float(self.coincidences_hz(a, b).sum()) * acquisition_s
                variance += (1.0 - self.correlation(a, b) ** 2) / n
        return math.sqrt(variance)

    def visibility(
        self, alice: Analyser, *, corrected: bool = False, efficiency: float = 1.0, dark_hz: float = 0.0
    ) -> float:
        """Return the fringe visibility of Alice's + with one detector of Bob behind a turning linear polariser."""
        # A sinusoid in the doubled angle is fixed by three points.
        angles_deg = (0.0, 60.0, 120.0)
        rates = []
        for angle_deg in angles_deg:
            bob = linear_analyser(angle_deg, efficiency, dark_hz)
            table = self.true_hz(alice, bob) if corrected else self.coincidences_hz(alice, bob)
            rates.append(float(table[0, 0]))
        harmonic = sum(r * np.exp(2j * math.radians(angle)) for r, angle in zip(rates, angles_deg, strict=True))
        return float(2.0 * abs(harmonic) / sum(rates))
