"""Twin of the Lake Shore 336 temperature controller and the cryostat behind it.  Written from protocol sheet 18."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from qlab.errors import TwinError
from qlab.twin.scpi import query
from qlab.twin.scpi_status import StatusGroup
from sim_devices.cryogenics.cryostat import Loop, Stage, StageTemperature, Trajectory
from sim_devices.cryogenics.lakeshore_inputs import INPUTS, five_digits, input_number
from sim_devices.cryogenics.lakeshore_status import OperationStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qlab.twin.bench import Bench
    from qlab.twin.conversation import Script

__all__ = ["LakeShore336Twin"]

FULL_POWER_W = (100.0, 50.0, 1.0, 1.0)  # of the four outputs; 3 and 4 are voltages for an external heater [INF]
INVALID, TOO_COLD, TOO_HOT, UNITS_ZERO, UNITS_OVER = 1 << 0, 1 << 4, 1 << 5, 1 << 6, 1 << 7  # [V2] bits of RDGST?
CURVE_K = (1.4, 475.0)  # [INF] the ends of a silicon diode's curve
OPEN, SHORT = 1, 2  # [V2] HTRST?
SENSOR_FAULTS = {"sensor_open": UNITS_OVER, "sensor_short": UNITS_ZERO}
FAULTS = ("compressor_off", *SENSOR_FAULTS, "heater_open", "heater_short")
NO_READING = "+000.00"  # [V2]


class Parameters(BaseModel):
    """The `twin:` section: the cryostat."""

    model_config = ConfigDict(extra="forbid")

    serial: str = "LSA1234"
    firmware: str = "2.9"
    base_k: tuple[float | None, float | None, float | None, float | None] = Field(
        (2.5, 40.0, None, None), description="[INF] what the stages under A to D cool down to; none: room temperature"
    )
    begins_cold: bool = Field(default=True, description="whether the cryostat has cooled down already")
    tau_s: float = Field(1800.0, gt=0, description="[INF] time constant of a cool-down")
    kelvin_per_watt: float = Field(5.0, gt=0, description="[INF] thermal resistance to the cold head")


class LakeShore336Twin(OperationStatus):
    """The controller: four sensors, four outputs, no text error queue."""

    wire: ClassVar[Literal["tcp", "serial", "zmq"]] = "tcp"
    one_client: ClassVar[bool] = True

    def __init__(self, name: str, bench: Bench, parameters: Parameters) -> None:
        super().__init__(bench.clock)
        self._name = name
        self._parameters = p = parameters
        self._bench = bench
        self._compressor = True
        self._open: dict[int, int] = {}
        self._operation = StatusGroup()
        self._heater_broken = [0, 0]
        self._heater_latch = [0, 0]
        room_k = self._room_k()
        self._kelvin = [base if base is not None and p.begins_cold else room_k for base in p.base_k]
        self._stages = [Stage(base, p.tau_s, p.kelvin_per_watt) for base in p.base_k]
        self._knobs = [bench.knob(name, f"temperature_k.{letter}") for letter in INPUTS]
        self.loops = [Loop(input=i) for i in (1, 2, 0, 0)]
        self._drive()

    @classmethod
    def build(cls, name: str, bench: Bench, parameters: Mapping[str, object]) -> LakeShore336Twin:
        """Build the twin from the lab file's `twin:` section."""
        return cls(name, bench, Parameters.model_validate(dict(parameters)))

    def identify(self) -> str:
        """Answer `*IDN?`."""
        return f"LSCI,MODEL336,{self._parameters.serial}/LSA5678,{self._parameters.firmware}"

    def on_reset(self) -> None:
        """All heaters go off; the cryostat stays as it is."""
        self._settle()
        super().on_reset()
        self.loops = [Loop(input=i) for i in (1, 2, 0, 0)]
        self._drive()

    def device_fault(self, name: str, *, active: bool = True, channel: int = 1) -> None:
        """Switch the compressor off, loosen a sensor, break a heater; or mend it."""
        self._settle()
        if name not in FAULTS or not 1 <= channel <= (2 if name.startswith("heater") else len(INPUTS)):
            msg = (
                f"{self._name}: unknown device fault {name!r} of channel {channel}; expected one of {', '.join(FAULTS)}"
            )
            raise TwinError(msg)
        if name == "compressor_off":
            self._compressor = not active
        elif name in SENSOR_FAULTS:
            self._open = {i: bit for i, bit in self._open.items() if i != channel - 1}
            self._open |= {channel - 1: SENSOR_FAULTS[name]} if active else {}
        else:
            self._heater_broken[channel - 1] = (OPEN if name == "heater_open" else SHORT) if active else 0
            if self.loops[channel - 1].range:
                self._trip(channel)
        self._drive()

    def peek(self) -> dict[str, object]:
        """Return the stages' temperatures and the outputs."""
        self._settle()
        return {
            "temperatures_k": list(self._kelvin),
            "percent": [loop.percent for loop in self.loops],
            "compressor": self._compressor,
        }

    def answer(self, message: bytes) -> Script:
        """Carry out one message, in the state that the cryostat and the loops have come to."""
        self._settle()
        self.finish_tuning()
        self.watch_operation()
        yield from super().answer(message)

    def kelvin(self, i: int) -> float:
        """Return the temperature of the stage under a sensor."""
        return self._kelvin[i]

    def limits_changed(self) -> None:
        """Heed new limits."""
        self._drive()

    @query("KRDG?")
    def _kelvin_query(self, which: str = "A") -> str:
        return self._readings(which, 0.0)

    @query("CRDG?")
    def _celsius_query(self, which: str = "A") -> str:
        return self._readings(which, 273.15)

    def _readings(self, which: str, less: float) -> str:
        """Return the reading of an input, or those of all for 0 (as the vendor's own driver asks)."""
        chosen = range(len(INPUTS)) if which.strip() == "0" else [input_number(which)]
        return ",".join(NO_READING if i in self._open else five_digits(self.kelvin(i) - less) for i in chosen)

    @query("RDGST?")
    def _reading_status(self, which: str = "A") -> str:
        i = input_number(which)
        if self._recall("INTYPE", which).startswith("0"):  # the input is disabled
            return f"{INVALID:03d}"
        kelvin, (low, high) = self.kelvin(i), CURVE_K
        beyond = TOO_COLD if kelvin < low else TOO_HOT if kelvin > high else 0
        return f"{self._open.get(i, beyond):03d}"

    def _room_k(self) -> float:
        return self._bench.ambient_c(self._name) + 273.15

    def _settle(self) -> None:
        """Bring temperatures and loops up to now."""
        self._kelvin, self.loops = self._trajectory.at(self.clock.now_ps())
        self.note_extremes()

    def _drive(self) -> None:
        """Begin anew from here: something was set."""
        now = self.clock.now_ps()
        self.use_zones()
        too_hot = self._too_hot()
        for loop in self.loops:
            loop.range = 0 if too_hot else loop.range
            loop.regulated = loop.input - 1 not in self._open
            if not loop.range:
                loop.restart()
        self._trajectory = Trajectory(
            now,
            self._kelvin,
            [replace(loop) for loop in self.loops],
            self._stages,
            FULL_POWER_W,
            tuple(self.temperature_limits()),
            room_k=self._room_k(),
            compressor=self._compressor,
        )
        for i, knob in enumerate(self._knobs):
            knob.set(StageTemperature(self._trajectory, i), now)
