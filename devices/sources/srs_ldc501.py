"""SRS LDC501: laser diode and TEC controller, 500 mA; pumps a crystal or seeds weak pulses.

SCPI-like over TCP 8888 or serial, without a text error queue: after each set the last execution and command errors are asked.
Emission is switched on by `emission` alone: never at connection, never after a reconnection.
"""

from __future__ import annotations

from typing import Any

from ophyd import Component as Cpt

from devices.base import InstrumentSettings
from devices.signals import ScpiSignal, parse_bool, parse_int
from devices.sources.laser import Emission, Laser
from qlab.errors import BadReplyError, InstrumentError, InterlockError

__all__ = ["LDC501"]

SETTLING_S = 0.02
"""[V2] Light settles within 2.5 ms; drivers wait 15 ms before they ask for errors."""
MOST_MA = {"500": 100.0, "501": 500.0, "502": 2000.0}
"""[V2] By model, in the high range."""
TEC_TOLERANCE_C, TEC_TIMEOUT_S, TEC_POLL_S = 0.05, 120.0, 0.5
TRIPS = {
    8: "the interlock is open",
    10: "the diode's voltage was above its limit",
    11: "the diode is not connected",
    12: "the TEC is off",
    13: "the diode is too warm",
    14: "the diode is too cold",
    15: "the temperature sensor has failed",
}
"""Bits of LDEV?."""
SENSOR_FAULT = 1 << 7


class _CurrentLimit(ScpiSignal):
    """The limit of the current, as far as the model goes."""

    @property
    def limits(self) -> tuple[float, float] | None:
        return 0.0, MOST_MA.get(self.parent.identity_text.partition(",LDC")[2][:3], MOST_MA["501"])


class _DriveCurrent(ScpiSignal):
    """The set current, never above the current limit."""

    @property
    def limits(self) -> tuple[float, float] | None:
        return 0.0, self.parent.current_limit_ma.get()


def _milliampere(name: str, cls: type[ScpiSignal], **more: Any) -> Cpt:
    return Cpt(
        cls,
        query=f"{name}?",
        command=name + " {:.3f}",
        units="mA",
        precision=3,
        limits=(0.0, MOST_MA["501"]),
        verify=0.01,
        kind="config",
        **more,
    )


class LDC501(Laser):
    """The controller; role `qlab.roles.PhotonSource`."""

    identity = r"^Stanford Research Systems,LDC50[012]"
    twin = "sim_devices.sources.srs_ldc501.LDC501Twin"
    wire = "tcp"
    link_options = {"baud": 9600}
    usual_addresses = ("TCPIP0::HOST::8888::SOCKET", "GPIB0::2::INSTR", "ASRL/dev/ttyUSB0::INSTR")

    class Settings(InstrumentSettings):
        """What the lab file may set."""

        current_limit_ma: float | None = None
        current_ma: float | None = None
        temperature_c: float | None = None

    emission = Cpt(
        Emission,
        query="LDON?",
        command="LDON {:d}",
        parse=parse_bool,
        initial=0,
        limits=(0, 1),
        restore=False,
        kind="normal",
    )
    measured_current_ma = Cpt(ScpiSignal, query="RILD?", units="mA", precision=3, kind="hinted")
    measured_temperature_c = Cpt(ScpiSignal, query="TTRD?", units="degC", precision=3, kind="normal")
    monitor_ua = Cpt(ScpiSignal, query="RIPD?", units="uA", precision=3, kind="normal")
    voltage_v = Cpt(ScpiSignal, query="RVLD?", units="V", precision=3, kind="omitted")
    current_limit_ma = _milliampere("SILM", _CurrentLimit, initial=250.0)
    current_ma = _milliampere("SILD", _DriveCurrent)
    temperature_c = Cpt(
        ScpiSignal,
        query="TEMP?",
        command="TEMP {:.3f}",
        units="degC",
        precision=3,
        limits=(5.0, 70.0),
        initial=25.0,
        verify=0.01,
        kind="config",
    )
    tec = Cpt(
        ScpiSignal,
        query="TEON?",
        command="TEON {:d}",
        parse=parse_bool,
        initial=0,
        limits=(0, 1),
        verify=0,
        kind="config",
    )

    def prepare(self) -> None:
        """Unlock the interface behind an empty line, have numbers for words, and forget errors from before our time."""
        self.link.tell("")
        self.link.tell("ULOC 1")
        self.link.tell("TOKN OFF")
        self.link.tell("*CLS")
        self._errors()

    def tell(self, command: str) -> None:
        """Send a set and ask for errors; raises `InstrumentError` with their numbers."""
        with self.link.transaction():
            self.link.tell(command)
            self.clock.sleep(SETTLING_S)
            execution, bad_command = self._errors()
        if execution or bad_command:
            self.refused(command, f"execution error {execution}, command error {bad_command}")

    def make_safe(self) -> None:
        """Switch the emission off and see that it is."""
        if not self.link.is_open:
            return
        self.emission.wanted = 0
        self.tell("LDON 0")
        if self.emission.fetch():
            what, hint = "the laser is still on after it was switched off", "switch it off at the instrument"
            raise InstrumentError(what, device=self.name, command="LDON 0", found="1", expected="0", hint=hint)

    def check_health(self) -> list[str]:
        """Return an open interlock and a sensor that has failed."""
        found = [] if parse_bool(self.ask("ILOC?")) else ["the interlock is open"]
        sensor = parse_int(self.ask("TECR?")) & SENSOR_FAULT
        return [*found, *(["the temperature sensor has failed"] if sensor else [])]

    def refused(self, command: str, found: str) -> None:
        """Say which trip keeps the laser off."""
        events = parse_int(self.ask("LDEV?")) if command.startswith("LDON") else 0
        tripped = [words for bit, words in TRIPS.items() if events >> bit & 1]
        tripped = list(dict.fromkeys([*tripped, *(self.check_health() if command.startswith("LDON") else [])]))
        if tripped:
            what, hint = f"the output stays off: {' and '.join(tripped)}", "clear the cause and switch on again"
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
                found, expected = f"{self.measured_temperature_c.get():.3f}", f"{self.temperature_c.get():.3f} degC"
                raise InstrumentError(what, device=self.name, found=found, expected=expected)
            self.wait_s(TEC_POLL_S)
        self.tell("LDON 1")
        self.wait_s(SETTLING_S)
        if not self.emission.fetch():
            self.refused("LDON 1", "0")
        self.emission.wanted = 1

    def _errors(self) -> tuple[int, int]:
        found = self.link.ask("LEXE?;LCME?", retry=False)
        try:
            execution, bad_command = (int(number) for number in found.split(";"))
        except ValueError as error:
            self.link.distrust()
            what = "the reply is no pair of error numbers"
            raise BadReplyError(what, device=self.name, command="LEXE?;LCME?", found=found) from error
        return execution, bad_command
