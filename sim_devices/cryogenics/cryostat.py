"""A cryostat as a temperature controller sees it: stages that relax, heaters on them, and control loops.

Each stage is of first order: C dT/dt = (T_cold - T) / R + P, with thermal resistance R to the cold head (K/W), time constant
tau = R C and heater power P.  A real stage's heat capacity falls with temperature, so that its cool-down ends faster.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from qlab.clock import PS_PER_S
from qlab.physics.knob import CELL_PS

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Loop", "Stage", "StageTemperature", "Trajectory"]

TICK_PS = PS_PER_S  # [INF] the control loops look once a second

WARM_UP_FACTOR = 6.0  # [INF] a stage in vacuum with its compressor off warms so much slower than it cools
CLOSED_LOOP, ZONES, OPEN_LOOP, WARM_UP = 1, 2, 3, 5  # [V2] modes that heat; 0 is off, 4 shows the input as a voltage
RANGE_POWER = (0.0, 0.01, 0.1, 1.0)  # [INF] off, low, medium, high: decades of the full power


@dataclass(frozen=True, slots=True)
class Stage:
    """What a sensor sits on.

    Parameters
    ----------
    base_k:
        What it cools down to; None for one that is not cooled.
    tau_s, kelvin_per_watt:
        Time constant and thermal resistance to the cold head.
    """

    base_k: float | None
    tau_s: float
    kelvin_per_watt: float

    def after(self, seconds: float, kelvin: float, watts: float, room_k: float, *, compressor: bool) -> float:
        """Return the temperature after some time with constant heater power, exactly."""
        cold = compressor and self.base_k is not None
        rest_k = (self.base_k if cold and self.base_k is not None else room_k) + self.kelvin_per_watt * watts
        tau_s = self.tau_s if cold or self.base_k is None else self.tau_s * WARM_UP_FACTOR
        return rest_k + (kelvin - rest_k) * math.exp(-seconds / tau_s)


@dataclass(slots=True)
class Loop:
    """One output: its set point, its ramp and its regulator."""

    mode: int = 0
    input: int = 0  # 0 is none, 1 to 4 are A to D
    power_up: int = 0
    range: int = 0
    set_k: float = 4.0
    now_k: float = 4.0  # where the ramp of the set point is
    ramp: bool = False
    rate_k_per_min: float = 0.0
    pid: tuple[float, float, float] = (50.0, 20.0, 0.0)  # [INF]
    manual_percent: float = 0.0
    percent: float = 0.0
    error_integral: float = 0.0  # K s
    last_k: float | None = None
    regulated: bool = True  # whether its sensor is there

    def restart(self) -> None:
        """Forget what the regulator remembers."""
        self.error_integral, self.last_k = 0.0, None
        self.percent = self.manual_percent if self.range and self.mode in (OPEN_LOOP, WARM_UP) else 0.0

    @property
    def ramping(self) -> bool:
        """Whether the set point is under way."""
        return self.ramp and self.rate_k_per_min > 0 and self.now_k != self.set_k

    @property
    def closed(self) -> bool:
        """Whether a regulator drives the output: closed loop, zone, or warm-up to the set point."""
        return self.mode in (CLOSED_LOOP, ZONES, WARM_UP) and self.input > 0 and self.range > 0

    def move_set_point(self, seconds: float) -> None:
        """Let the set point ramp."""
        way_k = self.rate_k_per_min / 60.0 * seconds if self.ramping else math.inf
        gap_k = self.set_k - self.now_k
        self.now_k = self.set_k if abs(gap_k) <= way_k else self.now_k + math.copysign(way_k, gap_k)

    def regulate(self, seconds: float, temperature_k: float) -> None:
        """Drive the output for the next `seconds`.

        u = P (e + I/1000 s * integral of e + D_s de/dt) in percent, with D_s = D % of 250 s / I  [INF: the manual's PID].
        The integral stands still while the output is at its end (no wind-up).
        """
        p, i, d = self.pid
        error_k = self.now_k - temperature_k
        if self.mode == WARM_UP:  # [INF] the manual output until the set point is reached
            self.percent = self.manual_percent if error_k > 0.0 else 0.0
            return
        slope = 0.0 if self.last_k is None else (temperature_k - self.last_k) / seconds
        self.last_k = temperature_k
        integral = self.error_integral + error_k * seconds
        lead_s = d / 100.0 * 250.0 / i
        percent = p * (error_k + integral * i / 1000.0 - lead_s * slope) + self.manual_percent
        self.percent = min(max(percent, 0.0), 100.0)
        if percent == self.percent or error_k * (percent - self.percent) < 0:
            self.error_integral = integral


class Trajectory:
    """What becomes of the cryostat when nobody touches the controller: computed as far as somebody asks, always the same.

    Parameters
    ----------
    start_ps:
        Lab time at which it begins.
    kelvin, loops:
        Temperatures and outputs there.
    stages, full_w, limits_k:
        Of the stages, of the outputs, of the inputs (0: none).
    """

    def __init__(
        self,
        start_ps: int,
        kelvin: Sequence[float],
        loops: Sequence[Loop],
        stages: Sequence[Stage],
        full_w: Sequence[float],
        limits_k: Sequence[float],
        *,
        room_k: float,
        compressor: bool,
    ) -> None:
        self.busy = any(loop.closed or loop.ramping for loop in loops)
        self._start_ps = start_ps
        self._stages, self._full_w, self._limits_k = stages, full_w, limits_k
        self._room_k, self._compressor = room_k, compressor
        self._ticks = [(tuple(kelvin), tuple(loops))]

    def at(self, t_ps: int) -> tuple[list[float], list[Loop]]:
        """Return temperatures and outputs at a lab time."""
        since_ps = max(t_ps - self._start_ps, 0)
        number = since_ps // TICK_PS if self.busy else 0
        while len(self._ticks) <= number:
            self._ticks.append(self._next(*self._ticks[-1]))
        kelvin, loops = self._ticks[number]
        rest_s = (since_ps - number * TICK_PS) / PS_PER_S
        return self._relax(kelvin, loops, rest_s), [replace(loop) for loop in loops]

    def _relax(self, kelvin: Sequence[float], loops: Sequence[Loop], seconds: float) -> list[float]:
        watts = [0.0] * len(kelvin)
        for loop, full_w in zip(loops, self._full_w, strict=True):
            if loop.range and loop.input:
                share = RANGE_POWER[loop.range] if full_w > 1.0 else 1.0
                watts[loop.input - 1] += loop.percent / 100.0 * share * full_w
        return [
            stage.after(seconds, k, w, self._room_k, compressor=self._compressor)
            for stage, k, w in zip(self._stages, kelvin, watts, strict=True)
        ]

    def _next(self, kelvin: Sequence[float], loops: Sequence[Loop]) -> tuple[tuple[float, ...], tuple[Loop, ...]]:
        """Let one tick pass, then let the regulators look; a limit that is exceeded shuts them off."""
        seconds = TICK_PS / PS_PER_S
        now_k = self._relax(kelvin, loops, seconds)
        hot = any(0.0 < limit < k for limit, k in zip(self._limits_k, now_k, strict=True))
        after = [replace(loop, range=0, percent=0.0) if hot else replace(loop) for loop in loops]
        for loop in after:
            loop.move_set_point(seconds)
            if loop.closed and loop.regulated:
                loop.regulate(seconds, now_k[loop.input - 1])
        return tuple(now_k), tuple(after)


@dataclass(frozen=True, slots=True)
class StageTemperature:
    """A stage's temperature on a trajectory, as a knob's profile."""

    trajectory: Trajectory
    number: int

    end_ps: ClassVar[int] = 2**62
    step_ps: ClassVar[int] = CELL_PS

    def value(self, t_ps: int) -> float:
        """Return the temperature at `t_ps`."""
        return self.trajectory.at(t_ps)[0][self.number]
