"""What the `twin:` section of a repeater module may say; the defaults are protocol sheet 22's [design], or marked."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["Parameters"]


class Parameters(BaseModel):
    """The module."""

    model_config = ConfigDict(extra="forbid")

    maker: str = "qlab"
    serial: str = "0001"
    firmware: str = "1.0"
    qubits: int = Field(4, ge=1, le=8, description="[design] of the sheet")
    links: int = Field(2, ge=1, le=4, description="[design] of the sheet")
    tick_hz: float = Field(1e5, gt=0, description="of the micro-programme and the attempts: NV 100 kHz, ions 50 kHz")
    t1_s: float = Field(3600.0, gt=0, description="[INF] relaxation of the communication qubit")
    t2_s: float = Field(0.5, gt=0, description="[INF] coherence of the communication qubit, decoupled")
    storage_t1_s: float = Field(3600.0, gt=0, description="[INF]")
    storage_t2_s: float = Field(10.0, gt=0, description="[INF] of nuclear spins, decoupled")
    init_s: float = Field(300e-6, gt=0, description="[design] of the sheet")
    gate_s: float = Field(1e-6, gt=0, description="[design] of the sheet")
    two_qubit_s: float = Field(500e-6, gt=0, description="[design] of the sheet")
    measure_s: float = Field(10e-6, gt=0, description="[design] of the sheet")
    attempt_s: float = Field(5e-6, ge=0, description="[INF] what an attempt needs locally")
    emission_probability: float = Field(
        0.3, ge=0, le=1, description="[INF] photon in the fibre per attempt, conversion included"
    )
    init_error: float = Field(0.002, ge=0, le=1, description="[INF]")
    gate_error: float = Field(0.0005, ge=0, le=0.5, description="[INF] average infidelity of a one-qubit gate")
    two_qubit_error: float = Field(0.01, ge=0, le=0.75, description="[INF] average infidelity of a two-qubit gate")
    measure_error: float = Field(0.005, ge=0, le=0.5, description="[INF] misread outcomes")
    model_fidelity: float = Field(0.9, ge=0.25, le=1, description="what the module takes for F0 of its pairs")
    temperature_k: float = Field(4.0, gt=0, description="[INF] NV centres: Pompili et al., Science 372, 259 (2021)")
    laser_power_w: float = Field(1e-3, ge=0, description="[INF]")
    internal_clock_error: float = Field(1e-7, description="[INF] fractional frequency error of TIME:SOUR INT")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        for t1_s, t2_s, prefix in ((self.t1_s, self.t2_s, ""), (self.storage_t1_s, self.storage_t2_s, "storage_")):
            if t2_s > 2.0 * t1_s:
                msg = f"{prefix}t2_s = {t2_s:g} s is longer than twice {prefix}t1_s = {t1_s:g} s, which no qubit can do"
                raise ValueError(msg)
        return self
