"""What a lab file says of its two parties: who detects with what, and the rules that both follow."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from qlab.lab.optic_models import NAME

__all__ = ["ChoiceModel", "FactsModel", "IntensityModel", "PartyModel", "QkdModel", "SettingModel"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class FactsModel(_Model):
    """What is known of a receiver; what is left out was not measured, and the key is refused unless that is accepted."""

    efficiency_mismatch: float | None = Field(
        None, ge=0, le=1, description="largest relative difference of the efficiencies of its detectors"
    )
    dead_time_ps: list[int] | None = Field(None, description="of each detector")
    simultaneous_dead_time: bool | None = Field(
        None, description="whether a click makes all its detectors blind, or clicks while any was blind were dropped"
    )
    blinding_watched: bool | None = Field(None, description="whether bias or light is watched for bright light")
    gate_ps: int | None = Field(None, ge=0, description="for how long its detectors' gates are open; 0: never shut")


class SettingModel(_Model):
    """One setting of an analyser that chooses the basis."""

    position_deg: float = Field(description="of the mount")
    share: float = Field(gt=0, le=1, description="probability with which it is chosen; together 1")


class ChoiceModel(_Model):
    """Active basis choice: random bits of this party turn a plate before one pair of detectors, a piece at a time."""

    mount: str = Field(description="the instrument that turns the plate")
    ports: Annotated[list[Annotated[int, Field(ge=1, le=256)]], Field(min_length=2, max_length=2)] = Field(
        description="the tagger's inputs behind the two ports: bit 0, bit 1"
    )
    settings: dict[Literal["HV", "DA", "a0", "a1", "a2", "b1", "b2"], SettingModel] = Field(
        description="HV and DA; of `e91` a0, a1, a2 of Alice, b1, b2 of Bob"
    )


class PartyModel(_Model):
    """One party: its tagger and what the inputs mean."""

    tagger: str
    inputs: dict[Literal["H", "V", "D", "A"], Annotated[int, Field(ge=1, le=256)]] = Field(
        {}, description="the tagger's input of each detector, from 1, where beam splitters choose the basis"
    )
    choice: ChoiceModel | None = Field(None, description="where this party chooses it, instead of `inputs`")
    facts: FactsModel = FactsModel()
    delay_ps: int = Field(0, description="by which its clicks are later than what was sent; of Bob, with decoy states")
    level_tagger: str | None = Field(None, description="of Alice: records the intensity modulator's drives")
    levels: dict[Annotated[str, StringConstraints(pattern=NAME)], Annotated[int, Field(ge=1, le=200)]] = Field(
        {}, description="of Alice: the level tagger's input of each intensity, from 1"
    )


class IntensityModel(_Model):
    """One intensity of the pulses that Alice sends."""

    photons: float = Field(ge=0, description="mean, where the pulse leaves Alice")
    share: float = Field(gt=0, le=1, description="probability with which it is chosen")


class QkdModel(_Model):
    """Two parties that make keys: Alice opens blocks and listens, Bob calls and corrects."""

    protocol: Literal["bbm92", "decoy", "e91"] = "bbm92"
    alice: PartyModel
    bob: PartyModel
    address: Annotated[str, StringConstraints(pattern=r"^.+:[0-9]+$")] = Field(
        "127.0.0.1:7440", description="HOST:PORT at which Alice listens"
    )
    source: str | None = Field(
        None, description="instrument that makes the photons; `qlab run qkd_bbm92` switches it on"
    )
    key_basis: Literal["HV", "DA"] = "HV"
    piece_s: float = Field(1.0, gt=0, description="photons are taken and sifted in pieces of this length")
    window_ps: int = Field(1000, ge=0, description="full width of the coincidence window")
    merge_ps: int = Field(1000, ge=0, description="clicks of one party within this time are one detection")
    clock_offset_ps: int = Field(0, ge=0, description="largest time between both clocks; 0: they are one clock")
    clock_frequency: float = Field(0.0, ge=0, le=1e-3, description="largest fractional frequency between both clocks")
    delay_search_ps: int = Field(1_000_000, gt=0, description="largest difference of two detectors' delays")
    peak_width_ps: int = Field(2000, gt=0, description="about the width of a coincidence peak")
    key_bits: int = Field(200_000, ge=1, description="a block is complete with so many sifted bits of the key basis")
    test_bits: int = Field(20_000, ge=1, description="and so many of the test basis")
    most_pieces: int = Field(
        10_000, ge=1, description="a block that is not complete after so many pieces is given up: is there light?"
    )
    tolerance: float = Field(
        0.04, ge=0, lt=0.5, description="error rate of the test basis up to which a block is taken; of `e91` as S says"
    )
    expected_error_rate: float = Field(0.03, gt=0, lt=0.5, description="of the key basis, for the first block")
    intensities: dict[Annotated[str, StringConstraints(pattern=NAME)], IntensityModel] = Field(
        {}, description="of `decoy`: two or three, the brightest first"
    )
    variant: Literal["fast", "tight", "ldpc"] = "fast"
    eps_sec: float = Field(1e-10, gt=0, lt=1, description="distance of each key from one that Eve knows nothing of")
    eps_cor: float = Field(1e-15, gt=0, lt=1, description="probability that keys differ and nobody notices")
    accept: list[str] = Field([], description="assumptions that need not be met; they stand in each statement")
