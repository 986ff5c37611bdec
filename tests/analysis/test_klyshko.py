"""Klyshko efficiencies scatter as they say, where darks and accidentals are many and their rates known but a little."""

from __future__ import annotations

import numpy as np
import pytest

from qlab.analysis.klyshko import DetectorClicks, klyshko_figures

PAIRS_HZ, LIVE_S, DARK_S, WINDOW_PS = 60_000.0, 1.0, 0.05, 4000.0
ETA = (0.2, 0.3)
DARK_HZ = (9000.0, 14_000.0)


def drawn(rng: np.random.Generator, *, sigma: bool) -> tuple[float, float, float, float, float, float]:
    """Return efficiencies and pair rate with their uncertainties from one draw of the counts."""
    pairs = rng.poisson(PAIRS_HZ * LIVE_S)
    both = rng.binomial(pairs, ETA[0] * ETA[1])
    only = [rng.binomial(pairs - both, e * (1 - o) / (1 - ETA[0] * ETA[1])) for e, o in (ETA, ETA[::-1])]
    # `only` of both arms are drawn as if independent: their covariance is a hundredth of their variance
    singles = [float(both + n + rng.poisson(d * LIVE_S)) for n, d in zip(only, DARK_HZ, strict=True)]
    mean = singles[0] * singles[1] * WINDOW_PS * 1e-12 / LIVE_S
    coincidences = float(both + rng.poisson(mean))
    counted = [rng.poisson(d * DARK_S) for d in DARK_HZ]
    a, b = (
        [DetectorClicks(s, n / DARK_S, dark_hz_sigma=n**0.5 / DARK_S if sigma else 0.0)]
        for s, n in zip(singles, counted, strict=True)
    )
    f = klyshko_figures(a, b, [[coincidences]], WINDOW_PS, LIVE_S)
    return f.arm_a, f.arm_a_sigma, f.arm_b, f.arm_b_sigma, f.pair_rate_hz, f.pair_rate_hz_sigma


def test_the_stated_uncertainties_are_the_scatter() -> None:
    rng = np.random.default_rng(5)
    found = np.array([drawn(rng, sigma=True) for _ in range(2000)])
    for column, truth in ((0, ETA[0]), (2, ETA[1])):
        values, sigmas = found[:, column], found[:, column + 1]
        assert values.mean() == pytest.approx(truth, abs=4 * values.std() / 2000**0.5 + 2e-3)
        assert np.median(sigmas) == pytest.approx(
            values.std(), rel=0.06
        )  # 1.6 % by 2000 draws, and the covariance above
    assert np.median(found[:, 5]) == pytest.approx(found[:, 4].std(), rel=0.08)


def test_darks_that_count_as_known_would_state_too_little() -> None:
    rng = np.random.default_rng(6)
    found = np.array([drawn(rng, sigma=False) for _ in range(500)])
    assert np.median(found[:, 1]) < 0.8 * found[:, 0].std()
