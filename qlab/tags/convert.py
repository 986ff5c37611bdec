"""Tags from files of any format into one file of another, in constant memory."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from qlab.errors import BadRequestError, StorageError, TagFileError
from qlab.tags.counting import unclosed
from qlab.tags.files.merging import merge_streams
from qlab.tags.files.sniff import sniff, stream_tags
from qlab.tags.files.streaming import Progress, unheard
from qlab.tags.files.swabian import SWABIAN
from qlab.tags.files.tick import TICK, tick_of_file
from qlab.tags.stream import TagBlock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from qlab.tags.files.sniff import TagFormat

__all__ = ["TARGETS", "Converted", "Target", "convert_tags"]

Target = Literal["qlab", "archive", "flat", "swabian", "text", "parquet", "photon-hdf5"]
TARGETS: tuple[Target, ...] = get_args(Target)
_BY_SUFFIX: dict[str, Target] = {
    ".archive.h5": "archive",
    ".h5": "qlab",
    ".hdf5": "qlab",
    ".qtags": "flat",
    ".ttstruct": "swabian",
    ".txt": "text",
    ".csv": "text",
    ".parquet": "parquet",
    ".photon.h5": "photon-hdf5",
}


@dataclass(frozen=True, slots=True)
class Converted:
    """What a conversion did; `fault` is what ended it before the end of a file, else empty."""

    target: Target
    tags: int
    fault: str = ""


def convert_tags(
    sources: Sequence[Path | str],
    target: Path | str,
    *,
    kind: Target | None = None,
    source_format: TagFormat | None = None,
    bin_ps: float | None = None,
    channel_step: int = 0,
    progress: Progress = unheard,
) -> Converted:
    """Write the tags of one file, or of several merged by time, into a new file.

    Parameters
    ----------
    sources, source_format, bin_ps:
        The files, and what `qlab.tags.files.sniff.stream_tags` must be told of them.
    target, kind:
        A file that does not exist yet, and its format; by its suffix where not given.
    channel_step:
        Added to the channels of the second file, twice to those of the third, and so on.
    progress:
        Told how many bytes of all files have been read.

    Raises
    ------
    BadRequestError
        No source, a target that exists, an unknown format, or channels beyond 254.
    StorageError
        The target cannot be written.
    """
    target = Path(target)
    chosen = kind if kind is not None else _kind_of(target)
    if not sources or chosen not in TARGETS:
        names = ", ".join(TARGETS)
        msg = f"convert: {len(sources)} sources, format {chosen!r}; expected at least one source, and one of {names}"
        raise BadRequestError(msg)
    if target.exists():
        msg = f"{target} exists; choose another name"
        raise BadRequestError(msg)
    told = _Told([Path(path) for path in sources], progress)
    streams = [
        _raised(stream_tags(path, format=source_format, bin_ps=bin_ps, progress=told.of(i)), i * channel_step)
        for i, path in enumerate(sources)
    ]
    kinds = [source_format or sniff(path) for path in sources]
    ticks = {tick_of_file(path, kind, bin_ps) for path, kind in zip(sources, kinds, strict=True)}
    metadata: dict[str, object] = {"sources": [Path(path).name for path in sources]}
    if len(ticks) == 1:
        metadata[TICK] = ticks.pop()
    blocks = streams[0] if len(streams) == 1 else merge_streams(streams)
    tags, fault = 0, ""
    with ExitStack() as stack:
        write = stack.enter_context(_WRITERS[chosen](target, metadata))
        try:
            for block in blocks:
                write(block)
                tags += block.n
        except TagFileError as error:
            fault = str(error)  # what was sound is written
    left = (unclosed(path, kind) for path, kind in zip(sources, kinds, strict=True))
    return Converted(chosen, tags, fault or next(filter(None, left), ""))


class _Told:
    """Adds up the progress of several files."""

    def __init__(self, paths: Sequence[Path], progress: Progress) -> None:
        self._sizes = [path.stat().st_size if path.exists() else 0 for path in paths]
        self._done = [0.0] * len(paths)
        self._progress = progress

    def of(self, number: int) -> Progress:
        def tell(done: int, total: int) -> None:
            self._done[number] = self._sizes[number] * done / max(total, 1)
            self._progress(round(sum(self._done)), sum(self._sizes))

        return tell


def _kind_of(target: Path) -> Target:
    for suffix in ("".join(target.suffixes[-2:]).lower(), target.suffix.lower()):
        if suffix in _BY_SUFFIX:
            return _BY_SUFFIX[suffix]
    msg = f"{target}: the suffix says no format; expected one of {', '.join(_BY_SUFFIX)}, or say the format"
    raise BadRequestError(msg)


def _raised(blocks: Iterable[TagBlock], step: int) -> Iterator[TagBlock]:
    for block in blocks:
        if step and block.n and int(block.ch.max()) + step > 254:
            msg = f"convert: channel {int(block.ch.max())} raised by {step}; expected at most 254"
            raise BadRequestError(msg)
        yield TagBlock(block.t, block.ch + np.uint8(step), block.start_ps, block.stop_ps, block.gaps) if step else block


@contextmanager
def _qlab(path: Path, metadata: Mapping[str, object]) -> Iterator[Callable[[TagBlock], object]]:
    from qlab.tags.files.hdf5 import TagWriter

    with TagWriter(path, metadata=metadata) as writer:
        yield writer.append


@contextmanager
def _archive(path: Path, metadata: Mapping[str, object]) -> Iterator[Callable[[TagBlock], object]]:
    from qlab.tags.files.archive import ArchiveWriter

    with ArchiveWriter(path, metadata=metadata) as writer:
        yield writer.append


@contextmanager
def _flat(path: Path, metadata: Mapping[str, object]) -> Iterator[Callable[[TagBlock], object]]:
    from qlab.tags.files.flat import FlatWriter

    with FlatWriter(path, metadata) as writer:
        yield writer.append


@contextmanager
def _swabian(path: Path, metadata: Mapping[str, object]) -> Iterator[Callable[[TagBlock], object]]:
    del metadata
    with _binary(path) as write:

        def append(block: TagBlock) -> None:
            records = np.zeros(block.n, SWABIAN)
            records["channel"], records["time"] = block.ch, block.t
            write(records.tobytes())

        yield append


@contextmanager
def _text(path: Path, metadata: Mapping[str, object]) -> Iterator[Callable[[TagBlock], object]]:
    del metadata
    comma = path.suffix.lower() == ".csv"
    with _binary(path) as write:
        write(b"channel,time_ps\n" if comma else b"# channel  time in ps\n")

        def append(block: TagBlock) -> None:
            between = "," if comma else " "
            rows = zip(block.ch.tolist(), block.t.tolist(), strict=True)
            write("".join(f"{ch}{between}{t}\n" for ch, t in rows).encode())

        yield append


@contextmanager
def _parquet(path: Path, metadata: Mapping[str, object]) -> Iterator[Callable[[TagBlock], object]]:
    del metadata
    from qlab.tags.files.export import ParquetWriter

    with ParquetWriter(path) as writer:
        yield writer.append


@contextmanager
def _photon_hdf5(path: Path, metadata: Mapping[str, object]) -> Iterator[Callable[[TagBlock], object]]:
    del metadata
    from qlab.tags.files.export import PhotonHdf5Writer

    with PhotonHdf5Writer(path) as writer:
        yield writer.append


@contextmanager
def _binary(path: Path) -> Iterator[Callable[[bytes], object]]:
    try:
        with path.open("xb") as file:
            yield file.write
    except OSError as error:
        msg = f"{path}: cannot be written: {error.strerror}"
        raise StorageError(msg) from error


_WRITERS = {
    "qlab": _qlab,
    "archive": _archive,
    "flat": _flat,
    "swabian": _swabian,
    "text": _text,
    "parquet": _parquet,
    "photon-hdf5": _photon_hdf5,
}
