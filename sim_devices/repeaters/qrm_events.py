"""Event records of a repeater module: 32 bytes each in a FIFO of 4096, as protocol sheet 22 lays them out."""

from __future__ import annotations

import binascii
import struct
from collections import deque
from dataclasses import dataclass
from enum import IntEnum

__all__ = ["FAILED", "TEMPERATURE_FAULT", "Event", "EventFifo", "EventType"]

DEPTH = 4096
MOST_AT_ONCE = 3000
FAILED = 255
CLOCK_UNLOCKED, TEMPERATURE_FAULT, TRUNCATED, AFTER_OVERFLOW = 1, 2, 4, 8
MOST_ATTEMPTS = 0xFFFFFFFF
"""What the record has room for."""
CRC_START = 0xFFFF
"""[design] CRC-16/CCITT with this start value."""
_BODY = struct.Struct("<IBBBBQIfIH")


class EventType(IntEnum):
    """What happened."""

    INIT = 1
    GATE = 2
    MEAS = 3
    HERALD = 4
    HERALD_FAIL = 5
    MOVE = 6
    SWAP = 7
    SYNC_FAIL = 8
    CUTOFF = 9
    LOSS_OF_LOCK = 10
    OVERFLOW = 11


@dataclass(frozen=True, slots=True)
class Event:
    """One event; `t_ps` is since the module's epoch."""

    kind: EventType
    t_ps: int
    outcome: int = 0
    qubit: int = 0
    link: int = 0
    attempts: int = 0
    fidelity: float = 0.0
    pair_id: int = 0
    flags: int = 0

    def pack(self, sequence: int, flags: int) -> bytes:
        """Return the record."""
        head = (sequence & 0xFFFFFFFF, self.kind, self.outcome & 0xFF, self.qubit, self.link)
        flags |= self.flags | (TRUNCATED if self.attempts > MOST_ATTEMPTS else 0)
        body = _BODY.pack(*head, self.t_ps, min(self.attempts, MOST_ATTEMPTS), self.fidelity, self.pair_id, flags)
        return body + struct.pack("<H", binascii.crc_hqx(body, CRC_START))


class EventFifo:
    """What nobody has read yet; its last place is kept for the word that something was lost."""

    def __init__(self) -> None:
        self._records: deque[bytes] = deque()
        self._sequence = 0
        self._lossy = False
        self.overflowed = False
        """Whether anything was lost since the last clearing."""

    def __len__(self) -> int:
        return len(self._records)

    def push(self, event: Event) -> None:
        """Add an event, or lose it."""
        self._sequence += 1  # lost ones are counted too
        if len(self._records) < DEPTH - 1:
            self._records.append(event.pack(self._sequence, AFTER_OVERFLOW if self._lossy else 0))
            self._lossy = False
        elif not self._lossy:
            self._records.append(Event(EventType.OVERFLOW, event.t_ps).pack(self._sequence, 0))
            self._lossy = self.overflowed = True

    def take(self, count: int) -> bytes:
        """Return the oldest records and forget them."""
        return b"".join(self._records.popleft() for _ in range(min(count, len(self._records))))

    def clear(self) -> None:
        """Forget all."""
        self._records.clear()
        self._lossy = self.overflowed = False
