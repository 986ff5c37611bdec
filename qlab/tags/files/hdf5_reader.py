"""Read qlab's tag files, also while they are written and after their writer was killed."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, cast

import h5py
import numpy as np

from qlab.alive import has_writer
from qlab.errors import BadRequestError, TagFileError
from qlab.tags.files.gapblocks import ROW, row_checks, squeezed, unpack_rows
from qlab.tags.files.hdf5 import FORMAT, VERSION
from qlab.tags.files.streaming import Progress, unheard
from qlab.tags.files.superblock import has_writer_mark
from qlab.tags.stream import Gap, TagBlock, clipped, concat
from qlab.tags.ticks import LATEST_PS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

__all__ = ["TagReader", "iterate_tags", "left_open", "read_tags"]

_ROWS = 16
"""Rows that are read at once."""
_DAMAGE = (OSError, KeyError, RuntimeError, ValueError, TypeError, OverflowError, MemoryError)
"""What h5py raises where a file is damaged."""


class TagReader:
    """An open tag file; use as a context manager.

    Raises
    ------
    TagFileError
        The file is missing, is no tag file of this version, or contradicts itself.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._file = _open(self.path)
        try:
            with self._ours("cannot be opened as a tag file"):
                self._check()
        except BaseException:
            self.close()
            raise

    @contextmanager
    def _ours(self, what: str) -> Iterator[None]:
        """Turn what h5py raises of a damaged file into an error of ours."""
        try:
            yield
        except _DAMAGE as error:
            reason = str(error).strip("'\"").split("\n", maxsplit=1)[0] or type(error).__name__
            msg = f"{self.path}: {what}: {reason}"
            raise TagFileError(msg) from error

    def _check(self) -> None:
        if self._file.attrs.get("format") != FORMAT:
            msg = f"{self.path}: an HDF5 file, but not of qlab's tags (no attribute format={FORMAT!r})"
            raise TagFileError(msg)
        version = int(self._file.attrs["version"])
        if version != VERSION:
            msg = f"{self.path}: tag file of version {version}; this qlab reads version {VERSION}"
            raise TagFileError(msg)
        for name in ("gap", "channel"):
            if name not in self._file or self._file[name].shape[1:] != (ROW,):
                msg = f"{self.path}: dataset /{name} is missing or not made of rows of {ROW} entries"
                raise TagFileError(msg)
            _know_filters(self._file[name], self.path)
        for name in ("block_t0", "valid", "acquisitions", "blind"):
            if name not in self._file or self._file[name].ndim != 1:
                msg = f"{self.path}: dataset /{name} is missing or no list; an archive that was not finished? write it anew"
                raise TagFileError(msg)

    @property
    def rows(self) -> int:
        """Rows that are complete; `refresh` to see what a live writer has added."""
        return int(self._file["valid"].shape[0])

    @property
    def resolution_ps(self) -> int:
        """Bin of the tagger."""
        with self._ours("its resolution cannot be read"):
            return int(self._file.attrs["resolution_ps"])

    @property
    def metadata(self) -> dict[str, object]:
        """What the writer was given."""
        with self._ours("its metadata cannot be read as JSON"):
            return dict(json.loads(self._file.attrs["metadata"]))

    def acquisitions(self) -> list[tuple[int, int, int, int, int]]:
        """Return (start_ps, stop_ps, row_start, row_stop, missed) of each complete acquisition.

        Raises
        ------
        TagFileError
            The table is damaged.
        """
        with self._ours("its table of acquisitions cannot be read"):
            found = [
                cast("tuple[int, int, int, int, int]", tuple(int(x) for x in row)) for row in self._file["acquisitions"]
            ]
        at = 0
        for number, (start, stop, first, last, _) in enumerate(found, 1):
            if not (start <= stop and at <= first < last <= self.rows):
                msg = (
                    f"{self.path}: acquisition {number} claims {start} to {stop} ps, rows {first} to {last} of {self.rows}, "
                    f"which cannot be; the {number - 1} before are sound"
                )
                raise TagFileError(msg)
            at = last
        return found

    def refresh(self) -> int:
        """Look at the file again and return the number of rows."""
        for name in ("valid", "block_t0", "channel", "gap", "blind", "acquisitions"):
            # `valid` first: the others then are at least as long.
            self._file[name].refresh()
        return self.rows

    def read(self, row_start: int = 0, row_stop: int | None = None) -> TagBlock:
        """Read rows as one block.

        Whole acquisitions get their recorded interval, with what lies between them as gaps; a part of one is taken to
        reach from its first entry to the first of the row that follows it.
        """
        row_stop = self.rows if row_stop is None else row_stop
        if not 0 <= row_start <= row_stop <= self.rows:
            msg = f"{self.path}: rows {row_start} to {row_stop} asked for; it has rows 0 to {self.rows}"
            raise BadRequestError(msg)
        blind = self._blind()
        pieces = [self._piece(*part, blind) for part in self._parts(row_start, row_stop)]
        if not pieces:
            return TagBlock(np.empty(0, np.int64), np.empty(0, np.uint8), 0, 0)
        if len(pieces) == 1:
            return pieces[0]
        try:
            return concat(*pieces)
        except BadRequestError as error:
            msg = f"{self.path}: acquisitions are not in order of time ({error}); read them one at a time"
            raise TagFileError(msg) from error

    def iterate(self, rows: int = _ROWS, *, first_row: int = 0, last_row: int | None = None) -> Iterator[TagBlock]:
        """Yield the file, or its rows from the first to the one before the last, in blocks of at most `rows` rows."""
        blind = self._blind()
        for start, stop, first, last in self._parts(first_row, self.rows if last_row is None else last_row):
            for row in range(first, last, rows):
                begin, end = start if row == first else None, min(row + rows, last)
                try:
                    block = self._piece(begin, stop if end == last else None, row, end, blind)
                except _RowError as error:
                    if error.row > row:
                        yield self._piece(begin, None, row, error.row, blind)
                    raise
                yield block

    def _blind(self) -> list[Gap]:
        with self._ours("its table of gaps cannot be read"):
            return [Gap(*(int(x) for x in row)) for row in self._file["blind"]]

    def _parts(self, row_start: int, row_stop: int) -> list[tuple[int | None, int | None, int, int]]:
        """Cut a range of rows at acquisitions: (start_ps, stop_ps, row_start, row_stop), None for a cut inside one."""
        parts: list[tuple[int | None, int | None, int, int]] = []
        at = row_start
        for start, stop, first, last, _ in self.acquisitions():
            if last <= row_start or first >= row_stop:
                continue
            a, b = max(first, row_start), min(last, row_stop)
            parts.append((start if a == first else None, stop if b == last else None, a, b))
            at = b
        if at < row_stop:  # rows of an acquisition whose writer has not finished, or was killed
            parts.append((None, None, at, row_stop))
        return parts

    def _piece(
        self, start_ps: int | None, stop_ps: int | None, row_start: int, row_stop: int, blind: Sequence[Gap]
    ) -> TagBlock:
        t, ch, t0_ps = self._tags(row_start, row_stop)
        first = start_ps is not None
        if start_ps is None:
            start_ps = t0_ps
        if stop_ps is None:
            following = int(self._file["block_t0"][row_stop]) if row_stop < self.rows else None
            stop_ps = following if following is not None else int(t[-1]) + 1 if t.size else start_ps
        return TagBlock(t, ch, start_ps, max(stop_ps, start_ps), clipped(blind, start_ps, stop_ps, first=first))

    def _tags(
        self, row_start: int, row_stop: int
    ) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], np.ndarray[tuple[int], np.dtype[np.uint8]], int]:
        """Return times and channels of rows, and the base time of the first; many rows in two threads.

        While the HDF5 library, which is for one thread at a time, reads and decompresses for one, the other adds up gaps.
        """
        n = row_stop - row_start
        if n <= _ROWS:
            t0, valid, gap, channel = self._arrays(row_start, row_stop)
            times = np.empty(gap.shape, np.int64)
            return *squeezed(times, channel, unpack_rows(t0, gap, valid, times, channel)), int(t0[0])
        times, channels = np.empty((n, ROW), np.int64), np.empty((n, ROW), np.uint8)

        def read(first: int) -> tuple[list[int], int]:
            rows = slice(first - row_start, min(first + _ROWS, row_stop) - row_start)
            t0, valid, gap, channels[rows] = self._arrays(first, row_start + rows.stop)
            return unpack_rows(t0, gap, valid, times[rows], channels[rows]), int(t0[0])

        with ThreadPoolExecutor(2) as pool:
            done = list(pool.map(read, range(row_start, row_stop, _ROWS)))
        t, ch = squeezed(times, channels, [size for sizes, _ in done for size in sizes])
        if t.size < times.size // 2:
            t, ch = t.copy(), ch.copy()  # the rest need not be kept
        return t, ch, done[0][1]

    def _arrays(
        self, row_start: int, row_stop: int
    ) -> tuple[
        np.ndarray[tuple[int], np.dtype[np.int64]],
        np.ndarray[tuple[int], np.dtype[np.uint32]],
        np.ndarray[tuple[int, int], np.dtype[np.uint32]],
        np.ndarray[tuple[int, int], np.dtype[np.uint8]],
    ]:
        rows = slice(row_start, row_stop)
        with self._ours(f"rows {row_start} to {row_stop} cannot be read; rows before may be sound"):
            t0, valid = self._file["block_t0"][rows], self._file["valid"][rows]
            gap, channel = self._file["gap"][rows], self._file["channel"][rows]
            checks = self._file["check"][rows] if "check" in self._file else None  # older files have none
        n = row_stop - row_start
        if not len(t0) == len(valid) == len(gap) == len(channel) == n:
            msg = f"{self.path}: rows {row_start} to {row_stop} contradict themselves; the rows before are sound"
            raise TagFileError(msg)
        bad = (valid > ROW) | (t0 > LATEST_PS) | (t0 < -LATEST_PS)
        if checks is not None and len(checks) == n:
            bad |= row_checks(t0, valid, gap, channel) != checks
        if bad.any():
            at = row_start + int(np.argmax(bad))
            raise _RowError(self.path, at)
        return t0, valid, gap, channel

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> TagReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _RowError(TagFileError):
    """A row whose checksum is wrong."""

    def __init__(self, path: Path, row: int) -> None:
        super().__init__(f"{path}: row {row} has a wrong checksum; the {row} rows before are sound")
        self.row = row


def left_open(path: Path | str) -> str:
    """Say what the writer of a file that was never closed has left; empty where it was closed, or is being written.

    HDF5 keeps in the file that a writer has it open; a killed writer leaves that mark.
    """
    path = Path(path)
    if not has_writer_mark(path) or has_writer(path):
        return ""
    with TagReader(path) as reader:
        found = reader.acquisitions()
        rows, ended = reader.rows, found[-1][3] if found else 0
    last = f", of which the last {rows - ended} are of an acquisition without an end" if rows > ended else ""
    return f"{path}: its writer was killed before it closed the file; what it wrote is sound: {rows} rows{last}"


def read_tags(path: Path | str, row_start: int = 0, row_stop: int | None = None) -> TagBlock:
    """Read rows of a tag file as one block; see `TagReader.read`."""
    with TagReader(path) as reader:
        return reader.read(row_start, row_stop)


def iterate_tags(path: Path | str, rows: int = _ROWS, *, progress: Progress = unheard) -> Iterator[TagBlock]:
    """Yield a tag file in blocks of at most `rows` rows, cut at acquisitions."""
    with TagReader(path) as reader:
        done = 0
        for block in reader.iterate(rows):
            yield block
            done = min(done + rows, reader.rows)
            progress(done, reader.rows)


def _know_filters(data: h5py.Dataset, path: Path) -> None:
    """Load what compressed rows need to be read."""
    plan = data.id.get_create_plist()
    for k in range(plan.get_nfilters()):
        number = int(plan.get_filter(k)[0])
        if not h5py.h5z.filter_avail(number):
            if find_spec("hdf5plugin") is None:
                msg = f"{path}: compressed by HDF5 filter {number}, which needs hdf5plugin: pip install 'qlab[lab]'"
                raise TagFileError(msg)
            import_module("hdf5plugin")


def _open(path: Path) -> h5py.File:
    """Open for reading, beside a live or a dead writer too.

    Only in that case as a reader beside a writer: then the library, where a checksum is wrong, tries again for a time that
    doubles a hundred times, for the writer might not have finished.
    """
    try:
        if has_writer_mark(path):
            return h5py.File(path, "r", libver="latest", swmr=True)
        return h5py.File(path, "r")
    except _DAMAGE as error:
        reason = getattr(error, "strerror", None) or str(error).split("\n", maxsplit=1)[0]
        msg = f"{path}: cannot be opened as a tag file: {reason}"
        raise TagFileError(msg) from error
