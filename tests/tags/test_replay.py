"""A recording replayed: placed in lab time, cut anywhere, shared between taggers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlab.errors import BadRequestError
from qlab.tags.replay import ReplayFeed
from qlab.tags.stream import Gap, TagBlock, TagFeed, merge

RECORDING = TagBlock(np.array([100, 120, 120, 150, 199]), np.array([0, 4, 7, 1, 5]), 100, 200, (Gap(130, 140, 2),))


def test_recording_is_placed_at_its_start() -> None:
    feed: TagFeed = ReplayFeed(RECORDING, start_ps=1_000_000)
    block = feed.read(1_000_000, 1_000_100)
    assert block.t.tolist() == [1_000_000, 1_000_020, 1_000_020, 1_000_050, 1_000_099]
    assert block.gaps == (Gap(1_000_030, 1_000_040, 2),)


def test_before_and_after_the_recording_nothing_is_known() -> None:
    feed = ReplayFeed(RECORDING, start_ps=1000)
    block = feed.read(0, 5000)
    assert block.n == 5
    assert block.gaps == (Gap(0, 1000), Gap(1030, 1040, 2), Gap(1100, 5000))
    assert feed.read(2000, 3000).gaps == (Gap(2000, 3000),)
    assert feed.read(2000, 3000).live_s == 0.0


@given(st.booleans(), st.lists(st.integers(0, 900), min_size=2, max_size=8, unique=True))
def test_pieces_of_any_size_give_the_same_tags(repeat: bool, cuts: list[int]) -> None:
    feed = ReplayFeed(RECORDING, start_ps=70, repeat=repeat)
    cuts = sorted(cuts)
    whole = feed.read(cuts[0], cuts[-1])
    pieces = [feed.read(a, b) for a, b in itertools.pairwise(cuts)]
    assert np.concatenate([p.t for p in pieces]).tolist() == whole.t.tolist()
    assert np.concatenate([p.ch for p in pieces]).tolist() == whole.ch.tolist()
    assert sum(p.live_s for p in pieces) == pytest.approx(whole.live_s)


def test_two_taggers_share_one_recording() -> None:
    alice = ReplayFeed(RECORDING, channels={0: 0, 1: 1, 2: 2, 3: 3})
    bob = ReplayFeed(RECORDING, channels={4: 3, 5: 2, 6: 1, 7: 0})
    assert alice.read(0, 100).ch.tolist() == [0, 1]
    assert bob.read(0, 100).ch.tolist() == [0, 3, 2]  # the tie at 20 ps is ordered by the new channels
    assert merge(alice.read(0, 100), bob.read(0, 100)).n == RECORDING.n


def test_repetition_is_by_the_recordings_own_length() -> None:
    feed = ReplayFeed(RECORDING, repeat=True)
    assert feed.read(100, 200).t.tolist() == (feed.read(0, 100).t + 100).tolist()
    assert feed.read(-50, 0).gaps == (Gap(-50, 0),)
    assert feed.stop_ps is None


def test_impossible_replays_are_refused() -> None:
    with pytest.raises(BadRequestError, match="interval is empty"):
        ReplayFeed(TagBlock(np.empty(0, np.int64), np.empty(0, np.uint8), 5, 5))
    with pytest.raises(BadRequestError, match="different inputs"):
        ReplayFeed(RECORDING, channels={0: 1, 1: 1})
    with pytest.raises(BadRequestError, match="asked for tags"):
        ReplayFeed(RECORDING).read(5, 4)
