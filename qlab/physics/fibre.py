"""A fibre: what it does to light that goes through it one way or the other, and what warmth and other people do to it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qlab.physics.arm import SPEED_OF_LIGHT_M_PER_S, Through
from qlab.physics.jones import bloch_unitary
from qlab.physics.knob import CELL_PS, Knob

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qlab.physics.ambient import Ambient
    from qlab.physics.keys import Brownian

__all__ = ["Fibre", "FibreSchedule"]

Matrix: TypeAlias = NDArray[np.complex128]


@dataclass(slots=True)
class FibreSchedule:
    """What is known beforehand of a way through a fibre, and comes on top of what others turn.

    Parameters
    ----------
    ps, db, k:
        Delay, loss and warmth.
    """

    ps: Knob = field(default_factory=lambda: Knob(0.0))
    db: Knob = field(default_factory=lambda: Knob(0.0))
    k: Knob = field(default_factory=lambda: Knob(0.0))


@dataclass(slots=True)
class Fibre(Through):
    """A fibre: loss, delay, dispersion, a fixed rotation of the polarisation and a slow random walk of it.

    Light that goes through it the other way meets the transposed Jones matrix (reciprocity) and the same delay, apart from
    the asymmetry.

    Parameters
    ----------
    length_m, loss_db_per_km, group_index:
        As they say.
    dispersion_ps_nm_km:
        Chromatic dispersion.
    turn:
        The fixed rotation, shape (2, 2).
    drift_rad_per_sqrt_s:
        Root-mean-square rotation about each axis of the Bloch sphere after one second.
    walk:
        Three Brownian paths with one step a cell.
    ps_per_km_k, ambient:
        How much later light is for each K by which the fibre is warmer than on average, and how warm it is.
    asymmetry_ps:
        How much later light is on the way back than forth.
    off_nm:
        By how much the light's wavelength is longer than that of the group index: it is later by D L off_nm.
    back:
        Whether this is the way back.
    extra_ps, extra_db:
        Knobs of what somebody has put in: delay (this way only) and loss.
    schedule:
        What comes at known times.
    """

    length_m: float
    loss_db_per_km: float = 0.0
    group_index: float = 1.468
    dispersion_ps_nm_km: float = 0.0
    turn: Matrix = field(default_factory=lambda: np.eye(2, dtype=np.complex128))
    drift_rad_per_sqrt_s: float = 0.0
    walk: tuple[Brownian, Brownian, Brownian] | None = None
    ps_per_km_k: float = 0.0
    ambient: Ambient | None = None
    asymmetry_ps: float = 0.0
    off_nm: float = 0.0
    back: bool = False
    extra_ps: Knob = field(default_factory=lambda: Knob(0.0))
    extra_db: Knob = field(default_factory=lambda: Knob(0.0))
    schedule: FibreSchedule | None = None

    def jones(self, t_ps: int) -> Matrix:
        """Return the fibre's Jones matrix in the cell of `t_ps`."""
        loss_db = self.loss_db_per_km * self.length_m / 1000.0 + self.extra_db.value(t_ps)
        if self.schedule is not None:
            loss_db += self.schedule.db.value(t_ps)
        amplitude: float = 10.0 ** (-loss_db / 20.0)
        turn = self.turn
        if self.walk is not None and self.drift_rad_per_sqrt_s != 0.0:
            per_step = self.drift_rad_per_sqrt_s * math.sqrt(CELL_PS * 1e-12)
            vector = [path.value(max(t_ps, 0) // CELL_PS) * per_step for path in self.walk]
            turn = bloch_unitary(vector) @ turn
        return amplitude * (turn.T if self.back else turn)

    def delay_at(self, t_ps: int) -> float:
        """Return the group delay in ps of light that sets out at a time."""
        delay = self.length_m * self.group_index / SPEED_OF_LIGHT_M_PER_S * 1e12 + self.extra_ps.value(t_ps)
        delay += self.dispersion * self.off_nm
        if self.back:
            delay += self.asymmetry_ps
        warm_k = self.ambient.excess_k(t_ps) if self.ambient is not None else 0.0
        if self.schedule is not None:
            delay += self.schedule.ps.value(t_ps)
            warm_k += self.schedule.k.value(t_ps)
        delay += self.ps_per_km_k * self.length_m / 1000.0 * warm_k
        return max(delay, 0.0)

    @property
    def dispersion(self) -> float:
        """Return the delay per nanometre."""
        return self.dispersion_ps_nm_km * self.length_m / 1000.0

    def knobs(self) -> Iterator[Knob]:
        """Yield what others turn, and the knobs behind."""
        yield self.extra_ps
        yield self.extra_db
        if self.ambient is not None and self.ps_per_km_k:
            yield self.ambient.knob
        if self.schedule is not None:
            yield from (self.schedule.ps, self.schedule.db, self.schedule.k)
        yield from self.then.knobs()

    def drifts(self) -> bool:
        """Return whether this fibre or something behind it changes by itself."""
        turns = self.walk is not None and self.drift_rad_per_sqrt_s != 0.0
        swings = self.ambient is not None and self.ambient.swing_k != 0.0 and self.ps_per_km_k != 0.0
        return turns or swings or self.then.drifts()
