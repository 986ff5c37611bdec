"""Thorlabs PM100D: optical power meter; watches the pump.  SCPI-1999 over USBTMC (the twin: over TCP)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from ophyd import Component as Cpt

from devices.base import InstrumentSettings, ScpiInstrument
from devices.signals import ScpiSignal, parse_bool, parse_float, parse_int
from qlab.errors import InstrumentError

if TYPE_CHECKING:
    from devices.worker import WorkerStatus

__all__ = ["PM100D"]

KIN = ("USB0::0x1313::0x8072::SERIAL::INSTR", "USB0::0x1313::0x8076::SERIAL::INSTR")
"""[INF] PM100USB and PM101."""
SCPI_NAN = 9.9e37
"""[INF] An over-range reading is 9.91E+37, SCPI's not-a-number."""
ZERO_TIMEOUT_S = 30.0
"""[INF] A dark adjustment takes seconds."""


def _power(text: str) -> float:
    value = parse_float(text)
    return float("nan") if abs(value) >= SCPI_NAN else value


class PM100D(ScpiInstrument):
    """The power meter; role `qlab.roles.PowerMeter`."""

    identity = r"^Thorlabs,PM10\d"
    twin = "sim_devices.power.thorlabs_pm100d.PM100DTwin"
    wire = "tcp"
    usual_addresses: ClassVar[tuple[str, ...]] = (
        "USB0::0x1313::0x8078::SERIAL::INSTR",
        *KIN,
        "ASRL/dev/ttyUSB0::INSTR",
    )
    link_options = {"baud": 115200}

    class Settings(InstrumentSettings):
        """What the lab file may set."""

        wavelength_nm: float | None = None
        averages: int | None = None

    power_w = Cpt(ScpiSignal, query="MEAS:POW?", units="W", parse=_power, kind="hinted")
    wavelength_nm = Cpt(
        ScpiSignal,
        query="SENS:CORR:WAV?",
        command="SENS:CORR:WAV {:g}",
        units="nm",
        precision=1,
        ask_limits=True,  # they are the sensor's
        verify=0.51,
        kind="config",
    )
    averages = Cpt(
        ScpiSignal,
        query="SENS:AVER?",
        command="SENS:AVER {:d}",
        parse=parse_int,
        initial=1,
        limits=(1, 3000),
        verify=0,
        kind="config",
    )
    auto_range = Cpt(
        ScpiSignal,
        query="SENS:POW:RANG:AUTO?",
        command="SENS:POW:RANG:AUTO {:d}",
        parse=parse_bool,
        initial=1,
        limits=(0, 1),
        verify=0,
        kind="config",
    )
    range_w = Cpt(
        ScpiSignal, query="SENS:POW:RANG?", command="SENS:POW:RANG {:g}", units="W", limits=(0, 10), kind="config"
    )

    def measure(self) -> None:
        """Take one sample; raises `InstrumentError` when the light is above the range."""
        super().measure()
        if math.isnan(self.power_w.get()):
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
        deadline_s = self.clock.now_s() + ZERO_TIMEOUT_S
        while parse_int(self.ask("SENS:CORR:COLL:ZERO:STAT?")):
            if self.clock.now_s() > deadline_s:
                what, hint = f"the dark adjustment has not ended after {ZERO_TIMEOUT_S:g} s", "is the sensor covered?"
                self.tell("SENS:CORR:COLL:ZERO:ABOR")
                raise InstrumentError(what, device=self.name, command="SENS:CORR:COLL:ZERO", hint=hint)
            self.clock.sleep(0.1)
