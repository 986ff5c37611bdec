"""What sits in the slots of a SIM900, each on a nanowire: an SRS SIM928 voltage source, or another module.

A module takes bytes and gives bytes; the mainframe carries them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim_devices.detectors.nanowire_channel import NanowireChannel

__all__ = ["Module", "Sim928Module"]

UA_PER_V = 10.0  # [V2] through 100 kOhm
OVERLOAD_V = 20.0
TERMINATORS = {0: b"", 1: b"\r", 2: b"\n", 3: b"\r\n", 4: b"\n\r"}  # of a SIM928; the mainframe numbers otherwise
ENDS = re.compile(rb"[\r\n;]")


class Module(Protocol):
    """What the mainframe asks of a module."""

    channel: NanowireChannel

    def take(self, data: bytes) -> bytes:
        """Take bytes, in any split, and return what is answered."""
        ...

    def lose_power(self) -> None:
        """Return to the power-on state."""
        ...

    def clear(self) -> None:
        """Hear a break: drop half a command."""
        ...


class Sim928Module:
    """The isolated voltage source; settings come back at power-on."""

    def __init__(self, channel: NanowireChannel, serial: str) -> None:
        self.channel = channel
        self.serial = serial
        self.overloaded = False
        self._buffer = b""
        self._volt, self._on = 0.0, False
        self._terminator, self._esr, self._events = 3, 0x80, 0
        self._lexe = self._lcme = 0
        self._batteries = [1, 3, 0]

    def take(self, data: bytes) -> bytes:
        """Carry out the commands that these bytes complete; they may be chained by `;`."""
        self._buffer += data
        out = b""
        while (end := ENDS.search(self._buffer)) is not None:
            line, self._buffer = self._buffer[: end.start()], self._buffer[end.end() :]
            if text := line.decode("latin-1").strip().upper():
                reply = self._carry_out(text)
                out += b"" if reply is None else reply.encode() + TERMINATORS[self._terminator]
        self._buffer = self._buffer[-256:]
        return out

    def lose_power(self) -> None:
        """Power came back: voltage and switch are as they were [V2]."""
        self._buffer, self._esr, self._terminator = b"", 0x80, 3
        self._drive()

    def clear(self) -> None:
        """Hear a break."""
        self._buffer, self._terminator = b"", 3

    def _drive(self) -> None:
        self.channel.set_bias(self._volt * UA_PER_V if self._on and not self.overloaded else 0.0)

    def _carry_out(self, text: str) -> str | None:
        name = re.match(r"\*?[A-Z]+\??", text)
        word = name[0] if name is not None else ""
        rest = text[len(word) :].strip()
        method: Callable[[str], str | None] | None = {
            "*IDN?": lambda _: f"Stanford Research Systems,SIM928,s/n{self.serial},ver1.1",
            "*RST": self._reset,
            "*CLS": self._clear_status,
            "*ESR?": lambda _: self._take("_esr"),
            "*OPC?": lambda _: "1",
            "VOLT": self._set_volt,
            "VOLT?": lambda _: f"{self._volt:+.3f}",
            "OPON": lambda _: self._switch("1"),
            "OPOF": lambda _: self._switch("0"),
            "EXON": self._switch,
            "EXON?": lambda _: str(int(self._on)),
            "BATS?": lambda _: ",".join(map(str, self._batteries)),
            "BCOR": self._swap,
            "BIDN?": self._battery,
            "OVCR?": lambda _: str(int(self.overloaded)),
            "OVSR?": lambda _: self._take("_events"),
            "LEXE?": lambda _: self._take("_lexe"),
            "LCME?": lambda _: self._take("_lcme"),
            "TERM": self._set_terminator,
            "TERM?": lambda _: str(self._terminator),
            "BAUD?": lambda _: "9470",
        }.get(word)
        if method is None:
            self._esr |= 0x20
            self._lcme = 2
            return None
        return method(rest)

    def _take(self, register: str) -> str:
        value: int = getattr(self, register)
        setattr(self, register, 0)
        return str(value)

    def _refuse(self, code: int) -> None:
        self._esr |= 0x10
        self._lexe = code

    def _reset(self, _: str) -> None:
        self._volt, self._on = 0.0, False
        self._drive()

    def _clear_status(self, _: str) -> None:
        self._esr = self._events = self._lexe = self._lcme = 0

    def _set_volt(self, text: str) -> None:
        try:
            volt = round(float(text), 3)
        except ValueError:
            self._esr, self._lcme = self._esr | 0x20, 9
            return
        if abs(volt) > OVERLOAD_V:
            self._refuse(1)
            return
        self._volt = volt
        self._drive()

    def _switch(self, text: str) -> None:
        if text not in ("0", "1", "ON", "OFF"):
            self._refuse(2)
            return
        self._on = text in ("1", "ON")
        self._drive()

    def _swap(self, _: str) -> None:
        """Swap the batteries if the other one is ready; it is then charged."""
        if 3 in self._batteries[:2]:
            self._batteries[:2] = [2 if state == 1 else 1 for state in self._batteries[:2]]
            self._events |= 0x04

    def _battery(self, text: str) -> str:
        return {"0": "BA000001", "1": self.serial, "2": "300", "3": "12", "4": "2026-01-01"}.get(text, "0")

    def _set_terminator(self, text: str) -> None:
        words = {"NONE": 0, "CR": 1, "LF": 2, "CRLF": 3, "LFCR": 4}
        number = words.get(text, int(text) if text.isdecimal() and len(text) == 1 else -1)
        if number not in TERMINATORS:
            self._refuse(2)
            return
        self._terminator = number
