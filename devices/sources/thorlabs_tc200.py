"""Thorlabs TC200: heater controller; keeps the crystal at its phase-matching temperature (20 to 200 degC, 18 W).

Serial, 115200 baud.  The controller echoes each command, then answers, then prompts with `> `; commands are lower case.
The heater can only heat, and `ens` toggles its enable: the driver looks at the status byte before and after, and never
repeats it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ophyd import Component as Cpt

from devices.base import Instrument, InstrumentSettings
from devices.signals import QuerySignal
from qlab.errors import BadReplyError, InstrumentError

if TYPE_CHECKING:
    from devices.worker import WorkerStatus
    from qlab.links.link import Link

__all__ = ["TC200"]

ENABLED, SENSOR_ALARM = 0x01, 0x40
UNIT_BITS, UNIT_CELSIUS = 0x30, 0x10
TOLERANCE_C = 0.1
SETTLED_READINGS = 3
SETTLING_TIMEOUT_S = 3600.0
POLL_S = 1.0
ERRORS = {"CMD_NOT_DEFINED": "the controller does not know a command", "CMD_ARG_RANGE_ERR": "a value is out of range"}


class TC200(Instrument):
    """The oven, role `qlab.roles.Oven`.  `set` heats to a temperature and is done when it has settled."""

    identity = r"^THORLABS TC200"
    twin = "sim_devices.sources.thorlabs_tc200.TC200Twin"
    wire = "serial"
    link_options = {"baud": 115200, "terminator": b"> ", "command_terminator": b"\r"}

    class Settings(InstrumentSettings):
        """What the lab file may set."""

        max_power_w: float | None = None
        temperature_c: float | None = None
        heat: bool = True
        """Whether a lab file that names a temperature switches the heater on."""

    actual_c = Cpt(QuerySignal, query="tact?", units="degC", precision=1, kind="hinted")
    temperature_c = Cpt(
        QuerySignal,
        query="tset?",
        command="tset={:.1f}",
        units="degC",
        precision=1,
        limits=(20.0, 200.0),
        verify=0.051,  # it is set in steps of 0.1
        kind="config",
    )
    max_c = Cpt(QuerySignal, query="tmax?", units="degC", precision=1, kind="config")
    max_power_w = Cpt(
        QuerySignal, query="pmax?", command="pmax={:.1f}", units="W", precision=1, limits=(0.1, 18.0), kind="config"
    )

    def query_identity(self, link: Link) -> str:
        """Return the reply to `id?`."""
        return self._dialogue(link, "id?", retry=False)

    @property
    def firmware(self) -> str:
        """The version, the last word of the identity."""
        return self.identity_text.split()[-1]

    def prepare(self) -> None:
        """Have all temperatures in degrees Celsius."""
        if self._status_byte() & UNIT_BITS != UNIT_CELSIUS:
            self.tell("unit=c")

    def apply_settings(self) -> None:
        """Set what the lab file asks for; a temperature there means a heated oven."""
        super().apply_settings()
        if self.settings.temperature_c is not None and self.settings.heat:
            self.switch_heater(on=True)

    def ask(self, command: str, *, delay_s: float = 0.0, timeout_s: float | None = None) -> str:
        """Return what stands between echo and prompt."""
        return self._dialogue(self.link, command, delay_s=delay_s, timeout_s=timeout_s)

    def tell(self, command: str) -> None:
        """Send a set, once; the controller says nothing but its echo and prompt when it agrees."""
        self._dialogue(self.link, command, retry=False)

    def set(self, temperature_c: float) -> WorkerStatus:
        """Heat to a temperature; done when three readings in a row are within 0.1 K of it."""
        self.temperature_c.check_value(temperature_c)
        return self.in_thread("settle", lambda: self._settle(temperature_c))

    def switch_heater(self, *, on: bool) -> None:
        """Switch the heater and see that it is; blocks for the wire."""
        status = self._checked_status()
        if bool(status & ENABLED) == on:
            return
        self.tell("ens")
        if bool(self._checked_status() & ENABLED) != on:
            what = f"the heater did not switch {'on' if on else 'off'}"
            raise InstrumentError(what, device=self.name, command="ens")

    def check_health(self) -> list[str]:
        """Return what the status byte complains of; an oven that still warms up is healthy."""
        status = self._status_byte()
        if status & SENSOR_ALARM:
            return ["the temperature sensor is not connected"]
        if not status & ENABLED:
            return ["the heater is off"] if self.settings.temperature_c is not None and self.settings.heat else []
        return []

    def _settle(self, temperature_c: float) -> None:
        self.temperature_c.store(temperature_c)
        self.switch_heater(on=True)
        deadline_s = self.clock.now_s() + SETTLING_TIMEOUT_S
        good = 0
        while good < SETTLED_READINGS:
            self.wait_s(POLL_S)
            good = good + 1 if abs(self.actual_c.fetch() - temperature_c) <= TOLERANCE_C else 0
            if good == 0:
                self._checked_status()
            if self.clock.now_s() > deadline_s:
                what = f"the oven did not settle within {SETTLING_TIMEOUT_S:g} s"
                found, expected = f"{self.actual_c.get():.1f} degC", f"{temperature_c:.1f} degC"
                hint = "the oven heats but does not cool: is the room warmer than its set point?"
                raise InstrumentError(what, device=self.name, found=found, expected=expected, hint=hint)

    def _checked_status(self) -> int:
        status = self._status_byte()
        if status & SENSOR_ALARM:
            what, hint = "the temperature sensor is not connected, so the heater is off", "check the oven's cable"
            raise InstrumentError(what, device=self.name, command="stat?", found=f"{status:x}", hint=hint)
        return status

    def _status_byte(self) -> int:
        text = self.ask("stat?")
        try:
            return int(text, 16)
        except ValueError as error:
            self.link.distrust()
            what = "the status byte is not hexadecimal"
            raise BadReplyError(what, device=self.name, command="stat?", found=text) from error

    def _dialogue(
        self, link: Link, command: str, *, delay_s: float = 0.0, timeout_s: float | None = None, retry: bool = True
    ) -> str:
        """Return the answer behind the echo; a wrong echo counts as a bad reply, so that a query is repeated."""

        def read() -> bytes:
            reply = link.read_until(timeout_s=timeout_s)
            echo, _, answer = reply.decode("latin-1").strip().partition("\r")
            if echo.strip() != command:
                link.distrust()
                what = "the echo is not what was sent"
                raise BadReplyError(what, device=self.name, command=command, found=reply, expected=command)
            return answer.strip().encode("latin-1")

        data = command.encode("latin-1") + link.command_terminator
        text = link.query(data, delay_s=delay_s, timeout_s=timeout_s, retry=retry, read=read).decode("latin-1")
        if text in ERRORS:
            raise InstrumentError(ERRORS[text], device=self.name, command=command, found=text)
        return text
