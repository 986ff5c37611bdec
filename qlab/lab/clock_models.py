"""What a lab file may say of clocks: a node's, its noise, what happens to it, and how instruments get their reference."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "ClockEventModel",
    "FrequencyJumpModel",
    "GpsOutageModel",
    "LeapModel",
    "NoiseModel",
    "OscillatorModel",
    "PairClockModel",
    "PairNoiseModel",
    "PairSearchModel",
    "ReferenceModel",
    "StepModel",
]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class NoiseModel(_Model):
    """A clock's noise, instead of that of its kind."""

    white_pm_ps: float = Field(0.0, ge=0, le=1e9, description="standard deviation of white phase noise")
    flicker_pm_ps: float = Field(
        0.0, ge=0, le=1e9, description="b of the spectral density S_x(f) = b^2 / f of the phase"
    )
    white_fm: float = Field(
        0.0, ge=0, le=1e-6, description="Allan deviation at 1 s of white frequency (random-walk phase) noise"
    )
    flicker_fm: float = Field(0.0, ge=0, le=1e-6, description="Allan deviation of flicker frequency noise")
    random_walk_fm: float = Field(
        0.0, ge=0, le=1e-6, description="Allan deviation at 1 s of random-walk frequency noise"
    )
    loop_s: float | None = Field(
        None, gt=0, description="time constant of a loop that holds the phase; none: runs free"
    )


class _Event(_Model):
    at_s: float = Field(ge=0, description="lab time")


class StepModel(_Event):
    """The clock's time jumps."""

    kind: Literal["step"]
    by_ps: int = Field(description="forward, if above 0")


class LeapModel(_Event):
    """A leap second that others do not have: the clock jumps by whole seconds."""

    kind: Literal["leap"]
    by_s: int = Field(1, ge=-60, le=60, description="seconds forward, if above 0")


class FrequencyJumpModel(_Event):
    """The clock's frequency jumps, as quartz does now and then."""

    kind: Literal["frequency_jump"]
    by: float = Field(ge=-1e-3, le=1e-3, description="change of the fractional frequency")


class GpsOutageModel(_Event):
    """A disciplined clock is without its reference: hold-over."""

    kind: Literal["gps_outage"]
    for_s: float = Field(gt=0)


ClockEventModel = Annotated[
    StepModel | LeapModel | FrequencyJumpModel | GpsOutageModel,
    Field(discriminator="kind"),
]


class OscillatorModel(_Model):
    """A node's clock against the lab's time, or against another node's."""

    offset_ps: int = 0
    drift: float = Field(0.0, ge=-1e-3, le=1e-3, description="fractional frequency error")
    kind: Literal["ideal", "quartz", "ocxo", "rubidium", "gps_disciplined", "caesium"] = Field(
        "ideal", description="typical noise, ageing and warmth"
    )
    noise: NoiseModel | None = Field(None, description="instead of that of the kind")
    ageing_per_day: float | None = Field(
        None, ge=-1e-6, le=1e-6, description="of the fractional frequency; else the kind's"
    )
    per_k: float | None = Field(
        None, ge=-1e-4, le=1e-4, description="of the fractional frequency by the node's temperature; else the kind's"
    )
    source: str | None = Field(
        None, description="instrument that steers this clock: GPS receiver, rubidium, White Rabbit"
    )
    follows: str | None = Field(None, description="node whose clock all this is relative to; none: the lab's time")
    events: list[ClockEventModel] = Field([], description="what happens to it, and when")


class ReferenceModel(_Model):
    """How an instrument gets its node's 10 MHz and 1 pps, or what it runs on instead."""

    signal: Literal["10mhz_and_pps", "10mhz", "none"] = Field(
        "10mhz_and_pps",
        description="10mhz: the frequency is right, the zero is the instrument's own; none: its own clock",
    )
    delay_ps: int = Field(0, ge=0, description="of the distribution: amplifiers and cables")
    ps_per_k: float = Field(0.0, description="change of that delay with the node's temperature")
    noise: NoiseModel | None = Field(None, description="that the distribution adds")
    clock: OscillatorModel = Field(OscillatorModel(), description="the instrument's own, for signal none")


class PairSearchModel(_Model):
    """What may be between two clocks, where nothing is known yet."""

    max_offset_ms: float = Field(10.0, gt=0, le=450.0, description="of the time, either way")
    max_frequency: float = Field(1e-5, gt=0, le=1e-3, description="fractional, either way")
    max_drift_per_s: float = Field(1e-9, gt=0, le=1e-6, description="change of the fractional frequency, either way")
    span_s: float = Field(4.0, gt=0, description="how much of an acquisition is used")


class PairNoiseModel(_Model):
    """How restless the difference of two clocks is, for the filter that follows it."""

    white_fm: float = Field(3e-11, ge=0, description="Allan deviation at 1 s of white frequency noise")
    random_walk_fm: float = Field(1e-13, ge=0, description="random walk of the fractional frequency in a second")
    drift_walk: float = Field(1e-16, ge=0, description="random walk of the drift in a second")


class PairClockModel(_Model):
    """A node's clock against another's by photon pairs: two taggers, read as one clock."""

    class_: str = Field("devices.timing.pair_clock.PairClock", alias="class")
    first: str = Field(description="the tagger of the node that the other is compared with")
    second: str
    first_inputs: list[Annotated[int, Field(ge=1)]] = Field([1], min_length=1, description="that share pairs, from 1")
    second_inputs: list[Annotated[int, Field(ge=1)]] = Field([1], min_length=1)
    first_pps: int | None = Field(None, ge=1, description="input with the 1 pps of the node's clock")
    second_pps: int | None = Field(None, ge=1)
    delay_ps: float = Field(0.0, description="light and cables make the second's clicks so much later than the first's")
    search: PairSearchModel = PairSearchModel()
    noise: PairNoiseModel = PairNoiseModel()
