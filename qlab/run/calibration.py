"""A tagger's calibration as a document in the data folder: the delays of its inputs, for plans that come later.

It is for taggers without delay settings of their own, and for people who want the instrument left as it is.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["TaggerCalibration", "calibration_path", "read_calibration", "write_calibration"]


class TaggerCalibration(BaseModel):
    """What a calibration says.

    Attributes
    ----------
    tagger:
        Its name.
    delays_ps, sigmas_ps:
        Of each channel (from 0), and their standard uncertainties: what to subtract from its times.
    settings_ps:
        The tagger's own delay settings when it was calibrated; a calibration says nothing under others.
    time_s:
        When, as documents have it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tagger: str
    delays_ps: dict[int, int]
    sigmas_ps: dict[int, float]
    settings_ps: list[int]
    time_s: float


def calibration_path(tagger: Any) -> Path:
    """Return where a tagger's calibration is kept: `calibrations/NAME.json` in the data folder."""
    folder: Path = tagger.recorder.folder
    return folder.parent / "calibrations" / f"{tagger.name}.json"


def write_calibration(tagger: Any, found: TaggerCalibration) -> Path:
    """Write a calibration in the place of the one before, and return where."""
    path = calibration_path(tagger)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(found.model_dump(), indent=2), encoding="utf-8")
    fresh.replace(path)  # at once: who reads meanwhile finds the old one or the new one
    return path


def read_calibration(tagger: Any, settings_ps: list[int]) -> TaggerCalibration | None:
    """Return a tagger's calibration; None where there is none for these delay settings.

    Raises
    ------
    BadRequestError
        The file is there and cannot be read as a calibration.
    """
    path = calibration_path(tagger)
    if not path.exists():
        return None
    try:
        found = TaggerCalibration.model_validate_json(path.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        msg = f"{path} is no calibration of a tagger: {error}; delete it and run calibrate_tagger"
        raise BadRequestError(msg) from error
    return found if found.settings_ps == settings_ps and found.tagger == tagger.name else None
