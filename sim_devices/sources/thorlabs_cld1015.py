"""Twin of the Thorlabs CLD1015 laser mount: laser driver and protections.  Written from protocol sheet 03."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from qlab.errors import TwinError
from qlab.physics.knob import Following, Ramp
from qlab.physics.source import LaserDiode
from qlab.twin.scpi import ScpiError, boolean, command, integer, parameter, query
from sim_devices.sources.cld1015_tec import TecTwin, Window
from sim_devices.sources.diode import DiodeTemperature

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qlab.twin.bench import Bench

__all__ = ["CLD1015Twin"]

SOFT_START_PS = 300_000_000_000  # [INF] several 100 ms
CONFLICT = (-221, "Settings conflict")  # [INF] which error a refused OUTP ON queues
SERIES_OHM, DIODE_V = 3.0, 1.2  # a diode's forward voltage and series resistance, typical data-sheet values
CURRENT_LIMIT, TEMPERATURE_WINDOW = 1 << 3, 1 << 9  # [V1] bits of STAT:MEAS of the 4000 series, here too [INF]
FAULT_BITS = {
    "key_lock": 1 << 0,
    "voltage": 1 << 1,
    "interlock": 1 << 2,
    "output_inhibit": 1 << 4,
    "power_limit": 1 << 5,
    "temperature_protection": 1 << 8,
    "sensor_failure": 1 << 10,
    "tec_compliance": 1 << 11,
    "connection": 1 << 12,
    "over_temperature": 1 << 14,
}
"""What keeps the laser off, with its bit of STAT:MEAS [V1]."""
TEC_FAULTS = ("sensor_failure", "tec_compliance", "connection")
MEMORIES = 10  # [INF] of *SAV and *RCL


class Parameters(DiodeTemperature):
    """The `twin:` section: properties of the diode and the mount."""

    serial: str = "M00123456"
    firmware: str = "1.7.0"
    threshold_a: float = Field(0.03, ge=0, description="[INF] a violet diode, typical data-sheet value")
    slope_w_per_a: float = Field(0.6, gt=0, description="[INF] a violet diode, typical data-sheet value")
    rollover_per_a: float = Field(0.0, ge=0, description="thermal roll-off of the slope")
    wavelength_nm: float = Field(405.0, gt=0, description="at 25 degC and threshold; pump of a crystal for 810 nm")
    mode_spacing_nm: float = Field(0.03, gt=0, description="[INF] by which the laser hops")
    maximum_a: float = Field(1.5, gt=0, description="[V2] CLD1015: 1.5 A")
    tec_tau_s: float = Field(3.0, gt=0, description="[INF] TEC settles in seconds to tens of seconds")


class CLD1015Twin(TecTwin):
    """The laser mount."""

    wire: ClassVar[Literal["tcp", "serial", "zmq"]] = "tcp"
    status_groups = ("OPERation", "QUEStionable", "MEASurement")

    mode = parameter("SOURce[1]:FUNCtion:MODE", "CURR", choices=("CURRent", "POWer"), changed="_light_changed")
    current_a = parameter(
        "SOURce[1]:CURRent[:LEVel][:IMMediate][:AMPLitude]", 0.0, limits=(0.0, 1.5), units="A", changed="_light_changed"
    )
    limit_a = parameter(
        "SOURce[1]:CURRent:LIMit[:AMPLitude]", 1.5, limits=(0.0, 1.5), units="A", changed="_limit_changed"
    )
    modulation = parameter("SOURce[1]:AM:STATe", False)
    modulation_source = parameter("SOURce[1]:AM:SOURce", "EXT", choices=("INTernal", "EXTernal"))  # [INF] the words

    def __init__(self, name: str, bench: Bench, parameters: Parameters) -> None:
        super().__init__(name, bench, parameters.tec_tau_s)
        self._parameters = parameters
        self._diode = LaserDiode(
            parameters.threshold_a,
            parameters.slope_w_per_a,
            t0_k=parameters.t0_k,
            t1_k=parameters.t1_k,
            rollover_per_a=parameters.rollover_per_a,
            wavelength_nm=parameters.wavelength_nm,
            mode_spacing_nm=parameters.mode_spacing_nm,
            gain_nm_per_k=parameters.gain_nm_per_k,
            mode_nm_per_k=parameters.mode_nm_per_k,
        )
        self._power = bench.pump_power(name)
        self._wavelength = bench.knob(name, "wavelength_nm", self._diode.wavelength_nm)
        self._laser_on = False
        self._full_ps = 0
        self._present: set[str] = set()
        self._tripped: set[str] = set()
        self._memory: dict[int, tuple[dict[str, float | bool | str], Window]] = {}

    @classmethod
    def build(cls, name: str, bench: Bench, parameters: Mapping[str, object]) -> CLD1015Twin:
        """Build the twin from the lab file's `twin:` section."""
        return cls(name, bench, Parameters.model_validate(dict(parameters)))

    def identify(self) -> str:
        """Answer `*IDN?`."""
        return f"Thorlabs,CLD1015,{self._parameters.serial},{self._parameters.firmware}"

    def on_reset(self) -> None:
        """`*RST` switches both outputs off."""
        super().on_reset()
        self._switch(on=False)

    def reset_power(self) -> None:
        """Power was cycled: everything is off, the memories are kept, what is still wrong has tripped."""
        super().reset_power()
        self._tripped = set(self._present)
        self.refresh_status()

    def limits_of(self, name: str) -> tuple[float, float] | None:
        """Return the set current's range, which its limit bounds."""
        return (0.0, float(self.limit_a)) if name == "current_a" else None

    def peek(self) -> dict[str, object]:
        """Return the front panel's state."""
        return {**super().peek(), "laser_on": self._laser_on, "tripped": sorted(self._tripped)}

    def refresh_status(self) -> None:
        """Derive the measurement register from the faults and the temperature."""
        bits = sum(FAULT_BITS[fault] for fault in self._present)
        bits |= CURRENT_LIMIT if "limit" in self._tripped else 0
        bits |= 0 if self.window.low_c <= self.actual_c() <= self.window.high_c else TEMPERATURE_WINDOW
        self.status["MEASurement"].set_condition(bits)

    def device_fault(self, name: str, *, active: bool = True) -> None:
        """Open the interlock, turn the key, overheat, loosen a connector; or end it."""
        if name not in FAULT_BITS:
            msg = f"{self._name}: unknown device fault {name!r}; expected one of {', '.join(FAULT_BITS)}"
            raise TwinError(msg)
        if active:
            self._present.add(name)
            self._tripped.add(name)
            self._switch(on=False)
            if name in TEC_FAULTS:
                self.switch_tec(on=False)
        else:
            self._present.discard(name)
        self.refresh_status()

    @command("*SAV", integer(0, MEMORIES - 1))
    def _save(self, slot: int) -> None:
        self._memory[slot] = dict(self.values), self.window

    @command("*RCL", integer(0, MEMORIES - 1))
    def _recall(self, slot: int) -> None:
        """Bring back the settings; the outputs stay off, and an empty memory holds the defaults [INF]."""
        self.on_reset()
        values, self.window = self._memory.get(slot, ({}, Window()))
        self.values = dict(values)

    @command("OUTPut[1][:STATe]", boolean)
    def _output(self, on: bool) -> None:
        if on and self._present:
            self._tripped |= self._present
            raise ScpiError(*CONFLICT)
        if on:
            self._tripped.clear()
        self._switch(on=on)

    @query("OUTPut[1][:STATe]?")
    def _output_query(self) -> str:
        return str(int(self._laser_on))

    @command("OUTPut2[:STATe]", boolean)
    def _tec_output(self, on: bool) -> None:
        if on and self._present.intersection(TEC_FAULTS):
            raise ScpiError(*CONFLICT)
        self.switch_tec(on=on)

    @query("SOURce[1]:CURRent:LIMit:TRIP?")
    def _limit_trip(self) -> str:
        return self._trip("limit")

    @query("OUTPut[1]:PROTection:INTLock:TRIP?")
    def _interlock_trip(self) -> str:
        return self._trip("interlock")

    @query("OUTPut[1]:PROTection:KEYLock:TRIP?")
    def _key_trip(self) -> str:
        return self._trip("key_lock")

    @query("OUTPut[1]:PROTection:OTEMp:TRIP?")
    def _over_temperature_trip(self) -> str:
        return self._trip("over_temperature")

    @query("OUTPut[1]:PROTection:CONNection:TRIP?")
    def _connection_trip(self) -> str:
        return self._trip("connection")

    @query("OUTPut[1]:PROTection:VOLTage:TRIP?")
    def _voltage_trip(self) -> str:
        return self._trip("voltage")

    @query("SENSe3:CURRent:DATA?", "MEASure[:SCALar]:CURRent?")
    def _measure_current(self) -> float:
        return self._actual_a()

    @query("SENSe4:VOLTage:DATA?", "MEASure[:SCALar]:VOLTage?")
    def _measure_voltage(self) -> float:
        current = self._actual_a()
        return DIODE_V + SERIES_OHM * current if current else 0.0

    @query("MEASure[:SCALar]:POWer2?")
    def _measure_power(self) -> float:
        return self._power.value(self.clock.now_ps())

    def _actual_a(self) -> float:
        return float(self.current_a) if self._laser_on else 0.0

    def _trip(self, what: str) -> str:
        return str(int(what in self._tripped))

    def _switch(self, *, on: bool) -> None:
        changed, self._laser_on = self._laser_on != on, on
        now = self.clock.now_ps()
        if on and changed:
            self._full_ps = now + SOFT_START_PS
            self._light_changed()
        elif changed:
            self._power.set(0.0, now)

    def _light_changed(self) -> None:
        """Let the light follow the current and the diode's temperature, which is on its way; softly at the start."""
        if not self._laser_on:
            return
        now = self.clock.now_ps()
        light = partial(self._watts, float(self.current_a), self._power.value(now))
        self._power.set(Following(light, Ramp(now, 0.0, max(self._full_ps, now), 1.0), self.course), now)
        colour = partial(self._colour, float(self.current_a))
        self._wavelength.set(Following(colour, Ramp(now, 0.0, now, 1.0), self.course), now)

    def _limit_changed(self) -> None:
        if self.current_a > self.limit_a:
            self.current_a = self.limit_a
            self._tripped.add("limit")
            self.refresh_status()
            self._light_changed()

    def _watts(self, current_a: float, before_w: float, started: float, celsius: float) -> float:
        """Return the light of a current, so much of the way from what it was before."""
        return before_w + (self._diode.power_w(current_a, celsius) - before_w) * started

    def _colour(self, current_a: float, _: float, celsius: float) -> float:
        """Return the wavelength of the mode that current and temperature choose."""
        return self._diode.wavelength_at(current_a, celsius)
