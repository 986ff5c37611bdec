"""Several recordings of one time into one stream, in constant memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qlab.errors import TagFileError
from qlab.tags.stream import TagBlock, concat, merge

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["merge_streams"]


def merge_streams(streams: Sequence[Iterable[TagBlock]]) -> Iterator[TagBlock]:
    """Yield the tags of all streams as one; each stream's blocks are in order of time.

    A block goes out to the time up to which every stream is known.  Before a stream begins and after it ends it has no tags;
    that it was blind there is not marked, as other channels were live.

    Raises
    ------
    TagFileError
        One of the streams has a fault: after all tags, of every stream, up to where that one is sound.
    """
    sources = [_Source(stream) for stream in streams]
    while blocks := [source.block for source in sources if source.block is not None]:
        faulty = [source for source in sources if source.fault is not None]
        edge = min(block.stop_ps for block in blocks)
        edge = min([edge, *(source.known_ps for source in faulty)])
        out = [part for source in sources if (part := source.up_to(edge)) is not None]
        if out:
            yield merge(*out)
        if any(source.known_ps <= edge for source in faulty):
            break
    for source in sources:
        if source.fault is not None:
            raise source.fault


class _Source:
    """A stream, and the block of it that is next; None behind its end and behind a fault."""

    def __init__(self, stream: Iterable[TagBlock]) -> None:
        self._blocks = iter(stream)
        self.fault: TagFileError | None = None
        self.block = next(self._blocks, None)  # one that is faulty from the beginning ends all
        self.known_ps = 0

    def up_to(self, edge_ps: int) -> TagBlock | None:
        """Take what lies before a time."""
        parts = []
        while self.block is not None and self.block.stop_ps <= edge_ps:
            parts.append(self.block)
            self.known_ps = self.block.stop_ps
            try:
                self.block = next(self._blocks, None)
            except TagFileError as error:
                self.block, self.fault = None, error
        if self.block is not None and self.block.start_ps < edge_ps:
            parts.append(self.block.between(self.block.start_ps, edge_ps))
            self.block = self.block.between(edge_ps, self.block.stop_ps)
        return concat(*parts) if parts else None
