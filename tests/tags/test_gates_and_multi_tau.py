"""Gated counts and multi-tau correlation against brute force, however the stream is cut, and against theory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlab.errors import BadRequestError
from qlab.tags.accumulators import local, multi_tau
from qlab.tags.accumulators.gated import GatedCounter
from qlab.tags.accumulators.multi_tau import MultiTau
from qlab.tags.accumulators.protocol import accumulate
from qlab.tags.stream import TagBlock
from tests.tags.streams import (
    ENGINES,
    block_of,
    check_every_way,
    corrected,
    cuts,
    delays,
    fed,
    offsets,
    pieces_of,
    tags,
)

waits = st.sampled_from([1, 10, 4096])


@settings(max_examples=30, deadline=None)
@given(tags, delays, cuts, offsets, waits, st.integers(-60, 60), st.integers(1, 60))
@pytest.mark.parametrize("engine", ENGINES)
def test_gated_counts_equal_brute_force(
    engine: str,
    items: list[tuple[int, int]],
    delays_ps: dict[int, int],
    at: list[int],
    offset: int,
    wait: int,
    open_ps: int,
    width_ps: int,
) -> None:
    block = block_of(items, offset)
    times = corrected(block, delays_ps)
    gates = [t for t, c in times if c == 3]
    inside = [
        sum(any(open_ps <= t - gate < open_ps + width_ps for gate in gates) for t, c in times if c == channel)
        for channel in (0, 4)
    ]
    is_open = {gate + k for gate in gates for k in range(width_ps)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "_WORTH_COUNTING", wait)

        def make() -> GatedCounter:
            return GatedCounter(3, [0, 4], open_ps, width_ps, delays_ps, engine=engine)

        check_every_way(make, block, at, inside)
        for accumulator in (fed(make, [block]), fed(make, pieces_of(block, at))):
            assert accumulator.result().open_ps == len(is_open)
            assert accumulator.result().gates == len(gates)


@settings(max_examples=30, deadline=None)
@given(tags, delays, cuts, offsets, waits, st.sampled_from([0.0, 0.125, 1e9]), st.integers(1, 9), st.booleans())
@pytest.mark.parametrize("engine", ENGINES)
def test_multi_tau_equals_brute_force(
    engine: str,
    items: list[tuple[int, int]],
    delays_ps: dict[int, int],
    at: list[int],
    offset: int,
    wait: int,
    dense: float,
    bin_ps: int,
    alone: bool,
) -> None:
    block, a, b = block_of(items, offset), 2, 2 if alone else 0
    times = corrected(block, delays_ps)
    expected = []
    for level in range(4):
        width = bin_ps << level
        for lag in range(0 if level == 0 else 2, 4):
            pairs = sum(
                cs == a and ct == b and i != j and t // width - s // width == lag
                for i, (s, cs) in enumerate(times)
                for j, (t, ct) in enumerate(times)
            )
            expected.append(pairs // 2 if alone and lag == 0 else pairs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "_WORTH_COUNTING", wait)
        patch.setattr(multi_tau, "_DENSE", dense)
        check_every_way(
            lambda: MultiTau(a, b, bin_ps, 24 * bin_ps, 4, delays_ps, engine=engine), block, at, np.array(expected)
        )


def test_blinking_light_has_the_correlation_of_theory() -> None:
    """A rate that switches between r (1 +- m) at random, after 2 tc on average: g2 = 1 + m^2 exp(-|lag| / tc).

    A bin of width w sees it averaged over lag - w to lag + w with a triangle; for lag >= w that is a factor
    (2 (cosh(w / tc) - 1)) (tc / w)^2.
    """
    rng = np.random.default_rng(11)
    tc_ps, span, rate, depth = 10**6, 4 * 10**10, 5e-6, 0.8
    flips = np.cumsum(rng.exponential(2 * tc_ps, int(span / (2 * tc_ps) * 1.2)))
    t = np.sort(rng.integers(0, span, rng.poisson(rate * 1.8 * span)))
    bright = np.searchsorted(flips, t) % 2 == 0
    t = t[bright | (rng.random(t.size) < (1 - depth) / (1 + depth))]
    block = TagBlock(t, rng.integers(0, 2, t.size), 0, span)
    result = accumulate(MultiTau(0, 1, 10_000, 10**7), [block])
    w, lag = result.widths_ps / tc_ps, result.lags_ps / tc_ps
    theory = 1 + depth**2 * np.exp(-lag) * 2 * (np.cosh(w) - 1) / w**2
    wanted = result.lags_ps >= result.widths_ps
    # 2e4 switchings: the light's own fluctuations are 1 % of the excess; with the Poisson errors of the bins, 4 sigma.
    sigma = np.hypot(result.g2_errors, depth**2 * np.sqrt(4 * tc_ps / span) * 2)
    assert np.all(np.abs(result.g2 - theory)[wanted] < 4 * sigma[wanted])
    excess = (theory - 1)[wanted]
    assert (result.g2 - 1)[wanted] @ excess / (excess @ excess) == pytest.approx(1.0, abs=0.03)
    assert result.g2[1] == pytest.approx(1.64, abs=0.05)
    assert result.g2[-1] == pytest.approx(1.0, abs=0.04)
    assert (result + result).g2[5] == pytest.approx(result.g2[5], rel=1e-3)


def test_gates_of_a_pulsed_lamp_give_rates_per_open_time() -> None:
    gates = np.arange(0, 10**9, 10**5)
    rng = np.random.default_rng(2)
    t = np.concatenate([gates, rng.integers(0, 10**9, 40_000)])
    block = TagBlock.from_unsorted(t, np.r_[np.zeros(gates.size), np.ones(40_000)], 0, 10**9)
    result = accumulate(GatedCounter(0, [1], 0, 20_000), [block])
    assert (result.gates, result.open_ps) == (10_000, 200_000_000)
    assert result.duty == pytest.approx(0.2)
    assert result.rates_hz[0] == pytest.approx(4e7, abs=4 * result.rate_errors_hz[0])
    assert result.rate_errors_hz[0] == pytest.approx(4e7 / np.sqrt(8000), rel=0.05)
    assert (result + result).rates_hz[0] == pytest.approx(result.rates_hz[0])


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(BadRequestError, match="expected at least one other channel"):
        GatedCounter(1, [1], 0, 10)
    with pytest.raises(BadRequestError, match="even number of lags"):
        MultiTau(0, 1, 10, 1000, 5)
    with pytest.raises(BadRequestError, match="levels"):
        MultiTau(0, 1, 1, 2**60)
    with pytest.raises(BadRequestError, match="do not add up"):
        MultiTau(0, 1, 10, 1000).result() + MultiTau(0, 1, 20, 1000).result()
