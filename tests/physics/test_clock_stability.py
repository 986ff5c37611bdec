"""Time deviation of each oscillator model against its closed form, within the confidence bounds of the estimate.

Closed forms for many samples: D. W. Allan, M. A. Weiss, J. L. Jespersen, 45th FCS (1991), and W. J. Riley, NIST SP 1065
(2008), section 5.5: TVAR = tau^2/3 MVAR; the ratio of MVAR to AVAR at m samples is 1/m for white PM, (m^2 + 1)/(2 m^2) for
white FM, 0.674 = ln(3^(27/16)/4) / ln 2 for flicker FM and 33/40 for random-walk FM; flicker PM has
TVAR = h_1 ln(256/27) / (8 pi^2).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import allantools
import numpy as np
import pytest

from qlab.physics.clock_kinds import CLOCK_KINDS
from qlab.physics.markov import GRID_PS
from qlab.physics.wander import NoiseLevels, Wander
from qlab.timing.stability import Stability, stability

if TYPE_CHECKING:
    from numpy.typing import NDArray

POINTS, SEEDS = 2**12, 8
FACTORS = (4, 16, 64)
FLICKER_FM = math.log(3.0 ** (27.0 / 16.0) / 4.0) / math.log(2.0)
FLICKER_PM = math.log(256.0 / 27.0) / 2.0


def tvar_ps2(levels: NoiseLevels, m: int, step_s: float) -> float:
    """Return the closed form in ps^2; white PM is that of samples that lie on grid points."""
    tau = m * step_s
    third = (tau * 1e12) ** 2 / 3.0
    found = levels.white_pm_ps**2 / m + levels.flicker_pm_ps**2 * FLICKER_PM
    found += third * levels.white_fm**2 / tau * (m * m + 1.0) / (2.0 * m * m)
    return found + third * (levels.flicker_fm**2 * FLICKER_FM + levels.random_walk_fm**2 * tau * 33.0 / 40.0)


@lru_cache
def found(levels: NoiseLevels, seed: int, step_ps: int, points: int = POINTS) -> Stability:
    at: NDArray[np.int64] = np.arange(points, dtype=np.int64) * step_ps
    step_s = step_ps * 1e-12
    taus = [m * step_s for m in FACTORS]
    return stability(Wander(levels, seed, 7).phase_ps(at) * 1e-12, step_s, "tdev", taus)


NEAR_S = 2**38  # 0.27 s: a multiple of the grid
NOISES = [
    # Alpha of S_y = f^alpha, levels, sampling, points, and by how much the closed form for m >> 1 is off at the first factor.
    (2, NoiseLevels(white_pm_ps=5.0), NEAR_S, 2**16, 0.0),
    (1, NoiseLevels(flicker_pm_ps=4.0), GRID_PS, POINTS, 0.08),  # sampled at the width of its spectrum
    (0, NoiseLevels(white_fm=3e-11), NEAR_S, 2**14, 0.0),
    (-1, NoiseLevels(flicker_fm=3e-11), NEAR_S, POINTS, 0.02),
    (-2, NoiseLevels(random_walk_fm=3e-11), NEAR_S, 2**14, 0.04),
]


@pytest.mark.parametrize(
    ("alpha", "levels", "step_ps", "points", "off"), NOISES, ids=["WPM", "FPM", "WFM", "FFM", "RWFM"]
)
def test_tdev_of_each_noise_is_its_closed_form(
    alpha: int, levels: NoiseLevels, step_ps: int, points: int, off: float
) -> None:
    step_s = step_ps * 1e-12
    series = [found(levels, seed, step_ps, points) for seed in range(SEEDS)]
    for i, m in enumerate(FACTORS):
        theory = tvar_ps2(levels, m, step_s)
        ratio = np.array([(one.deviation[i] * 1e12) ** 2 / theory for one in series])
        edf = float(allantools.edf_greenhall(alpha, 2, m, points, overlapping=True, modified=True))
        sigma = math.sqrt(2.0 / edf / SEEDS)
        assert ratio.mean() == pytest.approx(1.0, abs=3.5 * sigma + off / (i + 1)), (m, sigma)


def test_the_intervals_hold_the_closed_form_as_often_as_they_say() -> None:
    """68.3 % of eight seeds of five noises at two times: 80 intervals, within three binomial sigma."""
    inside = 0
    for _, levels, step_ps, points, _ in NOISES:
        for i, m in ((1, 16), (2, 64)):
            theory = math.sqrt(tvar_ps2(levels, m, step_ps * 1e-12)) * 1e-12
            for seed in range(SEEDS):
                one = found(levels, seed, step_ps, points)
                inside += bool(one.low[i] <= theory <= one.high[i])
    n = len(NOISES) * 2 * SEEDS
    assert abs(inside / n - 0.683) < 3.0 * math.sqrt(0.683 * 0.317 / n), inside


@pytest.mark.parametrize("kind", [kind for kind in CLOCK_KINDS if kind != "ideal"])
def test_tdev_of_each_kind_of_clock_is_the_sum_of_its_noises(kind: str) -> None:
    """At 1.1 and 4.4 s, far below the loop of the disciplined one; the bound is that of the noise with the fewest degrees of
    freedom, random-walk FM."""
    levels, step_s = CLOCK_KINDS[kind].noise, NEAR_S * 1e-12
    series = [found(levels, seed, NEAR_S) for seed in range(SEEDS)]
    for i, m in ((0, 4), (1, 16)):
        edf = float(allantools.edf_greenhall(-2, 2, m, POINTS, overlapping=True, modified=True)) * SEEDS
        ratio = np.mean([(one.deviation[i] * 1e12) ** 2 for one in series]) / tvar_ps2(levels, m, step_s)
        assert ratio == pytest.approx(1.0, abs=3.5 * math.sqrt(2.0 / edf) + 0.02 / (i + 1))


def test_tdev_of_a_disciplined_clock_is_that_of_its_oscillator_until_its_loop_holds_it() -> None:
    """White FM through a first-order loop is an Ornstein-Uhlenbeck process: TVAR(tau >> loop) = s^2 loop^2 / tau."""
    levels = NoiseLevels(white_fm=1e-11, loop_s=2.0)
    early, late = [], []
    for seed in range(SEEDS):
        at = np.arange(2**13, dtype=np.int64) * NEAR_S
        x = Wander(levels, seed, 7).phase_ps(at) * 1e-12
        series = stability(x, NEAR_S * 1e-12, "tdev", [NEAR_S * 1e-12, 512 * NEAR_S * 1e-12])
        early.append((series.deviation[0] * 1e12) ** 2)
        late.append((series.deviation[1] * 1e12) ** 2)
    step_s = NEAR_S * 1e-12
    # Second difference of an OU process of variance v = s^2 loop/2: TVAR(tau_0) = v (6 - 8 r + 2 r^2) / 6.
    r = math.exp(-step_s / 2.0)
    theory = 100.0 * 2.0 / 2.0 * (6.0 - 8.0 * r + 2.0 * r * r) / 6.0
    assert np.mean(early) == pytest.approx(theory, rel=3.5 * math.sqrt(2.0 / (2**13 * SEEDS) * 2.0))
    assert np.mean(late) == pytest.approx(100.0 * 4.0 / (512 * step_s), rel=0.25)  # 14 independent terms of 12 series
