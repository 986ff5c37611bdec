"""The Lake Shore 336's commands for its four outputs: set point, range, gains, ramp, mode."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qlab.twin.scpi import ScpiError, command, integer, number, query
from sim_devices.cryogenics.lakeshore_inputs import INPUTS, five_digits
from sim_devices.cryogenics.lakeshore_settings import LakeShoreSettings

if TYPE_CHECKING:
    from sim_devices.cryogenics.cryostat import Loop

__all__ = ["HeaterOutputs"]

OUTPUT = integer(1, 4)


class HeaterOutputs(LakeShoreSettings):
    """Four loops, of which the first two have heaters that can break."""

    loops: list[Loop]
    _heater_latch: list[int]
    _heater_broken: list[int]

    @command("SETP", OUTPUT, number(0.0, 1000.0))
    def _set_point(self, output: int, kelvin: float) -> None:
        loop = self.loops[output - 1]
        loop.now_k = self.kelvin(loop.input - 1) if loop.ramp and loop.input and not loop.ramping else loop.now_k
        loop.set_k = kelvin
        if not loop.ramp:
            loop.now_k = kelvin
        self._drive()

    @query("SETP?", OUTPUT)
    def _set_point_query(self, output: int) -> str:
        return five_digits(self.loops[output - 1].now_k)

    @command("RANGE", OUTPUT, integer(0, 3))
    def _range(self, output: int, value: int) -> None:
        if output > 2 and value > 1:
            raise ScpiError(-222)
        self.loops[output - 1].range = 0 if self._too_hot() else value
        self.loops[output - 1].restart()
        if value:
            self._trip(output)
        self._drive()

    @query("RANGE?", OUTPUT)
    def _range_query(self, output: int) -> str:
        return str(self.loops[output - 1].range)

    @query("HTR?", integer(1, 2))
    def _heater(self, output: int) -> str:
        return f"{self.loops[output - 1].percent:+06.1f}"

    @query("HTRST?", integer(1, 2))
    def _heater_status(self, output: int) -> str:
        """Tell once: reading clears it, and the next attempt to heat finds a broken heater again."""
        found, self._heater_latch[output - 1] = self._heater_latch[output - 1], 0
        return str(found)

    @command("PID", OUTPUT, number(0.1, 1000.0), number(0.1, 1000.0), number(0.0, 200.0))
    def _pid(self, output: int, p: float, i: float, d: float) -> None:
        self.loops[output - 1].pid = (p, i, d)
        self._drive()

    @query("PID?", OUTPUT)
    def _pid_query(self, output: int) -> str:
        return ",".join(f"{term:+07.1f}" for term in self.loops[output - 1].pid)

    @command("RAMP", OUTPUT, integer(0, 1), number(0.0, 100.0))
    def _ramp(self, output: int, on: int, rate: float) -> None:
        self.loops[output - 1].ramp, self.loops[output - 1].rate_k_per_min = bool(on), rate
        self._drive()

    @query("RAMP?", OUTPUT)
    def _ramp_query(self, output: int) -> str:
        return f"{int(self.loops[output - 1].ramp)},{self.loops[output - 1].rate_k_per_min:+06.1f}"

    @query("RAMPST?", OUTPUT)
    def _ramp_status(self, output: int) -> str:
        return str(int(self.loops[output - 1].ramping))

    @command("OUTMODE", OUTPUT, integer(0, 5), integer(0, 8), integer(0, 1))
    def _mode(self, output: int, mode: int, source: int, power_up: int) -> None:
        loop = self.loops[output - 1]
        loop.mode, loop.input, loop.power_up = mode, min(source, len(INPUTS)), power_up
        loop.restart()
        self._drive()

    @query("OUTMODE?", OUTPUT)
    def _mode_query(self, output: int) -> str:
        loop = self.loops[output - 1]
        return f"{loop.mode},{loop.input},{loop.power_up}"

    @command("MOUT", OUTPUT, number(0.0, 100.0))
    def _manual(self, output: int, percent: float) -> None:
        self.loops[output - 1].manual_percent = percent
        self.loops[output - 1].restart()
        self._drive()

    @query("MOUT?", OUTPUT)
    def _manual_query(self, output: int) -> str:
        return f"{self.loops[output - 1].manual_percent:+08.3f}"

    def _trip(self, output: int) -> None:
        """Switch a broken heater off and note why."""
        broken = self._heater_broken[output - 1] if output <= len(self._heater_broken) else 0
        if broken:
            self._heater_latch[output - 1] |= broken
            self.loops[output - 1].range = 0

    def _drive(self) -> None:
        """Begin anew from here: something was set."""
        raise NotImplementedError

    def _too_hot(self) -> bool:
        return any(0.0 < limit < self.kelvin(i) for i, limit in enumerate(self.temperature_limits()))
