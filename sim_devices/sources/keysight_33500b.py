"""Twin of the Keysight 33500B and 33600A function and arbitrary waveform generators.  Written from protocol sheet 23."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from qlab.clock import PS_PER_S
from qlab.errors import TwinError
from qlab.twin.framing import BlockFramer
from sim_devices.pulse_output import PulseOutput
from sim_devices.sources.awg_functions import Functions
from sim_devices.sources.awg_limits import MODELS
from sim_devices.sources.awg_memory import CAPACITY, Memory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qlab.twin.bench import Bench
    from qlab.twin.conversation import Framer

__all__ = ["Keysight33500BTwin"]

BUFFER = 8 * CAPACITY
"""Bytes of the longest message: a memory full of points."""
OVERLOAD, OVERHEATED, UNLOCKED = 1 << 0, 1 << 1, 1 << 5  # [INF] QUEStionable, as the 33220A has them
FAULTS = {"overload": OVERLOAD, "over_temperature": OVERHEATED, "reference_lost": UNLOCKED}


class Parameters(BaseModel):
    """The `twin:` section: which model it is."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field("33622A", pattern="^(" + "|".join(MODELS) + ")$")
    serial: str = "MY50000123"
    firmware: str = "A.01.10-2.25-03-64-02"
    least_points: int = Field(1, ge=1, description="of an arbitrary waveform: the sheet has 3, pymeasure says 8")


class Keysight33500BTwin(Functions):
    """The generator."""

    wire: ClassVar[Literal["tcp", "serial", "zmq"]] = "tcp"

    def __init__(self, name: str, bench: Bench, parameters: Parameters) -> None:
        super().__init__(bench.clock)
        self._name = name
        self._bench = bench
        self._parameters = parameters
        self.model = MODELS[parameters.model]
        self.channels = self.model.channels
        numbers = range(1, self.channels + 1)
        self._knobs = {n: bench.knob(name, f"frequency_hz.{n}") for n in numbers}
        self._pulses = {n: PulseOutput(bench, name, str(n)) for n in numbers}
        self.memory = {n: Memory(self.model.has_arbitrary, parameters.least_points) for n in numbers}
        self._faults: set[str] = set()
        self._settle()

    @classmethod
    def build(cls, name: str, bench: Bench, parameters: Mapping[str, object]) -> Keysight33500BTwin:
        """Build the twin from the lab file's `twin:` section."""
        return cls(name, bench, Parameters.model_validate(dict(parameters)))

    @classmethod
    def trigger_outputs(cls, parameters: Parameters) -> Sequence[str]:
        """Return the outputs that can trigger something."""
        return [str(n + 1) for n in range(MODELS[parameters.model].channels)]

    def identify(self) -> str:
        """Answer `*IDN?`."""
        p = self._parameters
        return f"Agilent Technologies,{p.model},{p.serial},{p.firmware}"

    def reset_power(self) -> None:
        """Return to the power-on state; volatile memory is lost."""
        for memory in self.memory.values():
            memory.clear()
        super().reset_power()

    def on_reset(self) -> None:
        """Return to 1 kHz, 100 mVpp and outputs that are off."""
        self._settle()

    def device_fault(self, name: str, *, active: bool = True) -> None:
        """Overload an output from outside, overheat, or lose the external reference; or end it."""
        if name not in FAULTS:
            msg = f"{self._name}: unknown device fault {name!r}; expected {', '.join(FAULTS)}"
            raise TwinError(msg)
        self._faults = self._faults | {name} if active else self._faults - {name}
        self.refresh_status()
        if active and name != "reference_lost":
            for channel in self._knobs:
                self.output_on[channel] = False
                self.drive(channel)

    def refresh_status(self) -> None:
        """Say what is wrong; the reference matters only where it is used."""
        for name, bit in FAULTS.items():
            used = name != "reference_lost" or self.reference == "EXT"
            self.status["QUEStionable"].set_bits(bit, on=used and name in self._faults)

    def may_switch_on(self) -> bool:
        """Tell whether no overload keeps the outputs off."""
        return not self._faults & {"overload", "over_temperature"}

    def peek(self) -> dict[str, object]:
        """Return what the outputs give."""
        now, on = self.clock.now_ps(), [n for n in self._knobs if self.output_on[n]]
        seen: dict[str, object] = {f"voltage_v.{n}": self.voltage_v(n, now) for n in self._knobs}
        return seen | {"output_on": bool(on)} | {f"function.{n}": self.function[n] for n in self._knobs}

    def voltage_v(self, channel: int, t_ps: int) -> float:
        """Return the voltage on the load."""
        if not self.output_on[channel]:
            return 0.0
        draw = partial(self._draw, channel)
        sign = -1.0 if self.polarity[channel] == "INV" else 1.0
        cycles = self.phase_deg[channel] / 360.0
        if self.burst_on[channel]:
            passed = self.cycles_at(channel, t_ps)
            cycles = self.burst_phase_deg[channel] / 360.0 + (passed or 0.0)
        else:
            cycles += t_ps / PS_PER_S * self.cycle_hz(channel)
        return self.offset_v(channel) + sign * self.vpp(channel) / 2.0 * self.waveform(channel, draw).value(cycles)

    def drive(self, channel: int) -> None:
        """Let the world know how often an output repeats."""
        rate = self.bursts_hz(channel) if self.burst_on[channel] else self.cycle_hz(channel)
        runs = self.output_on[channel] and not self.is_dc(channel)
        now = self.clock.now_ps()
        self._knobs[channel].set(rate if runs else 0.0, now)
        self._let_pulse(channel, rate, now)

    def _let_pulse(self, channel: int, rate_hz: float, now_ps: int) -> None:
        """Let the world know the edges of a square wave or pulse; what has no steep edges triggers nothing."""
        function, high_v = self.function[channel], self.offset_v(channel) + self.vpp(channel) / 2.0
        if not self.output_on[channel] or function not in ("SQU", "PULS") or rate_hz <= 0.0:
            self._pulses[channel].set(now_ps, high_v=high_v)
            return
        period = 1.0 / self.frequency_hz[channel]
        width = self.pulse_width_s[channel] if function == "PULS" else period * self.duty_percent[channel] / 100.0
        phase = self.burst_phase_deg[channel] if self.burst_on[channel] else self.phase_deg[channel]
        delay = -phase / 360.0 % 1.0 * period
        if self.polarity[channel] == "INV":
            delay, width = (delay + width) % period, period - width
        burst = (1, 0.0)
        if self.burst_on[channel]:  # begins with its own phase, after the trigger's delay
            burst = (round(self.burst_s(channel) / period), period)
            delay += self.delay_s[channel]
        self._pulses[channel].set(now_ps, rate_hz, 1, delay, width, high_v, burst)

    def _draw(self, channel: int, key: int) -> float:
        return float(self._bench.rng(self._name, channel, key).standard_normal())

    def _settle(self) -> None:
        self.reset_levels()
        self.reset_triggers()
        self.reset_functions()
        for channel in self._knobs:
            self.drive(channel)

    def _scpi_framer(self) -> Framer:
        return BlockFramer(self.terminator, max_length=BUFFER)
