"""Thorlabs CLD1015: butterfly laser mount with laser and TEC driver; pumps the crystal.

SCPI-1999 over USBTMC (the twin: over TCP).  Emission is switched on by `switch_on` alone: never at connection, never after a
reconnection.  Leaving a stage, a stop and every abnormal end switch it off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ophyd import Component as Cpt

from devices.base import InstrumentSettings, ScpiInstrument
from devices.signals import WireSignal, parse_bool
from qlab.errors import InstrumentError, InterlockError

if TYPE_CHECKING:
    from devices.worker import WorkerStatus

__all__ = ["CLD1015"]

SOFT_START_S = 0.6
"""[INF] Soft start of several 100 ms before the light is there."""
TEC_TOLERANCE_C = 0.05
TEC_TIMEOUT_S = 120.0
PROTECTIONS = {
    "INTL": "the interlock is open",
    "KEYL": "the key switch is locked",
    "OTEM": "the laser driver is too hot",
    "CONN": "the laser's connector is loose",
    "VOLT": "the laser's voltage is above its limit",
}


class CLD1015(ScpiInstrument):
    """The pump laser; role `qlab.roles.PhotonSource`."""

    identity = r"^Thorlabs,CLD101\d"
    twin = "sim_devices.sources.thorlabs_cld1015.CLD1015Twin"
    wire = "tcp"

    class Settings(InstrumentSettings):
        """What the lab file may set."""

        current_limit_a: float | None = None
        current_a: float | None = None
        temperature_c: float | None = None

    emission = Cpt(WireSignal, query="OUTP:STAT?", parse=parse_bool, initial=0, kind="normal")
    measured_current_a = Cpt(WireSignal, query="SENS3:CURR:DATA?", units="A", kind="normal")
    measured_temperature_c = Cpt(WireSignal, query="SENS2:TEMP:DATA?", units="degC", kind="normal")
    voltage_v = Cpt(WireSignal, query="SENS4:VOLT:DATA?", units="V", kind="omitted")
    current_limit_a = Cpt(
        WireSignal, query="SOUR:CURR:LIM?", command="SOUR:CURR:LIM {:.6g}", units="A", limits=(0.0, 1.5), kind="config"
    )
    current_a = Cpt(
        WireSignal, query="SOUR:CURR?", command="SOUR:CURR {:.6g}", units="A", limits=(0.0, 1.5), kind="config"
    )
    temperature_c = Cpt(
        WireSignal, query="SOUR2:TEMP?", command="SOUR2:TEMP {:.6g}", units="degC", limits=(5.0, 70.0), kind="config"
    )
    tec = Cpt(WireSignal, query="OUTP2:STAT?", command="OUTP2:STAT {:d}", parse=parse_bool, initial=0, kind="config")

    def switch_on(self) -> WorkerStatus:
        """Switch the TEC on, let it settle, and switch the emission on."""
        return self.in_thread("switch on", self._switch_on)

    def switch_off(self) -> WorkerStatus:
        """Switch the emission off; the TEC stays on."""
        return self.in_thread("switch off", self.make_safe)

    def make_safe(self) -> None:
        """Switch the emission off and see that it is."""
        if not self.link.is_open:
            return
        self.tell("OUTP:STAT OFF")
        if self.emission.fetch():
            what = "the laser is still on after it was switched off"
            hint = "switch it off at the instrument"
            raise InstrumentError(what, device=self.name, command="OUTP:STAT OFF", found="1", expected="0", hint=hint)

    def check_health(self) -> list[str]:
        """Return the protections that have tripped."""
        return [words for node, words in PROTECTIONS.items() if parse_bool(self.ask(f"OUTP:PROT:{node}:TRIP?"))]

    def refused(self, command: str, found: str) -> None:
        """Say which protection keeps the laser off."""
        tripped = self.check_health() if command.startswith("OUTP") else []
        if tripped:
            what = f"the output stays off: {' and '.join(tripped)}"
            hint = "clear the cause and switch on again"
            raise InterlockError(what, device=self.name, command=command, found=found, hint=hint)
        super().refused(command, found)

    def _switch_on(self) -> None:
        if not self.tec.fetch():
            self.tec.store(1)
        deadline_s = self.clock.now_s() + TEC_TIMEOUT_S
        while abs(self.measured_temperature_c.fetch() - self.temperature_c.get()) > TEC_TOLERANCE_C:
            if self.clock.now_s() > deadline_s:
                what = f"the laser's temperature did not settle within {TEC_TIMEOUT_S:g} s"
                found = f"{self.measured_temperature_c.get():.3f} degC"
                expected = f"{self.temperature_c.get():.3f} degC"
                raise InstrumentError(what, device=self.name, found=found, expected=expected)
            self.clock.sleep(0.5)
        self.tell("OUTP:STAT ON")
        self.clock.sleep(SOFT_START_S)
        if not self.emission.fetch():
            self.refused("OUTP:STAT ON", "OUTP:STAT? 0")
