"""The IEEE-488.2 status model: event registers that latch, masks, and an error queue of finite length."""

from __future__ import annotations

from collections import deque

__all__ = ["CME", "DDE", "EXE", "OPC", "PON", "QYE", "ErrorQueue", "ScpiError", "StatusGroup"]

OPC, QYE, DDE, EXE, CME, PON = 0x01, 0x04, 0x08, 0x10, 0x20, 0x80
"""Bits of the standard event status register (IEEE 488.2, 11.5.1)."""


class ScpiError(Exception):
    """Raised by a command to put an error into the instrument's queue.

    Parameters
    ----------
    code, text:
        As SCPI-1999, volume 2, chapter 21 numbers and words them.
    """

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f'{code:+d},"{text}"')
        self.code = code
        self.text = text

    @property
    def event_bit(self) -> int:
        """The bit of the event status register that this class of error sets."""
        return {1: CME, 2: EXE, 4: QYE}.get(-self.code // 100, DDE)


class ErrorQueue:
    """First in, first out; when it is full, the last entry becomes -350 "Queue overflow" and further ones are lost."""

    def __init__(self, length: int = 20) -> None:
        self._length = length
        self._errors: deque[ScpiError] = deque()

    def push(self, error: ScpiError) -> None:
        """Add an error."""
        if len(self._errors) >= self._length:
            self._errors[-1] = ScpiError(-350, "Queue overflow")
        else:
            self._errors.append(error)

    def pop(self) -> str:
        """Take out the oldest, `+0,"No error"` when there is none."""
        return str(self._errors.popleft()) if self._errors else '+0,"No error"'

    def clear(self) -> None:
        """Forget all."""
        self._errors.clear()

    def __len__(self) -> int:
        return len(self._errors)


class StatusGroup:
    """Condition, transition filters, latching event and enable registers of 16 bits (SCPI-1999, 9.1)."""

    def __init__(self) -> None:
        self.condition = 0
        self.event = 0
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
