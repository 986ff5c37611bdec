"""Tags of pair sources: their statistics, dispersion and gates, each within 1 % of theory, and four sigma below that.

Detectors without dead time behind long pump pulses resolve photon numbers, so that factorial moments are free of saturation:
<n1 n2> / (<n1> <n2>) is g2 at any brightness and efficiency.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from qlab.physics.arm import BeamSplitter, Port
from qlab.physics.detector import Detector
from qlab.physics.fibre import Fibre
from qlab.physics.joint import JointLine
from qlab.physics.knob import Knob
from qlab.physics.line import PairLine
from qlab.physics.pulsed import PulsedPairLine
from qlab.physics.pulses import PulseTrain
from qlab.physics.source import PairSource
from qlab.physics.tagger import Tagger, WorldFeed
from qlab.physics.weak import WeakSource
from qlab.physics.weak_line import WeakLine
from qlab.physics.world import World

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from qlab.physics.arm import Arm

S = 10**12
PERIOD_PS = 100_000
RATE_HZ = 1e7
HERALD, ONE, TWO = 0, 1, 2
SIGMA_PS = 1000.0 / 2.3548200450309493


def product_state() -> NDArray[np.complex128]:
    state = np.zeros((4, 4), np.complex128)
    state[0, 0] = 1.0
    return state


def tags(world: World, stop_ps: int, channels: int) -> list[NDArray[np.int64]]:
    """Return the tags of each channel; detector n + 1 is on channel n."""
    block = WorldFeed(world, Tagger(), {n: (n + 1, 0) for n in range(channels)}).read(0, stop_ps)
    return [block.t[block.ch == n] for n in range(channels)]


def numbers(mean: float, modes: float, pulses: int, seed: int = 5) -> list[NDArray[np.int64]]:
    """Return how often the herald's and both idler detectors click in each pulse."""
    source = PairSource(mean * RATE_HZ, product_state(), Knob(1.0))
    arms: tuple[Arm, Arm] = (Port(1), BeamSplitter(Port(2), Port(3)))
    line = PulsedPairLine(9, source, *arms, PulseTrain(Knob(RATE_HZ)), modes, pulse_fwhm_ps=5000.0)
    world = World(seed, [line], {n: Detector(Knob(e)) for n, e in ((1, 1.0), (2, 1.0), (3, 1.0))})
    found = tags(world, pulses * PERIOD_PS, 3)
    return [np.bincount(t // PERIOD_PS, minlength=pulses)[:pulses] for t in found]


def ratio(values: NDArray[np.float64], theory: float, most: float = 0.0101) -> float:
    """Return the mean over theory; shows that four standard errors are below 1 %."""
    mean = float(values.mean())
    assert 4.0 * float(values.std()) / math.sqrt(values.size) < most * abs(mean)
    return mean / theory


@pytest.mark.parametrize(("modes", "pulses"), [(1.0, 3_000_000), (3.0, 2_000_000), (math.inf, 2_000_000)])
def test_moments_of_thermal_few_mode_and_poissonian_pairs(modes: float, pulses: int) -> None:
    """Free g2 = 1 + 1/K (Christ et al., NJP 13, 033027, 2011); heralded (4 mu + 6 mu^2)/(1 + 2 mu)^2 for K = 1 and
    (2 mu + mu^2)/(1 + mu)^2 for Poisson numbers (time-tags.md 5), by factorial moments of the negative binomial
    distribution for any K; signal and idler <n_s n_i>/(<n_s> <n_i>) = 1 + 1/K + 1/mu, and 1 with the pulse after."""
    mu = 1.5
    herald, one, two = numbers(mu, modes, pulses)
    k = 1.0 / modes
    m_h, m_1, m_2 = mu, mu / 2.0, mu / 2.0
    assert herald.mean() == pytest.approx(m_h, rel=0.005)
    assert one.mean() == pytest.approx(m_1, rel=0.005)
    assert ratio(one * two / (m_1 * m_2), 1.0 + k) == pytest.approx(1.0, abs=0.01)
    assert ratio(herald * (one + two) / (m_h * (m_1 + m_2)), 1.0 + k + 1.0 / mu) == pytest.approx(1.0, abs=0.01)
    after = herald[:-1] * (one + two)[1:] / (m_h * (m_1 + m_2))
    assert ratio(after, 1.0) == pytest.approx(1.0, abs=0.01)
    second, third = mu**2 * (1.0 + k), mu**3 * (1.0 + k) * (1.0 + 2.0 * k)
    theory = (third + 2.0 * second) * mu / (second + mu) ** 2
    if modes == 1.0:
        assert theory == pytest.approx((4 * mu + 6 * mu**2) / (1 + 2 * mu) ** 2)
    if math.isinf(modes):
        assert theory == pytest.approx((2 * mu + mu**2) / (1 + mu) ** 2)
    pairs = float((herald * (one + two)).mean()) / 2.0
    three = (herald * one * two).astype(np.float64) * m_h / pairs**2
    # Numerator and denominator go together: the ratio is better known than the numerator, whose error is looked at.
    assert ratio(three, theory, 0.02) == pytest.approx(1.0, abs=0.01)


def spread(t: NDArray[np.int64]) -> tuple[float, float]:
    """Return the standard deviation, and its relative standard error for a Gaussian."""
    return float(t.std()), 1.0 / math.sqrt(2.0 * t.size)


@pytest.mark.parametrize(
    ("d_a", "d_b", "lengths_km"),
    [(17.0, 0.0, (10, 5)), (17.0, 17.0, (10, 5)), (17.0, -34.0, (10, 5)), (-3.0, 17.0, (20, 7))],
)
@pytest.mark.parametrize("idler_nm", [1550.0, 1310.0])
def test_pairs_are_spread_by_the_sum_of_both_dispersions(
    d_a: float, d_b: float, lengths_km: tuple[int, int], idler_nm: float
) -> None:
    """Anticorrelated detunings, d_i = -(l_i/l_s)^2 d_s: the spread is |D_A L_A + (l_i/l_s)^2 D_B L_B| dl_s, beside the
    jitter of both detectors (Franson, PRA 45, 3126, 1992)."""
    jitter_fwhm_ps, nm = 50.0, 0.8
    a = Fibre(Port(1), length_m=1000.0 * lengths_km[0], dispersion_ps_nm_km=d_a)
    b = Fibre(Port(2), length_m=1000.0 * lengths_km[1], dispersion_ps_nm_km=d_b)
    source = PairSource(2e4, product_state(), Knob(1.0), signal_nm=1550.0, idler_nm=idler_nm, bandwidth_nm=nm)
    detectors = {n: Detector(Knob(1.0), jitter_fwhm_ps=jitter_fwhm_ps) for n in (1, 2)}
    one, other = tags(World(3, [PairLine(5, source, a, b)], detectors), 6 * S, 2)
    lag = round(float(lengths_km[1] - lengths_km[0]) * 1468.0 / 299_792_458.0 * 1e12)
    place = np.clip(np.searchsorted(other, one + lag), 1, other.size - 1)
    nearest = np.where(
        np.abs(other[place] - one - lag) < np.abs(other[place - 1] - one - lag), other[place], other[place - 1]
    )
    lags = nearest - one
    lags = lags[np.abs(lags - np.median(lags)) < 3000]  # pairs come every 50 us
    found, error = spread(lags)
    scale = (idler_nm / 1550.0) ** 2
    dispersion = (d_a * lengths_km[0] + scale * d_b * lengths_km[1]) * nm / 2.3548200450309493
    theory = math.hypot(dispersion, jitter_fwhm_ps / 2.3548200450309493 * math.sqrt(2.0))
    assert lags.size > 100_000
    assert 4.0 * error < 0.01
    assert found == pytest.approx(theory, rel=0.01)


def test_dispersion_cancels_between_photons_each_of_which_is_spread() -> None:
    """Behind fibres of opposite dispersion each photon of a pulsed source is spread against the pump's clock, and the two of
    a pair are not against each other: no delay that is given to each photon alone does that."""
    nm, length_m = 2.0, 4000.0
    arms = [Fibre(Port(n), length_m=length_m, dispersion_ps_nm_km=d) for n, d in ((1, 17.0), (2, -17.0))]
    source = PairSource(0.002 * RATE_HZ, product_state(), Knob(1.0), bandwidth_nm=nm)
    line = PulsedPairLine(5, source, *arms, PulseTrain(Knob(RATE_HZ)))
    world = World(3, [line], {n: Detector(Knob(1.0), jitter_fwhm_ps=20.0) for n in (1, 2)})
    one, other = tags(world, 6 * S, 2)
    theory = math.hypot(17.0 * 4.0 * nm / 2.3548200450309493, 20.0 / 2.3548200450309493)
    for t in (one, other):
        phase = (t - int(np.median(t % PERIOD_PS)) + PERIOD_PS // 2) % PERIOD_PS
        found, error = spread(phase)
        assert 4.0 * error < 0.01
        assert found == pytest.approx(theory, rel=0.01)
    place = np.searchsorted(other, one)
    lags = np.concatenate([other[np.clip(place - k, 0, other.size - 1)] - one for k in (0, 1)])
    lags = lags[np.abs(lags - np.median(lags)) < 50]  # of other pairs, even of the same pulse, few come so close
    found, error = spread(lags)
    assert lags.size > 100_000
    assert found == pytest.approx(20.0 / 2.3548200450309493 * math.sqrt(2.0), rel=0.01)
    assert 4.0 * error < 0.01


@pytest.mark.parametrize("offset", [-2.5, -1.5, -1.0, 0.2])
def test_a_gate_cuts_a_pulse_where_its_edges_fall(offset: float) -> None:
    """Of clicks with Gaussian jitter about their mean a gate of two sigma takes Phi(offset + 2) - Phi(offset)."""
    detector = Detector(Knob(0.5), jitter_fwhm_ps=1000.0)
    begin = round(50_000 + detector.latency_ps + offset * SIGMA_PS)
    detector.gate = PulseTrain(Knob(RATE_HZ), delay_ps=Knob(begin), width_ps=Knob(2.0 * SIGMA_PS))
    line = WeakLine(9, WeakSource(PulseTrain(Knob(RATE_HZ), delay_ps=Knob(50_000.0)), 0.4), Port(1))
    pulses = 5_000_000
    (t,) = tags(World(3, [line], {1: detector}), pulses * PERIOD_PS, 1)
    share = 0.5 * (math.erf((offset + 2.0) / math.sqrt(2.0)) - math.erf(offset / math.sqrt(2.0)))
    theory = pulses * 0.2 * share  # without dead time a pulse may click more than once
    assert 4.0 / math.sqrt(theory) < 0.0101
    assert t.size == pytest.approx(theory, abs=4.0 * math.sqrt(theory) + 0.002 * theory)  # whole picoseconds
    assert ((t - begin) % PERIOD_PS).max() < round(2.0 * SIGMA_PS)


@pytest.mark.parametrize(
    ("modes", "stimulated", "engine"),
    [(1.0, False, "numpy"), (1.5, False, "numba"), (1.5, True, "numpy"), (4.0, False, "numpy")],
)
def test_detunings_are_anticorrelated_as_far_as_the_schmidt_number_says(
    modes: float, stimulated: bool, engine: str
) -> None:
    """A double-Gaussian joint spectrum has K = 1 / sqrt(1 - rho^2) (Mehler's kernel; Grice, U'Ren, Walmsley, PRA 64, 063815,
    2001), and marginals of the bandwidths whatever its K."""
    if engine == "numba":
        pytest.importorskip("numba")
    nm, idler_nm, d = 2.0, 900.0, (17.0, -25.0)
    arms = [Fibre(Port(n), length_m=10_000.0, dispersion_ps_nm_km=one) for n, one in zip((1, 2), d, strict=True)]
    source = PairSource(0.01 * RATE_HZ, product_state(), Knob(1.0), bandwidth_nm=nm, idler_nm=idler_nm)
    pairs = PulsedPairLine(5, source, *arms, PulseTrain(Knob(RATE_HZ)), modes)
    line = JointLine(5, [pairs]) if stimulated else pairs
    detectors = {n: Detector(Knob(1.0)) for n in (1, 2)}
    one, other = tags(World(3, [line], detectors, engine=engine), 2 * S, 2)
    if engine != "numpy":
        for t, same in zip((one, other), tags(World(3, [line], detectors), 2 * S, 2), strict=True):
            np.testing.assert_array_equal(t, same)
    late = [int(np.median(t % PERIOD_PS)) - PERIOD_PS // 2 for t in (one, other)]
    pulse = [(t - lag) // PERIOD_PS for t, lag in zip((one, other), late, strict=True)]
    _, i, j = np.intersect1d(
        *(np.where(np.bincount(p)[p] == 1, p, -k) for k, p in enumerate(pulse, 1)), return_indices=True
    )
    x, y = ((t - lag)[k] % PERIOD_PS - PERIOD_PS / 2 for t, lag, k in zip((one, other), late, (i, j), strict=True))
    assert x.size > 80_000
    for t, spread_nm, one_d in ((x, nm, d[0]), (y, nm * (idler_nm / 810.0) ** 2, d[1])):
        assert t.std() == pytest.approx(
            abs(one_d) * 10.0 * spread_nm / 2.3548200450309493, rel=4 / math.sqrt(2 * x.size)
        )
    rho = math.sqrt(1.0 - 1.0 / modes**2)  # opposite detunings behind opposite dispersions: both late together
    assert np.corrcoef(x, y)[0, 1] == pytest.approx(rho, abs=4 * max(1 - rho**2, 0.02) / math.sqrt(x.size) + 0.01)
