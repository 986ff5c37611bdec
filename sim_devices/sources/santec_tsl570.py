"""Twin of the Santec TSL-570 tunable laser.  Written from protocol sheet 23."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from qlab.clock import PS_PER_S
from qlab.errors import TwinError
from qlab.physics.knob import Ramp
from qlab.twin.scpi import ScpiError, ScpiTwin, boolean, command, parameter, query

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qlab.twin.bench import Bench

__all__ = ["TSL570Twin"]

LIGHT_NM_THZ = 299_792.458
CONFLICT = (-221, "Settings conflict")


class Parameters(BaseModel):
    """The `twin:` section: the laser."""

    model_config = ConfigDict(extra="forbid")

    serial: str = "21020001"
    firmware: str = "0001.0000.0001"
    shortest_nm: float = Field(1500.0, gt=0)
    longest_nm: float = Field(1630.0, gt=0)
    weakest_dbm: float = -15.0
    strongest_dbm: float = 13.0
    tuning_nm_per_s: float = Field(200.0, gt=0, description="[INF]")
    warm_up_s: float = Field(5.0, ge=0, description="[INF] until a diode that was switched on is bright")


class TSL570Twin(ScpiTwin):
    """The laser: wavelength in nm, power in dBm, carriage returns both ways."""

    wire: ClassVar[Literal["tcp", "serial", "zmq"]] = "tcp"
    terminator = b"\r"

    wavelength_nm = parameter("WAVelength", 1550.0, fmt=".4f", units="NM", changed="_tune")
    power_dbm = parameter("POWer", 0.0, fmt=".2f", units="DBM", changed="_light")
    power_unit = parameter("POWer:UNIT", 0, limits=(0, 1))
    shutter = parameter("POWer:SHUTter", True, changed="_light")
    code = parameter("SYSTem:COMMunicate:CODe", 0, limits=(0, 1))

    def __init__(self, name: str, bench: Bench, parameters: Parameters) -> None:
        super().__init__(bench.clock)
        self._name = name
        self._parameters = parameters
        self._power = bench.knob(name, "power_w")
        self._wavelength = bench.knob(name, "wavelength_nm", 1550.0)
        self._on = self._interlock = False
        self._tune()

    @classmethod
    def build(cls, name: str, bench: Bench, parameters: Mapping[str, object]) -> TSL570Twin:
        """Build the twin from the lab file's `twin:` section."""
        return cls(name, bench, Parameters.model_validate(dict(parameters)))

    def identify(self) -> str:
        """Answer `*IDN?`."""
        return f"SANTEC,TSL-570,{self._parameters.serial},{self._parameters.firmware}"

    def limits_of(self, name: str) -> tuple[float, float] | None:
        """Return what the laser reaches."""
        p = self._parameters
        return {"wavelength_nm": (p.shortest_nm, p.longest_nm), "power_dbm": (p.weakest_dbm, p.strongest_dbm)}.get(name)

    def on_reset(self) -> None:
        """Switch the diode off."""
        self._on = False
        self._light()
        self._tune()

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
        return {**super().peek(), "emission": self._on and not self.shutter, "diode_on": self._on}

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

    @query("POWer:ACTual?")
    def _actual(self) -> str:
        watts = self._power.value(self.clock.now_ps())
        return f"{_dbm(watts):.2f}"

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
        self._tune()

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

    def _tune(self) -> None:
        now, here = self.clock.now_ps(), self._wavelength.value(self.clock.now_ps())
        there = float(self.wavelength_nm)
        seconds = abs(there - here) / self._parameters.tuning_nm_per_s
        self._wavelength.set(Ramp(now, here, now + max(round(seconds * PS_PER_S), 1), there), now)
        self.begin_operation(seconds)

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
