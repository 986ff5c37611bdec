"""Twin of the Santec TSL-570 tunable laser.  Written from protocol sheet 23."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from qlab.clock import PS_PER_S
from qlab.errors import TwinError
from qlab.physics.knob import Ramp
from qlab.twin.scpi import ScpiError, boolean, command, number, parameter, query
from sim_devices.sources.santec_sweep import LIGHT_NM_THZ, SweepTwin

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qlab.twin.bench import Bench

__all__ = ["TSL570Twin"]

CONFLICT = (-221, "Settings conflict")
DBM, MW = 0, 1
"""[V2] Of `:POW:UNIT`."""
NO_ALERT, INTERLOCK_ALERT = "No alerts.", "No06.,Interlock error"
"""[V1]; [INF] the interlock's number."""


class Parameters(BaseModel):
    """The `twin:` section: the laser."""

    model_config = ConfigDict(extra="forbid")

    serial: str = "21020001"
    firmware: str = "0001.0000.0001"
    shortest_nm: float = Field(1500.0, gt=0, description="[INF] one of the models")
    longest_nm: float = Field(1630.0, gt=0, description="[INF] of the same model")
    weakest_dbm: float = Field(-15.0, description="[INF]")
    strongest_dbm: float = Field(13.0, description="[INF]")
    tuning_nm_per_s: float = Field(200.0, gt=0, description="[INF]")
    warm_up_s: float = Field(5.0, ge=0, description="[INF] until a diode that was switched on is bright")


class TSL570Twin(SweepTwin):
    """The laser: wavelength in nm, power in dBm, carriage returns both ways."""

    wire: ClassVar[Literal["tcp", "serial", "zmq"]] = "tcp"
    terminator = b"\r"
    no_error = '0,"No error"'
    """[V1] As a public driver compares it."""

    wavelength_nm = parameter("WAVelength", 1550.0, fmt=".4f", units="NM", changed="tune")
    power_unit = parameter("POWer:UNIT", DBM, limits=(DBM, MW))
    shutter = parameter("POWer:SHUTter", True, changed="_light")
    code = parameter("SYSTem:COMMunicate:CODe", 0, limits=(0, 1))

    def __init__(self, name: str, bench: Bench, parameters: Parameters) -> None:
        super().__init__(bench.clock)
        self._name = name
        self._parameters = parameters
        self._power = bench.knob(name, "power_w")
        self.wavelength_knob = bench.knob(name, "wavelength_nm", 1550.0)
        self.shortest_nm, self.longest_nm = parameters.shortest_nm, parameters.longest_nm
        self.tuning_nm_per_s = parameters.tuning_nm_per_s
        self.power_dbm = 0.0
        self._on = self._interlock = False
        self.tune()

    @classmethod
    def build(cls, name: str, bench: Bench, parameters: Mapping[str, object]) -> TSL570Twin:
        """Build the twin from the lab file's `twin:` section."""
        return cls(name, bench, Parameters.model_validate(dict(parameters)))

    def identify(self) -> str:
        """Answer `*IDN?`."""
        return f"SANTEC,TSL-570,{self._parameters.serial},{self._parameters.firmware}"

    def on_reset(self) -> None:
        """Switch the diode off."""
        self._on, self.power_dbm, self.fine = False, 0.0, 0.0
        self._light()
        self.tune()

    def device_fault(self, name: str, *, active: bool = True) -> None:
        """Open the interlock, or close it."""
        if name != "interlock":
            msg = f"{self._name}: unknown device fault {name!r}; expected interlock"
            raise TwinError(msg)
        self._interlock = active
        self._on = self._on and not active
        self._light()

    def peek(self) -> dict[str, object]:
        """Return the front panel's state."""
        return {
            **super().peek(),
            "power_dbm": self.power_dbm,
            "emission": self._on and not self.shutter,
            "diode_on": self._on,
        }

    @command("POWer:STATe", boolean)
    def _switch(self, on: bool) -> None:
        if on and self._interlock:
            raise ScpiError(*CONFLICT)
        changed, self._on = on != self._on, on
        if changed:
            self._light(soft=on)

    @query("POWer:STATe?")
    def _switch_query(self) -> bool:
        return self._on

    @command("POWer[:LEVel]", number(-1e3, 1e3))
    def _set_power(self, value: float) -> None:
        if self.power_unit == MW and value <= 0.0:
            raise ScpiError(-222)
        dbm = 10.0 * math.log10(value) if self.power_unit == MW else value
        if not self._parameters.weakest_dbm <= dbm <= self._parameters.strongest_dbm:
            raise ScpiError(-222)
        self.power_dbm = dbm
        self._light()

    @query("POWer[:LEVel]?")
    def _power_query(self) -> str:
        return self._level(self.power_dbm)

    @query("POWer:ACTual[:LEVel]?")
    def _actual(self) -> str:
        return self._level(_dbm(self._power.value(self.clock.now_ps())))

    def _level(self, dbm: float) -> str:
        return f"{math.pow(10.0, dbm / 10.0) if self.power_unit == MW else dbm:.2f}"

    @query("SYSTem:ALERt?")
    def _alert(self) -> str:
        return INTERLOCK_ALERT if self._interlock else NO_ALERT

    @query("WAVelength:MINimum?", "WAVelength:SWEep:RANGe:MINimum?")
    def _shortest(self) -> str:
        return f"{self._parameters.shortest_nm:.4f}"

    @query("WAVelength:MAXimum?", "WAVelength:SWEep:RANGe:MAXimum?")
    def _longest(self) -> str:
        return f"{self._parameters.longest_nm:.4f}"

    @command("WAVelength:FREQuency")
    def _set_frequency(self, terahertz: str) -> None:
        try:
            nm = LIGHT_NM_THZ / float(terahertz)
        except (ValueError, ZeroDivisionError) as error:
            raise ScpiError(-104) from error
        if not self._parameters.shortest_nm <= nm <= self._parameters.longest_nm:
            raise ScpiError(-222)
        self.wavelength_nm = nm
        self.tune()

    @query("WAVelength:FREQuency?")
    def _frequency(self) -> str:
        return f"{LIGHT_NM_THZ / float(self.wavelength_nm):.5f}"

    @query("WAVelength:FREQuency:MINimum?", "FREQuency:SWEep:RANGe:MINimum?")
    def _lowest(self) -> str:
        return f"{LIGHT_NM_THZ / self._parameters.longest_nm:.5f}"

    @query("WAVelength:FREQuency:MAXimum?", "FREQuency:SWEep:RANGe:MAXimum?")
    def _highest(self) -> str:
        return f"{LIGHT_NM_THZ / self._parameters.shortest_nm:.5f}"

    @query("SYSTem:LOCK?")
    def _interlock_query(self) -> bool:
        return self._interlock

    def _light(self, *, soft: bool = False) -> None:
        now = self.clock.now_ps()
        watts = 10.0 ** (float(self.power_dbm) / 10.0) * 1e-3 if self._on and not self.shutter else 0.0
        if soft and watts:
            end = now + round(self._parameters.warm_up_s * PS_PER_S)
            self._power.set(Ramp(now, 0.0, max(end, now + 1), watts), now)
        else:
            self._power.set(watts, now)


def _dbm(watts: float) -> float:
    return 10.0 * math.log10(watts * 1e3) if watts > 0 else -60.0
