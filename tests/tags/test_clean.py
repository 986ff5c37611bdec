"""Echoes are found and taken out; pulsed light, afterpulses and honest channels are left alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlab.errors import BadRequestError
from qlab.tags.clean import Echo, dead_time_filtered, find_echo, without_echoes
from qlab.tags.files.sniff import open_tags
from qlab.tags.stream import TagBlock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SECOND = 10**12


def block_of(*channels: np.ndarray, stop_ps: int = SECOND) -> TagBlock:
    ch = np.repeat(np.arange(len(channels), dtype=np.uint8), [c.size for c in channels])
    return TagBlock.from_unsorted(np.concatenate(channels), ch, 0, stop_ps)


def poisson(n: int, seed: int) -> np.ndarray:
    return np.sort(np.random.default_rng(seed).integers(0, SECOND, n))


def test_echo_of_one_channel_is_found_and_removed() -> None:
    rng = np.random.default_rng(3)
    original, other = poisson(100_000, 1), poisson(100_000, 2)
    with_echo = original[rng.random(original.size) < 0.6]
    echoes = with_echo + 33_000 + rng.integers(-800, 800, with_echo.size)
    block = block_of(np.concatenate([original, echoes]), other)
    found = find_echo(block, 0)
    assert found is not None
    assert found.lag_ps == pytest.approx(33_000, abs=500)
    assert found.fraction == pytest.approx(0.6, abs=0.01)
    cleaned = without_echoes(block, [found])
    # Chance: an original follows another at the echo's lag (a window of about 2 ns) at 100 kcps: 0.02 % of them.
    assert cleaned.counts(2).tolist() == [pytest.approx(100_000, rel=1e-3), 100_000]
    assert find_echo(cleaned, 0) is None
    assert find_echo(block, 1) is None


def test_pulsed_light_is_no_echo() -> None:
    pulses = np.random.default_rng(4).choice(SECOND // 12_500, 200_000, replace=False).astype(np.int64) * 12_500
    assert find_echo(block_of(np.sort(pulses)), 0) is None


def test_light_of_few_clicks_has_no_echo() -> None:
    assert find_echo(block_of(poisson(50, 1)), 0) is None
    assert find_echo(block_of(poisson(50, 1)), 7) is None


@given(st.lists(st.integers(0, 300), max_size=50), st.integers(1, 30), st.integers(0, 10))
def test_echo_removal_equals_one_pass_over_time(times: list[int], first: int, width: int) -> None:
    block = block_of(np.array(times, dtype=np.int64))
    kept: list[int] = []
    for t in sorted(times):
        if not any(first <= t - u <= first + width for u in kept):
            kept.append(t)
    assert without_echoes(block, [Echo(0, first, first, first + width, 0, 0.0)]).t.tolist() == kept


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 2)), max_size=60), st.integers(0, 40))
def test_dead_time_filter_equals_one_pass_over_time(tags: list[tuple[int, int]], dead_time_ps: int) -> None:
    t, ch = np.array([t for t, _ in tags], np.int64), np.array([c for _, c in tags], np.uint8)
    block = TagBlock.from_unsorted(t, ch, 0, 301)
    last: dict[int, int] = {}
    kept = []
    for time, channel in zip(block.t.tolist(), block.ch.tolist(), strict=True):
        if channel not in last or time - last[channel] >= dead_time_ps:
            kept.append((time, channel))
            last[channel] = time
    result = dead_time_filtered(block, dead_time_ps)
    assert list(zip(result.t.tolist(), result.ch.tolist(), strict=True)) == kept


def test_negative_dead_time_is_refused() -> None:
    with pytest.raises(BadRequestError, match="dead time"):
        dead_time_filtered(block_of(poisson(3, 1)), -1)


def test_only_channel_0_of_the_kwiat_recording_echoes(recording: Callable[[str], Path]) -> None:
    """Its description: channel 0 echoes 210 bins (of 156.25 ps: 32.8 ns) after about half its events."""
    block = open_tags(recording("kwiat_bbm92_alice_bob.txt"), bin_ps=156.25)
    echoes = [find_echo(block, channel) for channel in range(8)]
    found = echoes[0]
    assert found is not None
    assert found.lag_ps == pytest.approx(33_000, abs=1000)
    assert found.count == pytest.approx(54_474 / 2, rel=0.05)
    assert echoes[1:] == [None] * 7
    assert without_echoes(block, [found]).counts(1)[0] == pytest.approx(54_474 - found.count, rel=0.01)


def test_pulsed_recording_has_no_echo(recording: Callable[[str], Path]) -> None:
    block = open_tags(recording("hydraharp_t2_320MHz_hbt.ptu"))
    assert [find_echo(block, channel) for channel in (1, 2)] == [None, None]
