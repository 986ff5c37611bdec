"""Stated 68 % intervals against time tags of the simulated world: 200 seeded runs each, within three binomial sigma.

The counterpart of `test_coverage.py`, which draws counts from probabilities: here pairs are emitted, lost, detected with
jitter, darks, dead time and afterpulses, tagged, and counted by the tag engine, as `benchmarks/bench_coverage.py` does it.
Minutes; run it with `pytest -m slow tests/analysis/test_coverage_of_tags.py`.
"""

from __future__ import annotations

import pytest

from benchmarks.bench_coverage import QUANTITIES, covered, dip_visibility, limits

from ..physics.test_interference import hom_theory
from .test_coverage import RUNS

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", QUANTITIES)
@pytest.mark.timeout(1800)
def test_intervals_hold_the_truth_as_often_as_they_say(name: str) -> None:
    low, high = limits(RUNS)
    inside = covered(QUANTITIES[name], RUNS)
    assert low <= inside <= high


def test_the_truth_of_the_dip_is_that_of_fock_states() -> None:
    inside, outside = (float(hom_theory(v, mean=0.1, eta=0.6)[15]) for v in (1.0, 0.0))
    assert dip_visibility() == pytest.approx(1 - inside / outside, abs=1e-3)  # they stop at four pairs a source
