"""Several recordings of one time into one stream, in constant memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qlab.tags.stream import TagBlock, concat, merge

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["merge_streams"]


def merge_streams(streams: Sequence[Iterable[TagBlock]]) -> Iterator[TagBlock]:
    """Yield the tags of all streams as one; each stream's blocks are in order of time.

    A block goes out to the time up to which every stream is known.  Before a stream begins and after it ends it has no tags;
    that it was blind there is not marked, as other channels were live.
    """
    waiting: list[tuple[Iterator[TagBlock], TagBlock | None]] = []
    for stream in streams:
        iterator = iter(stream)
        waiting.append((iterator, next(iterator, None)))
    while any(block is not None for _, block in waiting):
        edge = min(block.stop_ps for _, block in waiting if block is not None)
        out: list[TagBlock] = []
        following: list[tuple[Iterator[TagBlock], TagBlock | None]] = []
        for iterator, first in waiting:
            block = first
            parts = []
            while block is not None and block.stop_ps <= edge:
                parts.append(block)
                block = next(iterator, None)
            if block is not None and block.start_ps < edge:
                parts.append(block.between(block.start_ps, edge))
                block = block.between(edge, block.stop_ps)
            if parts:
                out.append(concat(*parts))
            following.append((iterator, block))
        waiting = following
        if out:
            yield merge(*out)
