"""g2, dips and local realism: against theory, and against their own stated uncertainty."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlab.analysis.bell import game_p_value
from qlab.analysis.intervals import Interval, fraction_interval, poisson_interval
from qlab.analysis.local_realism import best_factors, log10_p_value, quantum_counts
from qlab.analysis.photon_statistics import (
    continuous_g2,
    heralded_g2,
    heralded_g2_poisson,
    heralded_g2_thermal,
    mode_number,
    pulsed_g2,
)
from qlab.analysis.two_photon_interference import DipShape, dip_shape, fit_dip
from qlab.errors import BadRequestError

RUNS = 200
BAND = 3 * (0.6827 * 0.3173 / RUNS) ** 0.5
"""Three binomial standard deviations of 200 intervals that hold the truth with 68.3 %."""


# -- intervals


def test_published_exact_intervals() -> None:
    """Garwood's 95 % for 5 counts: 1.6235 to 11.6683; Clopper and Pearson's 95 % for 3 of 10: 0.0667 to 0.6525."""
    five = poisson_interval(5, 0.95)
    assert (five.low, five.high) == pytest.approx((1.6235, 11.6683), abs=1e-4)
    three = fraction_interval(3, 10, 0.95)
    assert (three.low, three.high) == pytest.approx((0.0667, 0.6525), abs=1e-4)
    assert poisson_interval(0).low == 0.0
    assert fraction_interval(0, 10).low == 0.0
    assert fraction_interval(10, 10).high == 1.0


# -- g2


def pairs_of_pulses(rng: np.random.Generator, mu: float, modes: int | None, pulses: int) -> np.ndarray:
    """Draw photon numbers per pulse: negative binomial of K thermal modes (thermal for one), Poisson for None."""
    return rng.poisson(mu, pulses) if modes is None else rng.negative_binomial(modes, modes / (modes + mu), pulses)


def power_mean(y: float, mu: float, modes: int | None) -> float:
    """Return E[y^n] of these numbers, by which threshold detectors are exact."""
    return math.exp(-mu * (1 - y)) if modes is None else (1 + mu * (1 - y) / modes) ** -modes


@pytest.mark.parametrize(("modes", "limit"), [(1, 2.0), (3, 4.0 / 3.0), (None, 1.0)])
def test_g2_of_thermal_few_mode_and_poisson_light_behind_a_splitter(modes: int | None, limit: float) -> None:
    """1 + 1/K for rare clicks: L. Mandel and E. Wolf, "Optical coherence and quantum optics" (1995), 14.7."""
    rng, mu, eta, pulses = np.random.default_rng(3), 0.1, 0.5, 4_000_000
    n = pairs_of_pulses(rng, mu, modes, pulses)
    lit = n[n > 0]
    first = rng.binomial(lit, 0.5)
    one, other = rng.binomial(first, eta) > 0, rng.binomial(lit - first, eta) > 0
    found = pulsed_g2(int(one.sum()), int(other.sum()), int((one & other).sum()), pulses)
    silent, both_silent = power_mean(1 - eta / 2, mu, modes), power_mean(1 - eta, mu, modes)
    assert abs(found.value - (1 - 2 * silent + both_silent) / (1 - silent) ** 2) < 3 * found.sigma
    assert found.sigma < 0.025 * limit
    assert abs(found.value - limit) < 3 * found.sigma + 0.04 * limit  # mu eta is not 0
    if modes is not None:
        k = mode_number(found)
        assert k.low - 3 * k.sigma < modes < k.high + 3 * k.sigma


@pytest.mark.parametrize("modes", [1, None])
def test_heralded_g2_follows_the_pair_number(modes: int | None) -> None:
    rng, mu, eta, pulses = np.random.default_rng(4), 0.2, 0.3, 3_000_000
    n = pairs_of_pulses(rng, mu, modes, pulses)
    n = n[n > 0]
    n = n[rng.binomial(n, eta) > 0]
    first = rng.binomial(n, 0.5)
    one, other = rng.binomial(first, eta) > 0, rng.binomial(n - first, eta) > 0
    found = heralded_g2(n.size, int(one.sum()), int(other.sum()), int((one & other).sum()))

    def heralded(*silent: float) -> float:
        """Return E[(1 - (1 - eta)^n) y^n] summed with signs over the detectors' silences y."""
        return sum(
            (-1) ** k * (power_mean(y, mu, modes) - power_mean(y * (1 - eta), mu, modes)) for k, y in enumerate(silent)
        )

    dark, darker = 1 - eta / 2, 1 - eta
    single = heralded(1.0, dark)
    double = heralded(1.0, dark) - heralded(dark, darker)
    assert abs(found.value - heralded(1.0) * double / single**2) < 3 * found.sigma
    assert found.sigma < 0.03 * found.value
    low_efficiency = heralded_g2_thermal(mu) if modes == 1 else heralded_g2_poisson(mu)
    assert found.value == pytest.approx(low_efficiency, rel=0.12)  # at 30 % some way from it


def test_the_interval_of_heralded_g2_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    heralds, p1, p2, p12 = 20_000, 0.05, 0.04, 0.0012
    truth = p12 / (p1 * p2)
    hits = []
    for _ in range(RUNS):
        both, only_1, only_2, _ = rng.multinomial(heralds, [p12, p1 - p12, p2 - p12, 1 - p1 - p2 + p12])
        found = heralded_g2(heralds, int(both + only_1), int(both + only_2), int(both))
        hits.append(found.low <= truth <= found.high)
    assert abs(np.mean(hits) - 0.6827) < BAND + 0.05  # an exact interval of few counts holds a little more than it says
    assert np.mean(hits) > 0.6827 - BAND


def test_no_double_click_is_an_upper_limit() -> None:
    found = heralded_g2(10_000, 500, 400, 0)
    assert (found.value, found.low) == (0.0, 0.0)
    assert found.high == pytest.approx(poisson_interval(0).high * 10_000 / (500 * 400), rel=0.01)


def test_continuous_light_uses_its_window() -> None:
    """Independent clicks: g2 = 1 with N_12 = R_1 R_2 T_w T."""
    assert continuous_g2(100_000, 200_000, 200, 1000.0, 100_000.0 * 200_000 * 1e-9 / 200).value == pytest.approx(1.0)


# -- the dip


@pytest.mark.parametrize("shape", ["gauss", "triangle", "sech2"])
def test_a_dip_is_half_as_deep_at_half_its_width(shape: DipShape) -> None:
    assert dip_shape(np.array([-0.5, 0.0, 0.5]), shape) == pytest.approx([0.5, 1.0, 0.5])


@pytest.mark.parametrize("shape", ["gauss", "triangle", "sech2"])
def test_the_intervals_of_visibility_and_centre_hold_the_truth_as_often_as_they_say(shape: DipShape) -> None:
    rng, delays = np.random.default_rng(6), np.linspace(-9.0, 11.0, 41)
    mean = 4000.0 * (1.0 - 0.93 * dip_shape((delays - 0.8) / 3.3, shape)) + 60.0
    hits, chi2 = [], []
    for _ in range(RUNS):
        fit = fit_dip(delays, rng.poisson(mean), np.full_like(delays, 60.0), shape=shape)
        hits.append((abs(fit.visibility - 0.93) < fit.visibility_sigma, abs(fit.centre_ps - 0.8) < fit.centre_sigma_ps))
        chi2.append(fit.chi2 / fit.degrees_of_freedom)
    assert (np.abs(np.mean(hits, axis=0) - 0.6827) < BAND).all()
    assert np.mean(chi2) == pytest.approx(1.0, abs=0.06)


def test_a_dip_far_from_the_middle_and_a_peak_are_found() -> None:
    delays = np.linspace(0.0, 100.0, 51)
    dip = fit_dip(delays, np.round(1e4 * (1.0 - 0.9 * dip_shape((delays - 88.0) / 9.0, "gauss"))))
    assert (dip.visibility, dip.centre_ps, dip.fwhm_ps) == pytest.approx((0.9, 88.0, 9.0), rel=2e-3)
    peak = fit_dip(delays, np.round(1e4 * (1.0 + 0.5 * dip_shape((delays - 20.0) / 12.0, "gauss"))))
    assert peak.visibility == pytest.approx(-0.5, rel=2e-3)
    assert dip(np.array([88.0]))[0] == pytest.approx(1000.0, rel=0.02)


# -- local realism


def test_local_models_never_win_more_than_they_may() -> None:
    """Markov: of runs of any local model at most 1/20 may show p <= 0.05."""
    rng = np.random.default_rng(7)
    chances = np.full((2, 2), 0.25)
    training = rng.poisson(quantum_counts(0.9, 2000))
    factors = best_factors(training)
    local = np.zeros((2, 2, 2, 2))
    for x, y in np.ndindex(2, 2):  # wins 3 of 4 CHSH games: both always say the same, with a coin of their own
        local[x, y, 0, 0] = local[x, y, 1, 1] = 0.5 * chances[x, y]
    shown = [
        log10_p_value(rng.multinomial(500, local.ravel()).reshape(local.shape), factors) <= math.log10(0.05)
        for _ in range(400)
    ]
    assert np.mean(shown) <= 0.05


@settings(max_examples=40)
@given(st.lists(st.integers(0, 50), min_size=16, max_size=16).filter(any))
def test_factors_of_any_data_are_fair_to_every_local_strategy(numbers: list[int]) -> None:
    factors = best_factors(np.array(numbers).reshape(2, 2, 2, 2))
    for a0, a1, b0, b1 in np.ndindex(2, 2, 2, 2):
        mean = np.mean([factors[x, y, (a0, a1)[x], (b0, b1)[y]] for x in (0, 1) for y in (0, 1)])
        assert mean <= 1.0 + 1e-9
    assert (factors >= 0).all()


def test_a_violation_is_told_better_than_by_hoeffdings_inequality() -> None:
    counts = quantum_counts(0.97, 10_000)
    factors = best_factors(quantum_counts(0.97, 2_000))
    wins = round((4 + 2 * 2**0.5 * 0.97) / 8 * 10_000)
    assert log10_p_value(counts, factors) < math.log10(game_p_value(wins, 10_000)) < -70


def test_losses_close_the_case_below_the_detection_threshold() -> None:
    """Maximally entangled states need eta > 2 / (1 + sqrt 2) = 82.8 %: A. Garg and N. D. Mermin, PRD 35, 3831 (1987)."""
    for efficiency, violates in ((0.80, False), (0.86, True)):
        counts = quantum_counts(1.0, 1e6, efficiency=efficiency)
        assert (log10_p_value(counts, best_factors(counts)) < -3) is violates


def test_unequal_settings_are_taken_into_account() -> None:
    chances = [[0.4, 0.2], [0.3, 0.1]]
    counts = quantum_counts(0.97, 10_000, chances)
    assert log10_p_value(counts, best_factors(counts, chances)) < -50


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: poisson_interval(-1), "at least 0"),
        (lambda: poisson_interval(3, 1.2), "between 0 and 1"),
        (lambda: fraction_interval(4, 3), "successes <= trials"),
        (lambda: pulsed_g2(10, 10, 11, 100), "double <= single"),
        (lambda: continuous_g2(10, 10, 1, 0.0, 1.0), "both above 0"),
        (lambda: mode_number(Interval(0.99, 0.9, 1.1)), "expected above 1"),
        (lambda: fit_dip([1, 2, 3], [1, 2, 3]), "at least 6"),
        (lambda: fit_dip(range(8), np.zeros(8)), "expected light"),
        (lambda: best_factors(np.zeros((2, 2, 2, 2))), "not all 0"),
        (lambda: best_factors(np.ones((2, 2, 2, 2)), [[1.0, 0.0], [0.0, 0.0]]), "of sum 1"),
        (lambda: log10_p_value(np.ones((2, 2, 2, 2)), np.ones((2, 2, 3, 3))), "expected the same"),
    ],
)
def test_bad_input_is_named(make: object, text: str) -> None:
    with pytest.raises(BadRequestError) as error:
        make()  # type: ignore[operator]
    assert text in str(error.value)
