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
from qlab.tags.files.order import in_order
from qlab.tags.files.streaming import CHUNK, Piece, Progress, read_records, unheard
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


def stream_swabian(path: Path | str, chunk: int = CHUNK, *, progress: Progress = unheard) -> Iterator[TagBlock]:
    """Yield the tags of a file; an overflow is a gap with the number of tags known to be lost.

    Raises
    ------
    TagFileError
        After everything before the fault: an unknown record, an error record, a channel beyond 127, a cut record.
    """
    return in_order(_pieces(path, chunk, progress), path)


def _pieces(path: Path | str, chunk: int, progress: Progress) -> Iterator[Piece]:
    overflows = _Overflows()
    count = last = 0
    for records in read_records(path, SWABIAN, 0, chunk, progress):
        bad = np.flatnonzero(
            (records["type"] > _MISSED) | (records["type"] == _ERROR) | _beyond(records["channel"], records["time"])
        )
        sound = records[: int(bad[0])] if bad.size else records
        click = sound["type"] == _TAG
        gaps, silent = overflows.take(sound, np.flatnonzero(~click))
        channel = sound["channel"]
        ch = np.where(click, np.where(channel < 0, _FALLING - channel, channel), -1).astype(np.int16)
        kept = click
        kept[silent] = True
        yield Piece(sound["time"][kept].astype(np.int64), ch[kept], gaps)
        if bad.size:
            record = records[int(bad[0])]
            what = (
                "an error of the instrument"
                if record["type"] == _ERROR
                else f"type {int(record['type'])} on channel {int(record['channel'])} at {int(record['time'])} ps"
            )
            msg = f"{path}: record {count + int(bad[0]) + 1} is {what}; the {count + int(bad[0])} records before are sound"
            raise TagFileError(msg)
        count += records.size
        last = int(sound["time"].max())
    if overflows.began_ps is not None:
        gap = Gap(overflows.began_ps, max(last, overflows.began_ps), overflows.lost)
        yield Piece(np.empty(0, np.int64), np.empty(0, np.uint8), (gap,), gap.stop_ps)


class _Overflows:
    """The overflow that goes on, and the tags known to be lost in it."""

    def __init__(self) -> None:
        self.began_ps: int | None = None
        self.lost = 0

    def take(self, records: NDArray[np.void], where: NDArray[np.intp]) -> tuple[tuple[Gap, ...], list[int]]:
        """Take the records that are no tags; return the gaps that ended, and which records carry time on.

        Those inside an overflow do not, so that nothing is taken for watched before its end is known.
        """
        gaps: list[Gap] = []
        carry: list[int] = []
        few = records[where]
        columns = (few["type"].tolist(), few["missed"].tolist(), few["time"].tolist())
        for at, kind, missed, time in zip(where.tolist(), *columns, strict=True):
            if kind == _MISSED:
                self.lost += missed
            elif kind == _BEGIN:
                self.began_ps = time if self.began_ps is None else self.began_ps
            elif self.began_ps is not None:
                gaps.append(Gap(self.began_ps, max(time, self.began_ps), self.lost))
                self.began_ps, self.lost = None, 0
            if self.began_ps is None:
                carry.append(at)
                if self.lost:
                    gaps.append(Gap(time, time, self.lost))
                    self.lost = 0
        return tuple(gaps), carry


def _beyond(channel: NDArray[np.int32], time: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.asarray((channel >= _FALLING) | (channel <= -_FALLING) | (time >= 2**62) | (time <= -(2**62)))
