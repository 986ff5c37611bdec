"""Tags as text: a line a tag, with channel and time tag in either order, or the time tag alone.

Columns are separated by blanks, commas or semicolons; a first line of names and lines starting with ``#`` are skipped.
Text rarely says how long a time bin is: `bin_ps` does, as a number that need not be whole (156.25).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from qlab.errors import TagFileError
from qlab.tags.files.order import SLACK_PS, in_order
from qlab.tags.files.streaming import Piece, Progress, unheard, whole
from qlab.tags.ticks import bounds, ticks_to_ps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from qlab.tags.stream import TagBlock

__all__ = ["TEXT_CHUNK", "Columns", "looks_like_text", "read_text", "stream_text"]

Columns = Literal["channel time", "time channel", "time"]
TEXT_CHUNK = 16 << 20
"""Bytes that are read at once."""
_LONGEST_LINE = 1 << 16
_WHOLE = re.compile(r"[+-]?[0-9]+")
_INT64 = 2**63


def read_text(path: Path | str, *, bin_ps: float = 1, columns: Columns | None = None) -> TagBlock:
    """Read a text file of time tags as one block; see `stream_text`."""
    return whole(stream_text(path, bin_ps=bin_ps, columns=columns))


def stream_text(
    path: Path | str,
    *,
    bin_ps: float = 1,
    columns: Columns | None = None,
    chunk: int = TEXT_CHUNK,
    progress: Progress = unheard,
) -> Iterator[TagBlock]:
    """Yield the tags of a text file.

    Parameters
    ----------
    path:
        The file.
    bin_ps:
        Length of one unit of the time tags.
    columns:
        Order of the columns; found out where not given.
    chunk:
        Bytes that are read at once; a file that is shorter may be in any order.
    progress:
        Told of bytes.

    Returns
    -------
    Blocks from the first tag (or 0, where the file starts later) to the last; tags sorted.

    Raises
    ------
    TagFileError
        After all tags before the fault: a line that is not numbers, a channel beyond 255, a tag out of order, or columns
        that could be either way round.
    """
    least, most = bounds(bin_ps)
    table = _Table(Path(path), columns, (least, most))

    def pieces() -> Iterator[Piece]:
        for text, fault in _texts(Path(path), chunk, progress):
            ticks, channels, first_fault = table.read(text, fault)
            yield Piece(ticks_to_ps(ticks, bin_ps), channels)
            if first_fault:
                raise TagFileError(first_fault)

    source = pieces()
    fault: TagFileError | None = None
    first = Piece(np.empty(0, np.int64), np.empty(0, np.uint8))
    try:
        while not first.t.size:
            first = next(source)
    except StopIteration:
        return
    except TagFileError as error:
        fault = error

    def all_pieces() -> Iterator[Piece]:
        yield first
        if fault is not None:
            raise fault
        yield from source

    start_ps = 0 if not first.t.size or int(first.t.min()) >= 0 else None
    short = fault is not None or Path(path).stat().st_size <= chunk
    yield from in_order(all_pieces(), path, slack_ps=2**62 if short else SLACK_PS, start_ps=start_ps)


def looks_like_text(head: bytes) -> bool:
    """Tell whether the first bytes of a file can be a table of numbers."""
    return bool(head) and all(byte in b"\t\r\n" or 32 <= byte < 127 for byte in head)


def _texts(path: Path, chunk: int, progress: Progress) -> Iterator[tuple[str, str]]:
    """Yield whole lines, some at once, each time with the fault behind them or an empty string."""
    try:
        with path.open("rb") as file:
            size, done, rest = file.seek(0, 2), 0, b""
            file.seek(0)
            while data := file.read(chunk):
                data = rest + data
                end = data.rfind(b"\n") + 1 if done + len(data) < size else len(data)
                rest = data[end:]
                text, fault = _decoded(path, data[:end], done)
                if len(rest) > _LONGEST_LINE:
                    fault = fault or f"{path}: a line of more than {_LONGEST_LINE} characters behind byte {done + end}"
                yield text, fault
                done += end
                progress(done, size)
            if rest:
                yield _decoded(path, rest, done)
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise TagFileError(msg) from error


def _decoded(path: Path, data: bytes, offset: int) -> tuple[str, str]:
    try:
        return data.decode("ascii"), ""
    except UnicodeDecodeError as error:
        sound = data[: data.rfind(b"\n", 0, error.start) + 1]
        fault = f"{path}: not a text file: byte {data[error.start]:#04x} at position {offset + error.start}"
        return sound.decode("ascii"), fault


class _Table:
    """Reads lines of a table, some at once; knows how many there were, and which column is which."""

    def __init__(self, path: Path, columns: Columns | None, ticks: tuple[int, int]) -> None:
        self._path, self._columns, self._ticks = path, columns, ticks
        self._lines = self._tags = self._width = 0

    def read(self, text: str, behind: str) -> tuple[NDArray[np.int64], NDArray[np.uint8], str]:
        """Return ticks and channels of all lines before the first fault, and that fault or what is wrong `behind` all."""
        lines = text.replace(",", " ").replace(";", " ").splitlines()
        skip = _header(lines) if not self._tags else 0
        numbered = [n for n in range(skip, len(lines)) if lines[n].strip() and not lines[n].startswith("#")]
        table, fault = self._parsed(lines, numbered)
        fault = fault or behind
        self._lines += len(lines)
        if not table.size:
            return np.empty(0, np.int64), np.empty(0, np.uint8), fault
        wrong = self._shape(table)
        if wrong:
            return np.empty(0, np.int64), np.empty(0, np.uint8), fault or wrong
        t = table[:, 0] if self._columns != "channel time" else table[:, 1]
        ch = np.zeros_like(t) if self._columns == "time" else table[:, 1 if self._columns == "time channel" else 0]
        bad = (ch < 0) | (ch > 255) | (t < self._ticks[0]) | (t > self._ticks[1])
        if bad.any():
            at = int(np.argmax(bad))
            number = self._tags + at
            if 0 <= ch[at] <= 255:
                what = f"time {int(t[at])} of tag {number + 1}: beyond 53 days; check the length of the bin and the columns"
            else:
                what = f"channel {int(ch[at])} of tag {number + 1}: expected 0 to 255"
            t, ch, fault = t[:at], ch[:at], f"{self._path}: {what}; the {number} tags before are sound"
        self._tags += t.size
        return t, ch.astype(np.uint8), fault

    def _parsed(self, lines: list[str], numbered: list[int]) -> tuple[NDArray[np.int64], str]:
        """Parse at the speed of NumPy; where that fails, again line by line, to say which line is wrong."""
        if not numbered:
            return np.empty((0, 2), np.int64), ""
        self._width = self._width or len(lines[numbered[0]].split())
        fault = ""
        try:
            table: NDArray[np.int64] = np.loadtxt([lines[n] for n in numbered], np.int64, comments=None, ndmin=2)
            if table.shape == (len(numbered), self._width):
                return table, ""
        except (ValueError, OverflowError) as error:
            fault = f"{self._path}: not a table of whole numbers: {error}"
        for k, n in enumerate(numbered):
            problem = self._problem(lines[n].split())
            if problem:
                where = f"{self._path}, line {self._lines + n + 1}"
                fault = f"{where}: {problem}; the {self._tags + k} tags before are sound"
                table, _ = self._parsed(lines, numbered[:k])
                return table, fault
        return np.empty((0, 2), np.int64), fault

    def _problem(self, words: list[str]) -> str:
        if len(words) != self._width:
            return f"{len(words)} columns where the lines before have {self._width}"
        for word in words:
            if not _WHOLE.fullmatch(word):
                return f"{word[:40]!r} is not a whole number"
            if len(word) > 20 or not -_INT64 <= int(word) < _INT64:
                return f"{word[:40]} does not fit into 64 bits"
        return ""

    def _shape(self, table: NDArray[np.int64]) -> str:
        """Find out the columns where they are not known; return what is wrong with them or an empty string."""
        width = table.shape[1]
        if self._columns is None and width == 1:
            self._columns = "time"
        if self._columns == "time":
            return ""
        if width != 2:
            return f"{self._path}: {width} columns; expected channel and time tag, or the time tag alone"
        if self._columns is not None:
            return ""
        # The channel is the one column that stays within 0 to 255.
        small = [bool(((column >= 0) & (column <= 255)).all()) for column in table.T]
        if small[0] != small[1]:
            self._columns = "channel time" if small[0] else "time channel"
            return ""
        what = "either column could be the channel" if all(small) else "neither column stays within channels 0 to 255"
        return f"{self._path}: {what}; say columns='channel time' or columns='time channel'"


def _header(lines: list[str]) -> int:
    """Return the number of lines before the first line of data: comments, blanks, and at most one line of names."""
    for at, line in enumerate(lines):
        words = line.split()
        if not words or line.startswith("#"):
            continue
        return at + 1 if not any(word[:1].isdigit() or word[:1] in "+-" for word in words) else at
    return len(lines)
