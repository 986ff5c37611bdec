"""Tags from a file, piece by piece: files of any length in constant memory, and what is sound before a fault.

A reader yields pieces in the order of the file; `qlab.tags.files.order.in_order` sorts them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from qlab.errors import TagFileError
from qlab.tags.stream import Gap, TagBlock, concat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

__all__ = ["CHUNK", "Piece", "Progress", "read_records", "unheard", "up_to_fault", "whole"]

Progress: TypeAlias = "Callable[[int, int], None]"
"""Is called with how much of a file has been read and how much there is, in bytes (rows of HDF5)."""

CHUNK = 1 << 20
"""Records that are read at once."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Tags as a file has them: not sorted yet.

    Parameters
    ----------
    t, ch:
        Times in ps (int64) and channels, shape (n,); channel -1 is no click, it only carries time on.
    gaps:
        Intervals in which the instrument was blind.
    until_ps:
        Time that had passed at the end of the piece where the file tells, for example by an overflow record.
    """

    t: NDArray[np.int64]
    ch: NDArray[np.uint8] | NDArray[np.int16]
    gaps: tuple[Gap, ...] = ()
    until_ps: int | None = None


def up_to_fault(blocks: Iterable[TagBlock]) -> Iterator[TagBlock]:
    """Yield what is sound, and end where a fault is."""
    try:
        yield from blocks
    except TagFileError:
        return


def whole(blocks: Iterable[TagBlock]) -> TagBlock:
    """Return one block of all; an empty one where there is none."""
    found = list(blocks)
    if len(found) == 1:
        return found[0]
    return concat(*found) if found else TagBlock(np.empty(0, np.int64), np.empty(0, np.uint8), 0, 0)


def unheard(done: int, total: int) -> None:
    """Tell nobody of progress."""
    del done, total


def read_records(
    path: Path | str, dtype: np.dtype[np.void], offset: int = 0, chunk: int = CHUNK, progress: Progress = unheard
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
            size = file.seek(0, 2)
            if size < offset:
                msg = f"{path}: the file ends inside its header of {offset} bytes, at byte {size}"
                raise TagFileError(msg)
            file.seek(offset)
            count = 0
            while data := file.read(chunk * dtype.itemsize):
                rest = len(data) % dtype.itemsize
                records = np.frombuffer(data, dtype, count=len(data) // dtype.itemsize)
                count += records.size
                if records.size:
                    yield records
                progress(file.tell(), size)
                if rest:
                    msg = f"{path}: the file ends inside record {count + 1}; the {count} records before are sound"
                    raise TagFileError(msg)
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise TagFileError(msg) from error
