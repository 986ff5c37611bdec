"""Twin of the Thorlabs PM100D power meter with a photodiode sensor.  Written from protocol sheet 17."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from qlab.clock import PS_PER_S
from qlab.errors import TwinError
from qlab.twin.scpi import Later, ScpiError, ScpiTwin, command, number, parameter, query
from qlab.twin.scpi_values import to_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qlab.twin.bench import Bench

__all__ = ["PM100DTwin"]

SAMPLE_S = 0.02  # [INF] a single MEAS? takes 10 to 200 ms; multiplied by the averages
ZERO_S = 1.0  # [INF] a dark adjustment
NO_SAMPLE_S = 10.0  # [V2] so long READ? blocks where no sample comes, then there is an error
NO_SENSOR = (-330, "Self-test failed")  # [INF] -330 class
NOT_THERE = "no sensor,0,0,0,0,0"  # [INF] but for the name
STALE = (-230, "Data corrupt or stale")
OVER_RANGE = math.nan  # [INF] written as SCPI's not-a-number, 9.91E+37
QUES_POWER, QUES_TEMPERATURE = 1 << 3, 1 << 4  # [V2]
OPER_SETTLING, OPER_RANGING, OPER_MEASURING, OPER_WAITING = 1 << 1, 1 << 2, 1 << 4, 1 << 5  # [V2]
SETTLING_S = 0.01  # [INF] after another range or bandwidth; a sample lasts longer
AUX_HEAD = 1 << 1  # [INF] the position
QUANTUM_EFFICIENCY = 0.8  # of a silicon photodiode, typical
DARKEST_W = 1e-15  # what is shown in dBm where there is no light


class Parameters(BaseModel):
    """The `twin:` section: properties of meter and sensor."""

    model_config = ConfigDict(extra="forbid")

    serial: str = "P0012345"
    firmware: str = "2.4.0"
    sensor: str = "S154C,1234567,12-MAR-2024,1,18,289"
    maximum_w: float = Field(3e-3, gt=0, description="S154C: 3 mW")
    noise_w: float = Field(1e-10, ge=0, description="of one sample, standard deviation")
    relative_noise: float = Field(1e-3, ge=0, description="[INF] of one sample")
    dark_w: float = Field(2e-10, description="offset that zeroing removes")


class PM100DTwin(ScpiTwin):
    """The power meter."""

    wire: ClassVar[Literal["tcp", "serial", "zmq"]] = "tcp"
    status_groups = ("OPERation", "QUEStionable", "MEASurement", "AUXiliary")

    wavelength_nm = parameter(
        "SENSe:CORRection:WAVelength", 810.0, limits=(400.0, 1100.0), units="NM", changed="_wavelength_changed"
    )
    loss_db = parameter("SENSe:CORRection[:LOSS]", 0.0, limits=(-60.0, 60.0))
    averages = parameter("SENSe:AVERage[:COUNt]", 1.0, limits=(1.0, 3000.0), fmt=".0f")
    range_w = parameter("SENSe:POWer:RANGe[:UPPer]", 3e-3, limits=(1e-9, 10.0), units="W", changed="_range_changed")
    auto_range = parameter("SENSe:POWer:RANGe:AUTO", True)
    unit = parameter("SENSe:POWer:UNIT", "W", choices=("W", "DBM"))
    low_pass = parameter("INPut[:PDIode]:FILTer[:LPASs][:STATe]", False, changed="_settle")
    frequency_upper_hz = parameter("SENSe:FREQuency:RANGe[:UPPer]", 1e5, limits=(1.0, 1e5))  # [INF] as those below
    frequency_lower_hz = parameter("SENSe:FREQuency:RANGe:LOWer", 1.0, limits=(1.0, 1e5))
    line_frequency_hz = parameter("SYSTem:LFRequency", 50.0, limits=(50.0, 60.0), fmt=".0f")
    beeper = parameter("SYSTem:BEEPer:STATe", True)
    brightness = parameter("DISPlay:BRIGhtness", 1.0, limits=(0.0, 1.0))
    contrast = parameter("DISPlay:CONTrast", 0.5, limits=(0.0, 1.0))

    def __init__(self, name: str, bench: Bench, parameters: Parameters) -> None:
        super().__init__(bench.clock)
        self._bench = bench
        self._name = name
        self._parameters = parameters
        self._faults: set[str] = set()
        self._ready_ps: int | None = None
        self._settled_ps = self._ranged_ps = 0
        self._zero_ps: int | None = None
        self._zero_w = 0.0
        self._responsivity: float | None = None

    @classmethod
    def build(cls, name: str, bench: Bench, parameters: Mapping[str, object]) -> PM100DTwin:
        """Build the twin from the lab file's `twin:` section."""
        return cls(name, bench, Parameters.model_validate(dict(parameters)))

    def identify(self) -> str:
        """Answer `*IDN?`."""
        return f"Thorlabs,PM100D,{self._parameters.serial},{self._parameters.firmware}"

    def on_reset(self) -> None:
        """Forget the sample, the dark adjustment and the responsivity that was set."""
        self._ready_ps = self._zero_ps = self._responsivity = None
        self._zero_w = 0.0

    def device_fault(self, name: str, *, active: bool = True) -> None:
        """Unplug the sensor or overheat it; or end it."""
        if name not in ("sensor_unplugged", "over_temperature"):
            msg = f"{self._name}: unknown device fault {name!r}; expected sensor_unplugged or over_temperature"
            raise TwinError(msg)
        self._faults = self._faults | {name} if active else self._faults - {name}
        self.refresh_status()

    def refresh_status(self) -> None:
        """Say what it is at, whether the sensor is there and its temperature right; without one it waits for a sample."""
        now, operation = self.clock.now_ps(), self.status["OPERation"]
        begun = self._ready_ps is not None and now < self._ready_ps
        there = "sensor_unplugged" not in self._faults
        operation.set_bits(OPER_SETTLING, on=now < self._settled_ps)
        operation.set_bits(OPER_RANGING, on=now < self._ranged_ps)
        operation.set_bits(OPER_MEASURING, on=begun and there)
        operation.set_bits(OPER_WAITING, on=begun and not there)
        self.status["QUEStionable"].set_bits(QUES_TEMPERATURE, on="over_temperature" in self._faults)
        self.status["AUXiliary"].set_bits(AUX_HEAD, on=there)

    @query("MEASure[:SCALar][:POWer]?", "READ?")
    def _measure(self) -> Later:
        self._initiate()
        return self._fetch()

    @command("INITiate[:IMMediate]")
    def _initiate(self) -> None:
        seconds = NO_SAMPLE_S if "sensor_unplugged" in self._faults else SAMPLE_S * float(self.averages)
        self._ready_ps = self.clock.now_ps() + round(seconds * PS_PER_S)
        self.begin_operation(seconds)
        self.refresh_status()  # so that the event latches, whoever looks

    @query("FETCh?")
    def _fetch(self) -> Later:
        left_ps = 0 if self._ready_ps is None else self._ready_ps - self.clock.now_ps()
        return Later(max(left_ps, 0) / PS_PER_S, self._reading)

    @query("MEASure[:SCALar]:CURRent?")
    def _measure_current(self) -> Later:
        """Measure the photodiode's current."""
        self._initiate()
        left_ps = 0 if self._ready_ps is None else self._ready_ps - self.clock.now_ps()
        return Later(max(left_ps, 0) / PS_PER_S, lambda: to_text(self._watts() * self._photodiode_a_per_w()))

    @command("ABORt")
    def _abort(self) -> None:
        self._ready_ps = None
        self.end_operations()

    @command("CONFigure[:SCALar][:POWer]")
    def _configure(self) -> None:
        self._abort()

    @query("CONFigure?")
    def _configuration(self) -> str:
        return "POW"

    @query("SYSTem:SENSor:IDN?")
    def _sensor(self) -> str:
        return NOT_THERE if "sensor_unplugged" in self._faults else self._parameters.sensor

    @query("SENSe:CORRection:POWer[:PDIode]:RESPonse?")
    def _responsivity_query(self) -> float:
        return self._photodiode_a_per_w() if self._responsivity is None else self._responsivity

    @command("SENSe:CORRection:POWer[:PDIode]:RESPonse", number(1e-6, 1e3))
    def _set_responsivity(self, amperes_per_watt: float) -> None:
        self._responsivity = amperes_per_watt

    @command("SENSe:CORRection:COLLect:ZERO[:INITiate]")
    def _zero(self) -> None:
        self._zero_ps = self.clock.now_ps() + round(ZERO_S * PS_PER_S)
        self.begin_operation(ZERO_S)

    @query("SENSe:CORRection:COLLect:ZERO:STATe?")
    def _zero_state(self) -> bool:
        self._end_zero()
        return self._zero_ps is not None

    @command("SENSe:CORRection:COLLect:ZERO:ABORt")
    def _zero_abort(self) -> None:
        self._end_zero()
        self._zero_ps = None
        self.end_operations()

    @query("SENSe:CORRection:COLLect:ZERO:MAGNitude?")
    def _zero_magnitude(self) -> float:
        self._end_zero()
        return self._zero_w

    @command("SYSTem:BEEPer[:IMMediate]")
    def _beep(self) -> None:
        """Nobody hears it."""

    def _range_changed(self) -> None:
        self.auto_range = False
        self._ranged_ps = self.clock.now_ps() + round(SETTLING_S * PS_PER_S)
        self._settle()

    def _settle(self) -> None:
        self._settled_ps = self.clock.now_ps() + round(SETTLING_S * PS_PER_S)
        self.refresh_status()

    def _wavelength_changed(self) -> None:
        self._responsivity = None

    def _photodiode_a_per_w(self) -> float:
        # R = eta e lambda / (h c)
        return QUANTUM_EFFICIENCY * float(self.wavelength_nm) / 1239.84

    def _end_zero(self) -> None:
        """Take over what the sensor saw at the end of a dark adjustment, light included."""
        if self._zero_ps is not None and self._zero_ps <= self.clock.now_ps():
            self._zero_w = self._parameters.dark_w + self._bench.optical_power_w(self._name, self._zero_ps)
            self._zero_ps = None

    def _reading(self) -> str:
        watts = self._watts()
        return to_text(watts if math.isnan(watts) else self._displayed(watts))

    def _watts(self) -> float:
        """Return the sample that was initiated, as it was when it was complete."""
        if self._ready_ps is None:
            raise ScpiError(*STALE)
        if "sensor_unplugged" in self._faults:
            raise ScpiError(*NO_SENSOR)
        self._end_zero()
        light = self._bench.optical_power_w(self._name, self._ready_ps)
        top = self._parameters.maximum_w if self.auto_range else min(float(self.range_w), self._parameters.maximum_w)
        self.status["QUEStionable"].set_bits(QUES_POWER, on=light > top)
        if light > top:
            return OVER_RANGE
        noise = math.hypot(self._parameters.noise_w, self._parameters.relative_noise * light)
        noise *= float(self._bench.rng(self._name, self._ready_ps).standard_normal()) / math.sqrt(float(self.averages))
        return light + self._parameters.dark_w - self._zero_w + noise

    def _displayed(self, watts: float) -> float:
        """Return what the sensor saw with the loss before it taken out, as it is wanted."""
        watts *= math.pow(10.0, float(self.loss_db) / 10.0)
        if self._responsivity is not None:
            watts *= self._photodiode_a_per_w() / self._responsivity
        if self.unit == "DBM":
            return 10.0 * math.log10(max(watts, DARKEST_W) * 1e3)
        return watts
