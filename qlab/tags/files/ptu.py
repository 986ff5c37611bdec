"""PicoQuant PTU files of T2 mode: PicoHarp, HydraHarp 1 and 2, TimeHarp 260, MultiHarp and other "generic" ones.

Written from PicoQuant's description of the "Unified TTTR" format: a header of tags of 48 bytes, then records of 32 bits.
Channel 0 of the block is the sync input, channel n the input n; markers are kept apart.

====================  ================  =======  ===========================================================
record                special           time     overflow
====================  ================  =======  ===========================================================
PicoHarp              channel 15        28 bit   low 4 bits of the time are 0: 210,698,240 units
HydraHarp 1           bit 31            25 bit   channel 63: 33,552,000 units
HydraHarp 2, Generic  bit 31            25 bit   channel 63: 33,554,432 units, times the time field (0 is 1)
====================  ================  =======  ===========================================================
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from qlab.errors import TagFileError
from qlab.tags.files.text import ticks_to_ps
from qlab.tags.stream import TagBlock

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["MAGIC", "PtuRecording", "read_ptu"]

MAGIC = b"PQTTTR"
_TAG = struct.Struct("<32siI8s")
# Tag types of the header: those that carry `n` bytes behind the tag, and those whose value is a float.
_LONG = (0x4001FFFF, 0x4002FFFF, 0xFFFFFFFF, 0x2001FFFF)
_TEXT = 0x4001FFFF
_FLOATS = (0x20000008, 0x21000008)

_PICOHARP_T2 = 0x00010203
_HYDRAHARP1_T2 = 0x00010204
_T2 = {
    _PICOHARP_T2: "PicoHarp T2",
    _HYDRAHARP1_T2: "HydraHarp T2",
    0x01010204: "HydraHarp 2 T2",
    0x00010205: "TimeHarp 260N T2",
    0x00010206: "TimeHarp 260P T2",
    0x00010207: "Generic T2",
}
_T3 = (0x00010303, 0x00010304, 0x01010304, 0x00010305, 0x00010306, 0x00010307)
_PICOHARP_WRAP, _HYDRAHARP1_WRAP, _WRAP = 210_698_240, 33_552_000, 1 << 25

Value = int | float | str | bytes


@dataclass(frozen=True, slots=True)
class PtuRecording:
    """One PTU file.

    Parameters
    ----------
    block:
        Photon tags; channel 0 is the sync input.
    marker_t, marker_bits:
        Times (int64 ps) and bits (uint8) of the marker inputs.
    header:
        The header's tags; indexed ones are named "Name[index]".
    record_type:
        Which hardware's records these are.
    """

    block: TagBlock
    marker_t: NDArray[np.int64]
    marker_bits: NDArray[np.uint8]
    header: Mapping[str, Value] = field(repr=False)
    record_type: str


def read_ptu(path: Path | str, *, salvage: bool = False) -> PtuRecording:
    """Read a T2 recording.

    Parameters
    ----------
    path:
        The file.
    salvage:
        Take what is sound of a file that is shorter than its header promises, or was never finished.

    Raises
    ------
    TagFileError
        No PTU file, records of T3 mode, or a header that does not agree with the file; the message says what is sound.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise TagFileError(msg) from error
    header, offset = _header(path, data)
    kind = _integer(path, header, "TTResultFormat_TTTRRecType")
    if kind not in _T2:
        what = "T3 records, which count sync pulses; only T2 can be read" if kind in _T3 else "unknown records"
        msg = f"{path}: {what} (type {kind:#010x})"
        raise TagFileError(msg)
    unit_ps = header.get("MeasDesc_GlobalResolution")
    if not isinstance(unit_ps, float) or not 1e-15 <= unit_ps <= 1e-3:
        msg = f"{path}: header gives {unit_ps!r} as MeasDesc_GlobalResolution; expected seconds, such as 1e-12"
        raise TagFileError(msg)
    promised, found = _integer(path, header, "TTResult_NumberOfRecords"), (len(data) - offset) // 4
    if promised != found and not salvage:
        msg = (
            f"{path}: the header promises {promised} records, the file holds {found}; "
            f"the first {min(promised, found) or found} are sound, read them with salvage=True"
        )
        raise TagFileError(msg)
    count = min(promised, found) or found
    records = np.frombuffer(data, dtype="<u4", count=count, offset=offset)
    ticks, channel, marker = _decode(records, kind)
    # 1e12 times a decimal such as 4e-12 is not whole in binary: 15 digits are what the header can mean.
    times = ticks_to_ps(ticks, float(f"{unit_ps * 1e12:.15g}"))
    photon, marked = marker == 0, marker > 0
    t = times[photon]
    # The last record may be an overflow: time went on without photons.
    stop_ps = max(int(times[-1]) + 1 if times.size else 0, _duration_ps(header))
    block = TagBlock.from_unsorted(t, channel[photon], 0, stop_ps)
    return PtuRecording(block, times[marked], marker[marked].astype(np.uint8), header, _T2[kind])


def _decode(records: NDArray[np.uint32], kind: int) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.int16]]:
    """Return time in units, channel, and marker bits (0: a photon, -1: an overflow) of each record."""
    if kind == _PICOHARP_T2:
        time = (records & 0x0FFF_FFFF).astype(np.int64)
        channel = (records >> 28).astype(np.uint8)
        special = channel == 15
        bits = (time & 0xF).astype(np.int16)
        overflow = special & (bits == 0)
        # The low bits of a marker's time are the markers themselves.
        time[special] &= ~0xF
        wraps = np.where(overflow, _PICOHARP_WRAP, 0)
        marker = np.where(special, bits, 0).astype(np.int16)
        marker[overflow] = -1
        time[overflow] = 0
        return time + np.cumsum(wraps), channel, marker
    time = (records & 0x01FF_FFFF).astype(np.int64)
    code = ((records >> 25) & 0x3F).astype(np.uint8)
    special = records >> 31 != 0
    overflow = special & (code == 63)
    if kind == _HYDRAHARP1_T2:
        wraps = np.where(overflow, _HYDRAHARP1_WRAP, 0)
    else:
        wraps = np.where(overflow, np.maximum(time, 1) * _WRAP, 0)
    time[overflow] = 0
    marker = np.where(special, code, 0).astype(np.int16)  # special with code 0 is the sync input: a photon
    marker[overflow] = -1
    channel = np.where(special, 0, code + 1).astype(np.uint8)
    return time + np.cumsum(wraps), channel, marker


def _header(path: Path, data: bytes) -> tuple[dict[str, Value], int]:
    if data[:6] != MAGIC:
        msg = f"{path}: not a PTU file: it starts with {data[:8]!r}, not with {MAGIC!r}"
        raise TagFileError(msg)
    header: dict[str, Value] = {}
    at = 16
    while True:
        if at + _TAG.size > len(data):
            msg = f"{path}: the file ends inside its header, at byte {len(data)}; {len(header)} header tags are sound"
            raise TagFileError(msg)
        raw_name, index, kind, raw = _TAG.unpack_from(data, at)
        at += _TAG.size
        name = raw_name.split(b"\0")[0].decode("latin-1")
        value: Value = int.from_bytes(raw, "little", signed=True)
        if kind in _LONG:
            size = int.from_bytes(raw, "little", signed=True)
            if not 0 <= size <= len(data) - at:
                msg = f"{path}: header tag {name!r} claims {size} bytes, {len(data) - at} are left; the header lies"
                raise TagFileError(msg)
            content = data[at : at + size]
            value = content.split(b"\0")[0].decode("latin-1") if kind == _TEXT else content
            at += size
        elif kind in _FLOATS:
            value = struct.unpack("<d", raw)[0]
        if name == "Header_End":
            return header, at
        header[name if index < 0 else f"{name}[{index}]"] = value


def _integer(path: Path, header: Mapping[str, Value], name: str) -> int:
    value = header.get(name)
    if not isinstance(value, int) or value < 0:
        msg = f"{path}: header gives {value!r} as {name}; expected a whole number"
        raise TagFileError(msg)
    return value


def _duration_ps(header: Mapping[str, Value]) -> int:
    """Return how long the measurement lasted by its own account (ms), or 0."""
    value = header.get("TTResult_StopAfter")
    return value * 10**9 if isinstance(value, int) and value > 0 else 0
