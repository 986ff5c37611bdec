"""The 32-bit records of PicoQuant's TTTR files, T2 (times) and T3 (sync pulses counted, time after the last one).

====================  ================  ===========================  =====================================================
record                special           T2: time, T3: delay, pulses  overflow
====================  ================  ===========================  =====================================================
PicoHarp T2           channel 15        28 bit                       low 4 bits of the time are 0: 210,698,240 units
PicoHarp T3           channel 15        12, 16 bit                   delay is 0: 65,536 pulses
HydraHarp 1           bit 31            25; 15, 10 bit               channel 63: 33,552,000 units; 1024 pulses
HydraHarp 2, Generic  bit 31            25; 15, 10 bit               channel 63: 33,554,432 units or 1024 pulses, times the
                                                                     time field (0 is 1)
====================  ================  ===========================  =====================================================

Channel 0 of the tags is the sync input (T2), channel n the input n; markers are kept apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qlab.tags.ticks import bounds, ticks_to_ps

__all__ = ["RECORDS", "Decoded", "RecordDecoder"]

Words = NDArray[np.integer]

_PICOHARP = 0x3
RECORDS = {
    0x00010203: "PicoHarp T2",
    0x00010204: "HydraHarp T2",
    0x01010204: "HydraHarp 2 T2",
    0x00010205: "TimeHarp 260N T2",
    0x00010206: "TimeHarp 260P T2",
    0x00010207: "Generic T2",
    0x00010303: "PicoHarp T3",
    0x00010304: "HydraHarp T3",
    0x01010304: "HydraHarp 2 T3",
    0x00010305: "TimeHarp 260N T3",
    0x00010306: "TimeHarp 260P T3",
    0x00010307: "Generic T3",
}
_ONCE = (0x00010204, 0x00010304)
"""HydraHarp 1 never counts overflows."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """Times in ps, channels, and marker bits (0: a photon, -1: an overflow) of each record, shape (n,).

    `fault` says what is wrong with the record behind these; empty where nothing is.
    """

    t: NDArray[np.int64]
    ch: NDArray[np.uint8]
    marker: NDArray[np.int16]
    fault: str = ""


class RecordDecoder:
    """Decodes records piece by piece; overflows are carried on.

    Parameters
    ----------
    kind:
        A key of `RECORDS`.
    unit_ps:
        Of the times of T2, of the delays of T3.
    sync_ps:
        Period of the sync pulses, T3.
    """

    def __init__(self, kind: int, unit_ps: float, sync_ps: float) -> None:
        self._pico, self._t3 = kind & 0xFF == _PICOHARP, kind & 0xF00 == 0x300
        self._once = kind in _ONCE
        self._unit_ps = unit_ps
        self._sync_ps = sync_ps
        self._most = bounds(sync_ps if self._t3 else unit_ps)[1] - (1 << 28)  # times go on from the last overflow
        self._wrapped = 0

    @property
    def wrapped_ps(self) -> int:
        """Time of the last overflow."""
        step = self._sync_ps if self._t3 else self._unit_ps
        return int(ticks_to_ps(np.array([self._wrapped], np.int64), step)[0])

    def decode(self, records: NDArray[np.uint32]) -> Decoded:
        """Decode the next records, shape (n,), up to the first that cannot be."""
        special = records >> 28 == 15 if self._pico else records >> 31 != 0
        code, count, delay = self._fields(records)
        bits = (delay if self._t3 else count) & 0xF if self._pico else code
        overflow = special & ((delay if self._t3 else bits) == 0 if self._pico else code == 63)
        turns = self._turns(overflow, count)
        unknown = special & ~overflow & (bits > 15)
        wrapped = np.cumsum(turns) + self._wrapped
        if self._wrapped + float(turns.sum(dtype=np.float64)) > self._most:  # the sum of integers may be none
            unknown |= np.cumsum(turns, dtype=np.float64) + self._wrapped > self._most
        if unknown.any():
            end = int(np.argmax(unknown))
            before = self.decode(records[:end])
            why = "lies beyond 53 days" if overflow[end] else f"is special, of unknown code {int(bits[end])}"
            return Decoded(before.t, before.ch, before.marker, why)
        if self._pico and not self._t3:
            count = np.where(special, count & ~np.uint32(0xF), count)  # a marker's bits are no time
        ticks = np.where(overflow, 0, count).astype(np.int64) + wrapped
        self._wrapped += int(turns.sum())
        marker = np.where(special, bits, 0).astype(np.int16)
        marker[overflow] = -1
        # Special with code 0 is the sync input of T2: a photon on channel 0.
        channel = code if self._pico else np.where(special, 0, code + 1)
        t = ticks_to_ps(ticks, self._sync_ps if self._t3 else self._unit_ps)
        if self._t3:
            t += ticks_to_ps(np.where(special, 0, delay).astype(np.int64), self._unit_ps)
        return Decoded(t, channel.astype(np.uint8), marker)

    def _fields(self, records: Words) -> tuple[Words, Words, Words]:
        """Return channel or code, time or pulse number, and delay."""
        if self._pico:
            code = records >> 28
            return (
                (code, records & 0xFFFF, (records >> 16) & 0xFFF)
                if self._t3
                else (code, records & 0x0FFF_FFFF, records)
            )
        code = (records >> 25) & 0x3F
        return (code, records & 0x3FF, (records >> 10) & 0x7FFF) if self._t3 else (code, records & 0x01FF_FFFF, records)

    def _turns(self, overflow: NDArray[np.bool_], count: Words) -> NDArray[np.int64]:
        """Return what each record adds to the time, or to the number of pulses."""
        if self._pico:
            return np.where(overflow, 65_536 if self._t3 else 210_698_240, 0).astype(np.int64)
        wrap = 1024 if self._t3 else 33_552_000 if self._once else 1 << 25
        times = np.ones_like(count) if self._once else np.maximum(count, 1)
        return np.where(overflow, times.astype(np.int64) * wrap, 0)
