"""Open a file of time tags of any known format; what it is, its first bytes say, never its name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from qlab.errors import BadRequestError, TagFileError
from qlab.tags.files.ptu import MAGIC, read_ptu
from qlab.tags.files.text import looks_like_text, read_text

if TYPE_CHECKING:
    from qlab.tags.files.text import Columns
    from qlab.tags.stream import TagBlock

__all__ = ["TagFormat", "open_tags", "sniff"]

TagFormat = Literal["qlab", "ptu", "text"]
_HDF5 = b"\x89HDF\r\n\x1a\n"


def sniff(path: Path | str) -> TagFormat:
    """Tell the format of a file by its first bytes.

    Raises
    ------
    TagFileError
        The file cannot be read, is empty, or is of no known format.
    """
    try:
        with Path(path).open("rb") as file:
            head = file.read(4096)
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise TagFileError(msg) from error
    if head.startswith(_HDF5):
        return "qlab"
    if head.startswith(MAGIC):
        return "ptu"
    if looks_like_text(head):
        return "text"
    what = f"starts with {head[:8].hex(' ')}" if head else "is empty"
    msg = f"{path}: {what}: no known format of time tags (qlab HDF5, PicoQuant PTU, text)"
    raise TagFileError(msg)


def open_tags(
    path: Path | str,
    *,
    bin_ps: float | None = None,
    columns: Columns | None = None,
    salvage: bool = False,
    rows: tuple[int, int | None] | None = None,
) -> TagBlock:
    """Read a file of time tags of any known format into one block.

    Parameters
    ----------
    path:
        The file.
    bin_ps, columns:
        Length of one time bin (default 1 ps) and order of the columns, for text, which says neither.
    salvage:
        Take what is sound of a PTU file that contradicts its header.
    rows:
        Rows of a qlab file: the first, and the one after the last.

    Raises
    ------
    BadRequestError
        An option that this file's format has no use for.
    TagFileError
        The file cannot be read as what it seems to be.
    """
    kind = sniff(path)
    given = {"bin_ps": bin_ps is not None, "columns": columns is not None, "salvage": salvage, "rows": rows is not None}
    useful = {"qlab": {"rows"}, "ptu": {"salvage"}, "text": {"bin_ps", "columns"}}[kind]
    useless = sorted(name for name, is_given in given.items() if is_given and name not in useful)
    if useless:
        msg = f"{path} is of format {kind}, which says or needs no {', '.join(useless)}; leave it out"
        raise BadRequestError(msg)
    if kind == "qlab":
        from qlab.tags.files.hdf5_reader import read_tags

        return read_tags(path, *(rows or ()))
    if kind == "ptu":
        return read_ptu(path, salvage=salvage).block
    return read_text(path, bin_ps=1 if bin_ps is None else bin_ps, columns=columns)
