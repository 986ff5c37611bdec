"""The passive parts of a lab file: no wire protocol, one model a kind."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from qlab.lab.fibre_events import FibreEventModel

__all__ = [
    "OPTIC_KINDS",
    "AttenuatorModel",
    "DelayLineModel",
    "EavesdropperModel",
    "FibreModel",
    "GateModel",
    "InterferometerModel",
    "LevelModel",
    "MidpointModel",
    "Optic",
    "PaddlesModel",
    "PairSourceModel",
    "PbsModel",
    "PulsedModel",
    "SplitterModel",
    "SplittingModel",
    "SqueezersModel",
    "StateModel",
    "SwitchModel",
    "TapModel",
    "TriggerModel",
    "VariableAttenuatorModel",
    "WavePlateModel",
    "WeakSourceModel",
]

NAME = r"^[A-Za-z][A-Za-z0-9_-]*$"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class StateModel(_Model):
    """A two-qubit state: a Bell state with white noise, and less coherence if asked."""

    bell: Literal["phi+", "phi-", "psi+", "psi-"] = "phi+"
    visibility: float = Field(1.0, ge=0, le=1, description="Werner visibility")
    coherence: float = Field(1.0, ge=0, le=1, description="further factor on the coherences between H and V outcomes")


class TriggerModel(_Model):
    """A cable from an output of a pulse generator; what it triggers acts on leading edges."""

    from_: str = Field(alias="from", pattern=r"^[^.]+\.[^.]+$", description="GENERATOR.OUTPUT, for example delaygen.AB")
    delay_ps: int = Field(0, ge=0, description="of the cable")
    threshold_v: float = Field(1.0, description="pulses with a lower upper level are not seen")


class GateModel(TriggerModel):
    """A gate of a single-photon detector: open during each pulse, or for a time from its leading edge."""

    width_ps: float | None = Field(None, gt=0, description="as long as the pulse, if left out")


class PulsedModel(_Model):
    """A pump that pulses; the pump's power is its average."""

    trigger: TriggerModel
    modes: float | None = Field(
        None, gt=0, description="Schmidt number: 1 for thermal pair numbers; Poisson without it"
    )
    pulse_fwhm_ps: float = Field(0.0, ge=0)
    stimulated: bool = Field(
        default=False, description="pairs of a pulse stimulate each other; always so where photons meet others"
    )


class LevelModel(_Model):
    """A level of an intensity modulator."""

    transmission: float = Field(1.0, ge=0, le=1, description="what is asked of the modulator")
    share: float = Field(1.0, ge=0, description="how often it is chosen, against the other levels")


class SplittingModel(_Model):
    """Photon-number splitting: Eve keeps a photon of pulses that have several and blocks single ones."""

    fraction: float = Field(0.0, ge=0, le=1, description="share of the pulses, until somebody changes it")
    line_db: float = Field(0.0, ge=0, description="loss of the line that she replaces by one without")
    behind_db: float = Field(0.0, ge=0, description="loss between source and Eve, which makes the pulses weak")


class EavesdropperModel(_Model):
    """Eve in the light's way."""

    kind: Literal["eavesdropper"]
    attack: Literal["intercept_resend", "faked_states", "after_gate", "time_shift"] = "intercept_resend"
    fraction: float = Field(0.0, ge=0, le=1, description="share of the photons, until somebody changes it")
    bases: Literal["both", "HV", "DA", "breidbart"] = Field("both", description="in which she measures")
    shift_ps: float = Field(
        2000.0, ge=0, description="of `time_shift`, earlier and later; of `after_gate`, by which her light comes later"
    )


class WeakSourceModel(_Model):
    """A laser that pulses at a trigger, behind an intensity and a polarisation modulator; a path begins at NAME."""

    kind: Literal["weak_source"]
    trigger: TriggerModel
    photons_per_pulse: float = Field(1.0, ge=0, description="mean, where the intensity modulator is open")
    laser: str | None = Field(None, description="pulses are cut from its power, instead of photons_per_pulse")
    wavelength_nm: float = Field(1550.0, gt=0)
    pulse_fwhm_ps: float = Field(0.0, ge=0)
    modulator: str | None = Field(
        None, description="the instrument that drives the modulators, and can tell what was sent"
    )
    levels: dict[Annotated[str, StringConstraints(pattern=NAME)], LevelModel] = Field(
        {"signal": LevelModel()}, min_length=1
    )
    level_extinction_db: float | None = Field(None, ge=0, description="of the intensity modulator; infinite without it")
    states: dict[Literal["H", "V", "D", "A"], Annotated[float, Field(ge=0)]] = Field(
        {"H": 1.0}, min_length=1, description="how often each is chosen, against the others"
    )
    state_extinction_db: float | None = Field(None, ge=0, description="of the state modulator; infinite without it")
    misalignment_deg: float = Field(0.0, description="all states are turned by so much")
    pattern: list[str] = Field([], description="LEVEL.STATE, sent in turn; without it, at random")
    splitting: SplittingModel | None = Field(None, description="an eavesdropper who counts photons")


class PairSourceModel(_Model):
    """A crystal that makes photon pairs; paths begin at NAME.signal and NAME.idler."""

    kind: Literal["pair_source"]
    pump: str = Field(description="the laser")
    oven: str | None = Field(None, description="the heater; without one, the phase matching is perfect")
    state: StateModel = StateModel()
    brightness_hz_per_mw: float = Field(gt=0, description="pairs made in the collected modes")
    phase_match_c: float = 25.0
    phase_match_fwhm_c: float = Field(2.0, gt=0)
    pump_nm: float | None = Field(
        None,
        gt=0,
        description="pump wavelength that `phase_match_c` is for; without it, the pump's mode hops do not matter",
    )
    phase_match_c_per_nm: float = Field(
        20.0, description="[INF] by which `phase_match_c` moves with the pump's wavelength"
    )
    signal_nm: float = Field(810.0, gt=0)
    idler_nm: float = Field(810.0, gt=0)
    bandwidth_nm: float = Field(1.0, gt=0, description="full width at half maximum of the signal")
    pulsed: PulsedModel | None = Field(None, description="without it, the pump is continuous")


class TapModel(_Model):
    """A pick-off for a power meter in a laser's path, which ends `to: {tapped: METER, through: ...}`."""

    kind: Literal["tap"]
    fraction: float = Field(0.01, ge=0, le=1)


class FibreModel(_Model):
    """A fibre; in a path's `via`, NAME for light that passes it one way and NAME.back for the other.

    The delay of standard fibre in a loose tube grows by 6.7 ppm per K: L. A. Bergman, S. T. Eng, A. R. Johnston,
    Electron. Lett. 19, 865 (1983).
    """

    kind: Literal["fibre"]
    length_m: float = Field(ge=0)
    loss_db_per_km: float = Field(0.2, ge=0)
    group_index: float = Field(1.468, ge=1)
    index_nm: float | None = Field(
        None,
        gt=0,
        description="wavelength that group_index is of; light of another is later by dispersion; none: its own",
    )
    dispersion_ps_nm_km: float = 0.0
    rotation_seed: int | None = Field(None, ge=0, description="draws the fixed rotation; without it there is none")
    drift_rad_per_sqrt_s: float = Field(0.0, ge=0, description="random walk of the rotation, rms after 1 s")
    ps_per_km_k: float = Field(33.0, ge=0, description="change of the delay with temperature")
    swing_k: float = Field(0.0, ge=0, le=100.0, description="half of the daily change of its temperature")
    asymmetry_ps: float = Field(0.0, description="how much later light is on the way back than forth")
    events: list[FibreEventModel] = Field([], description="what happens to it, and when")


class AttenuatorModel(_Model):
    """A loss: a filter, a coupling, a connector."""

    kind: Literal["attenuator"]
    loss_db: float = Field(ge=0)


class WavePlateModel(_Model):
    """A retarder on a rotation mount."""

    kind: Literal["wave_plate"]
    retardance: Literal["half", "quarter"] | float = Field(description="half, quarter, or radians")
    retardance_error_rad: float = Field(0.0, description="what the plate has too much")
    mount: str = Field(description="the instrument that turns it")
    offset_deg: float = Field(0.0, description="where the mount stands when the fast axis is horizontal")


class PbsModel(_Model):
    """A polarising beam splitter, last of its path: `to: {transmitted: ..., reflected: ...}`."""

    kind: Literal["pbs"]
    extinction_db: float = Field(30.0, ge=0)


class SplitterModel(_Model):
    """A beam splitter that does not look at the polarisation, last of its path like a pbs."""

    kind: Literal["beam_splitter"]
    transmittance: float = Field(0.5, ge=0, le=1)


class VariableAttenuatorModel(_Model):
    """An attenuator that an instrument sets."""

    kind: Literal["variable_attenuator"]
    instrument: str = Field(description="the instrument that sets the loss")
    channel: int | None = Field(None, ge=1, description="of an instrument with several attenuators")
    insertion_loss_db: float = Field(0.0, ge=0, description="what it loses when it is open")


class SwitchModel(_Model):
    """One input of an optical switch, last of its path: `to: {"1": ..., "4": ...}` by output number."""

    kind: Literal["switch"]
    instrument: str = Field(description="the instrument that switches")
    input: int = Field(1, ge=1)
    loss_db: float = Field(0.0, ge=0, description="0.5 to 1.5 dB of a Polatis [INF], about 1 dB of an Agiltron [V1]")
    crosstalk_db: float | None = Field(None, ge=0, description="of the outputs that are not chosen; none without it")


class PaddlesModel(_Model):
    """Fibre paddles that an instrument turns: retarders at adjustable angles."""

    kind: Literal["paddles"]
    instrument: str
    retardances_rad: list[float] = Field([math.pi / 2.0, math.pi, math.pi / 2.0], min_length=1)
    offset_deg: float = Field(0.0, description="where the paddles stand when their fast axes are horizontal")


class SqueezersModel(_Model):
    """Fibre squeezers that an instrument drives: adjustable retarders at fixed angles."""

    kind: Literal["squeezers"]
    instrument: str
    angles_deg: list[float] = Field([0.0, 45.0, 0.0, 45.0], min_length=1)


class MidpointModel(_Model):
    """Where photons of two repeater modules meet and herald a pair; paths begin at MODULE.LINK and end `to: NAME`."""

    kind: Literal["midpoint"]
    efficiency: float = Field(1.0, ge=0, le=1, description="of each of the two detectors")
    dark_rate_hz: float = Field(0.0, ge=0, description="of each of the two detectors")
    visibility: float = Field(1.0, ge=0, le=1, description="of the Hong-Ou-Mandel interference")


class DelayLineModel(_Model):
    """A retroreflector on a stage: the light is later by passes * position / c."""

    kind: Literal["delay_line"]
    stage: str = Field(description="the instrument that moves it")
    passes: int = Field(2, ge=1, le=16, description="how often the light goes the way")
    loss_db: float = Field(0.0, ge=0)


class InterferometerModel(_Model):
    """A splitter at which photons of two pulsed sources meet.

    Paths end `to: NAME.a` and `to: NAME.b`, others begin at NAME.c and NAME.d.
    What comes in by a is transmitted to c and reflected to d; what comes in by b, the other way round.
    """

    kind: Literal["interferometer"]
    splitter: Literal["beam_splitter", "pbs"] = "beam_splitter"
    transmittance: float = Field(0.5, ge=0, le=1, description="of a beam_splitter")
    extinction_db: float = Field(30.0, ge=0, description="of a pbs")
    overlap: float = Field(1.0, ge=0, le=1, description="of the two inputs' modes in space, |<a|b>|^2")


Optic = Annotated[
    PairSourceModel
    | WeakSourceModel
    | TapModel
    | FibreModel
    | AttenuatorModel
    | EavesdropperModel
    | WavePlateModel
    | PbsModel
    | SplitterModel
    | VariableAttenuatorModel
    | SwitchModel
    | PaddlesModel
    | SqueezersModel
    | MidpointModel
    | DelayLineModel
    | InterferometerModel,
    Field(discriminator="kind"),
]

OPTIC_KINDS: dict[str, type[BaseModel]] = {
    "pair_source": PairSourceModel,
    "weak_source": WeakSourceModel,
    "tap": TapModel,
    "fibre": FibreModel,
    "attenuator": AttenuatorModel,
    "eavesdropper": EavesdropperModel,
    "wave_plate": WavePlateModel,
    "pbs": PbsModel,
    "beam_splitter": SplitterModel,
    "variable_attenuator": VariableAttenuatorModel,
    "switch": SwitchModel,
    "paddles": PaddlesModel,
    "squeezers": SqueezersModel,
    "midpoint": MidpointModel,
    "delay_line": DelayLineModel,
    "interferometer": InterferometerModel,
}
