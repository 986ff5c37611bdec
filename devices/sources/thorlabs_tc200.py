"""Thorlabs TC200: heater controller; keeps the crystal at its phase-matching temperature.

Serial, 115200 baud.  The controller echoes each command, then answers, then prompts with `> `; commands are lower case.
The heater can only heat, and `ens` toggles its enable: the driver looks at the status byte before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ophyd import Component as Cpt

from devices.base import Instrument, InstrumentSettings
from devices.signals import WireSignal
from qlab.errors import BadReplyError, InstrumentError

if TYPE_CHECKING:
    from devices.worker import WorkerStatus
    from qlab.links.link import Link

__all__ = ["TC200"]

ENABLED, SENSOR_ALARM = 0x01, 0x40
TOLERANCE_C = 0.1
SETTLED_READINGS = 3
SETTLING_TIMEOUT_S = 1800.0
POLL_S = 1.0
ERRORS = {"CMD_NOT_DEFINED": "the controller does not know a command", "CMD_ARG_RANGE_ERR": "a value is out of range"}


class TC200(Instrument):
    """The oven."""

    identity = r"^THORLABS TC200"
    twin = "sim_devices.sources.thorlabs_tc200.TC200Twin"
    wire = "serial"
    link_options = {"baud": 115200, "terminator": b"> ", "command_terminator": b"\r"}

    class Settings(InstrumentSettings):
        """What the lab file may set."""

        temperature_c: float | None = None
        max_power_w: float | None = None

    actual_c = Cpt(WireSignal, query="tact?", units="degC", kind="normal")
    temperature_c = Cpt(
        WireSignal, query="tset?", command="tset={:.1f}", units="degC", limits=(20.0, 200.0), kind="config"
    )
    max_power_w = Cpt(WireSignal, query="pmax?", command="pmax={:.1f}", units="W", limits=(0.1, 18.0), kind="config")

    def query_identity(self, link: Link) -> str:
        """Return the reply to `id?`."""
        return self._dialogue(link, "id?")

    @property
    def firmware(self) -> str:
        """The version, the last word of the identity."""
        return self.identity_text.split()[-1]

    def ask(self, command: str, *, delay_s: float = 0.0, timeout_s: float | None = None) -> str:
        """Return what stands between echo and prompt."""
        del delay_s, timeout_s
        return self._dialogue(self.link, command)

    def tell(self, command: str) -> None:
        """Send a set; the controller says nothing but its echo and prompt when it agrees."""
        self._dialogue(self.link, command)

    def set(self, temperature_c: float) -> WorkerStatus:
        """Heat to a temperature; done when it has settled."""
        self.temperature_c.check_value(temperature_c)
        return self.in_thread("settle", lambda: self._settle(temperature_c))

    def switch_heater(self, *, on: bool) -> None:
        """Switch the heater; blocks for the wire."""
        status = self._status_byte()
        if status & SENSOR_ALARM:
            what, hint = "the temperature sensor is not connected", "check the oven's cable"
            raise InstrumentError(what, device=self.name, command="stat?", found=f"{status:x}", hint=hint)
        if bool(status & ENABLED) != on:
            self.tell("ens")

    def check_health(self) -> list[str]:
        """Return what the status byte complains of."""
        return ["the temperature sensor is not connected"] if self._status_byte() & SENSOR_ALARM else []

    def _settle(self, temperature_c: float) -> None:
        self.temperature_c.store(temperature_c)
        self.switch_heater(on=True)
        deadline_s = self.clock.now_s() + SETTLING_TIMEOUT_S
        good = 0
        while good < SETTLED_READINGS:
            self.clock.sleep(POLL_S)
            good = good + 1 if abs(self.actual_c.fetch() - temperature_c) <= TOLERANCE_C else 0
            if self.clock.now_s() > deadline_s:
                what = f"the oven did not settle within {SETTLING_TIMEOUT_S:g} s"
                found, expected = f"{self.actual_c.get():.1f} degC", f"{temperature_c:.1f} degC"
                raise InstrumentError(what, device=self.name, found=found, expected=expected)
            if good == 0 and self._status_byte() & SENSOR_ALARM:
                what = "the temperature sensor was lost while the oven was heating"
                raise InstrumentError(what, device=self.name, hint="check the oven's cable")

    def _status_byte(self) -> int:
        text = self.ask("stat?")
        try:
            return int(text, 16)
        except ValueError as error:
            what = "the status byte is not hexadecimal"
            raise BadReplyError(what, device=self.name, command="stat?", found=text) from error

    def _dialogue(self, link: Link, command: str) -> str:
        reply = link.query(command.encode() + b"\r").decode("latin-1").strip()
        echo, _, answer = reply.partition("\r")
        if echo != command:
            link.distrust()
            what = "the echo is not what was sent"
            raise BadReplyError(what, device=self.name, command=command, found=reply, expected=command)
        answer = answer.strip()
        if answer in ERRORS:
            raise InstrumentError(ERRORS[answer], device=self.name, command=command, found=answer)
        return answer
