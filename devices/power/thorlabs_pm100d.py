"""Thorlabs PM100D: optical power meter; watches the pump.  SCPI-1999 over USBTMC (the twin: over TCP)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ophyd import Component as Cpt

from devices.base import InstrumentSettings, ScpiInstrument
from devices.signals import WireSignal, parse_bool, parse_float, parse_int
from qlab.errors import InstrumentError

if TYPE_CHECKING:
    from devices.worker import WorkerStatus

__all__ = ["PM100D"]

SCPI_NAN = 9.9e37
"""[INF] An over-range reading is 9.91E+37, SCPI's not-a-number."""


def _power(text: str) -> float:
    value = parse_float(text)
    return float("nan") if abs(value) >= SCPI_NAN else value


class PM100D(ScpiInstrument):
    """The power meter; role `qlab.roles.PowerMeter`."""

    identity = r"^Thorlabs,PM10\d"
    twin = "sim_devices.power.thorlabs_pm100d.PM100DTwin"
    wire = "tcp"

    class Settings(InstrumentSettings):
        """What the lab file may set."""

        wavelength_nm: float | None = None
        averages: int | None = None

    power_w = Cpt(WireSignal, query="MEAS:POW?", units="W", parse=_power, kind="hinted")
    wavelength_nm = Cpt(
        WireSignal,
        query="SENS:CORR:WAV?",
        command="SENS:CORR:WAV {:g}",
        units="nm",
        limits=(400.0, 1100.0),
        kind="config",
    )
    averages = Cpt(
        WireSignal,
        query="SENS:AVER?",
        command="SENS:AVER {:d}",
        parse=parse_int,
        initial=1,
        limits=(1, 3000),
        kind="config",
    )
    auto_range = Cpt(
        WireSignal,
        query="SENS:POW:RANG:AUTO?",
        command="SENS:POW:RANG:AUTO {:d}",
        parse=parse_bool,
        initial=1,
        kind="config",
    )
    range_w = Cpt(
        WireSignal, query="SENS:POW:RANG?", command="SENS:POW:RANG {:g}", units="W", limits=(0, 10), kind="config"
    )

    def measure(self) -> None:
        """Take one sample; raises `InstrumentError` when the light is above the range."""
        super().measure()
        if self.power_w.get() != self.power_w.get():
            what = "the light is above the meter's range"
            hint = "switch auto_range on or set a larger range_w"
            raise InstrumentError(what, device=self.name, command="MEAS:POW?", found="9.91E+37", hint=hint)

    def zero(self) -> WorkerStatus:
        """Adjust the dark signal; the sensor must be covered."""
        return self.in_thread("zero", self._zero)

    def check_health(self) -> list[str]:
        """Return whether the sensor is there."""
        sensor = self.ask("SYST:SENS:IDN?")
        return ["no sensor is connected"] if sensor.lower().startswith("no sensor") else []

    def _zero(self) -> None:
        self.tell("SENS:CORR:COLL:ZERO")
        while parse_int(self.ask("SENS:CORR:COLL:ZERO:STAT?")):
            self.clock.sleep(0.1)
