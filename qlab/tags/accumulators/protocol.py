"""What every accumulator can do: the one seam between tag streams (files, devices, many machines) and what is counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

    from qlab.tags.stream import TagBlock

__all__ = ["Accumulator", "accumulate"]

R_co = TypeVar("R_co", covariant=True)


class Accumulator(Protocol[R_co]):
    """Counts of one stream.

    Blocks are fed in the order of time, cut anywhere: the result is that of the whole stream in one block.  Results (not
    accumulators) of *independent* runs are pooled by adding the results.
    """

    def feed(self, block: TagBlock) -> None:
        """Take the next stretch; raises `BadRequestError` if it begins before the last one ended."""
        ...

    def result(self) -> R_co:
        """Return what has been counted so far; feeding may go on."""
        ...

    def __add__(self, later: Self) -> Self:
        """Return the accumulator of both stretches, where `later` was fed with a later stretch of the same stream."""
        ...

    def to_bytes(self) -> bytes:
        """Return the settings and the state; `qlab.tags.accumulators.storage.from_bytes` restores the accumulator."""
        ...


def accumulate(accumulator: Accumulator[R_co], blocks: Iterable[TagBlock]) -> R_co:
    """Feed all blocks and return the result."""
    for block in blocks:
        accumulator.feed(block)
    return accumulator.result()
