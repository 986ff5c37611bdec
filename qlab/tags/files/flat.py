"""A tag file with NumPy alone: blocks with checksums, that a kill at any byte leaves readable up to the last whole one.

A block is 64 bytes of header and its content.  All numbers are little-endian.

=====  ======================================================================================================
bytes  header
=====  ======================================================================================================
0-7    ``qlabtags``
8-11   kind: 0 tags, 1 gaps, 2 metadata (JSON)
12-15  number of entries (tags and fillers, gaps, or bytes)
16-23  time of the first entry, ps
24-39  start and stop of the live interval that this block ends (tags: of an acquisition; else 0)
40-43  1: the last block of its acquisition
44-47  CRC-32 of the content
48-59  0
60-63  CRC-32 of bytes 0 to 59
=====  ======================================================================================================

Tags are n uint32 gaps and n uint8 channels, as in `qlab.tags.files.gapblocks`; gaps three int64: start, stop, missed.
"""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np

from qlab.errors import BadRequestError, StorageError, TagFileError
from qlab.tags.files.gapblocks import decode_rows, encode_rows
from qlab.tags.files.streaming import Progress, unheard, up_to_fault
from qlab.tags.stream import Gap, TagBlock, clipped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType
    from typing import BinaryIO

__all__ = ["FLAT_MAGIC", "FlatWriter", "read_flat_metadata", "stream_flat"]

FLAT_MAGIC = b"qlabtags"
_HEADER = struct.Struct("<8sIIqqqII12x")
_SEAL = struct.Struct("<I")
_SIZE = _HEADER.size + _SEAL.size
_TAGS, _GAPS, _METADATA = range(3)


class FlatWriter:
    """Write such a file; use as a context manager.

    Parameters
    ----------
    path:
        A new file, or one to go on with: what a kill left half-written at its end is cut off.
    metadata:
        Anything that JSON can hold; only for a new file.

    Raises
    ------
    StorageError
        It cannot be written, or is no such file.
    """

    def __init__(self, path: Path | str, metadata: Mapping[str, object] | None = None) -> None:
        self.path = Path(path)
        try:
            sound = _sound_bytes(self.path) if self.path.exists() else 0
            self._file: BinaryIO = self.path.open("r+b" if self.path.exists() else "w+b")
            self._file.truncate(sound)
            self._file.seek(sound)
        except (OSError, TagFileError) as error:
            msg = f"{path}: cannot be written: {error}"
            raise StorageError(msg) from error
        if not sound:
            content = json.dumps(metadata or {}).encode()
            self._put(_METADATA, len(content), 0, (0, 0), 1, content)

    def append(self, block: TagBlock) -> None:
        """Write one acquisition; when it returns, a kill of this process loses nothing.

        Raises
        ------
        StorageError
            The disk is full; everything before this block is sound.
        """
        if block.gaps:
            content = np.array([(g.start_ps, g.stop_ps, g.missed) for g in block.gaps], "<i8").tobytes()
            self._put(_GAPS, len(block.gaps), 0, (0, 0), 0, content)
        rows = list(encode_rows(block))
        for i, row in enumerate(rows):
            content = row.gap.astype("<u4").tobytes() + row.channel.tobytes()
            self._put(_TAGS, row.gap.size, row.t0_ps, (block.start_ps, block.stop_ps), int(i == len(rows) - 1), content)

    def _put(self, kind: int, n: int, t0_ps: int, live: tuple[int, int], last: int, content: bytes) -> None:
        header = _HEADER.pack(FLAT_MAGIC, kind, n, t0_ps, *live, last, crc32(content))
        try:
            self._file.write(header + _SEAL.pack(crc32(header)) + content)
            self._file.flush()
        except OSError as error:
            msg = f"{self.path}: {error.strerror}; the blocks before are sound; make room and go on with the same file"
            raise StorageError(msg) from error

    def close(self) -> None:
        """Write through to the disk and close."""
        if not self._file.closed:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()

    def __enter__(self) -> FlatWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_flat_metadata(path: Path | str) -> dict[str, object]:
    """Return what the writer was given."""
    for kind, _, _, _, _, content in _blocks(Path(path)):
        if kind == _METADATA:
            try:
                found: dict[str, object] = json.loads(content)
            except ValueError as error:
                msg = f"{path}: its metadata are no JSON ({error})"
                raise TagFileError(msg) from error
            return found
    return {}


def stream_flat(path: Path | str, *, salvage: bool = False, progress: Progress = unheard) -> Iterator[TagBlock]:
    """Yield the acquisitions of a file, an unfinished one up to its last whole block.

    Raises
    ------
    TagFileError
        After everything before the fault, unless `salvage`: a block that is cut, or whose checksum is wrong.
    """
    if salvage:
        yield from up_to_fault(stream_flat(path, progress=progress))
        return
    gaps: tuple[Gap, ...] = ()
    at_ps: int | None = None
    before: tuple[int, int] | None = None
    try:
        for kind, n, t0_ps, live, last, content in _blocks(Path(path), progress):
            if kind == _GAPS:
                gaps = tuple(Gap(*map(int, row)) for row in np.frombuffer(content, "<i8").reshape(-1, 3))
            if kind != _TAGS:
                continue
            if live != before:  # a new acquisition, also where the one before was never finished
                at_ps = None
            gap = np.frombuffer(content, "<u4", count=n)
            channel = np.frombuffer(content, "u1", offset=4 * n)
            valid = np.array([n], np.uint32)
            t, ch = decode_rows(np.array([t0_ps]), gap[np.newaxis], channel[np.newaxis], valid)
            start = live[0] if at_ps is None else at_ps
            stop = live[1] if last else max(int(t[-1]) + 1 if t.size else t0_ps, start)
            yield TagBlock(t, ch, start, stop, clipped(gaps, start, stop, first=at_ps is None))
            at_ps, before = (None, None) if last else (stop, live)
            gaps = () if last else gaps
    except BadRequestError as error:
        msg = f"{path}: contradicts itself ({error}); the blocks before are sound"
        raise TagFileError(msg) from error
    if at_ps is not None:
        msg = f"{path}: ends inside an acquisition, its writer was killed; what is there is sound, up to {at_ps} ps"
        raise TagFileError(msg)


def _blocks(path: Path, progress: Progress = unheard) -> Iterator[tuple[int, int, int, tuple[int, int], int, bytes]]:
    """Yield kind, entries, first time, live interval, whether it is the last, and content of each whole block."""
    try:
        with path.open("rb") as file:
            number, size = 0, os.fstat(file.fileno()).st_size
            while raw := file.read(_SIZE):
                number += 1
                block = _block(file, raw, size)
                if isinstance(block, str):
                    msg = f"{path}: block {number} {block}; the {number - 1} blocks before are sound"
                    raise TagFileError(msg)
                yield block
                progress(file.tell(), size)
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise TagFileError(msg) from error


def _block(file: BinaryIO, raw: bytes, size: int) -> tuple[int, int, int, tuple[int, int], int, bytes] | str:
    if len(raw) < _SIZE:
        return "is cut inside its header"
    header, seal = raw[: _HEADER.size], _SEAL.unpack(raw[_HEADER.size :])[0]
    magic, kind, n, t0_ps, start_ps, stop_ps, last, check = _HEADER.unpack(header)
    if magic != FLAT_MAGIC or crc32(header) != seal or kind > _METADATA:
        return "has a header with a wrong checksum"
    length = n * (5, 24, 1)[kind]
    if length > size - file.tell():
        return "is cut"
    content = file.read(length)
    if crc32(content) != check:
        return "has a wrong checksum"
    return kind, n, t0_ps, (start_ps, stop_ps), last, content


def _sound_bytes(path: Path) -> int:
    """Return how many bytes of a file are whole blocks; what a kill left of a block behind them does not count."""
    sound = 0
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        while True:
            raw = file.read(_SIZE)
            if not raw or isinstance(_block(file, raw, size), str):
                break
            sound = file.tell()
    if not sound and size >= _SIZE:
        msg = f"{path} is no flat tag file; choose another name"
        raise TagFileError(msg)
    return sound
