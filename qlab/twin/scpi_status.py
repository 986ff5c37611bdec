"""The IEEE-488.2 and SCPI-1999 status model: registers that latch, masks, and an error queue of finite length."""

from __future__ import annotations

from collections import deque

__all__ = ["CME", "DDE", "EXE", "OPC", "PON", "QYE", "STANDARD_ERRORS", "URQ", "ErrorQueue", "ScpiError", "StatusGroup"]

OPC, QYE, DDE, EXE, CME, URQ, PON = 0x01, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80
"""Bits of the standard event status register (IEEE 488.2, 11.5.1)."""

STANDARD_ERRORS = {
    0: "No error",
    -100: "Command error",
    -101: "Invalid character",
    -102: "Syntax error",
    -103: "Invalid separator",
    -104: "Data type error",
    -108: "Parameter not allowed",
    -109: "Missing parameter",
    -113: "Undefined header",
    -114: "Header suffix out of range",
    -120: "Numeric data error",
    -131: "Invalid suffix",
    -138: "Suffix not allowed",
    -141: "Invalid character data",
    -151: "Invalid string data",
    -161: "Invalid block data",
    -200: "Execution error",
    -213: "Init ignored",
    -221: "Settings conflict",
    -222: "Data out of range",
    -223: "Too much data",
    -224: "Illegal parameter value",
    -230: "Data corrupt or stale",
    -240: "Hardware error",
    -241: "Hardware missing",
    -300: "Device-specific error",
    -310: "System error",
    -330: "Self-test failed",
    -350: "Queue overflow",
    -400: "Query error",
    -410: "Query INTERRUPTED",
    -420: "Query UNTERMINATED",
    -440: "Query UNTERMINATED after indefinite response",
}
"""SCPI-1999, volume 2, chapter 21."""


class ScpiError(Exception):
    """Raised by a command to put an error into the instrument's queue.

    Parameters
    ----------
    code, text:
        As SCPI-1999, volume 2, chapter 21 numbers and words them; without text the standard's.
    """

    def __init__(self, code: int, text: str | None = None) -> None:
        self.code = code
        self.text = STANDARD_ERRORS.get(code, "Device-specific error") if text is None else text
        super().__init__(f'{code:+d},"{self.text}"')

    @property
    def event_bit(self) -> int:
        """The bit of the event status register that this class of error sets."""
        return {1: CME, 2: EXE, 4: QYE}.get(-self.code // 100, DDE)


class ErrorQueue:
    """First in, first out; when it is full, the last entry becomes -350 "Queue overflow" and further ones are lost."""

    def __init__(self, length: int = 20, empty: str = '+0,"No error"') -> None:
        self._length = length
        self._empty = empty
        self._errors: deque[ScpiError] = deque()

    def push(self, error: ScpiError) -> None:
        """Add an error."""
        if len(self._errors) >= self._length:
            self._errors[-1] = ScpiError(-350)
        else:
            self._errors.append(error)

    def pop(self) -> str:
        """Take out the oldest; what is said when there is none differs from maker to maker."""
        return str(self._errors.popleft()) if self._errors else self._empty

    def clear(self) -> None:
        """Forget all."""
        self._errors.clear()

    def __len__(self) -> int:
        return len(self._errors)


class StatusGroup:
    """Condition, transition filters, latching event and enable registers of 16 bits (SCPI-1999, 9.1); bit 15 is 0."""

    def __init__(self) -> None:
        self.condition = 0
        self.event = 0
        self.preset()

    def preset(self) -> None:
        """Set masks and filters as `STATus:PRESet` does: nothing enabled, rising transitions latch."""
        self.enable = 0
        self.positive = 0x7FFF
        self.negative = 0

    def set_condition(self, condition: int) -> None:
        """Set the condition register and latch what the filters let through."""
        rising, falling = condition & ~self.condition, self.condition & ~condition
        self.event |= (rising & self.positive) | (falling & self.negative)
        self.condition = condition

    def set_bits(self, bits: int, *, on: bool) -> None:
        """Switch some condition bits."""
        self.set_condition(self.condition | bits if on else self.condition & ~bits)

    def read_event(self) -> int:
        """Return the event register and clear it."""
        event, self.event = self.event, 0
        return event

    @property
    def summary(self) -> bool:
        """Whether an enabled event has happened."""
        return bool(self.event & self.enable)
