"""What a lab file may say of a SIM900's twin."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Parameters"]


class Parameters(BaseModel):
    """The `twin:` section: what sits in the slots, and the nanowires on it."""

    model_config = ConfigDict(extra="forbid")

    serial: str = "000112"
    slots: dict[Annotated[int, Field(ge=1, le=8)], Literal["sim928", "qoamp"]] = Field(
        {1: "sim928"}, description="module by slot, 1 to 8"
    )
    reference: bool = Field(False, description="whether 10 MHz come from outside")
    switching_ua: float = Field(20.0, gt=0, description="[INF] 10 to 30 uA")
    efficiency: float = Field(
        0.85, ge=0, le=1, description="on the plateau; You, Nanophotonics 9, 2673 (2020): 0.8 to 0.98"
    )
    dark_rate_hz: float = Field(1000.0, ge=0, description="at the switching current")
    jitter_fwhm_ps: float = Field(50.0, ge=0, description="at the switching current")
    dead_time_ns: float = Field(40.0, ge=0, description="[INF] tens of ns (same review)")
