"""qlab's own tag file: HDF5 with rows of gaps, readable while it is written and after a crash.

Layout (version 1; all datasets grow by rows and lie uncompressed):

=================  ==========================  ======================================================================
``/gap``           uint32 (rows, 65536)        gaps in ps, see `qlab.tags.files.gapblocks`
``/channel``       uint8 (rows, 65536)         channels; 255 is a filler
``/block_t0``      int64 (rows,)               time of a row's first entry, ps
``/check``         uint64 (rows,)              checksum of a row, see `qlab.tags.files.gapblocks.row_checks`
``/valid``         uint32 (rows,)              entries in use; written last: a row exists once it is here
``/acquisitions``  start_ps, stop_ps,          live intervals; each acquisition starts a new row
                   row_start, row_stop,
                   missed
``/blind``         start_ps, stop_ps, missed   gaps inside acquisitions (overflow)
=================  ==========================  ======================================================================

Root attributes: ``format``, ``version``, ``resolution_ps``, ``metadata`` (JSON).  The file is in single-writer,
multiple-reader mode; what `TagWriter.append` returned for is on disk and survives a kill and a full disk.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np

from qlab.errors import BadRequestError, StorageError
from qlab.tags.files.gapblocks import ROW, Row, encode_rows, row_checks
from qlab.tags.files.reserve import Reserve

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from qlab.tags.stream import TagBlock

__all__ = ["ACQUISITION", "BLIND", "FORMAT", "VERSION", "TagWriter"]

FORMAT = "qlab tags"
VERSION = 1
ACQUISITION = np.dtype([(n, "<i8") for n in ("start_ps", "stop_ps", "row_start", "row_stop", "missed")])
BLIND = np.dtype([(n, "<i8") for n in ("start_ps", "stop_ps", "missed")])
# What one row may take: gaps, channels, and indexes that grow with them.
_ROW_BYTES = 5 * ROW + (64 << 10)
_TABLE_BYTES = 256 << 10


class TagWriter:
    """Write a tag file; use as a context manager.

    Parameters
    ----------
    path:
        A file that does not exist yet.
    resolution_ps:
        Bin of the tagger.
    metadata:
        Anything that JSON can hold: instrument, channel names, epoch, settings.

    Raises
    ------
    StorageError
        The file exists, or cannot be created.
    """

    def __init__(
        self, path: Path | str, *, resolution_ps: int = 1, metadata: Mapping[str, object] | None = None
    ) -> None:
        self.path = Path(path)
        try:
            text = json.dumps(dict(metadata or {}))
        except TypeError as error:
            msg = f"metadata of {self.path}: {error}; expected what JSON can hold"
            raise BadRequestError(msg) from error
        try:
            self._file = h5py.File(self.path, "x", libver="latest")
        except OSError as error:
            raise StorageError(_cannot("create", self.path, error)) from error
        for name, shape, dtype in (
            ("gap", (ROW,), np.uint32),
            ("channel", (ROW,), np.uint8),
            ("block_t0", (), np.int64),
            ("check", (), np.uint64),
            ("valid", (), np.uint32),
            ("acquisitions", (), ACQUISITION),
            ("blind", (), BLIND),
        ):
            chunks = (1, *shape) if shape else (1024,)
            self._file.create_dataset(name, (0, *shape), maxshape=(None, *shape), chunks=chunks, dtype=dtype)
        attributes = {"format": FORMAT, "version": VERSION, "resolution_ps": resolution_ps, "metadata": text}
        self._file.attrs.update(attributes)
        self._rows = 0
        self._sound = True
        self._file.flush()
        self._reserve = Reserve(self.path)
        try:
            self._reserve.need(self._file.id.get_filesize(), _TABLE_BYTES)
        except OSError as error:
            self.close()
            raise StorageError(_cannot("write", self.path, error)) from error
        self._file.swmr_mode = True
        self._reserve.hold()  # not before: the HDF5 library itself locks the file until then

    @property
    def rows_written(self) -> int:
        """Rows on disk."""
        return self._rows

    def append(self, block: TagBlock) -> tuple[int, int]:
        """Write one acquisition, flushing each row.

        Returns
        -------
        row_start, row_stop:
            Its rows, at least one.

        Raises
        ------
        StorageError
            The disk is full or gone; rows before stay readable, and the writer takes nothing more.
        """
        if not self._sound or not self._file:
            msg = f"{self.path}: the tag file is closed or has failed before; its first {self._rows} rows are sound"
            raise StorageError(msg)
        row_start = self._rows
        try:
            for row in encode_rows(block):
                self._reserve.need(self._file.id.get_filesize(), _ROW_BYTES)
                self._write_row(row)
            self._reserve.need(self._file.id.get_filesize(), _TABLE_BYTES + 24 * len(block.gaps))
            if block.gaps:
                self._write_table("blind", np.array([(g.start_ps, g.stop_ps, g.missed) for g in block.gaps], BLIND))
            missed = sum(g.missed for g in block.gaps)
            entry = (block.start_ps, block.stop_ps, row_start, self._rows, missed)
            self._write_table("acquisitions", np.array([entry], ACQUISITION))
        except (OSError, RuntimeError) as error:  # h5py raises RuntimeError where a flush fails
            self._sound = False
            msg = f"{_cannot('write', self.path, error)}; its first {self._rows} rows are sound"
            raise StorageError(msg) from error
        return row_start, self._rows

    def _write_row(self, row: Row) -> None:
        """Write the row's parts, and `valid` last: readers count rows by it."""
        n = self._rows
        gap, channel = np.zeros(ROW, np.uint32), np.zeros(ROW, np.uint8)
        gap[: row.gap.size], channel[: row.gap.size] = row.gap, row.channel
        check = row_checks(np.array([row.t0_ps]), np.array([row.gap.size]), gap[np.newaxis], channel[np.newaxis])[0]
        for name, full in (("gap", gap), ("channel", channel)):
            data = self._file[name]
            data.resize(n + 1, axis=0)
            data[n] = full
            data.flush()
        for name, value in (("block_t0", row.t0_ps), ("check", check), ("valid", row.gap.size)):
            data = self._file[name]
            data.resize(n + 1, axis=0)
            data[n] = value
            data.flush()
        self._rows = n + 1

    def _write_table(self, name: str, entries: np.ndarray[tuple[int], np.dtype[np.void]]) -> None:
        data = self._file[name]
        n = data.shape[0]
        data.resize(n + entries.size, axis=0)
        data[n:] = entries
        data.flush()

    def close(self) -> None:
        """Close the file and give back reserved space; harmless when closed."""
        if not self._file:
            return
        try:
            self._file.close()
        except (OSError, RuntimeError) as error:
            msg = f"{_cannot('close', self.path, error)}; its first {self._rows} rows are sound"
            raise StorageError(msg) from error
        finally:
            self._reserve.release()

    def __enter__(self) -> TagWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _cannot(verb: str, path: Path, error: Exception) -> str:
    reason = getattr(error, "strerror", None) or str(error)
    said = re.search(r"error message = '([^']*)'", reason)  # HDF5 tells it among addresses and offsets
    reason = said[1] if said else reason.split("\n", maxsplit=1)[0]
    return f"cannot {verb} tag file {path}: {reason}; check free space and permissions"
