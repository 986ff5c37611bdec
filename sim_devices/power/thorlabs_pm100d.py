"""Twin of the Thorlabs PM100D power meter with a photodiode sensor.  Written from protocol sheet 17."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from qlab.errors import TwinError
from qlab.twin.scpi import Later, ScpiError, ScpiTwin, command, parameter, query

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qlab.twin.bench import Bench

__all__ = ["PM100DTwin"]

SAMPLE_S = 0.02  # [INF] a single MEAS? takes 10 to 200 ms; multiplied by the averages
OVER_RANGE = "9.91E+37"  # [INF] SCPI's not-a-number
QUES_POWER = 1 << 3  # [V2] power out of range
NO_SENSOR = (-330, "Self-test failed")  # [INF] -330 class


class Parameters(BaseModel):
    """The `twin:` section: properties of meter and sensor."""

    model_config = ConfigDict(extra="forbid")

    serial: str = "P0012345"
    firmware: str = "2.4.0"
    sensor: str = "S154C,1234567,12-MAR-2024,1,18,289"
    maximum_w: float = Field(3e-3, gt=0, description="S154C: 3 mW")
    noise_w: float = Field(1e-10, ge=0, description="of one sample, standard deviation")
    relative_noise: float = Field(1e-3, ge=0)
    dark_w: float = Field(2e-10, description="offset that zeroing removes")


class PM100DTwin(ScpiTwin):
    """The power meter."""

    wire: ClassVar[Literal["tcp", "serial", "zmq"]] = "tcp"
    status_groups = ("OPERation", "QUEStionable", "MEASurement", "AUXiliary")

    wavelength_nm = parameter("SENSe:CORRection:WAVelength", 810.0, limits=(400.0, 1100.0))
    loss_db = parameter("SENSe:CORRection[:LOSS]", 0.0, limits=(-60.0, 60.0))
    averages = parameter("SENSe:AVERage[:COUNt]", 1.0, limits=(1.0, 3000.0), fmt=".0f")
    range_w = parameter("SENSe:POWer:RANGe[:UPPer]", 3e-3, limits=(1e-9, 10.0), changed="_range_set")
    auto_range = parameter("SENSe:POWer:RANGe:AUTO", True)
    unit = parameter("SENSe:POWer:UNIT", "W", choices=("W", "DBM"))
    low_pass = parameter("INPut[:PDIode]:FILTer[:LPASs][:STATe]", False)

    def __init__(self, name: str, bench: Bench, parameters: Parameters) -> None:
        super().__init__(bench.clock)
        self._bench = bench
        self._name = name
        self._parameters = parameters
        self._zero_w = 0.0
        self._sensor_present = True

    @classmethod
    def build(cls, name: str, bench: Bench, parameters: Mapping[str, object]) -> PM100DTwin:
        """Build the twin from the lab file's `twin:` section."""
        return cls(name, bench, Parameters.model_validate(dict(parameters)))

    def identify(self) -> str:
        """Answer `*IDN?`."""
        return f"Thorlabs,PM100D,{self._parameters.serial},{self._parameters.firmware}"

    def device_fault(self, name: str, *, active: bool = True) -> None:
        """Unplug the sensor, or plug it in again."""
        if name != "sensor_unplugged":
            msg = f"{self._name}: unknown device fault {name!r}; expected sensor_unplugged"
            raise TwinError(msg)
        self._sensor_present = not active

    @query("MEASure[:SCALar][:POWer]?", "READ?")
    def _measure(self) -> Later:
        return Later(SAMPLE_S * float(self.averages), self._reading)

    @query("FETCh?")
    def _fetch(self) -> str:
        return self._reading()

    @command("INITiate", "ABORt", "CONFigure[:SCALar][:POWer]")
    def _initiate(self) -> None:
        """Nothing to do: a sample is always at hand."""

    @query("CONFigure?")
    def _configuration(self) -> str:
        return "POW"

    @query("SYSTem:SENSor:IDN?", "SYSTem:SENS:IDN?")
    def _sensor(self) -> str:
        return self._parameters.sensor if self._sensor_present else "no sensor,0,0,0,0,0"

    @query("SENSe:CORRection:POWer[:PDIode]:RESPonse?")
    def _responsivity(self) -> str:
        # A silicon diode's quantum efficiency of 0.8: R = 0.8 e lambda / (h c).
        return f"{0.8 * float(self.wavelength_nm) / 1239.84:.6E}"

    @command("SENSe:CORRection:COLLect:ZERO[:INITiate]")
    def _zero(self) -> None:
        self._zero_w = self._parameters.dark_w

    @query("SENSe:CORRection:COLLect:ZERO:STATe?")
    def _zero_state(self) -> str:
        return "0"

    @query("SENSe:CORRection:COLLect:ZERO:MAGNitude?")
    def _zero_magnitude(self) -> str:
        return f"{self._zero_w:.6E}"

    def _range_set(self) -> None:
        self.auto_range = False

    def _reading(self) -> str:
        if not self._sensor_present:
            raise ScpiError(*NO_SENSOR)
        now = self.clock.now_ps()
        light = self._bench.optical_power_w(self._name, now)
        top = self._parameters.maximum_w if self.auto_range else float(self.range_w)
        over = light > top
        self.status["QUEStionable"].set_bits(QUES_POWER, on=over)
        if over:
            return OVER_RANGE
        noise = math.hypot(self._parameters.noise_w, self._parameters.relative_noise * light)
        noise *= float(self._bench.rng(self._name, now).standard_normal()) / math.sqrt(float(self.averages))
        watts = (light + self._parameters.dark_w - self._zero_w + noise) * 10.0 ** (float(self.loss_db) / 10.0)
        if self.unit == "DBM":
            return f"{10.0 * math.log10(max(watts, 1e-15) * 1e3):.6E}"
        return f"{watts:.6E}"
