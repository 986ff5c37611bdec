"""What stands between one photon of a pair and its detectors, as a tree.

Every element acts on the photon's polarisation by Kraus operators; folded from the source to each detector they give a
POVM element, and all losses with it.  No photon is ever made to be thrown away.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qlab.physics.jones import wave_plate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qlab.physics.knob import Knob

__all__ = [
    "Arm",
    "Attenuator",
    "BeamSplitter",
    "Outcome",
    "Path",
    "PolarisingSplitter",
    "Port",
    "Through",
    "WavePlate",
]

Matrix: TypeAlias = NDArray[np.complex128]
SPEED_OF_LIGHT_M_PER_S = 299_792_458.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """One way for the photon to end at a detector.

    Parameters
    ----------
    port:
        The port it ends at.
    effect:
        POVM element without the detector's efficiency, shape (2, 2).
    delay_ps:
        From source to detector.
    dispersion_ps_per_nm:
        Delay per nanometre of wavelength.
    jones:
        What arrives, as a Jones matrix of the whole way, shape (2, 2).
    bright:
        Light so strong that a gate does not keep it from making a click.
    """

    port: Port
    effect: Matrix
    delay_ps: int
    dispersion_ps_per_nm: float
    jones: Matrix
    bright: bool = field(default=False, kw_only=True)

    @property
    def arrives_at(self) -> int:
        """The detector's number; for bright light its bitwise complement, by which the world knows it."""
        return ~self.port.detector_id if self.bright else self.port.detector_id


class Arm(Protocol):
    """A tree of elements that ends at ports."""

    def outcomes(self, t_ps: int, before: Path) -> Iterator[Outcome]:
        """Yield an outcome for each port behind this element."""
        ...

    def knobs(self) -> Iterator[Knob]:
        """Yield what the outcomes depend on."""
        ...

    def drifts(self) -> bool:
        """Return whether something behind here changes by itself, and must be looked at in every cell."""
        ...


@dataclass(frozen=True, slots=True)
class Path:
    """What the photon has met so far."""

    jones: Matrix = field(default_factory=lambda: np.eye(2, dtype=np.complex128))
    delay_ps: float = 0.0
    dispersion_ps_per_nm: float = 0.0


@dataclass(slots=True)
class Port:
    """The end of a path at a detector, or of a laser's path at a meter or crystal.

    Parameters
    ----------
    detector_id:
        The world's number of what stands there.
    """

    detector_id: int

    def outcomes(self, t_ps: int, before: Path) -> Iterator[Outcome]:
        """Yield the one outcome."""
        del t_ps
        effect = before.jones.conj().T @ before.jones
        yield Outcome(self, effect, round(before.delay_ps), before.dispersion_ps_per_nm, before.jones)

    def knobs(self) -> Iterator[Knob]:
        """Yield nothing."""
        yield from ()

    def drifts(self) -> bool:
        """Return False."""
        return False


@dataclass(slots=True)
class Through:
    """An element with one way on."""

    then: Arm

    def outcomes(self, t_ps: int, before: Path) -> Iterator[Outcome]:
        """Yield what comes of the photon behind this element."""
        jones = self.jones(t_ps) @ before.jones
        delay = before.delay_ps + self.delay_at(t_ps)
        yield from self.then.outcomes(t_ps, Path(jones, delay, before.dispersion_ps_per_nm + self.dispersion))

    def jones(self, t_ps: int) -> Matrix:
        """Return the element's Jones matrix, losses included."""
        raise NotImplementedError

    def delay_at(self, t_ps: int) -> float:
        """Return the delay of the element in ps for light that sets out at a time."""
        del t_ps
        return 0.0

    @property
    def dispersion(self) -> float:
        """Return the delay per nanometre."""
        return 0.0

    def knobs(self) -> Iterator[Knob]:
        """Yield the knobs from here on."""
        yield from self.then.knobs()

    def drifts(self) -> bool:
        """Return whether something behind here changes by itself."""
        return self.then.drifts()


@dataclass(slots=True)
class WavePlate(Through):
    """A retarder on a rotation mount.

    Parameters
    ----------
    retardance_rad:
        pi for a half-wave, pi/2 for a quarter-wave plate.
    angle_deg:
        Knob of the mount.
    offset_deg:
        Where the mount stands when the fast axis is horizontal.
    """

    retardance_rad: float
    angle_deg: Knob
    offset_deg: float = 0.0

    def jones(self, t_ps: int) -> Matrix:
        """Return the plate's Jones matrix."""
        return wave_plate(self.retardance_rad, math.radians(self.angle_deg.value(t_ps) - self.offset_deg))

    def knobs(self) -> Iterator[Knob]:
        """Yield the mount's knob and those behind."""
        yield self.angle_deg
        yield from self.then.knobs()


@dataclass(slots=True)
class Attenuator(Through):
    """A loss that is the same for all polarisations."""

    loss_db: float

    def jones(self, t_ps: int) -> Matrix:
        """Return the attenuation of the amplitude."""
        del t_ps
        amplitude: float = 10.0 ** (-self.loss_db / 20.0)
        return amplitude * np.eye(2, dtype=np.complex128)


@dataclass(slots=True)
class _Split:
    """An element with two ways on."""

    transmitted: Arm
    reflected: Arm

    def branches(self) -> tuple[Matrix, Matrix]:
        """Return the Jones matrices of both ways."""
        raise NotImplementedError

    def outcomes(self, t_ps: int, before: Path) -> Iterator[Outcome]:
        """Yield what comes of the photon on either way."""
        for arm, jones in zip((self.transmitted, self.reflected), self.branches(), strict=True):
            yield from arm.outcomes(t_ps, Path(jones @ before.jones, before.delay_ps, before.dispersion_ps_per_nm))

    def knobs(self) -> Iterator[Knob]:
        """Yield the knobs on both ways."""
        yield from self.transmitted.knobs()
        yield from self.reflected.knobs()

    def drifts(self) -> bool:
        """Return whether something on either way changes by itself."""
        return self.transmitted.drifts() or self.reflected.drifts()


@dataclass(slots=True)
class PolarisingSplitter(_Split):
    """A polarising beam splitter: H goes on, V is reflected, up to the extinction."""

    extinction_db: float = 40.0

    def branches(self) -> tuple[Matrix, Matrix]:
        """Return diag(sqrt(1-e), sqrt(e)) and diag(sqrt(e), sqrt(1-e))."""
        leak = 10.0 ** (-self.extinction_db / 10.0)
        right, wrong = math.sqrt(1.0 - leak), math.sqrt(leak)
        return np.diag([right, wrong]).astype(np.complex128), np.diag([wrong, right]).astype(np.complex128)


@dataclass(slots=True)
class BeamSplitter(_Split):
    """A beam splitter that does not look at the polarisation."""

    transmittance: float = 0.5

    def branches(self) -> tuple[Matrix, Matrix]:
        """Return the amplitudes of both ways."""
        unit = np.eye(2, dtype=np.complex128)
        return math.sqrt(self.transmittance) * unit, math.sqrt(1.0 - self.transmittance) * unit
