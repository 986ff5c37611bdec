"""What a lab file may say, as pydantic models; every quantity is in the unit that its key ends with.

Texts with a unit ("12 mA") are converted before these models see them (`qlab.lab.quantities`), so that the models are
strict: a number is a number, and `yes` is none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, StringConstraints, Tag

from qlab.lab.clock_models import (
    FrequencyJumpModel,
    GpsOutageModel,
    LeapModel,
    NoiseModel,
    OscillatorModel,
    PairClockModel,
    ReferenceModel,
    StepModel,
)
from qlab.lab.optic_models import NAME, GateModel, Optic
from qlab.lab.qkd_model import QkdModel

__all__ = [
    "AnalyserModel",
    "BranchModel",
    "CableModel",
    "ClockModel",
    "FrequencyJumpModel",
    "GpsOutageModel",
    "InstrumentModel",
    "LabFile",
    "LeapModel",
    "NodeModel",
    "NoiseModel",
    "OscillatorModel",
    "PathModel",
    "ReferenceModel",
    "ReplayModel",
    "StepModel",
    "WorldModel",
]

Name = Annotated[str, StringConstraints(pattern=NAME)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class ClockModel(_Model):
    """How lab time runs."""

    mode: Literal["stepped", "paced", "real"] = "stepped"
    speed: float = Field(1.0, gt=0, description="lab seconds per wall second, for paced time")


class NodeModel(_Model):
    """A place with its own clock."""

    clock: OscillatorModel = OscillatorModel()
    ambient_c: float = Field(22.0, ge=-273.15, le=100.0, description="room temperature, on average")
    swing_k: float = Field(0.0, ge=0, le=100.0, description="half of its daily change; lab time 0 is at the average")


class InstrumentModel(_Model):
    """A thing with a wire protocol."""

    class_: str = Field(alias="class", description="dotted name of the device class, or an entry point of qlab.devices")
    address: str = Field(
        min_length=1,
        description="VISA resource, serial port, ZeroMQ end point, `twin`, or `twin:BUS` on a shared bus",
    )
    node: str | None = None
    unit: Annotated[str, BeforeValidator(lambda v: str(v) if type(v) is int else v)] | None = Field(
        None, description="address on a multidrop bus"
    )
    settings: dict[str, Any] = Field({}, description="what is set at connection; its keys are the class's")
    twin: dict[str, Any] = Field({}, description="properties of the twin; its keys are the class's")
    cold_stage: str | None = Field(
        None, pattern=r"^[^.]+\.[^.]+$", description="where its detectors sit: CRYOSTAT.STAGE, for example cryo.A"
    )
    reference: ReferenceModel = Field(
        ReferenceModel(), description="how a tagger or generator gets its node's 10 MHz and 1 pps"
    )
    gate: GateModel | None = Field(None, description="its detectors click only during these pulses")
    labels: dict[str, str] = Field({}, description="anything you want to remember, for example an inventory number")

    @property
    def is_twin(self) -> bool:
        """Whether a twin is mounted for it."""
        return self.address == "twin" or self.address.startswith("twin:")


class BranchModel(_Model):
    """A further way behind a splitter."""

    via: list[str] = []
    to: Target


class PathModel(_Model):
    """A way of the light, from a source or laser through optics to where it ends."""

    from_: str = Field(alias="from", description="a laser, a weak source, or CRYSTAL.signal and CRYSTAL.idler")
    via: list[str] = Field([], description="optics in the light's order")
    to: Target = Field(description="a detector, or a target for each port of the last splitter")


class CableModel(_Model):
    """A cable from a detector, an output of a pulse generator, a modulator's drive or a node's 1 pps to a tagger's input."""

    from_: str = Field(alias="from")
    to: str = Field(pattern=r"^[^.]+\.[1-9][0-9]*$", description="TAGGER.INPUT, inputs from 1")
    delay_ps: int = Field(0, ge=0)


class AnalyserModel(_Model):
    """A polarisation analyser composed of two rotation mounts and two inputs of a tagger."""

    class_: str = Field("devices.polarisation.analyser.WavePlateAnalyser", alias="class")
    hwp: str
    qwp: str
    tagger: str
    transmitted: int = Field(ge=1, description="input of the tagger, from 1")
    reflected: int = Field(ge=1, description="input of the tagger, from 1")


class ReplayModel(_Model):
    """A recorded tag file in the world's place, behind the twins of the taggers."""

    file: Annotated[Path, Field(strict=False)] = Field(
        description="relative to the lab file, or to where --set is used"
    )
    start_s: float = Field(1.0, ge=0, description="lab time at which the recording begins")
    bin_ps: float | None = Field(None, gt=0, description="length of a time bin, for text files, which do not say it")
    repeat: bool = Field(default=False, description="play it again and again")
    inputs: dict[str, dict[int, Annotated[int, Field(ge=0, le=255)]]] = Field(
        {}, description="for each tagger, its inputs (from 1) and the recording's channels (from 0)"
    )


class WorldModel(_Model):
    """What is behind the twins."""

    engine: Literal["numpy", "numba"] = Field("numpy", description="who draws the clicks: the same bits, numba faster")
    replay: ReplayModel | None = None


class LabFile(_Model):
    """Everything of one lab."""

    qlab: Literal[1] = Field(description="version of this format")
    name: Name
    seed: int = Field(0, ge=0, lt=2**63)
    clock: ClockModel = ClockModel()
    nodes: dict[Name, NodeModel] = {}
    instruments: dict[Name, InstrumentModel] = Field(min_length=1)
    optics: dict[Name, Optic] = {}
    paths: list[PathModel] = []
    cables: list[CableModel] = []
    analysers: dict[Name, AnalyserModel] = {}
    pair_clocks: dict[Name, PairClockModel] = {}
    qkd: QkdModel | None = Field(None, description="two parties that make keys")
    world: WorldModel = WorldModel()
    data_directory: Annotated[Path, Field(strict=False)] | None = Field(None, description="default: ./qlab-data")
    catalogue: str | None = Field(None, description="Tiled catalogue: a served one's address, `embedded` or `none`")


Target = Annotated[
    Annotated[str, Tag("#one")] | Annotated[dict[str, "Branch"], Tag("#ports")],
    Discriminator(lambda value: "#ports" if isinstance(value, dict) else "#one"),
]
Branch = Annotated[
    Annotated[str, Tag("#end")] | Annotated[BranchModel, Tag("#on")],
    Discriminator(lambda value: "#on" if isinstance(value, (dict, BranchModel)) else "#end"),
]
BranchModel.model_rebuild()
PathModel.model_rebuild()
LabFile.model_rebuild()
