"""Tags as text: a line a tag, with channel and time tag in either order, or the time tag alone.

Columns are separated by blanks, commas or semicolons; a first line of names and lines starting with ``#`` are skipped.
Text rarely says how long a time bin is: `bin_ps` does, as a number that need not be whole (156.25).
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from qlab.errors import BadRequestError, TagFileError
from qlab.tags.stream import TagBlock

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Columns", "looks_like_text", "read_text", "ticks_to_ps"]

Columns = Literal["channel time", "time channel", "time"]
_INT64 = 2**63


def read_text(path: Path | str, *, bin_ps: float = 1, columns: Columns | None = None) -> TagBlock:
    """Read a text file of time tags.

    Parameters
    ----------
    path:
        The file.
    bin_ps:
        Length of one unit of the time tags.
    columns:
        Order of the columns; found out where not given.

    Returns
    -------
    A block from the first tag (or 0, where the file starts later) to the last; tags sorted.

    Raises
    ------
    TagFileError
        A line that is not numbers, a channel beyond 255, or columns that could be either way round.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="ascii")
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise TagFileError(msg) from error
    except UnicodeDecodeError as error:
        msg = f"{path}: not a text file: byte {error.object[error.start]:#04x} at position {error.start}"
        raise TagFileError(msg) from error
    table = _table(path, text)
    t, ch = _columns(path, table, columns)
    if t.size and not ((ch >= 0) & (ch <= 255)).all():
        at = int(np.flatnonzero((ch < 0) | (ch > 255))[0])
        msg = f"{path}: channel {int(ch[at])} of tag {at + 1}: expected 0 to 255; the {at} tags before are sound"
        raise TagFileError(msg)
    times = ticks_to_ps(t, bin_ps)
    if not times.size:
        return TagBlock(times, ch.astype(np.uint8), 0, 0)
    start_ps = min(0, int(times.min()))
    return TagBlock.from_unsorted(times, ch, start_ps, int(times.max()) + 1)


def ticks_to_ps(ticks: NDArray[np.int64], bin_ps: float) -> NDArray[np.int64]:
    """Multiply by the bin's length and round half up, in integer arithmetic without overflow on the way.

    The bin is taken as the decimal number it is written as: 80.955 means 80955/1000.
    """
    if not bin_ps > 0:
        msg = f"a time bin of {bin_ps} ps: expected a positive length"
        raise BadRequestError(msg)
    length = Fraction(str(bin_ps))
    numerator, denominator = length.numerator, length.denominator
    if ticks.size and max(abs(int(ticks.min())), abs(int(ticks.max()))) * length >= _INT64:
        msg = f"time tags of bins of {bin_ps} ps reach beyond 106 days; check the length of the bin and the columns"
        raise BadRequestError(msg)
    whole, rest = np.divmod(ticks, denominator)
    times: NDArray[np.int64] = whole * numerator + (2 * rest * numerator + denominator) // (2 * denominator)
    return times


def looks_like_text(head: bytes) -> bool:
    """Tell whether the first bytes of a file can be a table of numbers."""
    return bool(head) and all(byte in b"\t\r\n" or 32 <= byte < 127 for byte in head)


def _table(path: Path, text: str) -> NDArray[np.int64]:
    """Parse at the speed of NumPy; where that fails, again line by line, to say which line is wrong."""
    if "," in text or ";" in text:
        text = text.replace(",", " ").replace(";", " ")
    lines = text.splitlines()
    skip = _header(lines)
    body = [line for line in lines[skip:] if line and not line.startswith("#")]
    if not body:
        return np.empty((0, 2), dtype=np.int64)
    try:
        table: NDArray[np.int64] = np.loadtxt(body, dtype=np.int64, ndmin=2, comments=None)
    except (ValueError, OverflowError) as error:
        _blame(path, lines, skip)
        msg = f"{path}: not a table of whole numbers: {error}"
        raise TagFileError(msg) from error
    return table


def _header(lines: list[str]) -> int:
    """Return the number of lines before the first line of data: comments, blanks, and at most one line of names."""
    for at, line in enumerate(lines):
        words = line.split()
        if not words or line.startswith("#"):
            continue
        return at + 1 if not any(word[:1].isdigit() or word[:1] in "+-" for word in words) else at
    return len(lines)


def _blame(path: Path, lines: list[str], skip: int) -> None:
    width, sound = 0, 0
    for number, line in enumerate(lines[skip:], start=skip + 1):
        words = line.split()
        if not words or line.startswith("#"):
            continue
        width = width or len(words)
        problem = None
        if len(words) != width:
            problem = f"{len(words)} columns where the lines before have {width}"
        for word in words:
            try:
                if not -_INT64 <= int(word) < _INT64:
                    problem = f"{word} does not fit into 64 bits"
            except ValueError:
                problem = f"{word!r} is not a whole number"
        if problem:
            msg = f"{path}, line {number}: {problem}; the {sound} tags before are sound"
            raise TagFileError(msg)
        sound += 1


def _columns(
    path: Path, table: NDArray[np.int64], columns: Columns | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rows, width = table.shape
    if columns == "time" or (columns is None and width == 1):
        return table[:, 0], np.zeros(rows, dtype=np.int64)
    if width != 2:
        msg = f"{path}: {width} columns; expected channel and time tag, or the time tag alone"
        raise TagFileError(msg)
    if columns is None and rows:
        columns = _guess(path, table)
    if columns == "time channel":
        return table[:, 0], table[:, 1]
    return table[:, 1], table[:, 0]


def _guess(path: Path, table: NDArray[np.int64]) -> Columns:
    """Take for the channel the one column that stays within 0 to 255."""
    small = [bool(((column >= 0) & (column <= 255)).all()) for column in table.T]
    if small == [True, False]:
        return "channel time"
    if small == [False, True]:
        return "time channel"
    what = "either column could be the channel" if all(small) else "neither column stays within channels 0 to 255"
    msg = f"{path}: {what}; say columns='channel time' or columns='time channel'"
    raise TagFileError(msg)
