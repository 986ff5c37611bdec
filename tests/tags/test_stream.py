"""The container: sorted with ties by channel, read-only, honest about live time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlab.errors import BadRequestError
from qlab.tags import stream
from qlab.tags.stream import Gap, TagBlock, concat, merge

tags = st.lists(st.tuples(st.integers(-(2**62), 2**62), st.integers(0, 255)), max_size=40)


@given(tags, st.booleans())
def test_unsorted_tags_are_sorted_by_time_then_channel(items: list[tuple[int, int]], near: bool) -> None:
    times = [t % 50 if near else t for t, _ in items]
    channels = [c for _, c in items]
    block = TagBlock.from_unsorted(np.array(times, np.int64), np.array(channels, np.uint8), 0, 1)
    assert list(zip(block.t.tolist(), block.ch.tolist(), strict=True)) == sorted(zip(times, channels, strict=True))


@settings(max_examples=50)
@given(
    st.lists(st.lists(st.integers(0, 300), max_size=40), max_size=4),
    st.lists(st.integers(-50, 50), min_size=4, max_size=4),
    st.sampled_from([1, 10**9, 2**53]),
    st.sampled_from([3, 16, 2**14]),
)
def test_merged_runs_are_those_sorted_as_a_whole(
    runs: list[list[int]], delays: list[int], unit: int, piece: int
) -> None:
    times = [unit * (np.sort(np.array(run, np.int64)) - 150) for run in runs]
    delayed = zip((5, 0, 255, 7), times, delays, strict=False)
    expected = sorted((int(time) + delay, ch) for ch, t, delay in delayed for time in t)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "_PIECE", piece)
        t, ch = stream.merge_runs(list(zip((5, 0, 255, 7), times, delays, strict=False)))
    assert list(zip(t.tolist(), ch.tolist(), strict=True)) == expected


def test_arrays_are_read_only() -> None:
    block = TagBlock(np.array([1, 2]), np.array([0, 1]), 0, 10)
    with pytest.raises(ValueError, match="read-only"):
        block.t[0] = 5
    with pytest.raises(ValueError, match="read-only"):
        block.ch[0] = 5


def test_live_time_leaves_out_gaps_and_counts_overlapping_ones_once() -> None:
    gaps = (Gap(100, 200, 3), Gap(150, 300), Gap(900, 2000), Gap(-50, 10))
    block = TagBlock(np.empty(0, np.int64), np.empty(0, np.uint8), 0, 1000, gaps)
    assert block.live_s == pytest.approx((1000 - 200 - 100 - 10) * 1e-12)


def test_shifting_by_delays_sorts_again() -> None:
    block = TagBlock(np.array([10, 20, 30]), np.array([0, 1, 0]), 0, 100)
    shifted = block.shifted({1: 15})
    assert shifted.t.tolist() == [5, 10, 30]
    assert shifted.ch.tolist() == [1, 0, 0]


def test_merged_taggers_and_concatenated_stretches() -> None:
    one = TagBlock(np.array([1, 5]), np.array([0, 0]), 0, 10)
    two = TagBlock(np.array([2, 5]), np.array([1, 1]), 0, 10)
    later = TagBlock(np.array([25]), np.array([3]), 20, 30)
    assert merge(two, one).ch.tolist() == [0, 1, 0, 1]
    joined = concat(one, later)
    assert (joined.start_ps, joined.stop_ps, joined.gaps) == (0, 30, (Gap(10, 20),))
    assert joined.live_s == pytest.approx(20e-12)
    with pytest.raises(BadRequestError, match="overlap"):
        concat(one, two)


def test_cut_out_interval_is_half_open_and_cuts_its_gaps() -> None:
    block = TagBlock(np.array([1, 5, 9]), np.array([0, 0, 0]), 0, 10, (Gap(2, 4, 7), Gap(6, 8)))
    part = block.between(1, 9)
    assert part.t.tolist() == [1, 5]
    assert block.between(3, 9).gaps == (Gap(3, 4, 0), Gap(6, 8))  # what was missed counts where the gap begins
    assert block.between(4, 6).gaps == ()
