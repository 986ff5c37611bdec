"""Thorlabs CLD1015: butterfly laser mount with laser and TEC driver; pumps the crystal.

SCPI-1999 over USBTMC (the twin: over TCP); current 0 to 1.5 A, diode temperature 5 to 70 degC.  The bench-top ITC4000 series
speaks the same words.  Emission is switched on by
`emission` alone (`switch_on` is its short form): never at connection, never after a reconnection.  Leaving a stage, a
failed stop and every abnormal end switch it off; the current stays set.
"""

from __future__ import annotations

from ophyd import Component as Cpt

from devices.base import InstrumentSettings, ScpiInstrument
from devices.signals import ScpiSignal, parse_bool
from devices.sources.laser import Emission, Laser
from qlab.errors import InstrumentError, InterlockError

__all__ = ["CLD1015"]

SOFT_START_S = 0.6
"""[INF] Soft start of several 100 ms before the light is there."""
TEC_TOLERANCE_C = 0.05
TEC_TIMEOUT_S = 120.0
TEC_POLL_S = 0.5
PROTECTIONS = {
    "INTL": "the interlock is open",
    "KEYL": "the key switch is locked",
    "OTEM": "the laser driver is too hot",
    "CONN": "the laser's connector is loose",
    "VOLT": "the laser's voltage is above its limit",
}


class _DriveCurrent(ScpiSignal):
    """The set current, never above the current limit."""

    @property
    def limits(self) -> tuple[float, float] | None:
        low, high = self._limits or (0.0, 0.0)
        return low, min(high, self.parent.current_limit_a.get())


class CLD1015(Laser, ScpiInstrument):
    """The pump laser; role `qlab.roles.PhotonSource`."""

    identity = r"^(Thorlabs,CLD101\d|THORLABS,ITC40\d\d)"
    twin = "sim_devices.sources.thorlabs_cld1015.CLD1015Twin"
    wire = "tcp"
    usual_addresses = ("USB0::0x1313::0x804F::SERIAL::INSTR", "USB0::0x1313::0x804A::SERIAL::INSTR")

    class Settings(InstrumentSettings):
        """What the lab file may set."""

        current_limit_a: float | None = None
        current_a: float | None = None
        temperature_c: float | None = None

    emission = Cpt(
        Emission,
        query="OUTP:STAT?",
        command="OUTP:STAT {:d}",
        parse=parse_bool,
        initial=0,
        limits=(0, 1),
        restore=False,
        kind="normal",
    )
    measured_current_a = Cpt(ScpiSignal, query="SENS3:CURR:DATA?", units="A", precision=5, kind="hinted")
    measured_temperature_c = Cpt(ScpiSignal, query="SENS2:TEMP:DATA?", units="degC", precision=3, kind="normal")
    voltage_v = Cpt(ScpiSignal, query="SENS4:VOLT:DATA?", units="V", precision=3, kind="omitted")
    current_limit_a = Cpt(
        ScpiSignal,
        query="SOUR:CURR:LIM?",
        command="SOUR:CURR:LIM {:.6g}",
        units="A",
        precision=5,
        limits=(0.0, 1.5),
        initial=1.5,
        verify=1e-3,
        kind="config",
    )
    current_a = Cpt(
        _DriveCurrent,
        query="SOUR:CURR?",
        command="SOUR:CURR {:.6g}",
        units="A",
        precision=5,
        limits=(0.0, 1.5),
        verify=1e-3,
        kind="config",
    )
    temperature_c = Cpt(
        ScpiSignal,
        query="SOUR2:TEMP?",
        command="SOUR2:TEMP {:.6g}",
        units="degC",
        precision=3,
        limits=(5.0, 70.0),
        initial=25.0,
        verify=1e-2,
        kind="config",
    )
    tec = Cpt(
        ScpiSignal,
        query="OUTP2:STAT?",
        command="OUTP2:STAT {:d}",
        parse=parse_bool,
        initial=0,
        limits=(0, 1),
        verify=0,
        kind="config",
    )

    def make_safe(self) -> None:
        """Switch the emission off and see that it is."""
        if not self.link.is_open:
            return
        self.emission.wanted = 0
        self.tell("OUTP:STAT 0")
        if self.emission.fetch():
            what = "the laser is still on after it was switched off"
            hint = "switch it off at the instrument"
            raise InstrumentError(what, device=self.name, command="OUTP:STAT 0", found="1", expected="0", hint=hint)

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

    def shine(self) -> None:
        """Settle the TEC, switch on and wait for the light; blocks for the wire."""
        if not self.tec.fetch():
            self.tec.store(1)
        deadline_s = self.clock.now_s() + TEC_TIMEOUT_S
        while abs(self.measured_temperature_c.fetch() - self.temperature_c.get()) > TEC_TOLERANCE_C:
            if self.clock.now_s() > deadline_s:
                what = f"the laser's temperature did not settle within {TEC_TIMEOUT_S:g} s"
                found = f"{self.measured_temperature_c.get():.3f} degC"
                expected = f"{self.temperature_c.get():.3f} degC"
                raise InstrumentError(what, device=self.name, found=found, expected=expected)
            self.wait_s(TEC_POLL_S)
        self.tell("OUTP:STAT 1")
        self.wait_s(SOFT_START_S)
        if not self.emission.fetch():
            self.refused("OUTP:STAT 1", "0")
        self.emission.wanted = 1
