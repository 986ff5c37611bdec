"""The DG645's step sizes, by which its knobs turn [V2 of the delays; V1 of the others]."""

from __future__ import annotations

from typing import TypeVar

from qlab.twin.scpi import command, integer, number, parameter, query
from sim_devices.sources.dg645_delays import CHANNELS, LONGEST_S, OUTPUTS
from sim_devices.sources.dg645_outputs import OutputTable

__all__ = ["StepTable"]

OUTSIDE_S = 10.0  # [V1] the longest step of the hold-off

T = TypeVar("T")


class StepTable(OutputTable):
    """Step sizes."""

    rate_step_hz = parameter("SSTR", 1e3, limits=(1e-3, 1e6), fmt="+.6f")
    level_step_v = parameter("SSTL", 0.01, limits=(0.01, 3.5), fmt="+.2f")
    hold_step_s = parameter("SSHD", 1e-9, limits=(0.0, OUTSIDE_S), fmt="+.12f")
    count_step = parameter("SSBC", 1, limits=(1, 2**31 - 1))
    burst_delay_step_s = parameter("SSBD", 1e-9, limits=(0.0, LONGEST_S), fmt="+.12f")
    burst_period_step_s = parameter("SSBP", 1e-9, limits=(0.0, LONGEST_S), fmt="+.12f")

    _steps: list[float]
    _prescale_steps: tuple[int, ...] = (1,) * 5
    _phase_steps: tuple[int, ...] = (1,) * 5
    _amplitude_steps: tuple[float, ...] = (0.1,) * 5
    _offset_steps: tuple[float, ...] = (0.1,) * 5

    @command("SSDL", CHANNELS, number(0.0, LONGEST_S))
    def _step_size(self, channel: int, seconds: float) -> None:
        self._steps[channel] = seconds

    @query("SSDL?", CHANNELS)
    def _step_size_query(self, channel: int) -> str:
        return f"{self._steps[channel]:+.12f}"

    @command("SPDL", CHANNELS, integer(0, 1))
    def _step(self, channel: int, up: int) -> None:
        reference, seconds = self._delays[channel]
        self._delay(channel, reference, seconds + (1 if up else -1) * self._steps[channel])

    @command("SSPS", OUTPUTS, integer(1, 2**31 - 1))
    def _set_prescale_step(self, output: int, step: int) -> None:
        self._prescale_steps = _replaced(self._prescale_steps, output, step)

    @query("SSPS?", OUTPUTS)
    def _prescale_step(self, output: int) -> int:
        return self._prescale_steps[output]

    @command("SSPH", integer(1, 4), integer(0, 2**31 - 2))
    def _set_phase_step(self, output: int, step: int) -> None:
        self._phase_steps = _replaced(self._phase_steps, output, step)

    @query("SSPH?", integer(1, 4))
    def _phase_step(self, output: int) -> int:
        return self._phase_steps[output]

    @command("SSLA", OUTPUTS, number(0.0, 5.0))
    def _set_amplitude_step(self, output: int, volt: float) -> None:
        self._amplitude_steps = _replaced(self._amplitude_steps, output, volt)

    @query("SSLA?", OUTPUTS)
    def _amplitude_step(self, output: int) -> str:
        return f"{self._amplitude_steps[output]:+.2f}"

    @command("SSLO", OUTPUTS, number(0.0, 2.0))
    def _set_offset_step(self, output: int, volt: float) -> None:
        self._offset_steps = _replaced(self._offset_steps, output, volt)

    @query("SSLO?", OUTPUTS)
    def _offset_step(self, output: int) -> str:
        return f"{self._offset_steps[output]:+.2f}"


def _replaced(values: tuple[T, ...], place: int, value: T) -> tuple[T, ...]:
    return (*values[:place], value, *values[place + 1 :])
