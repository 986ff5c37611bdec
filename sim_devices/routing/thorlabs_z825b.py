"""Twin of Thorlabs' KDC101 with a Z825B actuator: a stage of 25 mm.  Written from protocol sheet 12."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from sim_devices.polarisation.apt_axis import Axis, Scale
from sim_devices.polarisation.apt_controller import AptTwin

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qlab.twin.bench import Bench

__all__ = ["Z825BTwin"]

COUNTS_PER_MM = 34304.0  # [V2]
VELOCITY, ACCELERATION = 767367.49, 261.93
"""[INF] Counts per millimetre a second, and a second squared, by the protocol note's formula."""
FASTEST, STEEPEST = 2.6, 4.0
"""[INF] Millimetres a second, and a second squared; the sheet leaves them to the stage."""
SCALE = Scale(COUNTS_PER_MM, VELOCITY, ACCELERATION, FASTEST, STEEPEST)
TRAVEL_MM = 25.0


class Parameters(BaseModel):
    """The `twin:` section: properties of the stage."""

    model_config = ConfigDict(extra="forbid")

    serial: int = Field(27000123, gt=0, description="27 and six digits: a KDC101")
    repeatability_mm: float = Field(0.0002, ge=0, description="[INF] standard deviation of where a move stops")
    backlash_mm: float = Field(0.008, ge=0, description="[INF] play of the spindle")


class Z825BTwin(AptTwin):
    """The controller and its stage."""

    model = "KDC101"

    def __init__(self, name: str, bench: Bench, parameters: Parameters) -> None:
        self._repeatability = parameters.repeatability_mm
        lost = float(bench.rng(name).uniform(1.0, TRAVEL_MM - 1.0))
        knob = bench.knob(name, "position_mm")
        axis = Axis(bench.clock, knob, SCALE, lost, parameters.backlash_mm, travel=TRAVEL_MM)
        # As it is delivered, the controller comes to every place from below.
        axis.correction = axis.delivered = round(2.0 * parameters.backlash_mm * SCALE.position)
        super().__init__(name, bench, parameters.serial, {1: axis})

    @classmethod
    def build(cls, name: str, bench: Bench, parameters: Mapping[str, object]) -> Z825BTwin:
        """Build the twin from the lab file's `twin:` section."""
        return cls(name, bench, Parameters.model_validate(dict(parameters)))

    def stop_error(self, move: int) -> float:
        """Return by how many millimetres a move misses its end: each move has its own draw."""
        return self._repeatability * float(self._bench.rng(self._name, move).standard_normal())
