"""Status registers and error numbers of a SIM928, as protocol sheet 07 lists them [V2]."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BATTERY_SWITCH", "FAULTS", "TRIP", "Sim928Error", "Sim928Status"]

OVERLOAD, TRIP, BATTERY_SWITCH, BATTERY_FAULT = 1, 2, 4, 8
"""Bits of `OVCR?` and `OVSR?`."""
FAULTS = {"overload": OVERLOAD, "trip": TRIP, "battery": BATTERY_FAULT}
OPC, INP, QYE, DDE, EXE, CME, URQ, PON = (1 << bit for bit in range(8))
"""Bits of `*ESR?`."""
PARITY, FRAMING, NOISE, HARDWARE_OVERRUN, OVERRUN, RTSH, CTSH, DCAS = (1 << bit for bit in range(8))
"""Bits of `CESR?`."""
OVSB, IDLE, ESB, MSS, CESB = 0x01, 0x10, 0x20, 0x40, 0x80
"""Bits of `*STB?`."""
UNDEFINED, ILLEGAL_QUERY, ILLEGAL_SET, MISSING, EXTRA, NULL = 2, 3, 4, 5, 6, 7
OVERFLOW, BAD_FLOAT, BAD_INTEGER, TOKEN_VALUE, UNKNOWN_TOKEN = 8, 9, 10, 12, 14
"""`LCME?`"""
WRONG_TOKEN, INVALID_BIT = 2, 3
"""`LEXE?`, where 1 is an illegal value."""


class Sim928Error(Exception):
    """A command that is not carried out: a number for `LCME?`, or for `LEXE?` where `executing`."""

    def __init__(self, code: int, *, executing: bool = False) -> None:
        super().__init__(code)
        self.code = code
        self.executing = executing


class Sim928Status:
    """Registers; events stay until they are read."""

    def __init__(self) -> None:
        self._condition = 0
        self._events = {"*ESR": PON, "CESR": 0, "OVSR": 0}
        self._enabled = {"*ESE": 0, "CESE": 0, "OVSE": 0, "*SRE": 0, "*PSC": 1}
        self._errors = {"LEXE": 0, "LCME": 0}
        self.registers: dict[str, Callable[[list[str]], str | None]] = {
            "*CLS": self._clear,
            "*STB?": lambda a: self._bit(self._status_byte(), a),
            "OVCR?": lambda a: self._bit(self._condition, a),
        }
        for name in self._events:
            self.registers[f"{name}?"] = partial(self._take, self._events, name)
        for name in self._errors:
            self.registers[f"{name}?"] = partial(self._take, self._errors, name)
        for name in self._enabled:
            self.registers[name] = partial(self._enable, name)
            self.registers[f"{name}?"] = partial(self._mask, name)

    @property
    def tripped(self) -> bool:
        """Whether the output was disconnected for its own good."""
        return bool(self._condition & TRIP)

    def happens(self, event: int) -> None:
        """Remember an event of the output."""
        self._events["OVSR"] |= event

    def set_condition(self, bit: int, *, active: bool, event: bool = True) -> None:
        """Begin or end a condition of the output."""
        self._condition = self._condition | bit if active else self._condition & ~bit
        if active and event:
            self.happens(bit)

    def fail(self, error: Sim928Error) -> None:
        """Keep an error's number."""
        self._errors["LEXE" if error.executing else "LCME"] = error.code
        self._events["*ESR"] |= EXE if error.executing else CME

    def garble(self, *, parity: bool = False) -> None:
        """Hear bytes at another baud rate, or with a parity that it does not expect."""
        self._events["CESR"] |= PARITY if parity else FRAMING

    def overflow(self) -> None:
        """Lose bytes of a command that is too long."""
        self._events["CESR"] |= OVERRUN
        self._events["*ESR"] |= INP
        self.fail(Sim928Error(OVERFLOW))

    def device_clear(self) -> None:
        """Hear a break."""
        self._events["CESR"] |= DCAS

    def complete(self) -> None:
        """Set the operation-complete bit."""
        self._events["*ESR"] |= OPC

    def power_up(self) -> None:
        """Begin anew."""
        self._events.update({"*ESR": PON, "CESR": 0, "OVSR": 0})
        self._errors.update({"LEXE": 0, "LCME": 0})
        if self._enabled["*PSC"]:
            self._enabled.update({"*ESE": 0, "CESE": 0, "OVSE": 0, "*SRE": 0})

    def unknown(self, word: str, known: set[str]) -> None:
        """Raise the error of a word that is no command."""
        other = word[:-1] if word.endswith("?") else f"{word}?"
        raise Sim928Error((ILLEGAL_QUERY if word.endswith("?") else ILLEGAL_SET) if other in known else UNDEFINED)

    @staticmethod
    def count(arguments: list[str], least: int, most: int) -> None:
        """See that there are as many arguments as there may be."""
        if len(arguments) < least:
            raise Sim928Error(MISSING)
        if len(arguments) > most:
            raise Sim928Error(EXTRA)
        if "" in arguments:
            raise Sim928Error(NULL)

    @staticmethod
    def number(text: str) -> float:
        """Return a number."""
        if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(E[+-]?\d{1,3})?", text):
            raise Sim928Error(BAD_FLOAT)
        return float(text)

    @staticmethod
    def integer(text: str) -> int:
        """Return a whole number."""
        if not re.fullmatch(r"[+-]?\d{1,9}", text):
            raise Sim928Error(BAD_INTEGER)
        return int(text)

    @staticmethod
    def token(text: str, words: tuple[str, ...]) -> int:
        """Return a token's number, as it may also be written."""
        if text.isdecimal():
            if int(text) >= len(words):
                raise Sim928Error(WRONG_TOKEN, executing=True)
            return int(text)
        if text not in words:
            raise Sim928Error(UNKNOWN_TOKEN)
        return words.index(text)

    def _status_byte(self) -> int:
        byte = IDLE
        for summary, event, enable in ((OVSB, "OVSR", "OVSE"), (ESB, "*ESR", "*ESE"), (CESB, "CESR", "CESE")):
            byte |= summary if self._events[event] & self._enabled[enable] else 0
        return byte | (MSS if byte & self._enabled["*SRE"] else 0)

    def _clear(self, arguments: list[str]) -> None:
        self.count(arguments, 0, 0)
        self._events.update(dict.fromkeys(self._events, 0))
        self._errors.update(dict.fromkeys(self._errors, 0))

    def _bit(self, value: int, arguments: list[str]) -> str:
        """Return a register, or one of its bits."""
        self.count(arguments, 0, 1)
        if not arguments:
            return str(value)
        return str(value >> self._bit_number(arguments[0]) & 1)

    def _mask(self, name: str, arguments: list[str]) -> str:
        return self._bit(self._enabled[name], arguments)

    def _take(self, register: dict[str, int], name: str, arguments: list[str]) -> str:
        """Return a register, or one of its bits, and clear what was read."""
        found = self._bit(register[name], arguments)
        register[name] &= ~(1 << int(arguments[0])) if arguments else 0
        return found

    def _enable(self, name: str, arguments: list[str]) -> None:
        self.count(arguments, 1, 2)
        value = self.integer(arguments[-1])
        if len(arguments) == 2:
            bit, on = 1 << self._bit_number(arguments[0]), value
            value = self._enabled[name] | bit if on else self._enabled[name] & ~bit
        if not 0 <= value <= 255:
            raise Sim928Error(1, executing=True)
        self._enabled[name] = value

    def _bit_number(self, text: str) -> int:
        bit = self.integer(text)
        if not 0 <= bit <= 7:
            raise Sim928Error(INVALID_BIT, executing=True)
        return bit
