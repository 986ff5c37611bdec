"""Tag files for keeping: the layout of `qlab.tags.files.hdf5`, compressed to within 3 % of the entropy of the tags.

Of the gaps of Poisson light the lower two bytes are noise and the upper ones are not: bytes of equal weight are laid
together.  Of channels it is bits that are laid together.  Blosc2 does both five times faster than gzip and better; gzip is
what every HDF5 library reads.  A live file is not like this: a row would have to be complete before anybody could see it.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from qlab.errors import BadRequestError, StorageError
from qlab.tags.files.gapblocks import ROW, full_rows, row_checks
from qlab.tags.files.hdf5 import ACQUISITION, BLIND, FORMAT, VERSION
from qlab.tags.files.reserve import Reserve
from qlab.tags.stream import TagBlock, concat

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Future
    from types import TracebackType

__all__ = ["CODECS", "ArchiveWriter"]

CODECS = ("auto", "blosc2", "gzip")
# Rows that are encoded and handed over at once.
_ROWS = 16
_SPARE_BYTES = 1 << 20


class ArchiveWriter:
    """Write a compressed tag file; use as a context manager.  It is complete when closed, and not before.

    Parameters
    ----------
    path:
        A file that does not exist yet.
    codec:
        ``blosc2`` (readers need hdf5plugin), ``gzip``, or ``auto``: Blosc2 where it is installed.
    resolution_ps, metadata:
        As for `qlab.tags.files.hdf5.TagWriter`.

    Raises
    ------
    BadRequestError
        There is no such codec here, or metadata that JSON cannot hold.
    StorageError
        The file exists, or cannot be created.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        codec: str = "auto",
        resolution_ps: int = 1,
        metadata: Mapping[str, object] | None = None,
    ) -> None:
        self.path = Path(path)
        options = dict(zip(("gap", "channel"), _options(codec), strict=True))
        try:
            text = json.dumps(dict(metadata or {}))
        except TypeError as error:
            msg = f"metadata of {self.path}: {error}; expected what JSON can hold"
            raise BadRequestError(msg) from error
        try:
            self._file = h5py.File(self.path, "x", libver="latest")
        except OSError as error:
            raise StorageError(self._cannot("create", error)) from error
        for name, dtype in (("gap", np.uint32), ("channel", np.uint8)):
            self._file.create_dataset(name, (0, ROW), dtype, maxshape=(None, ROW), chunks=(1, ROW), **options[name])
        attributes = {"format": FORMAT, "version": VERSION, "resolution_ps": resolution_ps, "metadata": text}
        self._file.attrs.update(attributes)
        self._reserve = Reserve(self.path)
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="tag-archive")
        self._writing: Future[None] | None = None
        self._t0: list[int] = []
        self._valid: list[int] = []
        self._checks: list[int] = []
        self._acquisitions: list[tuple[int, int, int, int, int]] = []
        self._blind: list[tuple[int, int, int]] = []
        self._waiting: list[TagBlock] = []
        self._n_waiting = 0
        self._open: tuple[int, int, int, int] | None = None  # start, stop, first row and missed tags of an acquisition

    def append(self, block: TagBlock) -> None:
        """Write the next stretch; one that begins where the last one ended goes on with its acquisition.

        Raises
        ------
        StorageError
            The disk is full or gone, seen with this block or the one before.
        """
        if self._open is None or self._open[1] != block.start_ps:
            self._end_acquisition()
            self._open = block.start_ps, block.stop_ps, len(self._valid), 0
        start, _, row, missed = self._open
        self._open = start, block.stop_ps, row, missed + sum(gap.missed for gap in block.gaps)
        self._blind += [(gap.start_ps, gap.stop_ps, gap.missed) for gap in block.gaps]
        self._waiting.append(block)
        self._n_waiting += block.n
        if self._n_waiting >= _ROWS * ROW:
            self._write(whole=False)

    def _write(self, *, whole: bool) -> None:
        """Write what is waiting, in full rows unless it is the end of an acquisition."""
        filled = [block for block in self._waiting if block.n] or self._waiting[-1:]
        block = filled[0] if len(filled) == 1 else concat(*filled)
        n = block.n if whole else block.n - block.n % ROW
        t0, valid, gap, channel = full_rows(TagBlock(block.t[:n], block.ch[:n], block.start_ps, block.stop_ps))
        self._wait()
        self._writing = self._worker.submit(self._store, len(self._valid), gap, channel)
        self._checks += row_checks(t0, valid, gap, channel).tolist()
        self._t0 += t0.tolist()
        self._valid += valid.tolist()
        self._waiting = [TagBlock(block.t[n:].copy(), block.ch[n:].copy(), block.stop_ps, block.stop_ps)]
        self._n_waiting = block.n - n

    def _store(self, first: int, gap: np.ndarray[Any, Any], channel: np.ndarray[Any, Any]) -> None:
        """Compress and write rows, in a thread of its own: the next ones are encoded meanwhile."""
        # Compressed bytes are not known before; uncompressed they are the most.
        self._reserve.need(self._file.id.get_filesize(), gap.nbytes + channel.nbytes + _SPARE_BYTES)
        for name, values in (("gap", gap), ("channel", channel)):
            data = self._file[name]
            data.resize(first + values.shape[0], axis=0)
            data[first:] = values

    def _wait(self) -> None:
        """Wait until the rows handed over are written."""
        writing, self._writing = self._writing, None
        if writing is not None:
            try:
                writing.result()
            except (OSError, RuntimeError) as error:  # h5py raises RuntimeError where a flush fails
                raise StorageError(self._cannot("write", error)) from error

    def _end_acquisition(self) -> None:
        if self._open is None:
            return
        self._write(whole=True)
        start, stop, row, missed = self._open
        self._acquisitions.append((start, stop, row, len(self._valid), missed))
        self._waiting, self._n_waiting, self._open = [], 0, None

    def close(self) -> None:
        """Write the tables and close the file; harmless when closed."""
        if not self._file:
            return
        try:
            self._end_acquisition()
            self._wait()
            tables: dict[str, np.ndarray[tuple[int, ...], np.dtype[Any]]] = {
                "block_t0": np.array(self._t0, np.int64),
                "check": np.array(self._checks, np.uint64),
                "valid": np.array(self._valid, np.uint32),
                "acquisitions": np.array(self._acquisitions, ACQUISITION),
                "blind": np.array(self._blind, BLIND),
            }
            self._reserve.need(self._file.id.get_filesize(), sum(t.nbytes for t in tables.values()) + _SPARE_BYTES)
            for name, table in tables.items():
                self._file.create_dataset(name, data=table)
        except (OSError, RuntimeError) as error:
            raise StorageError(self._cannot("write", error)) from error
        finally:
            self._worker.shutdown()
            self._file.close()
            self._reserve.release()

    def __enter__(self) -> ArchiveWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _cannot(self, verb: str, error: Exception) -> str:
        reason = getattr(error, "strerror", None) or str(error).split("\n", maxsplit=1)[0]
        return f"cannot {verb} tag archive {self.path}: {reason}; check free space and permissions"


def _options(codec: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what h5py must be told to compress gaps so, and channels."""
    if codec == "auto":
        codec = "blosc2" if find_spec("hdf5plugin") is not None else "gzip"
    if codec == "gzip":
        gzip = {"compression": "gzip", "compression_opts": 1}
        return {**gzip, "shuffle": True}, gzip
    if codec == "blosc2" and find_spec("hdf5plugin") is not None:
        from hdf5plugin import Blosc2

        of_bytes, of_bits = (Blosc2(cname="zstd", clevel=1, filters=f) for f in (Blosc2.SHUFFLE, Blosc2.BITSHUFFLE))
        return dict(of_bytes), dict(of_bits)
    if codec == "blosc2":
        msg = "the codec 'blosc2' needs hdf5plugin: pip install 'qlab[lab]', or take 'gzip'"
    else:
        msg = f"there is no codec {codec!r}; expected one of {', '.join(CODECS)}"
    raise BadRequestError(msg)
