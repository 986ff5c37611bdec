"""Every accumulator against brute force, however its stream is cut, by both engines."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlab.errors import BadRequestError, StorageError
from qlab.tags.accumulators import local
from qlab.tags.accumulators.coincidences import CoincidenceCounter
from qlab.tags.accumulators.folds import FoldCounter
from qlab.tags.accumulators.heralded import HeraldedCounter
from qlab.tags.accumulators.histogram import DelayHistogram
from qlab.tags.accumulators.protocol import accumulate
from qlab.tags.accumulators.storage import from_bytes
from qlab.tags.stream import TagBlock
from tests.tags.streams import ENGINES, block_of, check_every_way, corrected, cuts, delays, offsets, tags

PAIRS = [(0, 1), (3, 1), (2, 2), (4, 0)]
occupancies = st.sampled_from([0.0, 0.3, 1e9])
waits = st.sampled_from([1, 10, 4096])


@settings(max_examples=60)
@given(tags, delays, cuts, offsets, occupancies, waits, st.integers(-12, 6), st.integers(1, 12), st.integers(1, 9))
@pytest.mark.parametrize("engine", ENGINES)
def test_histogram_equals_brute_force(
    engine: str,
    items: list[tuple[int, int]],
    delays_ps: dict[int, int],
    at: list[int],
    offset: int,
    occupancy: float,
    wait: int,
    first: int,
    n_bins: int,
    bin_ps: int,
) -> None:
    block, lo_ps = block_of(items, offset), first * bin_ps
    hi_ps = lo_ps + n_bins * bin_ps
    expected = np.zeros((len(PAIRS), n_bins), dtype=np.int64)
    times = corrected(block, delays_ps)
    for i, (ti, ci) in enumerate(times):
        for j, (tj, cj) in enumerate(times):
            if i == j or (ci, cj) not in PAIRS or (ci == cj and (tj < ti or (tj == ti and j < i))):
                continue  # of one channel, positive lags, and a tie once
            if lo_ps <= tj - ti < hi_ps:
                expected[PAIRS.index((ci, cj)), (tj - ti - lo_ps) // bin_ps] += 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "_MAX_OCCUPANCY", occupancy)
        patch.setattr(local, "_WORTH_COUNTING", wait)
        check_every_way(
            lambda: DelayHistogram(PAIRS, lo_ps, hi_ps, bin_ps, delays_ps, engine=engine), block, at, expected
        )


@settings(max_examples=60)
@given(tags, delays, cuts, offsets, occupancies, waits, st.integers(0, 90))
@pytest.mark.parametrize("engine", ENGINES)
def test_coincidences_equal_brute_force(
    engine: str,
    items: list[tuple[int, int]],
    delays_ps: dict[int, int],
    at: list[int],
    offset: int,
    occupancy: float,
    wait: int,
    window_ps: int,
) -> None:
    block, channels = block_of(items, offset), [4, 0, 1, 3]
    expected = np.zeros((4, 4), dtype=np.int64)
    times = corrected(block, delays_ps)
    for i, (ti, ci) in enumerate(times):
        for tj, cj in times[:i]:
            if ci in channels and cj in channels and abs(tj - ti) <= window_ps // 2:
                expected[channels.index(ci), channels.index(cj)] += 1
                expected[channels.index(cj), channels.index(ci)] += ci != cj
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "_MAX_OCCUPANCY", occupancy)
        patch.setattr(local, "_WORTH_COUNTING", wait)
        check_every_way(lambda: CoincidenceCounter(channels, window_ps, delays_ps, engine=engine), block, at, expected)


def test_gaps_and_live_time_reach_the_rates() -> None:
    result = accumulate(CoincidenceCounter([0, 1], 100), [block_of([(200, 0), (210, 1), (900, 1)])])
    assert result.exposure.live_ps == 3950
    assert (result.exposure.gaps, result.exposure.missed) == (1, 3)
    assert result.between([0], [1]).tolist() == [[1]]
    assert result.rates_hz[0, 1] == pytest.approx(1 / 3950e-12)
    assert result.rate_errors_hz[0, 1] == pytest.approx(1 / 3950e-12)
    assert result.accidentals[0, 1] == pytest.approx(1 * 2 * 101 / 3950)
    pooled = result + result
    assert pooled.counts[0, 1] == 2
    assert pooled.rates_hz[0, 1] == result.rates_hz[0, 1]
    assert pooled.rate_errors_hz[0, 1] == pytest.approx(result.rate_errors_hz[0, 1] / np.sqrt(2))


def test_light_without_correlations_has_a_g2_of_one() -> None:
    """Poisson light: every bin holds S_a S_b bin / T pairs; chi-square over the bins, and over those of lags with itself."""
    rng = np.random.default_rng(5)
    t, ch = rng.integers(0, 10**11, 200_000), rng.integers(0, 2, 200_000)
    block = TagBlock.from_unsorted(t, ch, 0, 10**11)
    result = accumulate(DelayHistogram([(0, 1), (0, 0)], 0, 100_000, 1000), [block])
    for row, expected in zip(result.counts, result.accidentals, strict=True):
        assert expected == pytest.approx(100.0, rel=0.02)
        assert ((row - expected) ** 2 / expected).sum() == pytest.approx(100, abs=4 * np.sqrt(200))
    assert result.g2.mean() == pytest.approx(1.0, abs=4 * 0.1 / np.sqrt(200))


def test_what_cannot_be_counted_is_refused() -> None:
    block = block_of([(5, 0), (9, 1)])
    accumulator = CoincidenceCounter([0, 1], 10)
    accumulator.feed(block)
    with pytest.raises(BadRequestError, match="overlaps what ends at 4000 ps"):
        accumulator.feed(block)
    with pytest.raises(BadRequestError, match="overlaps"):
        accumulator + accumulator
    with pytest.raises(BadRequestError, match="different settings"):
        accumulator + CoincidenceCounter([0, 1], 12)
    with pytest.raises(BadRequestError, match="order of time"):
        accumulator.feed(TagBlock(np.array([7]), np.array([1]), 4000, 5000))
    with pytest.raises(BadRequestError, match="no engine 'cuda'"):
        CoincidenceCounter([0, 1], 10, engine="cuda")
    with pytest.raises(BadRequestError, match="channels 0 to 255"):
        CoincidenceCounter([0, 256], 10)
    with pytest.raises(BadRequestError, match="whole number of bins"):
        DelayHistogram([(0, 1)], 0, 15, 10)
    with pytest.raises(BadRequestError, match="other way round"):
        DelayHistogram([(0, 1), (1, 0)], 0, 10, 10)
    with pytest.raises(BadRequestError, match="do not add up"):
        accumulator.result() + CoincidenceCounter([0, 1], 12).result()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "make",
    [
        lambda e: CoincidenceCounter([0, 1], 20, engine=e),
        lambda e: DelayHistogram([(0, 1)], 0, 20, 10, engine=e),
        lambda e: FoldCounter([(0, 1, 2, 3)], 20, engine=e),
        lambda e: HeraldedCounter(0, [1], 0, 20, engine=e),
    ],
    ids=["coincidences", "histogram", "folds", "heralded"],
)
def test_tags_out_of_order_are_refused(make: Any, engine: str) -> None:
    t = np.arange(5000) * 100
    t[3000] = t[2990]
    with pytest.raises(BadRequestError, match=r"from_unsorted"):
        make(engine).feed(TagBlock(t, np.zeros(5000), 0, 10**6))


def test_bytes_that_are_no_accumulator_are_refused() -> None:
    for data in (b"", b"PK\x03\x04", CoincidenceCounter([0], 1).to_bytes()[:-30]):
        with pytest.raises(StorageError, match="no accumulator"):
            from_bytes(data)
