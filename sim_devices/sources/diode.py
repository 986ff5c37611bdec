"""What the temperature does to a laser diode: the part of the `twin:` section that laser twins share."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["SETTLED_K", "DiodeTemperature"]

SETTLED_K = 0.005  # [INF] so near to its set point a temperature has settled: as steadily as a controller keeps it


class DiodeTemperature(BaseModel):
    """How threshold, slope and wavelength depend on the diode's temperature (`qlab.physics.source.LaserDiode`)."""

    model_config = ConfigDict(extra="forbid")

    t0_k: float = Field(
        170.0,
        gt=0,
        description="the threshold grows by e in so many kelvin; InGaN at 416 nm, Nakamura et al., Jpn. J. Appl. Phys. 36, "
        "L1059 (1997)",
    )
    t1_k: float = Field(500.0, gt=0, description="[INF] the slope falls by e in so many kelvin: a few times t0_k")
    gain_nm_per_k: float = Field(
        0.0432,
        ge=0,
        description="by which the gain's peak moves; InGaN at 445 nm, Romadhon et al., Opt. Laser Technol. 70, 59 (2015)",
    )
    mode_nm_per_k: float = Field(
        0.0154, ge=0, description="by which each longitudinal mode moves; InGaN at 445 nm, Romadhon et al. (2015)"
    )
