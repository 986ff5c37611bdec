"""Count what a file holds: its blocks through any accumulators, in constant memory and up to a fault where there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from qlab.errors import TagFileError
from qlab.tags.files.sniff import sniff, stream_tags
from qlab.tags.files.streaming import unheard

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from qlab.tags.files.sniff import TagFormat
    from qlab.tags.files.streaming import Progress
    from qlab.tags.stream import TagBlock

__all__ = ["Fed", "feed_file", "unclosed"]


class Fed(Protocol):
    """Anything that takes blocks in the order of time."""

    def feed(self, block: TagBlock) -> None:
        """Take the next stretch."""


def feed_file(
    path: Path | str,
    accumulators: Iterable[Fed],
    *,
    format: TagFormat | None = None,
    bin_ps: float | None = None,
    progress: Progress = unheard,
) -> str:
    """Feed a file to accumulators.

    Returns
    -------
    What ended the file before its end, or an empty string; everything before it has been fed.

    Raises
    ------
    TagFileError
        The file is of no known format, or its very beginning is wrong.
    """
    kind = sniff(path) if format is None else format
    fed = list(accumulators)
    any_tags = False
    try:
        for block in stream_tags(path, format=kind, bin_ps=bin_ps, progress=progress):
            any_tags = any_tags or block.n > 0
            for accumulator in fed:
                accumulator.feed(block)
    except TagFileError as error:
        if not any_tags:
            raise
        return str(error)
    return unclosed(path, kind)


def unclosed(path: Path | str, kind: TagFormat) -> str:
    """Say where a file was never closed because its writer was killed; empty for all others."""
    if kind != "qlab":
        return ""
    from qlab.tags.files.hdf5_reader import left_open

    return left_open(path)
