"""Raw tags of Swabian Instruments' Time Taggers: records of 16 bytes, as their `TimeTagStreamBuffer` lays them out.

======  =======  =================================================================================
bytes   type     meaning
======  =======  =================================================================================
0       uint8    0 a tag, 1 error, 2 an overflow begins, 3 it ends, 4 missed tags of this channel
1       uint8    reserved, 0
2-3     uint16   number of missed tags (type 4)
4-7     int32    channel; negative: falling edge
8-15    int64    time in ps
======  =======  =================================================================================

Channel n of the file is channel n here, the falling edge -n is 128 + n.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qlab.errors import TagFileError
from qlab.tags.files.streaming import CHUNK, Piece, in_order, read_records
from qlab.tags.stream import Gap

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from qlab.tags.stream import TagBlock

__all__ = ["SWABIAN", "looks_like_swabian", "stream_swabian"]

SWABIAN = np.dtype([("type", "u1"), ("reserved", "u1"), ("missed", "<u2"), ("channel", "<i4"), ("time", "<i8")])
_TAG, _ERROR, _BEGIN, _END, _MISSED = range(5)
_FALLING = 128


def looks_like_swabian(head: bytes) -> bool:
    """Tell whether the first bytes of a file can be such records."""
    records = np.frombuffer(head, SWABIAN, count=len(head) // SWABIAN.itemsize)
    if not records.size:
        return False
    sane = (
        (records["type"] <= _MISSED)
        & (records["reserved"] == 0)
        & (np.abs(records["channel"].astype(np.int64)) < _FALLING)
    )
    quiet = (records["missed"] == 0) | (records["type"] == _MISSED)
    time = records["time"]
    return bool((sane & quiet).all() and (time >= 0).all() and (np.diff(time) > -(10**9)).all())


def stream_swabian(path: Path | str, chunk: int = CHUNK) -> Iterator[TagBlock]:
    """Yield the tags of a file; an overflow is a gap with the number of tags known to be lost.

    Raises
    ------
    TagFileError
        After everything before the fault: an unknown record, an error record, a channel beyond 127, a cut record.
    """
    return in_order(_pieces(path, chunk), path)


def _pieces(path: Path | str, chunk: int) -> Iterator[Piece]:
    began: int | None = None
    lost = count = last = 0
    for records in read_records(path, SWABIAN, chunk=chunk):
        bad = np.flatnonzero((records["type"] > _MISSED) | (records["type"] == _ERROR) | _beyond(records["channel"]))
        sound = records[: int(bad[0])] if bad.size else records
        gaps: list[Gap] = []
        for record in sound[sound["type"] != _TAG]:
            time = int(record["time"])
            if record["type"] == _BEGIN:
                began, lost = time, 0
            elif record["type"] == _MISSED:
                lost += int(record["missed"])
            elif began is not None:
                gaps.append(Gap(began, time, lost))
                began, lost = None, 0
            if began is None and lost:
                gaps.append(Gap(time, time, lost))
                lost = 0
        tags = sound[sound["type"] == _TAG]
        channel = tags["channel"]
        ch = np.where(channel < 0, _FALLING - channel, channel).astype(np.uint8)
        if sound.size:
            last = int(sound["time"].max())
            yield Piece(tags["time"].astype(np.int64), ch, tuple(gaps), last)
        if bad.size:
            record = records[int(bad[0])]
            what = (
                "an error of the instrument"
                if record["type"] == _ERROR
                else f"type {int(record['type'])} on channel {int(record['channel'])}"
            )
            msg = f"{path}: record {count + int(bad[0]) + 1} is {what}; the {count + int(bad[0])} records before are sound"
            raise TagFileError(msg)
        count += records.size
    if began is not None:
        yield Piece(np.empty(0, np.int64), np.empty(0, np.uint8), (Gap(began, max(last, began), lost),), last)


def _beyond(channel: NDArray[np.int32]) -> NDArray[np.bool_]:
    return np.asarray((channel >= _FALLING) | (channel <= -_FALLING))
