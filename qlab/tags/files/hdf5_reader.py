"""Read qlab's tag files, also while they are written and after their writer was killed."""

from __future__ import annotations

import json
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, cast

import h5py
import numpy as np

from qlab.errors import BadRequestError, TagFileError
from qlab.tags.files.gapblocks import ROW, decode_rows
from qlab.tags.files.hdf5 import FORMAT, VERSION
from qlab.tags.files.streaming import Progress, unheard
from qlab.tags.stream import Gap, TagBlock, concat

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

__all__ = ["TagReader", "iterate_tags", "read_tags"]


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
            self._check()
        except BaseException:
            self.close()
            raise

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
        missing = [name for name in ("block_t0", "valid", "acquisitions", "blind") if name not in self._file]
        if missing:
            msg = f"{self.path}: dataset /{missing[0]} is missing; an archive that was not finished? write it anew"
            raise TagFileError(msg)

    @property
    def rows(self) -> int:
        """Rows that are complete; `refresh` to see what a live writer has added."""
        return int(self._file["valid"].shape[0])

    @property
    def resolution_ps(self) -> int:
        """Bin of the tagger."""
        return int(self._file.attrs["resolution_ps"])

    @property
    def metadata(self) -> dict[str, object]:
        """What the writer was given."""
        return cast("dict[str, object]", json.loads(self._file.attrs["metadata"]))

    def acquisitions(self) -> list[tuple[int, int, int, int, int]]:
        """Return (start_ps, stop_ps, row_start, row_stop, missed) of each complete acquisition."""
        return [
            cast("tuple[int, int, int, int, int]", tuple(int(x) for x in row)) for row in self._file["acquisitions"]
        ]

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
        pieces = [self._piece(*part) for part in self._parts(row_start, row_stop)]
        if not pieces:
            return TagBlock(np.empty(0, np.int64), np.empty(0, np.uint8), 0, 0)
        if len(pieces) == 1:
            return pieces[0]
        try:
            return concat(*pieces)
        except BadRequestError as error:
            msg = f"{self.path}: acquisitions are not in order of time ({error}); read them one at a time"
            raise TagFileError(msg) from error

    def iterate(self, rows: int = 16) -> Iterator[TagBlock]:
        """Yield the file in blocks of at most `rows` rows, so that memory stays bounded."""
        for start, stop, first, last in self._parts(0, self.rows):
            del start, stop
            for row in range(first, last, rows):
                yield self.read(row, min(row + rows, last))

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

    def _piece(self, start_ps: int | None, stop_ps: int | None, row_start: int, row_stop: int) -> TagBlock:
        t0, valid, gap, channel = self._arrays(row_start, row_stop)
        t, ch = decode_rows(t0, gap, channel, valid)
        if start_ps is None:
            start_ps = int(t0[0])
        if stop_ps is None:
            following = int(self._file["block_t0"][row_stop]) if row_stop < self.rows else None
            stop_ps = following if following is not None else int(t[-1]) + 1 if t.size else start_ps
        gaps = [
            Gap(max(a, start_ps), min(b, stop_ps), missed)
            for a, b, missed in (map(int, row) for row in self._file["blind"])
            if a < stop_ps and b > start_ps
        ]
        return TagBlock(t, ch, start_ps, max(stop_ps, start_ps), tuple(gaps))

    def _arrays(
        self, row_start: int, row_stop: int
    ) -> tuple[
        np.ndarray[tuple[int], np.dtype[np.int64]],
        np.ndarray[tuple[int], np.dtype[np.uint32]],
        np.ndarray[tuple[int, int], np.dtype[np.uint32]],
        np.ndarray[tuple[int, int], np.dtype[np.uint8]],
    ]:
        rows = slice(row_start, row_stop)
        try:
            t0, valid = self._file["block_t0"][rows], self._file["valid"][rows]
            gap, channel = self._file["gap"][rows], self._file["channel"][rows]
        except OSError as error:
            msg = f"{self.path}: rows {row_start} to {row_stop} cannot be read ({error}); rows before may be sound"
            raise TagFileError(msg) from error
        n = row_stop - row_start
        if not len(t0) == len(valid) == len(gap) == len(channel) == n or (n and int(valid.max()) > ROW):
            msg = f"{self.path}: rows {row_start} to {row_stop} contradict themselves; the rows before are sound"
            raise TagFileError(msg)
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


def read_tags(path: Path | str, row_start: int = 0, row_stop: int | None = None) -> TagBlock:
    """Read rows of a tag file as one block; see `TagReader.read`."""
    with TagReader(path) as reader:
        return reader.read(row_start, row_stop)


def iterate_tags(path: Path | str, rows: int = 16, *, progress: Progress = unheard) -> Iterator[TagBlock]:
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
    """Open for reading beside a live or a dead writer; files that were repacked know no such mode."""
    try:
        try:
            return h5py.File(path, "r", libver="latest", swmr=True)
        except (OSError, ValueError):
            return h5py.File(path, "r")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error).split("\n", maxsplit=1)[0]
        msg = f"{path}: cannot be opened as a tag file: {reason}"
        raise TagFileError(msg) from error
