"""Eve between source and receiver: what attacks do to the light, as parts of an arm or of a weak source.

*Intercept and resend*: a photon is measured in one of several bases and sent on as what was found.  As a channel that is the
sum of the Kraus operators sqrt(f / n) |o><o| over bases and outcomes, beside sqrt(1 - f) for photons that are left alone.

*Faked states* (L. Lydersen et al., Nat. Photonics 4, 686 (2010)): Eve measures as above, and sends a bright pulse to
detectors that she has blinded.  Such a detector clicks, as surely as it is efficient, if enough of the pulse reaches it, and
else not at all: only in her basis.  Where several would click (behind a splitter that favours the other basis) she sends
nothing.

*After the gate* (C. Wiechers et al., New J. Phys. 13, 013043 (2011)): a gated detector needs no blinding.  Eve's bright
pulse comes when the gate has closed, and the avalanche diode, below its breakdown, is a classical receiver with a threshold.

*Time shift* (B. Qi, C.-H. F. Fung, H.-K. Lo, X. Ma, Quantum Inf. Comput. 7, 73 (2007)): Eve measures nothing.  She lets
light arrive earlier or later, when one detector of a basis is more efficient than the other, and guesses the bit from that.

*Photon-number splitting* (G. Brassard, N. Luetkenhaus, T. Mor, B. Sanders, PRL 85, 1330 (2000)): of a weak pulse with
several photons Eve keeps one and sends the others over a line without loss; single photons she blocks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qlab.physics.arm import Outcome, Path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qlab.physics.arm import Arm, Matrix
    from qlab.physics.knob import Knob

__all__ = ["AfterGate", "FakedStates", "InterceptResend", "PhotonNumberSplitting", "TimeShift"]


@dataclass(slots=True)
class InterceptResend:
    """Eve measures a share of the photons and sends on what she found.

    Parameters
    ----------
    fraction:
        Knob of the share, 0 to 1.
    bases_deg:
        Angles of her bases, taken equally often: 0 for H and V, 45 for D and A.
    """

    then: Arm
    fraction: Knob
    bases_deg: tuple[float, ...] = (0.0, 45.0)

    def outcomes(self, t_ps: int, before: Path) -> Iterator[Outcome]:
        """Yield what becomes of a photon that is left alone, and of one that is measured."""
        fraction = min(max(self.fraction.value(t_ps), 0.0), 1.0)
        if fraction < 1.0:
            yield from self.then.outcomes(
                t_ps, _through(math.sqrt(1.0 - fraction) * np.eye(2, dtype=np.complex128), before)
            )
        if fraction > 0.0:
            for found in self._found():
                yield from self._resent(found, math.sqrt(fraction / len(self.bases_deg)), t_ps, before)

    def _resent(self, found: Matrix, amplitude: float, t_ps: int, before: Path) -> Iterator[Outcome]:
        yield from self.then.outcomes(t_ps, _through(amplitude * found, before))

    def _found(self) -> Iterator[Matrix]:
        for basis_deg in self.bases_deg:
            for angle in (math.radians(basis_deg), math.radians(basis_deg + 90.0)):
                state = np.array([math.cos(angle), math.sin(angle)], dtype=np.complex128)
                yield np.outer(state, state)

    def knobs(self) -> Iterator[Knob]:
        """Yield the share's knob and those behind."""
        yield self.fraction
        yield from self.then.knobs()

    def drifts(self) -> bool:
        """Return whether something behind changes by itself."""
        return self.then.drifts()


@dataclass(slots=True)
class FakedStates(InterceptResend):
    """Eve measures a share of the photons and controls blinded detectors with bright light.

    Parameters
    ----------
    threshold:
        A detector clicks that gets more than so much of the light that the best lit one gets.
    later_ps, past_gates:
        By how much her pulses come later than the photons would have, and whether closed gates click as well.
    """

    threshold: float = 0.75
    later_ps: float = 0.0
    past_gates: bool = False

    def _resent(self, found: Matrix, amplitude: float, t_ps: int, before: Path) -> Iterator[Outcome]:
        lit = list(self.then.outcomes(t_ps, Path(found, before.delay_ps, before.dispersion_ps_per_nm)))
        light = [float(np.trace(outcome.effect).real) for outcome in lit]
        most = max(light, default=0.0)
        jones = amplitude * (found @ before.jones)
        bright = [one for one, share in zip(lit, light, strict=True) if most > 0.0 and share > self.threshold * most]
        if len(bright) == 1:  # else several detectors would click, and Eve sends nothing
            (one,) = bright
            # Bright light makes up for all losses behind Eve.
            delay_ps = one.delay_ps + round(self.later_ps)
            yield Outcome(
                one.port, jones.conj().T @ jones, delay_ps, one.dispersion_ps_per_nm, jones, bright=self.past_gates
            )


@dataclass(slots=True)
class AfterGate(FakedStates):
    """Eve measures a share of the photons and sends bright pulses that come when gates have closed."""

    past_gates: bool = True


@dataclass(slots=True)
class TimeShift:
    """Eve lets a share of the photons arrive earlier, and as many later; their polarisation stays.

    Parameters
    ----------
    fraction:
        Knob of the share, 0 to 1.
    by_ps:
        Of either shift.
    """

    then: Arm
    fraction: Knob
    by_ps: float

    def outcomes(self, t_ps: int, before: Path) -> Iterator[Outcome]:
        """Yield what becomes of a photon that is left alone, of an early and of a late one."""
        fraction = min(max(self.fraction.value(t_ps), 0.0), 1.0)
        for share, shift_ps in ((1.0 - fraction, 0.0), (fraction / 2.0, -self.by_ps), (fraction / 2.0, self.by_ps)):
            if share > 0.0:
                jones = math.sqrt(share) * before.jones
                yield from self.then.outcomes(
                    t_ps, Path(jones, before.delay_ps + shift_ps, before.dispersion_ps_per_nm)
                )

    def knobs(self) -> Iterator[Knob]:
        """Yield the share's knob and those behind."""
        yield self.fraction
        yield from self.then.knobs()

    def drifts(self) -> bool:
        """Return whether something behind changes by itself."""
        return self.then.drifts()


@dataclass(frozen=True, slots=True)
class PhotonNumberSplitting:
    """Eve takes a photon of each pulse that has several, and blocks the others.

    Parameters
    ----------
    fraction:
        Knob of the share of pulses that she does this to.
    line_db:
        Loss of the line that she replaces by one without.
    behind_db:
        Loss between the source and her: the attenuator that makes pulses weak.
    """

    fraction: Knob
    line_db: float = 0.0
    behind_db: float = 0.0

    def forwarded(self, mean_photons: float, t_ps: int) -> float:
        """Return the mean photon number that leaves the source, counted as if Eve were not there and did the same.

        Of n >= 2 photons n - 1 go on: their mean is mu - 1 + exp(-mu).  What a detector sees of them is taken as Poissonian,
        which is right as long as it seldom sees more than one.
        """
        fraction = min(max(self.fraction.value(t_ps), 0.0), 1.0)
        weak = mean_photons * 10.0 ** (-self.behind_db / 10.0)
        kept = weak + math.expm1(-weak)
        without_loss: float = kept * 10.0 ** ((self.line_db + self.behind_db) / 10.0)
        return (1.0 - fraction) * mean_photons + fraction * without_loss


def _through(matrix: Matrix, before: Path) -> Path:
    return Path(matrix @ before.jones, before.delay_ps, before.dispersion_ps_per_nm)
