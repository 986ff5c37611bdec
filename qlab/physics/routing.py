"""Parts of a light's way that an instrument sets: attenuators, optical switches, polarisation controllers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qlab.physics.arm import SPEED_OF_LIGHT_M_PER_S, Path, Through
from qlab.physics.jones import wave_plate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from qlab.physics.arm import Arm, Outcome
    from qlab.physics.knob import Knob

__all__ = ["DelayLine", "OpticalSwitch", "Squeezer", "VariableAttenuator"]


@dataclass(slots=True)
class VariableAttenuator(Through):
    """A loss that a knob sets, the same for all polarisations.

    Parameters
    ----------
    loss_db:
        Knob of what is set.
    insertion_loss_db:
        What the open attenuator loses.
    """

    loss_db: Knob
    insertion_loss_db: float = 0.0

    def jones(self, t_ps: int) -> NDArray[np.complex128]:
        """Return the attenuation of the amplitude."""
        amplitude: float = 10.0 ** (-(self.loss_db.value(t_ps) + self.insertion_loss_db) / 20.0)
        return amplitude * np.eye(2, dtype=np.complex128)

    def knobs(self) -> Iterator[Knob]:
        """Yield the attenuator's knob and those behind."""
        yield self.loss_db
        yield from self.then.knobs()


@dataclass(slots=True)
class DelayLine(Through):
    """A retroreflector on a stage: the further out, the later.

    Parameters
    ----------
    position_mm:
        Knob of where the stage stands.
    passes:
        How often the light goes the way: 2 there and back.
    loss_db:
        Of reflections and coupling.
    """

    position_mm: Knob
    passes: int = 2
    loss_db: float = 0.0

    def outcomes(self, t_ps: int, before: Path) -> Iterator[Outcome]:
        """Yield what comes of the photon behind the delay line, later by passes * x / c."""
        late_ps = self.passes * max(self.position_mm.value(t_ps), 0.0) / SPEED_OF_LIGHT_M_PER_S * 1e9
        jones = 10.0 ** (-self.loss_db / 20.0) * before.jones
        yield from self.then.outcomes(t_ps, Path(jones, before.delay_ps + late_ps, before.dispersion_ps_per_nm))

    def knobs(self) -> Iterator[Knob]:
        """Yield the stage's knob and those behind."""
        yield self.position_mm
        yield from self.then.knobs()


@dataclass(slots=True)
class Squeezer(Through):
    """A squeezed fibre: a retarder at a fixed angle whose retardance a knob sets."""

    retardance_rad: Knob
    angle_deg: float = 0.0

    def jones(self, t_ps: int) -> NDArray[np.complex128]:
        """Return the squeezed fibre's Jones matrix."""
        return wave_plate(self.retardance_rad.value(t_ps), math.radians(self.angle_deg))

    def knobs(self) -> Iterator[Knob]:
        """Yield the squeezer's knob and those behind."""
        yield self.retardance_rad
        yield from self.then.knobs()


@dataclass(slots=True)
class OpticalSwitch:
    """One input of an optical switch: all light leaves by one output, but for the crosstalk.

    Parameters
    ----------
    outputs:
        What stands behind each output, by its number; light on an output that leads nowhere is lost.
    route:
        Knob with the number of the output; 0, or anything that is no output, while it switches.
    loss_db:
        Between input and output.
    crosstalk_db:
        How much weaker the other outputs' light is than the chosen one's; None: dark.
    """

    outputs: Mapping[int, Arm]
    route: Knob
    loss_db: float = 0.0
    crosstalk_db: float | None = None

    def outcomes(self, t_ps: int, before: Path) -> Iterator[Outcome]:
        """Yield what comes of the photon behind every output."""
        chosen = round(self.route.value(t_ps))
        for number, arm in self.outputs.items():
            amplitude = 10.0 ** (-self.loss_db / 20.0)
            if number != chosen:
                amplitude *= 0.0 if self.crosstalk_db is None or not chosen else 10.0 ** (-self.crosstalk_db / 20.0)
            yield from arm.outcomes(t_ps, Path(amplitude * before.jones, before.delay_ps, before.dispersion_ps_per_nm))

    def knobs(self) -> Iterator[Knob]:
        """Yield the switch's knob and those behind all outputs."""
        yield self.route
        for arm in self.outputs.values():
            yield from arm.knobs()

    def drifts(self) -> bool:
        """Return whether something behind an output changes by itself."""
        return any(arm.drifts() for arm in self.outputs.values())
