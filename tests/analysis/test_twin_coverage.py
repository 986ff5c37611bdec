"""Stated 68 % intervals hold the truth in 68 % of runs, from the twins' tags (benchmarks/bench_coverage.py has all 200)."""

from __future__ import annotations

import pytest

from benchmarks.bench_coverage import QUANTITIES, covered, limits

FEW = {"CHSH": 24, "g2": 16, "tomography fidelity": 12}
"""Runs of the quick version: enough to notice intervals that hold the truth hardly ever, or always."""


@pytest.mark.slow
@pytest.mark.parametrize("name", QUANTITIES)
def test_intervals_hold_the_truth_as_often_as_they_say(name: str) -> None:
    inside = covered(QUANTITIES[name], 200)
    low, high = limits(200)
    assert low <= inside <= high


@pytest.mark.parametrize("name", FEW)
def test_intervals_are_neither_far_too_narrow_nor_too_wide(name: str) -> None:
    inside = covered(QUANTITIES[name], FEW[name], first_seed=1000)
    low, high = limits(FEW[name])
    assert low <= inside <= min(high, FEW[name] - 1)
