"""Open a file of time tags of any known format; what it is, its first bytes say, never its name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from qlab.errors import BadRequestError, TagFileError
from qlab.tags.files.flat import FLAT_MAGIC, stream_flat
from qlab.tags.files.id900 import looks_like_id900, stream_id900
from qlab.tags.files.ptu import MAGIC, stream_ptu
from qlab.tags.files.qutag import looks_like_qutag, stream_qutag
from qlab.tags.files.sfifteen import spelling_of, stream_sfifteen
from qlab.tags.files.streaming import Progress, unheard, up_to_fault, whole
from qlab.tags.files.swabian import looks_like_swabian, stream_swabian
from qlab.tags.files.text import looks_like_text, stream_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from qlab.tags.files.text import Columns
    from qlab.tags.stream import TagBlock

__all__ = ["FORMATS", "TagFormat", "open_tags", "sniff", "stream_tags"]

TagFormat = Literal["qlab", "flat", "ptu", "qutag", "swabian", "a0", "a1", "a1x", "a2", "id900", "text"]
FORMATS: tuple[TagFormat, ...] = get_args(TagFormat)
_OPTIONS = {"qlab": {"rows"}, "qutag": {"bin_ps"}, "text": {"bin_ps", "columns"}}
_HDF5 = b"\x89HDF\r\n\x1a\n"
_HEAD = 4096
_ALL = 1 << 40


def sniff(path: Path | str) -> TagFormat:
    """Tell the format of a file by its first bytes.

    Raises
    ------
    TagFileError
        The file cannot be read, is empty, or is of no known format.
    """
    try:
        with Path(path).open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise TagFileError(msg) from error
    found = _known(head)
    if found is not None:
        return found
    what = f"starts with {head[:8].hex(' ')}" if head else "is empty"
    msg = f"{path}: {what}: no known format of time tags ({', '.join(FORMATS)}); where you know it, say format=..."
    raise TagFileError(msg)


def _known(head: bytes) -> TagFormat | None:
    for magic, name in ((_HDF5, "qlab"), (FLAT_MAGIC, "flat"), (MAGIC, "ptu")):
        if head.startswith(magic):
            return name  # type: ignore[return-value]
    spelling = spelling_of(head)
    if spelling in ("a0", "a2"):
        return spelling
    if looks_like_text(head):
        return "text"
    if looks_like_qutag(head):
        return "qutag"
    if looks_like_swabian(head):
        return "swabian"
    if spelling is not None:
        return spelling
    return "id900" if looks_like_id900(head) else None


def stream_tags(
    path: Path | str,
    *,
    format: TagFormat | None = None,
    bin_ps: float | None = None,
    columns: Columns | None = None,
    salvage: bool = False,
    progress: Progress = unheard,
) -> Iterator[TagBlock]:
    """Yield the tags of a file of any known format in adjoining blocks, in constant memory.

    Parameters
    ----------
    path, format:
        The file, and what it is where its first bytes do not tell.
    bin_ps, columns, salvage:
        As for `open_tags`.
    progress:
        Told how much of the file has been read, and how much there is.

    Raises
    ------
    BadRequestError
        An option that this file's format has no use for.
    TagFileError
        The file is not what it seems to be; everything before the fault has been yielded.
    """
    kind = _checked(path, format, bin_ps=bin_ps, columns=columns)
    blocks = _stream(path, kind, 1 if bin_ps is None else bin_ps, columns, progress)
    return up_to_fault(blocks) if salvage else blocks


def _stream(
    path: Path | str, kind: TagFormat, bin_ps: float, columns: Columns | None, progress: Progress
) -> Iterator[TagBlock]:
    if kind == "qlab":
        from qlab.tags.files.hdf5_reader import iterate_tags

        return _in_time(iterate_tags(path, progress=progress), path)
    if kind == "text":
        return stream_text(path, bin_ps=bin_ps, columns=columns, progress=progress)
    if kind == "ptu":
        return stream_ptu(path, progress=progress)
    if kind == "flat":
        return _in_time(stream_flat(path, progress=progress), path)
    if kind == "qutag":
        return stream_qutag(path, bin_ps=bin_ps, progress=progress)
    if kind == "swabian":
        return stream_swabian(path, progress=progress)
    if kind == "id900":
        return stream_id900(path, progress=progress)
    return stream_sfifteen(path, kind, progress=progress)


def _in_time(blocks: Iterable[TagBlock], path: Path | str) -> Iterator[TagBlock]:
    """Pass blocks on as long as they follow each other in time, as those of one acquisition after another do."""
    last_ps, newest_ps = None, None
    for block in blocks:
        back = block.n and newest_ps is not None and int(block.t[0]) < newest_ps
        if back or (last_ps is not None and block.start_ps < last_ps):
            msg = f"{path}: a stretch from {block.start_ps} ps comes after one to {last_ps} ps; those before are sound"
            raise TagFileError(msg)
        yield block
        last_ps, newest_ps = block.stop_ps, int(block.t[-1]) if block.n else newest_ps


def open_tags(
    path: Path | str,
    *,
    format: TagFormat | None = None,
    bin_ps: float | None = None,
    columns: Columns | None = None,
    salvage: bool = False,
    rows: tuple[int, int | None] | None = None,
) -> TagBlock:
    """Read a file of time tags of any known format into one block.

    Parameters
    ----------
    path, format:
        The file, and what it is where its first bytes do not tell.
    bin_ps, columns:
        Length of one time bin (default 1 ps), for text and quTAU, and order of the columns, for text: neither says.
    salvage:
        Take what is sound of a file that is cut or contradicts itself.
    rows:
        Rows of a qlab file: the first, and the one after the last.

    Raises
    ------
    BadRequestError
        An option that this file's format has no use for.
    TagFileError
        The file cannot be read as what it seems to be.
    """
    kind = _checked(path, format, bin_ps=bin_ps, columns=columns, rows=rows)
    if rows is not None:
        from qlab.tags.files.hdf5_reader import read_tags

        return read_tags(path, *rows)
    if kind == "qlab" and not salvage:  # an acquisition at once, which spares a copy
        from qlab.tags.files.hdf5_reader import iterate_tags

        return whole(_in_time(iterate_tags(path, rows=_ALL), path))
    return whole(stream_tags(path, format=kind, bin_ps=bin_ps, columns=columns, salvage=salvage))


def _checked(path: Path | str, kind: TagFormat | None, **options: object) -> TagFormat:
    if kind is not None and kind not in FORMATS:
        msg = f"{path}: format {kind!r}; expected one of {', '.join(FORMATS)}"
        raise BadRequestError(msg)
    known = sniff(path) if kind is None else kind
    useless = sorted(
        name for name, value in options.items() if value is not None and name not in _OPTIONS.get(known, ())
    )
    if useless:
        msg = f"{path} is of format {known}, which says or needs no {', '.join(useless)}; leave it out"
        raise BadRequestError(msg)
    return known
