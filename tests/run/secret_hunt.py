"""Look for secret bits in whatever is on disk, however they are spelled.

Secrets become the set of all their windows of 64 bits, at every bit, in both orders of bits in a byte, and with all bits
turned (as a table's dictionary may have it).  What is searched is
decoded in every way that bits are likely to have been written in, and each decoding is looked through at every byte: a window
that is in the set by chance has a probability of about (windows searched) x (windows of secrets) / 2^64.
"""

from __future__ import annotations

import base64
import re
import sqlite3
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

WINDOW = 64
_HEX = re.compile(rb"(?:[0-9a-fA-F]{2}[\s:,]?){8,}")
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{12,}")
_DIGITS = re.compile(rb"(?:[01](?:\.0)?[\s,;]*){64,}")
_WORDS = re.compile(rb"(?:(?:true|false)[\s,;]*){64,}", re.IGNORECASE)
_NUMBERS = re.compile(rb"(?:\d{1,3}[\s,;]+){8,}\d{1,3}")


class SecretHunt:
    """Windows of secrets, and a search for them."""

    def __init__(self, secrets: Iterable[NDArray[np.uint8]]) -> None:
        windows = []
        for bits in secrets:
            if bits.size < WINDOW:
                continue
            for order in ("big", "little"):
                for shift in range(8):
                    packed = np.packbits(bits[shift:], bitorder=order)[: (bits.size - shift) // 8]  # type: ignore[arg-type]
                    windows.append(_windows(packed))
        found = (
            np.unique(np.concatenate([*windows, *(~one for one in windows)]))
            if windows
            else _windows(np.zeros(0, np.uint8))
        )
        # Runs of one bit are in everything; random bits hardly ever have them.
        ones = np.bitwise_count(found)
        self._known = found[(ones > 12) & (ones < 52)]

    def __len__(self) -> int:
        return self._known.size

    def finds(self, data: bytes) -> bool:
        """Return whether a window of a secret is in these bytes, in some spelling."""
        return any(self._in(piece) for piece in _decodings(data))

    def finds_in(self, path: Path) -> bool:
        """Return whether one is in a file, or in what it holds, of databases, tables and arrays."""
        return any(self.finds(data) for data in _contents(path))

    def _in(self, data: bytes) -> bool:
        windows = _windows(np.frombuffer(data, dtype=np.uint8))
        at = np.searchsorted(self._known, windows)
        at[at == self._known.size] = 0
        return bool(self._known.size and (self._known[at] == windows).any())


def _windows(data: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return all runs of 8 bytes as numbers."""
    if data.size < 8:
        return np.zeros(0, dtype=np.uint64)
    runs = np.lib.stride_tricks.sliding_window_view(data, 8)
    return np.ascontiguousarray(runs).view(np.uint64).reshape(-1)


def _decodings(data: bytes) -> Iterator[bytes]:
    yield data
    for run in _HEX.findall(data):
        digits = re.sub(rb"[\s:,]", b"", run)
        yield from (bytes.fromhex(digits[at : at + (len(digits) - at) // 2 * 2].decode()) for at in (0, 1))
    for run in _BASE64.findall(data):
        text = run.replace(b"-", b"+").replace(b"_", b"/")
        for at in range(4):
            yield base64.b64decode(text[at : at + (len(text) - at) // 4 * 4])
    for pattern, one in ((_DIGITS, b"1"), (_WORDS, b"t")):
        for run in pattern.findall(data):
            words = re.findall(rb"true|false|[01](?:\.0)?", run.lower())
            yield from _packed(np.array([word.startswith(one) for word in words], dtype=np.uint8))
    for run in _NUMBERS.findall(data):
        numbers = [int(text) for text in re.findall(rb"\d+", run)]
        if max(numbers) < 256:
            yield bytes(numbers)
    yield from _flags(np.frombuffer(data, dtype=np.uint8))


def _flags(data: NDArray[np.uint8]) -> Iterator[bytes]:
    """Yield what arrays of zeros and ones say, of numbers of 1, 2, 4 or 8 bytes in either order, and of float64."""
    for size in (1, 2, 4, 8):
        for at in range(size):
            cut = data[at : at + (data.size - at) // size * size].reshape(-1, size)
            for place in {0, size - 1}:
                rest = np.delete(cut, place, axis=1)
                yield from _runs(cut[:, place], ~rest.any(axis=1) & (cut[:, place] <= 1))
            if size == 8:
                one = (cut == np.frombuffer(np.float64(1.0).tobytes(), dtype=np.uint8)).all(axis=1)
                yield from _runs(one.astype(np.uint8), one | ~cut.any(axis=1))


def _runs(flags: NDArray[np.uint8], fits: NDArray[np.bool_]) -> Iterator[bytes]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], fits, [False]]).astype(np.int8)))
    for begin, end in edges.reshape(-1, 2).tolist():
        if end - begin >= WINDOW and flags[begin:end].any():
            yield from _packed(flags[begin:end])


def _packed(bits: NDArray[np.uint8]) -> Iterator[bytes]:
    yield np.packbits(bits).tobytes()


def _contents(path: Path) -> Iterator[bytes]:
    """Yield a file's bytes, and those of all it holds."""
    data = path.read_bytes()
    yield data
    if data.startswith(b"SQLite format 3\0"):
        yield from _rows(path)
    elif data.startswith(b"PAR1"):
        import pyarrow.parquet as parquet

        for column in parquet.read_table(path).columns:
            yield from _values(column.to_pylist())
    elif data.startswith(b"\x89HDF\r\n"):
        import h5py

        arrays: list[Any] = []
        with h5py.File(path) as file:
            file.visititems(lambda _, item: arrays.append(item[()]) if isinstance(item, h5py.Dataset) else None)
        for array in arrays:
            yield np.asarray(array).tobytes()


def _rows(path: Path) -> Iterator[bytes]:
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as base:
        names = [row[0] for row in base.execute("select name from sqlite_master where type = 'table'")]
        for name in names:
            for row in base.execute(f'select * from "{name}"'):
                yield from _values(row)


def _values(values: Iterable[Any]) -> Iterator[bytes]:
    held = list(values)
    for value in held:
        if isinstance(value, bytes):
            yield value
    yield repr(held).encode()
