"""An SRS SIM928 isolated voltage source in a slot of a SIM900, with 100 kOhm and a nanowire at its output."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sim_devices.detectors.sim928_batteries import MOST_CYCLES, Batteries
from sim_devices.detectors.sim928_status import BATTERY_SWITCH, FAULTS, TRIP, Sim928Error, Sim928Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.clock import Clock
    from sim_devices.detectors.nanowire_channel import NanowireChannel

__all__ = ["Sim928Module"]

UA_PER_V = 10.0  # [V2] through 100 kOhm
MOST_V = 20.0
TERMINATORS = {
    "NONE": b"",
    "CR": b"\r",
    "LF": b"\n",
    "CRLF": b"\r\n",
    "LFCR": b"\n\r",
}  # the mainframe numbers otherwise
SWITCH = ("OFF", "ON")
ENDS = re.compile(rb"[\r\n;]")
BUFFER = 256  # [INF] bytes of a command
TRIP_ENDS_AT_OFF = True
"""[INF] A trip is latched [V2] until the output is switched off."""


class Sim928Module(Sim928Status):
    """The voltage source; settings come back at power-on."""

    def __init__(self, channel: NanowireChannel, clock: Clock, serial: str) -> None:
        super().__init__()
        self.channel = channel
        self.serial = serial
        self.baud = 9600
        self.batteries = Batteries()
        self._clock = clock
        self._buffer = b""
        self._volt, self._on, self._end, self._words = 0.0, False, 3, False

    def take(self, data: bytes) -> bytes:
        """Carry out the commands that these bytes complete; they may be chained by `;`."""
        if self.batteries.advance(self._clock.now_ps()):
            self.happens(BATTERY_SWITCH)
        self._buffer += data
        out = b""
        while (end := ENDS.search(self._buffer)) is not None:
            line, self._buffer = self._buffer[: end.start()], self._buffer[end.end() :]
            if text := line.decode("latin-1").strip().upper():
                reply = self._carry_out(text)
                out += b"" if reply is None else reply.encode() + list(TERMINATORS.values())[self._end]
        if len(self._buffer) > BUFFER:
            self.overflow()
            self._buffer = self._buffer[:BUFFER]
        return out

    def lose_power(self) -> None:
        """Power came back: voltage and switch are as they were [V2]."""
        self._buffer = b""
        self.baud, self._end, self._words = 9600, 3, False
        self.power_up()
        self._drive()

    def hear_break(self) -> None:
        """Flush, and go back to 9600 baud and CR LF [V2]."""
        self._buffer, self.baud, self._end = b"", 9600, 3
        self.device_clear()

    def fault(self, name: str, *, active: bool) -> bool:
        """Latch the wire, draw too much current, drive the output from outside (which trips it), or break a battery."""
        if name == "latch":
            if active:
                self.channel.latch()
            return True
        if name not in FAULTS:
            return False
        self.set_condition(FAULTS[name], active=active)
        self._drive()
        return True

    def _drive(self) -> None:
        self.channel.set_bias(self._volt * UA_PER_V if self._on and not self.tripped else 0.0)

    def _carry_out(self, text: str) -> str | None:
        name = re.match(r"\*?[A-Z]+\??", text)
        word = name[0] if name is not None else ""
        rest = text[len(word) :].strip()
        arguments = [each.strip() for each in rest.split(",")] if rest else []
        try:
            if word in self.registers:
                return self.registers[word](arguments)
            commands = self._commands()
            if word in commands:
                least, most, method = commands[word]
                self.count(arguments, least, most)
                return method(*arguments)
            self.unknown(word, {*commands, *self.registers})
        except Sim928Error as error:
            self.fail(error)
        return None

    def _commands(self) -> dict[str, tuple[int, int, Callable[..., str | None]]]:
        return {
            "*IDN?": (0, 0, lambda: f"Stanford Research Systems,SIM928,s/n{self.serial},ver1.1"),
            "*RST": (0, 0, self._reset),
            "*OPC?": (0, 0, lambda: "1"),
            "*OPC": (0, 0, self.complete),
            "*WAI": (0, 0, lambda: None),
            "*TST?": (0, 0, lambda: "0"),
            "VOLT": (1, 1, self._set_volt),
            "VOLT?": (0, 0, lambda: f"{self._volt:+.3f}"),
            "OPON": (0, 0, lambda: self._switch("ON")),
            "OPOF": (0, 0, lambda: self._switch("OFF")),
            "EXON": (1, 1, self._switch),
            "EXON?": (0, 0, lambda: SWITCH[self._on] if self._words else str(int(self._on))),
            "BATS?": (0, 0, lambda: self.batteries.states(self._clock.now_ps())),
            "BCOR": (0, 0, lambda: self.batteries.swap(self._clock.now_ps())),
            "BIDN?": (1, 1, self._battery),
            "TERM": (1, 1, self._set_end),
            "TERM?": (0, 0, lambda: list(TERMINATORS)[self._end] if self._words else str(self._end)),
            "TOKN": (1, 1, self._set_words),
            "TOKN?": (0, 0, lambda: SWITCH[self._words] if self._words else "0"),
            "BAUD": (1, 1, self._set_baud),
            "BAUD?": (0, 0, lambda: "9470" if self.baud == 9600 else str(self.baud)),
        }

    def _reset(self) -> None:
        self._volt, self._on = 0.0, False
        self._drive()

    def _set_volt(self, text: str) -> None:
        volt = round(self.number(text), 3)
        if abs(volt) > MOST_V:
            raise Sim928Error(1, executing=True)
        self._volt = volt
        self._drive()

    def _switch(self, text: str) -> None:
        self._on = bool(self.token(text, SWITCH))
        if not self._on:
            self.set_condition(
                TRIP, active=False, event=False
            )  # [INF] a trip's latch ends when the output is switched off
        self._drive()

    def _battery(self, text: str) -> str:
        known = ("BA000001", self.serial, str(MOST_CYCLES), str(self.batteries.cycles), "2026-01-01")
        which = self.integer(text)
        if not 0 <= which < len(known):
            raise Sim928Error(1, executing=True)
        return known[which]

    def _set_end(self, text: str) -> None:
        self._end = self.token(text, tuple(TERMINATORS))

    def _set_words(self, text: str) -> None:
        self._words = bool(self.token(text, SWITCH))

    def _set_baud(self, text: str) -> None:
        baud = self.integer(text)
        if not 110 <= baud <= 115200:
            raise Sim928Error(1, executing=True)
        self.baud = baud
