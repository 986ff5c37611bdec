"""Tags from a file, piece by piece: files of any length in constant memory, and what is sound before a fault.

A reader yields pieces in the order of the file.  Hardware writes records a little out of order (several channels, one buffer
each), so tags younger than the newest one by less than a limit are kept back until nothing earlier can come.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from qlab.errors import TagFileError
from qlab.tags.stream import Gap, TagBlock, concat

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

__all__ = ["CHUNK", "Piece", "in_order", "read_records", "whole"]

CHUNK = 1 << 20
"""Records that are read at once."""
SLACK_PS = 10**9
"""How far out of order records may be, unless a format knows better: 1 ms."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Tags as a file has them: not sorted yet.

    Parameters
    ----------
    t, ch:
        Times in ps (int64) and channels (uint8), shape (n,).
    gaps:
        Intervals in which the instrument was blind.
    until_ps:
        Time that had passed at the end of the piece where the file tells, for example by an overflow record.
    """

    t: NDArray[np.int64]
    ch: NDArray[np.uint8]
    gaps: tuple[Gap, ...] = ()
    until_ps: int | None = None


def in_order(
    pieces: Iterable[Piece], path: Path | str, *, slack_ps: int = SLACK_PS, start_ps: int | None = None
) -> Iterator[TagBlock]:
    """Sort pieces into adjoining blocks.

    Parameters
    ----------
    pieces, path:
        The tags, and the file's name for errors.
    slack_ps:
        How much later than its successors a tag may stand in the file.
    start_ps:
        When the recording began; with its first tag where the file does not say.

    Raises
    ------
    TagFileError
        A tag further out of order; all blocks before are sound.
    """
    held_t, held_ch = np.empty(0, np.int64), np.empty(0, np.uint8)
    gaps: list[Gap] = []
    emitted = last = 0
    for piece in pieces:
        gaps += piece.gaps
        if not piece.t.size and piece.until_ps is None:
            continue
        if start_ps is None and piece.t.size:
            start_ps = int(piece.t.min())
        begin = start_ps if start_ps is not None else 0
        if piece.t.size and int(piece.t.min()) < begin:
            at = int(np.argmin(piece.t))
            msg = (
                f"{path}: tag {emitted + held_t.size + at + 1} stands {begin - int(piece.t[at])} ps too late; "
                f"expected at most {slack_ps} ps out of order; the {emitted} tags before are sound"
            )
            raise TagFileError(msg)
        t, ch = np.concatenate([held_t, piece.t]), np.concatenate([held_ch, piece.ch])
        newest = max(int(t.max()) if t.size else begin, piece.until_ps or begin, begin)
        edge = max(newest - slack_ps, begin)
        ready = t < edge
        if edge > begin:
            inside = tuple(gap for gap in gaps if gap.start_ps < edge)
            gaps = [gap for gap in gaps if gap.start_ps >= edge]
            yield TagBlock.from_unsorted(t[ready], ch[ready], begin, edge, inside)
            emitted += int(ready.sum())
            start_ps, t, ch = edge, t[~ready], ch[~ready]
        held_t, held_ch = t, ch
        last = max(last, newest)
    if start_ps is not None:
        stop = max(int(held_t.max()) + 1 if held_t.size else start_ps, last)
        yield TagBlock.from_unsorted(held_t, held_ch, start_ps, stop, tuple(gaps))


def whole(blocks: Iterable[TagBlock]) -> TagBlock:
    """Return one block of all; an empty one where there is none."""
    found = list(blocks)
    return concat(*found) if found else TagBlock(np.empty(0, np.int64), np.empty(0, np.uint8), 0, 0)


def read_records(
    path: Path | str, dtype: np.dtype[np.void], offset: int = 0, chunk: int = CHUNK
) -> Iterator[NDArray[np.void]]:
    """Yield a file's records of fixed length, `chunk` at once.

    Raises
    ------
    TagFileError
        It cannot be read, or ends inside a record: after all whole ones have been yielded.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            file.seek(offset)
            count = 0
            while data := file.read(chunk * dtype.itemsize):
                rest = len(data) % dtype.itemsize
                records = np.frombuffer(data, dtype, count=len(data) // dtype.itemsize)
                count += records.size
                if records.size:
                    yield records
                if rest:
                    msg = f"{path}: the file ends inside record {count + 1}; the {count} records before are sound"
                    raise TagFileError(msg)
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise TagFileError(msg) from error
