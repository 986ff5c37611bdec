"""Twins of Thorlabs' K10CR1 rotation mount, KDC101 motor controller and MPC320 paddles.  Written from protocol sheet 12."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from sim_devices.polarisation.apt_axis import Axis, Scale
from sim_devices.polarisation.apt_controller import AptTwin

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qlab.twin.bench import Bench

__all__ = ["K10CR1Twin", "KDC101Twin", "MPC320Twin"]

PADDLES = (1, 2, 4)
PADDLE_TRAVEL_DEG = 170.0  # [V2]
PRM1_VELOCITY, PRM1_ACCELERATION = 42941.66, 14.66
"""[INF] Counts per degree a second, and a second squared, by the protocol note's formula."""
K10CR1_FASTEST, K10CR1_STEEPEST, PRM1_FASTEST, PADDLE_FASTEST = 10.0, 20.0, 25.0, 400.0
"""[V2] Degrees a second, and a second squared."""
PRM1_STEEPEST, PADDLE_STEEPEST, PADDLE_HOMING = 25.0, 4000.0, 200.0
"""[INF] Degrees a second squared, and a second in search of the zero."""


class Parameters(BaseModel):
    """The `twin:` section: properties of the motors."""

    model_config = ConfigDict(extra="forbid")

    serial: int = Field(55000123, gt=0, description="55 and six digits: a K10CR1")
    repeatability_deg: float = Field(0.01, ge=0, description="[INF] standard deviation of where a move stops")
    backlash_deg: float = Field(0.05, ge=0, description="[INF] play of the gear")


class _Stage(AptTwin):
    """A controller with rotation axes."""

    scale: ClassVar[Scale]
    channels: ClassVar[tuple[int, ...]] = (1,)
    travel: ClassVar[float | None] = None

    def __init__(self, name: str, bench: Bench, parameters: Parameters) -> None:
        self._repeatability = parameters.repeatability_deg
        lost = [float(v) for v in bench.rng(name).uniform(5.0, 80.0, len(self.channels))]
        axes = {}
        for n, channel in enumerate(self.channels, 1):
            knob = bench.knob(name, "angle_deg" if len(self.channels) == 1 else f"angle_deg.{n}")
            axes[channel] = Axis(bench.clock, knob, self.scale, lost[n - 1], parameters.backlash_deg, self.travel)
        super().__init__(name, bench, parameters.serial, axes)

    @classmethod
    def build(cls, name: str, bench: Bench, parameters: Mapping[str, object]) -> _Stage:
        """Build the twin from the lab file's `twin:` section."""
        return cls(name, bench, Parameters.model_validate(dict(parameters)))

    def stop_error(self, move: int) -> float:
        """Return by how many degrees a move misses its end: each move has its own draw."""
        return self._repeatability * float(self._bench.rng(self._name, move).standard_normal())


class K10CR1Twin(_Stage):
    """The rotation mount: a stepper, which shows both moving bits."""

    model = "K10CR1"
    type_number = 16
    stepper = True
    both_moving_bits = True
    scale = Scale(409600 / 3, 7329109.0, 1502.0, K10CR1_FASTEST, K10CR1_STEEPEST)


class KDC101Twin(_Stage):
    """The DC motor controller with a PRM1-Z8 rotation stage."""

    model = "KDC101"
    scale = Scale(86384 / 45, PRM1_VELOCITY, PRM1_ACCELERATION, PRM1_FASTEST, PRM1_STEEPEST)


class MPC320Twin(_Stage):
    """Three fibre paddles; channels are a bit mask, and an enable mask replaces the last one."""

    model = "MPC320"
    channels = PADDLES
    travel = PADDLE_TRAVEL_DEG
    scale = Scale(1370 / PADDLE_TRAVEL_DEG, 1.0, 1.0, PADDLE_FASTEST, PADDLE_STEEPEST, homing=PADDLE_HOMING)

    def parameters_changed(self, number: int, channel: int, data: bytes) -> None:
        """Follow the velocity, 10 to 100 % of 400 degrees a second."""
        super().parameters_changed(number, channel, data)
        if number == 0x0530:
            percent = min(max(int.from_bytes(data[2:4], "little"), 10), 100)
            for axis in self.axes.values():
                axis.speed = percent / 100.0 * self.scale.fastest

    def jog_step(self, channel: int, axis: Axis) -> int:
        """Return by how many counts a paddle jogs."""
        at = 6 + 2 * PADDLES.index(channel)
        return int.from_bytes(self.registers.value(0x0530, 0, axis)[at : at + 2], "little")

    def _enable(self, channel: int, *, on: bool) -> None:
        for bit, axis in self.axes.items():
            axis.enabled = on and bool(channel & bit)
