"""A laser's light on its way to power meters, polarimeters and crystals: bright, so that it is a power and not clicks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qlab.physics.arm import Path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from qlab.physics.arm import Arm
    from qlab.physics.knob import Knob

__all__ = ["Beam"]


@dataclass(frozen=True, slots=True)
class Beam:
    """Light of one laser, linearly polarised (H) where it begins.

    Parameters
    ----------
    power_w:
        Knob of the laser's power.
    arm:
        Its way.
    """

    power_w: Knob
    arm: Arm

    def share(self, port: int, t_ps: int) -> float:
        """Return the fraction of the laser's power that arrives at a port."""
        return sum(float(o.effect[0, 0].real) for o in self.arm.outcomes(t_ps, Path()) if o.port.detector_id == port)

    def stokes_w(self, port: int, t_ps: int) -> NDArray[np.float64]:
        """Return the Stokes vector at a port in W, shape (4,): S0 the power, S1 H-V, S2 D-A, S3 R-L.

        Light that comes by several ways adds without interference: a laser's coherence is taken to be shorter than their
        difference.  R is (H - iV)/sqrt 2, as in `qlab.physics.jones`.
        """
        total = np.zeros(4)
        for outcome in self.arm.outcomes(t_ps, Path()):
            if outcome.port.detector_id != port:
                continue
            h, v = (complex(a) for a in outcome.jones[:, 0])
            power_w = self.power_w.value(t_ps - outcome.delay_ps)
            cross = h.conjugate() * v
            total += power_w * np.array(
                [abs(h) ** 2 + abs(v) ** 2, abs(h) ** 2 - abs(v) ** 2, 2 * cross.real, -2 * cross.imag]
            )
        return total

    def knobs(self) -> Sequence[Knob]:
        """Return what the light behind the laser depends on."""
        return tuple(self.arm.knobs())
