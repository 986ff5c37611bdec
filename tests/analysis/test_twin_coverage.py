"""A few of the runs of benchmarks/bench_coverage.py: enough to notice intervals that hold the truth hardly ever, or always.

The slow tests of `test_coverage_of_tags.py` have 200 runs of each quantity, with worlds of their own.
"""

from __future__ import annotations

import pytest

from benchmarks.bench_coverage import QUANTITIES, covered, limits

FEW = {"CHSH": 20, "g2": 10, "tomography fidelity": 10}


@pytest.mark.parametrize("name", FEW)
def test_intervals_are_neither_far_too_narrow_nor_too_wide(name: str) -> None:
    inside = covered(QUANTITIES[name], FEW[name], first_seed=1000)
    low, _ = limits(FEW[name])
    assert low <= inside < FEW[name]
