"""Twin of the Thorlabs TC200 heater controller and the oven on it.  Written from protocol sheet 04."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from qlab.clock import PS_PER_S
from qlab.errors import TwinError
from qlab.physics.knob import Relaxation
from qlab.twin.lines import LineError, LineTwin, line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from qlab.twin.bench import Bench

__all__ = ["TC200Twin"]

RANGE = "CMD_ARG_RANGE_ERR"  # a word that the command does not know is answered with it too [INF]
NUMBER = re.compile(r"[-+]?\d+(\.\d*)?|[-+]?\.\d+", re.ASCII)
ENABLED, CYCLE, ALARM, PAUSED = 0x01, 0x02, 0x40, 0x80
FAULTS = ("sensor_unplugged", "cycle_paused")
SENSORS = {"th10k": 0x0, "ptc100": 0x4, "ptc1000": 0x8}
UNITS = {"k": 0x00, "c": 0x10, "f": 0x20}
WORDS = {"k": "K", "c": "C", "f": "F"}


class Parameters(BaseModel):
    """The `twin:` section: properties of the oven."""

    model_config = ConfigDict(extra="forbid")

    tau_s: float = Field(90.0, gt=0, description="[INF] first order, 1 to 5 min")
    resolution_c: float = Field(0.1, gt=0, description="[V2] of the readings")


class TC200Twin(LineTwin):
    """The controller: echo, answer, prompt."""

    wire: ClassVar[Literal["tcp", "serial", "zmq"]] = "serial"
    terminators = b"\r"
    ignored = b"\n"
    reply_terminator = b"\r"
    echo = True
    prompt = b"> "
    unknown = "CMD_NOT_DEFINED"

    def __init__(self, name: str, bench: Bench, parameters: Parameters) -> None:
        super().__init__(bench.clock)
        self._name = name
        self._bench = bench
        self._parameters = parameters
        self._knob = bench.oven_temperature(name)
        self._alarm = self._paused = False
        self._defaults()

    @classmethod
    def build(cls, name: str, bench: Bench, parameters: Mapping[str, object]) -> TC200Twin:
        """Build the twin from the lab file's `twin:` section."""
        return cls(name, bench, Parameters.model_validate(dict(parameters)))

    def reset_power(self) -> None:
        """Switch the heater off; the set points are kept, as the manual has it."""
        self._enabled = False
        self._drive()

    def device_fault(self, name: str, *, active: bool = True) -> None:
        """Unplug the sensor, which switches the heater off, or pause a cycle at the front panel; or end it."""
        if name not in FAULTS:
            msg = f"{self._name}: unknown device fault {name!r}; expected one of {', '.join(FAULTS)}"
            raise TwinError(msg)
        if name == "cycle_paused":
            self._paused = active
            return
        self._alarm = active
        if active:
            self._enabled = False
            self._drive()

    def peek(self) -> dict[str, object]:
        """Return the front panel's state."""
        return {"set_c": self._set_c, "actual_c": self._actual_c(), "enabled": self._enabled, "alarm": self._alarm}

    def closing(self, text: str, lines: Sequence[str]) -> bytes:
        """`stat?` has no carriage return before the prompt [V1]."""
        if text.strip() == "stat?":
            return f"{''.join(lines)} > ".encode()
        return super().closing(text, lines)

    @line("id?", "*idn?")
    def _identity(self) -> str:
        return "THORLABS TC200 VERSION 2.0"

    @line("tact?")
    def _actual(self) -> str:
        return f"{self._in_unit(self._actual_c()):.1f} {WORDS[self._unit]}"

    @line("tset?")
    def _set_point_query(self) -> str:
        return f"{self._in_unit(self._set_c):.1f} {'Celsius' if self._unit == 'c' else WORDS[self._unit]}"

    @line("tset=(.*)")
    def _set_point(self, value: str) -> None:
        self._set_c = _number(value, 20.0, min(200.0, self._max_c))
        self._drive()

    @line("tmax?")
    def _max_query(self) -> str:
        return f"{self._max_c:.1f}"

    @line("tmax=(.*)")
    def _max(self, value: str) -> None:
        self._max_c = _number(value, 20.0, 205.0)
        self._set_c = min(self._set_c, self._max_c)  # [INF]
        self._drive()

    @line("pmax?")
    def _power_query(self) -> str:
        return f"{self._max_w:.1f}"

    @line("pmax=(.*)")
    def _power(self, value: str) -> None:
        self._max_w = _number(value, 0.1, 18.0)

    @line("pid?")
    def _pid_query(self) -> str:
        return " ".join(str(term) for term in self._pid)

    @line("([pid])gain=(.*)")
    def _gain(self, term: str, value: str) -> None:
        self._pid["pid".index(term)] = round(_number(value, 1.0 if term == "p" else 0.0, 250.0))

    @line("ens")
    def _toggle(self) -> None:
        if not self._alarm:
            self._enabled = not self._enabled
            self._drive()

    @line("mode=(.*)")
    def _mode(self, mode: str) -> None:
        self._cycle = _word(mode, ("normal", "cycle")) == "cycle"

    @line("sns=(.*)")
    def _sensor(self, sensor: str) -> None:
        self._sensor_type = _word(sensor, SENSORS)

    @line("sns?")
    def _sensor_query(self) -> str:
        return self._sensor_type

    @line("unit=(.*)")
    def _set_unit(self, unit: str) -> None:
        self._unit = _word(unit, UNITS)

    @line("tune")
    def _tune(self) -> None:
        """Calibrate the offset, which needs the sensor."""
        if not self._alarm:
            self._tuned = True

    @line("tune?")
    def _tune_query(self) -> str:
        return str(int(self._tuned))

    @line("stat?")
    def _status(self) -> str:
        status = SENSORS[self._sensor_type] | UNITS[self._unit]
        status |= ENABLED if self._enabled else 0
        status |= CYCLE if self._cycle else 0
        status |= ALARM if self._alarm else 0
        status |= PAUSED if self._cycle and self._paused else 0
        return f"{status:x}"

    @line("config?")
    def _config(self) -> list[str]:
        return [f"tset={self._set_c:.1f}", f"pmax={self._max_w:.1f}", f"tmax={self._max_c:.1f}"]

    def _defaults(self) -> None:
        self._set_c, self._max_c, self._max_w = 25.0, 200.0, 18.0
        self._pid = [125, 0, 0]
        self._enabled = self._cycle = self._tuned = False
        self._unit, self._sensor_type = "c", "th10k"

    def _actual_c(self) -> float:
        return self._knob.value(self.clock.now_ps())

    def _in_unit(self, celsius: float) -> float:
        return {"c": celsius, "k": celsius + 273.15, "f": celsius * 1.8 + 32.0}[self._unit]

    def _drive(self) -> None:
        """Head for the set point if the heater is on, for the room if not: an oven cannot cool."""
        now = self.clock.now_ps()
        room = self._bench.ambient_c(self._name)
        target = max(self._set_c, room) if self._enabled else room
        tau = round(self._parameters.tau_s * PS_PER_S)
        self._knob.set(Relaxation(now, self._knob.value(now), target, tau), now)


def _number(text: str, low: float, high: float) -> float:
    """Read a number, which counts in steps of 0.1."""
    if not NUMBER.fullmatch(text) or not low <= round(float(text), 1) <= high:
        raise LineError(RANGE)
    return round(float(text), 1)


def _word(text: str, words: Iterable[str]) -> str:
    if text not in words:
        raise LineError(RANGE)
    return text
