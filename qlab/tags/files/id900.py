"""Files of the ID900's and ID1000's timestamp saving: little-endian uint64 picoseconds, one file a channel.

With reference index (`--with-ref-index`) a second uint64 follows each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qlab.errors import TagFileError
from qlab.tags.files.order import in_order
from qlab.tags.files.streaming import CHUNK, Piece, Progress, read_records, unheard

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from qlab.tags.stream import TagBlock

__all__ = ["looks_like_id900", "stream_id900"]

_PLAIN = np.dtype([("time", "<u8")])
_INDEXED = np.dtype([("time", "<u8"), ("reference", "<u8")])


def looks_like_id900(head: bytes) -> bool:
    """Tell whether the first bytes of a file can be times alone: never falling, below 53 days."""
    times = np.frombuffer(head, "<u8", count=len(head) // 8)
    return times.size > 1 and bool((times[1:] >= times[:-1]).all() and times[-1] < 2**62)


def stream_id900(
    path: Path | str,
    *,
    channel: int = 0,
    with_reference: bool = False,
    chunk: int = CHUNK,
    progress: Progress = unheard,
) -> Iterator[TagBlock]:
    """Yield the tags of one channel's file.

    Parameters
    ----------
    channel:
        What its tags get; the file does not say.
    with_reference:
        Whether each time is followed by a reference index, which is left out.

    Raises
    ------
    TagFileError
        After everything before the fault: an impossible time, a cut record.
    """

    def pieces() -> Iterator[Piece]:
        count = 0
        for records in read_records(path, _INDEXED if with_reference else _PLAIN, 0, chunk, progress):
            bad = np.flatnonzero(records["time"] >= 2**62)
            sound = records["time"][: int(bad[0])] if bad.size else records["time"]
            yield Piece(sound.astype(np.int64), np.full(sound.size, channel, np.uint8))
            if bad.size:
                at = count + int(bad[0])
                time = int(records["time"][bad[0]])
                msg = f"{path}: record {at + 1} has time {time} ps; expected below 53 days; the {at} before are sound"
                raise TagFileError(msg)
            count += records.size

    return in_order(pieces(), path)
