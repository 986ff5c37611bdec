"""The fibre to a White Rabbit slave's master: round trip, asymmetry, and what the day's warmth does to them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from qlab.clock import PS_PER_S

__all__ = ["FIXED_DELAYS", "Fibre", "FibreParameters"]


FIXED_DELAYS = (225_000, 226_000, 225_000, 226_000)  # [INF] dtxm, drxm, dtxs, drxs in ps, as in the sheet's example
GROUP_DELAY_PS_PER_M = 4898.0  # 1.4682 / c, silica at 1310 nm
PS_PER_KM_K = 37.0  # one way; thermal coefficient of standard fibre
DAY_S = 86400.0


class FibreParameters(BaseModel):
    """The `twin:` section of node and switch alike: the fibre to the master and the clock at this end."""

    model_config = ConfigDict(extra="forbid")

    length_m: float = Field(5000.0, ge=0, le=200_000, description="of the fibre to the master")
    swing_k: float = Field(0.0, ge=0, description="half of the fibre's daily change of temperature")
    asymmetry_ps: float = Field(7000.0, description="of the round trip, known by calibration")
    uncalibrated_ps: float = Field(
        0.0, description="how much longer the way from the master is than calibration says, against the way back"
    )
    hidden_ps_per_k: float = Field(1.0, description="[INF] time error by asymmetry per kelvin of the fibre")
    noise_ps: float = Field(3.0, ge=0, description="[INF] of the clock offset from update to update")
    holdover_1e12: float = Field(1000.0, description="[INF] frequency error without master, in units of 1e-12")
    step_ps: float = Field(2000.0, description="of the fault offset_step")
    begins_tracking: bool = True


@dataclass(frozen=True, slots=True)
class Fibre:
    """Round trip and asymmetry over the day."""

    p: FibreParameters

    def warmth_k(self, t_ps: int) -> float:
        """Return how much warmer than on average it is."""
        return self.p.swing_k * math.sin(2.0 * math.pi * t_ps / (DAY_S * PS_PER_S))

    def cable_ps(self, t_ps: int) -> int:
        """Return the round trip in the cable."""
        one_way = self.p.length_m * (GROUP_DELAY_PS_PER_M + PS_PER_KM_K * 1e-3 * self.warmth_k(t_ps))
        return round(2.0 * one_way)

    def hidden_ps(self, t_ps: int) -> float:
        """Return the time error that no servo sees: half of an asymmetry that was not calibrated makes the slave late."""
        return self.p.hidden_ps_per_k * self.warmth_k(t_ps) - self.p.uncalibrated_ps / 2.0
