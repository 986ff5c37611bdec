"""One-to-one counting against the walk through both lists that defines it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlab.errors import BadRequestError
from qlab.tags.coincidence import coincidence_matrix
from qlab.tags.one_to_one import one_to_one_matrix, one_to_one_pairs
from qlab.tags.stream import TagBlock

times = st.lists(st.one_of(st.integers(0, 30), st.integers(0, 600)), max_size=30).map(sorted)


@given(times, times, st.integers(0, 20))
def test_pairs_are_those_of_a_walk_through_both_lists(a: list[int], b: list[int], half: int) -> None:
    expected, free = [], list(range(len(b)))
    for i, t in enumerate(a):
        partner = next((j for j in free if abs(b[j] - t) <= half), None)
        if partner is not None:
            expected.append((i, partner))
            free.remove(partner)
    found = one_to_one_pairs(np.array(a, np.int64), np.array(b, np.int64), half)
    assert list(zip(found[0].tolist(), found[1].tolist(), strict=True)) == expected


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 4)), max_size=50), st.integers(0, 30))
def test_never_more_than_all_pairs_and_no_tag_twice(tags: list[tuple[int, int]], window_ps: int) -> None:
    t, ch = np.array([t for t, _ in tags], np.int64), np.array([c for _, c in tags], np.uint8)
    block = TagBlock.from_unsorted(t, ch, 0, 301)
    delays = {1: 7, 3: -20}
    found = one_to_one_matrix(block, [0, 1], [2, 3], window_ps, delays)
    assert (found <= coincidence_matrix(block, [0, 1], [2, 3], window_ps, delays)).all()
    singles = block.counts(5)
    assert (found.sum(axis=1) <= singles[:2]).all()
    assert (found.sum(axis=0) <= singles[2:4]).all()


def test_parties_must_not_share_a_channel() -> None:
    block = TagBlock(np.array([1]), np.array([0]), 0, 2)
    with pytest.raises(BadRequestError, match="must differ"):
        one_to_one_matrix(block, [0], [0], 10)
