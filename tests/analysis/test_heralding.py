"""Figures of a pair source against their definition, and their errors against the spread of simulated experiments."""

from __future__ import annotations

import numpy as np
import pytest

from qlab.analysis.heralding import pair_figures
from qlab.errors import BadRequestError


def test_the_figures_are_klyshkos() -> None:
    # 100,000 pairs, efficiencies 0.4 and 0.25, no darks: S_a = 40,000, S_b = 25,000, C = 10,000
    figures = pair_figures(40_000, 25_000, 10_050, 50, 2.0)
    assert figures.efficiency_a == pytest.approx(0.4)
    assert figures.efficiency_b == pytest.approx(0.25)
    assert figures.pair_rate_hz == pytest.approx(50_000)
    assert figures.car == pytest.approx(200)


def test_the_stated_errors_are_the_spread_of_experiments() -> None:
    rng = np.random.default_rng(8)
    n, pairs, eta_a, eta_b, dark_a, dark_b, accidental = 4000, 20_000, 0.3, 0.5, 400.0, 250.0, 60.0
    born = rng.poisson(pairs, n)
    both = rng.binomial(born, eta_a * eta_b)
    only_a = rng.binomial(born - both, eta_a * (1 - eta_b) / (1 - eta_a * eta_b))
    rest = born - both - only_a
    only_b = rng.binomial(rest, (1 - eta_a) * eta_b / (1 - eta_a * eta_b - eta_a * (1 - eta_b)))
    found = [
        pair_figures(a, b, c, accidental, 1.0, darks_a=dark_a, darks_b=dark_b)
        for a, b, c in zip(
            both + only_a + rng.poisson(dark_a, n),
            both + only_b + rng.poisson(dark_b, n),
            both + rng.poisson(accidental, n),
            strict=True,
        )
    ]
    for name, true in (("efficiency_a", eta_a), ("efficiency_b", eta_b), ("pair_rate_hz", pairs)):
        values = np.array([getattr(f, name) for f in found])
        stated = np.mean([getattr(f, f"{name}_sigma") for f in found])
        assert values.mean() == pytest.approx(true, rel=2e-3)
        # the pair rate itself is Poisson: what is stated is its error for the pairs that there were
        spread = values.std() if name != "pair_rate_hz" else (values - born).std()
        assert stated == pytest.approx(spread, rel=0.05)  # 4000 values: 1.1 % of a standard deviation


def test_no_pairs_are_no_source() -> None:
    with pytest.raises(BadRequestError, match="there are no pairs"):
        pair_figures(1000, 1000, 5, 5.0, 1.0)
