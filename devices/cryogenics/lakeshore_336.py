"""Lake Shore 336: cryogenic temperature controller; watches the cryostat of nanowires or memories, and warms it up.

SCPI-like over TCP 7777 (one client) without a text error queue: a refused command shows in `*ESR?`.  Heaters are switched on
by `set` alone; leaving a stage does not switch them off, as a cryostat outlives a plan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ophyd import Component as Cpt

from devices.base import Instrument, InstrumentSettings
from devices.signals import QuerySignal, parse_float, parse_int
from qlab.clock import PS_PER_S
from qlab.errors import InstrumentError

if TYPE_CHECKING:
    from devices.worker import WorkerStatus

__all__ = ["LakeShore336"]

INPUTS = "ABCD"
EXECUTION_ERROR, COMMAND_ERROR = 1 << 4, 1 << 5
READING = {0: "is invalid", 4: "is under range", 5: "is over range", 6: "shows zero", 7: "is open"}
"""[V2] Bits of RDGST?."""
HEATERS = {1: "is open", 2: "is shorted"}
CLOSED_LOOP = 1
SERIAL_GAP_PS = 50 * PS_PER_S // 1000
"""[V2] What a serial line needs between two commands."""
SETTLED_READINGS, POLL_S, SETTLING_TIMEOUT_S = 3, 5.0, 6 * 3600.0
TOLERANCE = 0.01
"""Share of the set point within which a stage counts as settled."""


def _temperature(letter: str) -> Cpt:
    return Cpt(QuerySignal, query=f"KRDG? {letter}", units="K", precision=4, kind="hinted")


class LakeShore336(Instrument):
    """The controller; role `qlab.roles.Cryostat`."""

    identity = r"^LSCI,MODEL336"
    twin = "sim_devices.cryogenics.lakeshore_336.LakeShore336Twin"
    wire = "tcp"
    usual_addresses = ("TCPIP0::HOST::7777::SOCKET", "GPIB0::12::INSTR", "ASRL/dev/ttyUSB0::INSTR")
    link_options = {
        "baud": 57600,
        "line": {"data_bits": 7, "parity": "O"},
        "terminator": b"\r\n",
        "command_terminator": b"\n",
    }

    class Settings(InstrumentSettings):
        """What the lab file may set."""

        inputs: str = "AB"
        """Letters of the sensors that are connected; the others' readings are no matter of health."""
        warm_above_k: float | None = None
        """Above this the stage of the first input is no longer well: nanowires latch."""

    temperature_a_k = _temperature("A")
    temperature_b_k = _temperature("B")
    temperature_c_k = _temperature("C")
    temperature_d_k = _temperature("D")
    heater_percent = Cpt(QuerySignal, query="HTR? 1", units="%", precision=1, kind="normal")
    heater_range = Cpt(
        QuerySignal,
        query="RANGE? 1",
        command="RANGE 1,{:d}",
        parse=parse_int,
        initial=0,
        limits=(0, 3),
        verify=0,
        restore=False,
        kind="config",
    )
    set_point_k = Cpt(
        QuerySignal,
        query="SETP? 1",
        command="SETP 1,{:.4f}",
        units="K",
        precision=4,
        limits=(0.0, 350.0),
        kind="config",
    )

    _spoke_ps = -SERIAL_GAP_PS

    def ask(self, command: str, *, delay_s: float = 0.0, timeout_s: float | None = None) -> str:
        """Return the reply to a query."""
        self._pause()
        return super().ask(command, delay_s=delay_s, timeout_s=timeout_s)

    def tell(self, command: str) -> None:
        """Send a set and ask whether it was understood."""
        with self.link.transaction() as link:
            self._pause()
            link.tell(f"*CLS;{command}")
            self._pause()
            bits = parse_int(link.ask("*ESR?", retry=False))
        if bits & (EXECUTION_ERROR | COMMAND_ERROR):
            what = (
                "the controller refused a command" if bits & EXECUTION_ERROR else "the controller knows no such command"
            )
            raise InstrumentError(what, device=self.name, command=command, found=f"*ESR {bits}")

    def _pause(self) -> None:
        """Let a serial line rest between two commands."""
        if self.link.address.upper().startswith(("ASRL", "/", "COM")):
            self.clock.wait_until(self._spoke_ps + SERIAL_GAP_PS)
            self._spoke_ps = self.clock.now_ps()

    def temperature_k(self, which: str = "A") -> QuerySignal:
        """Return the signal of a stage's temperature."""
        signal: QuerySignal = getattr(self, f"temperature_{which.lower()}_k")
        return signal

    def set(self, kelvin: float) -> WorkerStatus:
        """Regulate the first stage to a temperature by output 1, at medium power; done when it has settled."""
        self.set_point_k.check_value(kelvin)
        return self.in_thread("settle", lambda: self._settle(kelvin))

    def switch_heaters_off(self) -> WorkerStatus:
        """Switch all four outputs off."""
        return self.in_thread("heaters off", lambda: self.tell("RANGE 1,0;RANGE 2,0;RANGE 3,0;RANGE 4,0"))

    def check_health(self) -> list[str]:
        """Return broken sensors and heaters, and a stage that is too warm."""
        found = []
        for letter in self.settings.inputs:
            bits = parse_int(self.ask(f"RDGST? {letter}"))
            found += [f"sensor {letter} {words}" for bit, words in READING.items() if bits >> bit & 1]
        for output in (1, 2):
            status = parse_int(self.ask(f"HTRST? {output}"))
            if status:
                found.append(f"heater {output} {HEATERS.get(status, f'reports {status}')}")
        limit_k, first = self.settings.warm_above_k, self.settings.inputs[:1] or "A"
        if limit_k is not None and not found and parse_float(self.ask(f"KRDG? {first}")) > limit_k:
            found.append(f"stage {first} is warmer than {limit_k:g} K")
        return found

    def _settle(self, kelvin: float) -> None:
        first = self.settings.inputs[:1] or "A"
        self.tell(f"OUTMODE 1,{CLOSED_LOOP},{INPUTS.index(first) + 1},0")
        self.set_point_k.store(kelvin)
        self.heater_range.store(2)
        deadline_s, good = self.clock.now_s() + SETTLING_TIMEOUT_S, 0
        while good < SETTLED_READINGS:
            self.wait_s(POLL_S)
            found_k: Any = self.temperature_k(first).fetch()
            good = good + 1 if abs(found_k - kelvin) <= TOLERANCE * kelvin else 0
            if not good and not self.heater_range.fetch():
                what, hint = "the heater went off by itself", "is a temperature limit exceeded, or the heater broken?"
                raise InstrumentError(what, device=self.name, command="RANGE? 1", found="0", expected="2", hint=hint)
            if self.clock.now_s() > deadline_s:
                what = f"the stage did not settle within {SETTLING_TIMEOUT_S / 3600:g} h"
                raise InstrumentError(what, device=self.name, found=f"{found_k:.3f} K", expected=f"{kelvin:.3f} K")
