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
from typing import TYPE_CHECKING

import numpy as np

from qlab.tags.files.text import ticks_to_ps

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["RECORDS", "Decoded", "RecordDecoder"]

_PICOHARP, _HYDRAHARP1 = 0x3, 0x4
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
    """Times in ps, channels, and marker bits (0: a photon, -1: an overflow) of each record, shape (n,)."""

    t: NDArray[np.int64]
    ch: NDArray[np.uint8]
    marker: NDArray[np.int16]


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
        self._kind = kind
        self._unit_ps = unit_ps
        self._sync_ps = sync_ps
        self._wrapped = 0

    def decode(self, records: NDArray[np.uint32]) -> Decoded:
        """Decode the next records, shape (n,)."""
        pico, t3 = self._kind & 0xFF == _PICOHARP, self._kind & 0xF00 == 0x300
        code = records >> 28 if pico else (records >> 25) & 0x3F
        special = code == 15 if pico else records >> 31 != 0
        if pico:
            count, delay = (records & 0xFFFF, (records >> 16) & 0xFFF) if t3 else (records & 0x0FFF_FFFF, records * 0)
            bits = (delay if t3 else count) & 0xF
            overflow = special & ((delay if t3 else bits) == 0)
            wrap = 65_536 if t3 else 210_698_240
            turns = np.where(overflow, wrap, 0).astype(np.int64)
            count = count if t3 else np.where(special, count & ~np.uint32(0xF), count)  # a marker's bits are no time
            channel = code
        else:
            count, delay = (records & 0x3FF, (records >> 10) & 0x7FFF) if t3 else (records & 0x01FF_FFFF, records * 0)
            bits = code
            overflow = special & (code == 63)
            wrap = 1024 if t3 else 33_552_000 if self._kind in _ONCE else 1 << 25
            times = np.ones_like(count) if self._kind in _ONCE else np.maximum(count, 1)
            turns = np.where(overflow, times.astype(np.int64) * wrap, 0)
            channel = np.where(special, 0, code + 1)  # special with code 0 is the sync input: a photon
        ticks = np.where(overflow, 0, count).astype(np.int64) + np.cumsum(turns) + self._wrapped
        self._wrapped += int(turns.sum())
        marker = np.where(special, bits, 0).astype(np.int16)
        marker[overflow] = -1
        delay = np.where(special, 0, delay).astype(np.int64)
        t = (
            ticks_to_ps(ticks, self._sync_ps) + ticks_to_ps(delay, self._unit_ps)
            if t3
            else ticks_to_ps(ticks, self._unit_ps)
        )
        return Decoded(t, channel.astype(np.uint8), marker)
