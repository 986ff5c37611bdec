"""N-folds and heralded counts against brute force, however the stream is cut, by both engines."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlab.errors import BadRequestError
from qlab.tags.accumulators import local
from qlab.tags.accumulators.coincidences import CoincidenceCounter
from qlab.tags.accumulators.folds import FoldCounter
from qlab.tags.accumulators.heralded import HeraldedCounter
from qlab.tags.accumulators.protocol import accumulate
from qlab.tags.stream import TagBlock
from tests.tags.streams import ENGINES, block_of, check_every_way, corrected, cuts, delays, offsets, tags

PATTERNS = [(0, 1, 2), (3, 1), (4, 2, 0, 1)]


@settings(max_examples=40)
@given(tags, delays, cuts, offsets, st.sampled_from([1, 10, 4096]), st.integers(0, 60))
@pytest.mark.parametrize("engine", ENGINES)
def test_folds_equal_brute_force(
    engine: str,
    items: list[tuple[int, int]],
    delays_ps: dict[int, int],
    at: list[int],
    offset: int,
    wait: int,
    window_ps: int,
) -> None:
    block = block_of(items[:24], offset)
    times = corrected(block, delays_ps)
    of = [[t for t, c in times if c == channel] for channel in range(5)]
    expected = [
        sum(max(choice) - min(choice) <= window_ps // 2 for choice in product(*(of[c] for c in pattern)))
        for pattern in PATTERNS
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "_WORTH_COUNTING", wait)
        check_every_way(lambda: FoldCounter(PATTERNS, window_ps, delays_ps, engine=engine), block, at, expected)


@settings(max_examples=40)
@given(tags, delays, cuts, offsets, st.sampled_from([0.0, 1e9]), st.integers(-60, 30), st.integers(0, 60))
@pytest.mark.parametrize("engine", ENGINES)
def test_heralded_counts_equal_brute_force(
    engine: str,
    items: list[tuple[int, int]],
    delays_ps: dict[int, int],
    at: list[int],
    offset: int,
    occupancy: float,
    lo_ps: int,
    width_ps: int,
) -> None:
    block, hi_ps = block_of(items, offset), lo_ps + width_ps
    times = corrected(block, delays_ps)
    expected = np.zeros(8, dtype=np.int64)
    for herald, channel in times:
        if channel == 3:
            expected[
                sum(1 << k for k in range(3) if any(c == k and lo_ps <= t - herald <= hi_ps for t, c in times))
            ] += 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "_MAX_OCCUPANCY", occupancy)
        patch.setattr(local, "_WORTH_COUNTING", 5)
        check_every_way(
            lambda: HeraldedCounter(3, [0, 1, 2], lo_ps, hi_ps, delays_ps, engine=engine), block, at, expected
        )


def test_poisson_light_gives_the_accidental_folds_of_theory() -> None:
    """All pairs and triples share tags, so they spread wider than Poisson: the error is that of 60 independent runs."""
    rng = np.random.default_rng(8)
    runs = [
        accumulate(
            FoldCounter([(0, 1), (0, 1, 2)], 2000),
            [TagBlock.from_unsorted(rng.integers(0, 10**8, 30_000), rng.integers(0, 3, 30_000), 0, 10**8)],
        )
        for _ in range(60)
    ]
    excess = np.array([run.counts - run.accidentals for run in runs])
    error = excess.std(axis=0, ddof=1) / np.sqrt(len(runs))
    assert np.all(np.abs(excess.mean(axis=0)) < 4 * error)
    assert np.all(error < 0.01 * runs[0].accidentals)  # so that a wrong factor would be seen


def test_twofolds_are_coincidences() -> None:
    rng = np.random.default_rng(9)
    block = TagBlock.from_unsorted(rng.integers(0, 10**8, 30_000), rng.integers(0, 3, 30_000), 0, 10**8)
    folds = accumulate(FoldCounter([(0, 1)], 2000), [block])
    pairs = accumulate(CoincidenceCounter([0, 1], 2000), [block])
    assert folds.counts[0] == pairs.counts[0, 1]
    assert folds.accidentals[0] == pytest.approx(pairs.accidentals[0, 1])
    assert folds.rates_hz[0] == pytest.approx(folds.counts[0] / 1e-4)


def test_the_four_numbers_of_a_heralded_g2() -> None:
    block = block_of([(100, 0), (101, 1), (200, 0), (203, 2), (300, 0), (301, 1), (302, 2), (400, 0), (500, 1)])
    result = accumulate(HeraldedCounter(0, [1, 2], -5, 5), [block])
    assert [result.with_all(), result.with_all(1), result.with_all(2), result.with_all(1, 2)] == [4, 2, 2, 1]
    assert (result + result).with_all(1, 2) == 2


def test_a_gate_opens_after_its_tag_and_closes_again() -> None:
    gate = block_of([(100, 0), (109, 1), (110, 1), (119, 1), (120, 1)])
    opens, width = 10, 10
    assert accumulate(HeraldedCounter(1, [0], -(opens + width) + 1, -opens), [gate]).with_all(0) == 2


def test_impossible_folds_and_heralds_are_refused() -> None:
    with pytest.raises(BadRequestError, match="two or more different channels"):
        FoldCounter([(1, 1)], 10)
    with pytest.raises(BadRequestError, match="different channels"):
        HeraldedCounter(1, [1, 2], 0, 10)
    with pytest.raises(BadRequestError, match="same patterns"):
        FoldCounter([(1, 2)], 10).result() + FoldCounter([(1, 2)], 12).result()
