"""The WebSQ's automatic work: the search for bias currents, the scan of the bias, and what the stage's temperature was."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from qlab.clock import PS_PER_S

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qlab.physics.knob import Knob
    from sim_devices.detectors.nanowire_channel import NanowireChannel

__all__ = ["BiasScan", "find_bias_ua", "temperature_history"]

STEP_PS = PS_PER_S // 10  # [INF] how long a scan stays at a bias
POINTS, POINT_PS = 200, 60 * PS_PER_S  # [V1] points; [INF] a minute apart
SECOND_STAGE_K, BOARD_C, MEAN_V = 40.0, 30.0, 1.0  # [INF]
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
STEPS = 10_000


@dataclass
class BiasScan:
    """A scan under way: at each bias the clicks of one step are counted."""

    biases_ua: Sequence[float]
    begun_ps: int
    at: int = 0
    counts: list[dict[str, float]] = field(default_factory=list)
    volts: list[dict[str, float]] = field(default_factory=list)

    @classmethod
    def plan(cls, start_ua: float, end_ua: float, increment_ua: float, now_ps: int) -> BiasScan | None:
        """Return a scan; None for one without steps."""
        if not increment_ua or not math.isfinite(increment_ua):
            return None
        count = int(abs(end_ua - start_ua) / abs(increment_ua) + 1e-9) + 1
        if count > STEPS:
            return None
        sign = math.copysign(1.0, end_ua - start_ua)
        return cls([start_ua + sign * abs(increment_ua) * n for n in range(count)], now_ps)

    @property
    def due_ps(self) -> int:
        """When the present step is over."""
        return self.begun_ps + (self.at + 1) * STEP_PS

    def begin(self, channels: Sequence[NanowireChannel]) -> None:
        """Set the bias of the present step."""
        for channel in channels:
            channel.set_bias(self.biases_ua[self.at])

    def finish(self, channels: Sequence[NanowireChannel]) -> bool:
        """Note what the present step gave; return whether it was the last."""
        bias = self.biases_ua[self.at]
        start_ps = self.due_ps - STEP_PS
        counts = {f"y{n}": float(c.counts(start_ps, self.due_ps)) for n, c in enumerate(channels, 1)}
        volts = {f"v{n}": c.voltage_mv for n, c in enumerate(channels, 1)}
        self.counts.append({"biasCurrent": bias, **counts})
        self.volts.append({"biasCurrent": bias, **volts})
        self.at += 1
        return self.at == len(self.biases_ua)


def find_bias_ua(channel: NanowireChannel, darks: float, period_s: float, temperature_k: float) -> float:
    """Return the bias with so many dark counts a period, at most 95 % of the switching current."""
    low, high = 0.0, 0.95 * channel.wire.switching_at(temperature_k)
    for _ in range(40):
        middle = (low + high) / 2.0
        if channel.wire.darks_at(middle, temperature_k) * period_s < darks:
            low = middle
        else:
            high = middle
    return round(high, 2)


def temperature_history(stage: Knob, now_ps: int) -> dict[str, Any]:
    """Return the last points, one a minute, oldest first."""
    last = now_ps // POINT_PS
    times = [n * POINT_PS for n in range(max(last - POINTS + 1, 0), last + 1)]
    return {
        "x": [f"{EPOCH + timedelta(microseconds=t // 10**6):%d-%b-%y %H:%M:%S.%f}" for t in times],
        "T": [round(stage.value(t), 4) for t in times],
        "T2": [SECOND_STAGE_K for _ in times],
        "V_avrg": [MEAN_V for _ in times],
        "BoardTemp1": [BOARD_C for _ in times],
        "BoardTemp2": [BOARD_C for _ in times],
    }
