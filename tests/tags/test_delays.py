"""Delays come out of the data alone, also when most pairs of channels do not correlate."""

from __future__ import annotations

import numpy as np
import pytest

from qlab.errors import BadRequestError
from qlab.tags.delays import find_delays, find_peak
from qlab.tags.stream import TagBlock

SECOND = 10**12


def paired(
    delays_ps: list[int],
    pairs: list[tuple[int, int, int]],
    *,
    jitter_ps: float = 150.0,
    dark: int = 20_000,
    seed: int = 5,
) -> TagBlock:
    """Return tags of channels with known delays; each of `pairs` (a, b, n) adds n common emissions."""
    rng = np.random.default_rng(seed)
    t, ch = [], []
    for a, b, n in pairs:
        emitted = rng.integers(10**6, SECOND - 10**6, n)
        for channel in (a, b):
            t.append(emitted + delays_ps[channel] + rng.normal(0, jitter_ps, n).astype(np.int64))
            ch.append(np.full(n, channel))
    for channel in range(len(delays_ps)):
        t.append(rng.integers(0, SECOND, dark))
        ch.append(np.full(dark, channel))
    return TagBlock.from_unsorted(np.concatenate(t), np.concatenate(ch), 0, SECOND)


def test_delays_are_found_where_only_a_tree_of_pairs_correlates() -> None:
    truth = [0, 12_300, -4_321, 150_000]
    solution = find_delays(paired(truth, [(0, 2, 3000), (1, 2, 3000), (1, 3, 3000)]), [0, 1], [2, 3])
    # each lag is known to sqrt(2) * 150 / sqrt(3000) = 4 ps; channel 3 hangs on three of them: 7 ps, 5 sigma
    assert solution.delays_ps == {c: pytest.approx(d, abs=35) for c, d in enumerate(truth)}
    assert solution.unresolved == ()
    assert [(p.a, p.b) for p in solution.peaks if p.used] == [(0, 2), (1, 2), (1, 3)]
    # one pair has the significance it has by Poisson noise of the background of its window: 20e3 * 20e3 * 2 ns = 0.8
    assert all(p.significance > 100 for p in solution.peaks if p.used)


def test_peak_is_located_below_the_bin_with_an_honest_error() -> None:
    pulls = []
    for seed in range(40):
        peak = find_peak(paired([0, 7_777], [(0, 1, 400)], seed=seed), 0, 1, search_ps=100_000, width_ps=2000)
        pulls.append((peak.lag_ps - 7_777) / peak.error_ps)
    # 40 draws: the spread of pulls is known to 11 %; truncation to whole ps cancels between the channels
    assert np.std(pulls) == pytest.approx(1, abs=0.35)
    assert abs(np.mean(pulls)) < 0.7


def test_channels_that_correlate_with_nothing_are_named_and_do_no_harm() -> None:
    solution = find_delays(paired([0, 5000, 9000, 0], [(0, 2, 3000)]), [0, 1], [2, 3])
    assert solution.unresolved == (1, 3)
    assert solution.groups == ((0, 2),)
    assert solution.delays_ps == {0: 0, 2: pytest.approx(9000, abs=25)}


def test_false_peak_that_contradicts_the_others_is_dropped() -> None:
    """Channels 0 and 2 share another, weaker, correlation at the wrong lag; the true one is hidden."""
    block = paired([0, 0, 3000, 3000], [(0, 3, 3000), (1, 2, 3000), (1, 3, 3000)])
    false = paired([0, 0, 60_000, 0], [(0, 2, 800)], dark=0)
    both = TagBlock.from_unsorted(np.concatenate([block.t, false.t]), np.concatenate([block.ch, false.ch]), 0, SECOND)
    solution = find_delays(both, [0, 1], [2, 3])
    assert solution.delays_ps == {
        0: 0,
        1: pytest.approx(0, abs=35),
        2: pytest.approx(3000, abs=35),
        3: pytest.approx(3000, abs=35),
    }
    assert [(p.a, p.b) for p in solution.peaks if not p.used] == [(0, 2)]


def test_empty_data_resolve_nothing() -> None:
    empty = TagBlock(np.empty(0, np.int64), np.empty(0, np.uint8), 0, 1)
    solution = find_delays(empty, [0], [1])
    assert (solution.unresolved, solution.groups, solution.delays_ps) == ((0, 1), (), {0: 0})


def test_groups_that_share_no_peak_are_aligned_each_for_itself() -> None:
    """Perfect correlations in one basis: nothing ties H to V, but HH and VV must be counted."""
    solution = find_delays(paired([0, 40_000, 3000, 45_000], [(0, 2, 3000), (1, 3, 3000)]), [0, 1], [2, 3])
    assert solution.groups == ((0, 2), (1, 3))
    assert solution.delays_ps == {0: 0, 1: 0, 2: pytest.approx(3000, abs=25), 3: pytest.approx(5000, abs=25)}


def test_parties_must_be_two() -> None:
    with pytest.raises(BadRequestError, match="two groups"):
        find_delays(paired([0, 0], []), [0], [0, 1])
