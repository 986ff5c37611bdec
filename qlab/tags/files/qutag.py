"""Binary files of quTAG and quTAU: a header of 40 bytes, then 10 bytes a tag: uint64 time in ps, uint16 channel.

Written from qutools' description of the "Binary" time tag format.  A quTAU counts ticks of 80.955 ps instead of
picoseconds, which the file does not say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qlab.errors import TagFileError
from qlab.tags.files.order import in_order
from qlab.tags.files.streaming import CHUNK, Piece, Progress, read_records, unheard
from qlab.tags.ticks import bounds, ticks_to_ps

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from qlab.tags.stream import TagBlock

__all__ = ["HEADER", "QUTAG", "looks_like_qutag", "stream_qutag"]

HEADER = 40
QUTAG = np.dtype([("time", "<u8"), ("channel", "<u2")])
_MAGIC = bytes.fromhex("87b391fa8a502000")
"""What files of quTAG begin with."""


def looks_like_qutag(head: bytes) -> bool:
    """Tell by the first bytes of a file whether it is one."""
    return head.startswith(_MAGIC)


def stream_qutag(
    path: Path | str, chunk: int = CHUNK, *, bin_ps: float = 1, progress: Progress = unheard
) -> Iterator[TagBlock]:
    """Yield the tags of a file, whose times are in units of `bin_ps`.

    Raises
    ------
    TagFileError
        After everything before the fault: a channel beyond 255, an impossible time, a cut record.
    """
    return in_order(_pieces(path, chunk, bin_ps, progress), path)


def _pieces(path: Path | str, chunk: int, bin_ps: float, progress: Progress) -> Iterator[Piece]:
    count = 0
    most = min(bounds(bin_ps)[1], 2**62 - 1)
    for records in read_records(path, QUTAG, HEADER, chunk, progress):
        bad = np.flatnonzero((records["channel"] > 255) | (records["time"] > np.uint64(most)))
        sound = records[: int(bad[0])] if bad.size else records
        yield Piece(ticks_to_ps(sound["time"].astype(np.int64), bin_ps), sound["channel"].astype(np.uint8))
        if bad.size:
            at = int(bad[0])
            record = records[at]
            msg = (
                f"{path}: record {count + at + 1} has channel {int(record['channel'])} and time {int(record['time'])}; "
                f"expected 0 to 255, and at most {most}; the {count + at} records before are sound"
            )
            raise TagFileError(msg)
        count += records.size
