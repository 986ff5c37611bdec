"""Status registers of a SIM900 mainframe, its power and its time base."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qlab.clock import PS_PER_S
from sim_devices.detectors.sim900_arguments import BIT, MainframeError, integer

if TYPE_CHECKING:
    from qlab.clock import Clock

__all__ = ["Registers", "TimeBase"]

OPC, INP, QYE, DDE, EXE, CME, URQ, PON = (1 << bit for bit in range(8))
PDSB, FCSB, CESB, IDLE, MAV, ESB, MSS, SSSB = (1 << bit for bit in range(8))
"""[V2] Bits of `*STB?`."""
DATA_WAITS = PDSB
"""[INF] It tells of bytes that wait in a port."""
TICK_PS = PS_PER_S // 20
LOCKS_PS = PS_PER_S
"""[INF] How long the time base takes to lock."""
FREE, LOCKING, LOCKED, FAULT = range(4)
"""[V2] Of `LOCK?`."""


class Registers:
    """Events that stay until they are read, with what they raise in the status byte."""

    def __init__(self) -> None:
        self.psc = 1
        self.ese = self.sre = 0
        self.esr, self.lexe, self.lcme = PON, 0, 0

    def power_up(self) -> None:
        """Begin anew; `*PSC 0` keeps the masks."""
        self.esr, self.lexe, self.lcme = PON, 0, 0
        if self.psc:
            self.ese = self.sre = 0

    def fail(self, error: MainframeError) -> None:
        """Keep an error's number, and set its bit."""
        if error.executing:
            self.lexe, self.esr = error.code, self.esr | EXE
        else:
            self.lcme, self.esr = error.code, self.esr | CME

    def take(self, name: str) -> str:
        """Return a number and clear it."""
        found: int = getattr(self, name)
        setattr(self, name, 0)
        return str(found)

    def take_events(self, arguments: list[bytes]) -> str:
        """Return the events, or one of them, and clear what was read."""
        if not arguments:
            return self.take("esr")
        bit = 1 << bit_number(arguments[0])
        found = int(bool(self.esr & bit))
        self.esr &= ~bit
        return str(found)

    def status_byte(self, *, data_waits: bool) -> int:
        """Return the status byte; the mainframe is idle whenever it answers, and nothing else waits on a serial line."""
        byte = IDLE | (DATA_WAITS if data_waits else 0) | (ESB if self.esr & self.ese else 0)
        return byte | (MSS if byte & self.sre else 0)

    def enable(self, name: str, arguments: list[bytes]) -> None:
        """Set a mask, or one bit of it."""
        if len(arguments) == 2:
            bit = 1 << bit_number(arguments[0])
            mask: int = getattr(self, name)
            setattr(self, name, mask | bit if integer(arguments[1], 0, 1) else mask & ~bit)
        else:
            setattr(self, name, integer(arguments[0], 0, 255))


def bit_number(text: bytes) -> int:
    """Return a bit's number."""
    bit = integer(text, -(10**9), 10**9)
    if not 0 <= bit <= 7:
        raise MainframeError(BIT, executing=True)
    return bit


class TimeBase:
    """The 10 MHz that the modules get, which may follow one from outside; looked at in ticks of 50 ms [V2]."""

    def __init__(self, clock: Clock, *, reference: bool) -> None:
        self._clock = clock
        self._reference = reference
        self._following_ps: int | None = None

    @property
    def follows(self) -> bool:
        """Whether the loop is closed (`PLLC`)."""
        return self._following_ps is not None

    def tick(self) -> int:
        """Return the ticks since the lab's time began."""
        return self._clock.now_ps() // TICK_PS

    def follow(self, *, on: bool) -> None:
        """Close or open the loop."""
        if on != self.follows:
            self._following_ps = self._clock.now_ps() if on else None

    def input_present(self) -> bool:
        """Return whether there is a reference."""
        return self._reference

    def state(self) -> int:
        """Return what `LOCK?` says: free, locking, locked, fault."""
        if self._following_ps is None:
            return FREE
        if not self._reference:
            return FAULT
        ticks = self.tick() - self._following_ps // TICK_PS
        return LOCKED if ticks * TICK_PS >= LOCKS_PS else LOCKING
