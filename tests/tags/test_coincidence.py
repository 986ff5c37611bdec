"""Every kernel against brute force: ties, bursts, negative delays, empty channels, edges of blocks and windows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlab.errors import BadRequestError
from qlab.tags.accumulators import local
from qlab.tags.coincidence import coincidence_matrix, differences, histogram
from qlab.tags.kernels import numpy_kernels
from qlab.tags.kernels.numpy_kernels import close_pairs
from qlab.tags.stream import TagBlock

# Few distinct values make ties and bursts the rule rather than the exception.
tags = st.lists(st.tuples(st.one_of(st.integers(0, 40), st.integers(0, 3000)), st.integers(0, 4)), max_size=60)
delays = st.dictionaries(st.integers(0, 4), st.integers(-60, 60), max_size=5)


def block_of(items: list[tuple[int, int]], offset: int = 0) -> TagBlock:
    t = np.array([t for t, _ in items], dtype=np.int64) + offset
    ch = np.array([c for _, c in items], dtype=np.uint8)
    return TagBlock.from_unsorted(t, ch, offset, offset + 4000)


def brute_force(block: TagBlock, delays_ps: dict[int, int]) -> list[tuple[int, int, int]]:
    corrected = [(int(t) - delays_ps.get(int(c), 0), int(c)) for t, c in zip(block.t, block.ch, strict=True)]
    return [(ci, cj, tj - ti) for i, (ti, ci) in enumerate(corrected) for j, (tj, cj) in enumerate(corrected) if i != j]


@settings(max_examples=60)
@given(tags, delays, st.integers(0, 90), st.sampled_from([0, -(2**61), 2**60]))
@pytest.mark.parametrize("occupancy", [0.0, 1e9], ids=["sorted-away", "looked-past"])
def test_matrix_equals_brute_force(
    occupancy: float, items: list[tuple[int, int]], delays_ps: dict[int, int], window_ps: int, offset: int
) -> None:
    block = block_of(items, offset)
    rows, columns = [0, 1, 4], [2, 3, 4]
    expected = np.zeros((3, 3), dtype=np.int64)
    for ci, cj, dt in brute_force(block, delays_ps):
        if ci in rows and cj in columns and abs(dt) <= window_ps // 2:
            expected[rows.index(ci), columns.index(cj)] += 1
    expected[2, 2] //= 2  # two tags of one channel are one pair
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "_MAX_OCCUPANCY", occupancy)
        patch.setattr(numpy_kernels, "BLOCK", 7)
        result = coincidence_matrix(block, rows, columns, window_ps, delays_ps)
    assert result.dtype == np.int64
    np.testing.assert_array_equal(result, expected)


@settings(max_examples=60)
@given(tags, delays, st.integers(1, 9), st.integers(1, 12))
@pytest.mark.parametrize("occupancy", [0.0, 1e9], ids=["sorted-away", "looked-past"])
def test_histogram_equals_brute_force(
    occupancy: float, items: list[tuple[int, int]], delays_ps: dict[int, int], bin_ps: int, half_bins: int
) -> None:
    block, half_range_ps = block_of(items), half_bins * bin_ps
    expected = np.zeros(2 * half_bins, dtype=np.int64)
    for ci, cj, dt in brute_force(block, delays_ps):
        if (ci, cj) == (1, 3) and -half_range_ps <= dt < half_range_ps:
            expected[(dt + half_range_ps) // bin_ps] += 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "_MAX_OCCUPANCY", occupancy)
        edges, counts = histogram(block, 1, 3, half_range_ps, bin_ps, delays_ps)
    np.testing.assert_array_equal(counts, expected)
    assert edges[0] == -half_range_ps
    assert (np.diff(edges) == bin_ps).all()


@given(tags, st.integers(0, 100))
def test_differences_of_one_channel_are_its_positive_lags(items: list[tuple[int, int]], reach_ps: int) -> None:
    block = block_of(items)
    t = [int(x) for x in block.t[block.ch == 2]]
    expected = sorted(t[j] - t[i] for i in range(len(t)) for j in range(i + 1, len(t)) if t[j] - t[i] <= reach_ps)
    assert differences(block, 2, 2, reach_ps).tolist() == expected


@given(st.lists(st.integers(0, 200), max_size=40), st.integers(0, 60), st.integers(1, 9))
def test_no_pair_is_lost_at_the_edge_of_a_kernel_block(times: list[int], reach_ps: int, size: int) -> None:
    t = np.sort(np.array(times, dtype=np.int64))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numpy_kernels, "BLOCK", size)
        pieces = [(i.tolist(), step, dt.tolist()) for i, step, dt in close_pairs(t, reach_ps)]
    found = {(i, i + step): gap for at, step, gaps in pieces for i, gap in zip(at, gaps, strict=True)}
    n = t.size
    assert sum(len(at) for at, _, _ in pieces) == len(found)  # none comes twice
    assert found == {(i, j): int(t[j] - t[i]) for i in range(n) for j in range(i + 1, n) if t[j] - t[i] <= reach_ps}


def test_window_is_a_full_width_with_both_edges_inside() -> None:
    block = block_of([(100, 0), (150, 1), (1000, 0), (1051, 1)])
    assert coincidence_matrix(block, [0], [1], 100).tolist() == [[1]]
    assert coincidence_matrix(block, [0], [1], 101).tolist() == [[1]]
    assert coincidence_matrix(block, [0], [1], 102).tolist() == [[2]]


def test_histogram_bins_are_closed_below_and_open_above() -> None:
    block = block_of([(100, 0), (90, 1), (110, 1), (1000, 0), (1000, 1)])
    edges, counts = histogram(block, 0, 1, 10, 10)
    assert edges.tolist() == [-10, 0]
    assert counts.tolist() == [1, 1]  # -10 lies in the first bin, 0 in the second, +10 in none


def test_delay_that_swaps_the_order_of_clicks_keeps_every_pair() -> None:
    """A peer that did not sort again after the delay lost half of the true coincidences."""
    rng = np.random.default_rng(1)
    t = np.sort(rng.integers(0, 10**10, 3000))
    block = TagBlock.from_unsorted(
        np.concatenate([t, t + 3200]), np.repeat(np.array([0, 1], np.uint8), 3000), 0, 10**10 + 4000
    )
    assert coincidence_matrix(block, [0], [1], 2, {1: 3200})[0, 0] == 3000
    assert coincidence_matrix(block, [0], [1], 2, {0: -3200})[0, 0] == 3000


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_tags_give_zeros(n: int) -> None:
    block = block_of([(5, 0)][:n])
    assert coincidence_matrix(block, [0, 1], [2], 100).tolist() == [[0], [0]]
    assert differences(block, 0, 1, 100).size == 0


def test_impossible_requests_are_refused() -> None:
    block = block_of([(5, 0)])
    with pytest.raises(BadRequestError, match="full width"):
        coincidence_matrix(block, [0], [1], -1)
    with pytest.raises(BadRequestError, match="multiple of the bin"):
        histogram(block, 0, 1, 15, 10)
    with pytest.raises(BadRequestError, match="channels 0 to 255"):
        coincidence_matrix(block, [0], [256], 10)
