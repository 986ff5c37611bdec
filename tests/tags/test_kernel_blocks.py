"""Kernels where their blocks meet: streams of several blocks, dense and sparse, against a plain loop over tags."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest

from qlab.errors import BadRequestError
from qlab.tags.kernels import numba_kernels, numpy_kernels
from qlab.tags.kernels.protocol import LagBins, Lanes, kernels_of
from tests.tags.streams import ENGINES, NEEDS_NUMBA

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

# The blocks of numba's loops, of 4096 tags, are compiled in.
WAYS = [("numpy", 16), ("numpy", 1 << 16), pytest.param("numba", 0, marks=NEEDS_NUMBA)]
DELAYS = {0: 0, 1: -7, 2: 20, 3: 5}
# 11 bins of 3 ps from -16; of pairs (0, 1), (2, 0) and (3, 3).
LO_PS, BIN_PS, N_BINS = -16, 3, 11
ROWS = {(0, 1): 0, (2, 0): 1, (3, 3): 2}
HALF_PS, SPAN_PS = 9, 12
MASKS = [(0, 1, 2, 3), (1, 3, 2)]


def stream(step_ps: int) -> tuple[Ints, NDArray[np.uint8]]:
    """Return 20,000 tags: bursts of some ten among lone ones, with ties."""
    rng = np.random.default_rng(step_ps)
    gaps = np.where(rng.random(20_000) < 0.5, rng.integers(0, 12, 20_000), rng.integers(0, 2 * step_ps, 20_000))
    return np.cumsum(gaps), rng.integers(0, 4, 20_000).astype(np.uint8)


@cache
def neighbours(step_ps: int, reach_ps: int) -> list[tuple[int, int]]:
    times = stream(step_ps)[0].tolist()
    found = []
    for i, now in enumerate(times):
        for j in range(i + 1, len(times)):
            if times[j] - now > reach_ps:
                break
            found.append((i, j))
    return found


@pytest.mark.parametrize("step_ps", [400, 15], ids=["sparse", "dense"])
@pytest.mark.parametrize(("engine", "block"), WAYS)
def test_kernels_equal_a_plain_loop(engine: str, block: int, step_ps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numpy_kernels, "BLOCK", block)
    lanes = Lanes.of([0, 1, 2, 3], DELAYS)
    t, ch = stream(step_ps)
    late = t - lanes.delays_ps[ch]
    reach = 20 + lanes.spread_ps
    lags, pairs = np.zeros((3, N_BINS), dtype=np.int64), np.zeros((4, 4), dtype=np.int64)
    for i, j in neighbours(step_ps, reach):
        a, b = int(ch[i]), int(ch[j])
        dt = int(late[j] - late[i])
        pairs[a, b] += abs(dt) <= HALF_PS
        if (b, a) in ROWS and a != b:
            a, b, dt = b, a, -dt
        if (a, b) in ROWS and LO_PS <= dt < LO_PS + N_BINS * BIN_PS:
            lags[ROWS[a, b], (dt - LO_PS) // BIN_PS] += 1
    row, sign = np.full(16, -1), np.ones(16, dtype=np.int64)
    for (a, b), k in ROWS.items():
        row[[4 * a + b, 4 * b + a]] = k
        sign[4 * b + a] = -1 if a != b else 1
    kernels = kernels_of(engine)
    bins = LagBins(row, sign, 3, LO_PS, BIN_PS, N_BINS)
    loops = ["few", "many"] if engine == "numba" else ["few"]
    for loop in loops:
        monkeypatch.setattr(numba_kernels, "_MANY", 0.0 if loop == "many" else 1e9)
        np.testing.assert_array_equal(kernels.lag_histogram(t, ch, lanes, bins, reach), lags)
        np.testing.assert_array_equal(kernels.pair_counts(t, ch, lanes, HALF_PS, reach), pairs)


@cache
def folds_by_a_plain_loop(step_ps: int) -> list[int]:
    t, ch = stream(step_ps)
    late = t - Lanes.of([0, 1, 2, 3], DELAYS).delays_ps[ch]
    order = np.argsort(late, kind="stable")
    times, channels = late[order].tolist(), ch[order].tolist()
    counts = [0] * len(MASKS)
    for i, now in enumerate(times):
        near = [0, 0, 0, 0]
        for j in range(i + 1, len(times)):
            if times[j] - now > SPAN_PS:
                break
            near[channels[j]] += 1
        near[channels[i]] = 1
        for k, lanes in enumerate(MASKS):
            if channels[i] in lanes:
                counts[k] += int(np.prod([near[lane] for lane in lanes]))
    return counts


@pytest.mark.parametrize("step_ps", [400, 15], ids=["sparse", "dense"])
@pytest.mark.parametrize(("engine", "block"), WAYS)
def test_folds_equal_a_plain_loop(engine: str, block: int, step_ps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numpy_kernels, "BLOCK", block)
    lanes = Lanes.of([0, 1, 2, 3], DELAYS)
    t, ch = stream(step_ps)
    masks = np.array([sum(1 << lane for lane in lanes_of) for lanes_of in MASKS])
    counts = kernels_of(engine).fold_counts(t, ch, lanes, masks, SPAN_PS, SPAN_PS + lanes.spread_ps)
    assert counts.tolist() == folds_by_a_plain_loop(step_ps)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("at", [1, 4095, 4096, 8192, 19_998, 19_999])
def test_a_step_back_is_seen_anywhere(engine: str, at: int) -> None:
    t, ch = np.arange(20_000) * 1000, np.zeros(20_000, dtype=np.uint8)
    t[at] = t[at - 1] - 1
    lanes, bins = Lanes.of([0, 1]), LagBins(np.full(4, 0), np.ones(4, dtype=np.int64), 1, 0, 1, 5)
    kernels = kernels_of(engine)
    for count in (
        lambda: kernels.lag_histogram(t, ch, lanes, bins, 4),
        lambda: kernels.pair_counts(t, ch, lanes, 4, 4),
        lambda: kernels.fold_counts(t, ch, lanes, np.array([3]), 4, 4),
    ):
        with pytest.raises(BadRequestError, match="order of time"):
            count()


@pytest.mark.parametrize("bin_ps", [1, 3, 10, 4096, 10**6, 999_999_937])
def test_lags_are_divided_exactly(bin_ps: int) -> None:
    """Where the inverse is used: around every edge of a bin, the first and the last included."""
    pytest.importorskip("numba")
    n_bins = 1000
    bins = LagBins(np.zeros(1, dtype=np.int64), np.ones(1, dtype=np.int64), 1, 0, bin_ps, n_bins)
    inverse = int(numba_kernels._inverse(bins))
    edges = np.arange(n_bins + 1) * bin_ps
    for lag in (*edges[:-1].tolist(), *(edges[1:] - 1).tolist()):
        assert not inverse or (lag * inverse) >> 40 == lag // bin_ps
    assert inverse or bin_ps * bin_ps * n_bins >= 1 << 40


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("n", [0, 1, 63, 64, 65, 5000])
@pytest.mark.parametrize("channels", [[7], [0, 3, 255, 9], list(range(16, 0, -1)), list(range(200))])
def test_singles_are_counted_by_lanes(engine: str, n: int, channels: list[int]) -> None:
    ch = np.random.default_rng(n).integers(0, 256, n).astype(np.uint8)
    ch.flags.writeable = False
    counts = kernels_of(engine).singles(ch, Lanes.of(channels))
    assert counts.tolist() == [ch.tolist().count(c) for c in channels]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("spread_ps", [1, 40, 5000, 10**6])
def test_delays_are_taken_off_in_order(engine: str, spread_ps: int) -> None:
    t, ch = stream(400)
    lanes = Lanes.of([0, 1, 2, 3], {0: spread_ps, 1: -3, 2: spread_ps // 2})
    moved, channels = kernels_of(engine).realign(t, ch, lanes)
    expected = t - lanes.delays_ps[ch]
    assert (np.diff(moved) >= 0).all()
    for channel in range(4):
        np.testing.assert_array_equal(moved[channels == channel], expected[ch == channel])
