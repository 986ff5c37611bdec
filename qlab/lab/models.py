"""What a lab file may say, as pydantic models; every quantity is in the unit that its key ends with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "AnalyserModel",
    "CableModel",
    "ClockModel",
    "FibreModel",
    "InstrumentModel",
    "LabFile",
    "NodeModel",
    "Optic",
    "OscillatorModel",
    "PairSourceModel",
    "PathModel",
    "PbsModel",
    "ReplayModel",
    "SplitterModel",
    "StateModel",
    "TapModel",
    "WavePlateModel",
    "WorldModel",
]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class ClockModel(_Model):
    """How lab time runs."""

    mode: Literal["stepped", "paced", "real"] = "stepped"
    speed: float = Field(1.0, gt=0, description="lab seconds per wall second, for paced time")


class OscillatorModel(_Model):
    """A node's clock against the lab's time."""

    offset_ps: int = 0
    drift: float = Field(0.0, ge=-1e-3, le=1e-3, description="fractional frequency error")


class NodeModel(_Model):
    """A place with its own clock."""

    clock: OscillatorModel = OscillatorModel()
    ambient_c: float = 22.0


class InstrumentModel(_Model):
    """A thing with a wire protocol."""

    class_: str = Field(alias="class", description="dotted name of the device class, or an entry point of qlab.devices")
    address: str = Field(
        description="VISA resource, serial port, ZeroMQ end point, `twin`, or `twin:BUS` on a shared bus"
    )
    node: str | None = None
    unit: str | None = Field(None, description="address on a multidrop bus")
    settings: dict[str, Any] = {}
    twin: dict[str, Any] = {}

    @property
    def is_twin(self) -> bool:
        """Whether a twin is mounted for it."""
        return self.address == "twin" or self.address.startswith("twin:")


class StateModel(_Model):
    """A two-qubit state: a Bell state with white noise, and less coherence if asked."""

    bell: Literal["phi+", "phi-", "psi+", "psi-"] = "phi+"
    visibility: float = Field(1.0, ge=0, le=1, description="Werner visibility")
    coherence: float = Field(1.0, ge=0, le=1, description="further factor on the coherences between H and V outcomes")


class PairSourceModel(_Model):
    """A crystal that makes photon pairs."""

    kind: Literal["pair_source"]
    pump: str
    oven: str | None = None
    state: StateModel = StateModel()
    brightness_hz_per_mw: float = Field(gt=0)
    phase_match_c: float = 25.0
    phase_match_fwhm_c: float = Field(2.0, gt=0)
    signal_nm: float = Field(810.0, gt=0)
    idler_nm: float = Field(810.0, gt=0)
    bandwidth_nm: float = Field(1.0, gt=0)


class TapModel(_Model):
    """A pick-off for a power meter."""

    kind: Literal["tap"]
    fraction: float = Field(0.01, ge=0, le=1)


class FibreModel(_Model):
    """A fibre."""

    kind: Literal["fibre"]
    length_m: float = Field(ge=0)
    loss_db_per_km: float = Field(0.2, ge=0)
    group_index: float = 1.468
    dispersion_ps_nm_km: float = 0.0
    rotation_seed: int | None = Field(None, description="draws the fixed rotation; without it there is none")
    drift_rad_per_sqrt_s: float = Field(0.0, ge=0)


class AttenuatorModel(_Model):
    """A loss."""

    kind: Literal["attenuator"]
    loss_db: float = Field(ge=0)


class WavePlateModel(_Model):
    """A retarder on a rotation mount."""

    kind: Literal["wave_plate"]
    retardance: Literal["half", "quarter"] | float = Field(description="half, quarter, or radians")
    mount: str
    offset_deg: float = 0.0


class PbsModel(_Model):
    """A polarising beam splitter; it ends `via` or is followed by `to: {transmitted, reflected}`."""

    kind: Literal["pbs"]
    extinction_db: float = Field(30.0, ge=0)


class SplitterModel(_Model):
    """A beam splitter that does not look at the polarisation."""

    kind: Literal["beam_splitter"]
    transmittance: float = Field(0.5, ge=0, le=1)


Optic = Annotated[
    PairSourceModel | TapModel | FibreModel | AttenuatorModel | WavePlateModel | PbsModel | SplitterModel,
    Field(discriminator="kind"),
]


class BranchModel(_Model):
    """A further way behind a splitter."""

    via: list[str] = []
    to: str | dict[str, Any]


class PathModel(_Model):
    """A way of the light, from a source or laser through optics to where it ends."""

    from_: str = Field(alias="from")
    via: list[str] = []
    to: str | dict[str, Any] = Field(description="a detector, or one target a port of the last splitter")


class CableModel(_Model):
    """A cable from a detector to an input of a tagger."""

    from_: str = Field(alias="from")
    to: str = Field(description="TAGGER.INPUT, inputs from 1")
    delay_ps: int = 0


class AnalyserModel(_Model):
    """A polarisation analyser composed of mounts and two inputs of a tagger."""

    hwp: str
    qwp: str
    tagger: str
    transmitted: int = Field(ge=1)
    reflected: int = Field(ge=1)


class ReplayModel(_Model):
    """A recorded tag file in the world's place."""

    file: Path
    start_s: float = Field(1.0, ge=0, description="lab time at which the recording begins")
    bin_ps: float | None = Field(None, gt=0)
    inputs: dict[str, dict[int, int]] = Field(
        {}, description="for each tagger, its inputs (from 1) and the file's channels"
    )


class WorldModel(_Model):
    """What is behind the twins."""

    replay: ReplayModel | None = None


class LabFile(_Model):
    """Everything of one lab."""

    qlab: Literal[1] = Field(description="version of this format")
    name: str = Field(pattern=r"^[A-Za-z0-9_-]+$")
    seed: int = Field(0, ge=0)
    clock: ClockModel = ClockModel()
    nodes: dict[str, NodeModel] = {}
    instruments: dict[str, InstrumentModel]
    optics: dict[str, Optic] = {}
    paths: list[PathModel] = []
    cables: list[CableModel] = []
    analysers: dict[str, AnalyserModel] = {}
    world: WorldModel = WorldModel()
