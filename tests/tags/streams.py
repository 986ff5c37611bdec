"""Streams made by hypothesis, cut at will, and what all accumulators have to do with them."""

from __future__ import annotations

from importlib.util import find_spec
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import strategies as st

from qlab.tags.accumulators.storage import from_bytes
from qlab.tags.stream import Gap, TagBlock

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.tags.accumulators.local import LocalAccumulator

NEEDS_NUMBA = pytest.mark.skipif(find_spec("numba") is None, reason="needs numba")
ENGINES = ["numpy", pytest.param("numba", marks=NEEDS_NUMBA)]
SPAN_PS = 4000

# Few distinct values make ties and bursts the rule rather than the exception.
tags = st.lists(st.tuples(st.one_of(st.integers(0, 40), st.integers(0, 3000)), st.integers(0, 4)), max_size=40)
delays = st.one_of(
    st.just({}),
    st.dictionaries(st.integers(0, 4), st.integers(-60, 60), max_size=5),
    st.dictionaries(st.integers(0, 4), st.integers(-5000, 5000), max_size=5),
)
cuts = st.lists(st.one_of(st.integers(0, 60), st.integers(0, SPAN_PS)), max_size=6)
offsets = st.sampled_from([0, -(2**61), 2**60])


def block_of(items: list[tuple[int, int]], offset: int = 0) -> TagBlock:
    t = np.array([t for t, _ in items], dtype=np.int64) + offset
    ch = np.array([c for _, c in items], dtype=np.uint8)
    return TagBlock.from_unsorted(t, ch, offset, offset + SPAN_PS, [Gap(offset + 100, offset + 150, 3)])


def pieces_of(block: TagBlock, at: list[int]) -> list[TagBlock]:
    edges = sorted({block.start_ps, *(block.start_ps + cut for cut in at), block.stop_ps})
    return [block.between(a, b) for a, b in pairwise(edges)]


def tag_by_tag(block: TagBlock) -> list[TagBlock]:
    """Cut so that ties are cut as well: each block holds one tag, and its interval ends with it."""
    edges = [block.start_ps, *block.t[1:].tolist(), block.stop_ps]
    return [TagBlock(block.t[k : k + 1], block.ch[k : k + 1], edges[k], edges[k + 1]) for k in range(block.n)] or [
        block
    ]


def corrected(block: TagBlock, delays_ps: dict[int, int]) -> list[tuple[int, int]]:
    return [(int(t) - delays_ps.get(int(c), 0), int(c)) for t, c in zip(block.t, block.ch, strict=True)]


def fed(make: Callable[[], LocalAccumulator[Any]], blocks: list[TagBlock]) -> LocalAccumulator[Any]:
    accumulator = make()
    for block in blocks:
        accumulator.feed(block)
    return accumulator


def check_every_way(make: Callable[[], LocalAccumulator[Any]], block: TagBlock, at: list[int], expected: Any) -> None:
    """Fed whole, in pieces, tag by tag, merged from both sides and stored in between: always the same."""
    pieces = pieces_of(block, at)
    whole = fed(make, [block])
    np.testing.assert_array_equal(whole.result().counts, expected)
    np.testing.assert_array_equal(fed(make, tag_by_tag(block)).result().counts, expected)
    for result in (fed(make, pieces).result(), _left(make, pieces).result(), _right(make, pieces).result()):
        np.testing.assert_array_equal(result.counts, expected)
        np.testing.assert_array_equal(result.exposure.singles, whole.result().exposure.singles)
        assert result.exposure.live_ps == whole.result().exposure.live_ps == SPAN_PS - 50


def _left(make: Callable[[], LocalAccumulator[Any]], pieces: list[TagBlock]) -> LocalAccumulator[Any]:
    total = make()
    for piece in pieces:
        total = from_bytes(total.to_bytes()) + fed(make, [piece])
    return total


def _right(make: Callable[[], LocalAccumulator[Any]], pieces: list[TagBlock]) -> LocalAccumulator[Any]:
    total = make()
    for piece in reversed(pieces):
        total = fed(make, [piece]) + from_bytes(total.to_bytes())
    return total
