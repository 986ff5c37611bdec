"""Key lengths against published formulas and figures."""

import math

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import hypergeom

from qlab.analysis.qber import binary_entropy as h
from qlab.errors import BadRequestError
from qlab.qkd.device_independent import device_independent_rate, eavesdropper_information
from qlab.qkd.epsilons import Epsilon, EpsilonBudget
from qlab.qkd.finite_key import SecurityTarget, phase_error_bound, secret_bits
from qlab.qkd.pair_model import PairModel
from qlab.qkd.sampling import gamma_deviation, hypergeometric_bound, hypergeometric_log_tail, serfling_deviation


# Formula of Tomamichel, Lim, Gisin, Renner, Nat. Commun. 3, 634 (2012), evaluated independently (reference, 3a), with
# eps_sec 1e-10, eps_cor 1e-15 and a leak of 1.16 n h(Q).
@pytest.mark.parametrize(
    ("n", "k", "q", "mu", "length"),
    [
        (10**4, 10**4, 0.01, 0.068879, 4963),
        (10**5, 10**4, 0.01, 0.051082, 57338),
        (10**5, 10**5, 0.025, 0.021780, 53062),
        (10**6, 10**5, 0.025, 0.016153, 556683),
        (10**6, 10**5, 0.05, 0.016153, 316262),
        (10**7, 10**6, 0.05, 0.005108, 3600567),
        (10**6, 2 * 10**5, 0.08, 0.011930, 90476),
    ],
)
def test_lengths_of_tomamichel_2012(n, k, q, mu, length):
    target = SecurityTarget(1e-10, 1e-15)
    assert serfling_deviation(n, k, target.sampling_tail) == pytest.approx(mu, abs=5e-7)
    phi = phase_error_bound(n, k, q, target.sampling_tail, "serfling")
    assert secret_bits(n, phi, 1.16 * n * h(q) + math.log2(2 / 1e-15), 1e-10) == length
    exact = phase_error_bound(n, k, q, target.sampling_tail)
    assert exact < phi
    assert secret_bits(n, exact, 1.16 * n * h(q) + math.log2(2 / 1e-15), 1e-10) > length


def test_bounds_of_a_small_block():
    # Reference, 3b: 70 errors in 1552, as many key bits; 1e-10 is there the tail of the exact bound and eps of the others.
    assert 70 / 1552 + serfling_deviation(1552, 1552, (1e-10 / 2) ** 2) == pytest.approx(0.2200, abs=5e-5)
    assert 70 / 1552 + gamma_deviation(70 / 1552, 1552, 1552, 1e-20) == pytest.approx(0.1152, abs=5e-5)
    assert hypergeometric_bound(1552, 1552, 70, 1e-10) == pytest.approx(0.1057, abs=5e-5)


CASES = [(3, 50, 20, 200), (0, 50, 9, 90), (30, 50, 40, 60), (9, 9, 9, 30)]


@pytest.mark.parametrize(("errors", "n_test", "wrong", "n_all"), CASES)
def test_tails_are_those_of_scipy(errors, n_test, wrong, n_all):
    expected = hypergeom.logcdf(errors, n_all, wrong, n_test)
    assert hypergeometric_log_tail(errors, n_test, wrong, n_all) == pytest.approx(expected, abs=1e-10)


def test_the_exact_bound_is_the_first_that_scipy_excludes():
    for errors, tail in [(0, 1e-6), (5, 1e-3), (40, 1e-9)]:
        bound = hypergeometric_bound(400, 300, errors, tail)
        wrong = round(bound * 400) + errors
        assert hypergeom.cdf(errors, 700, wrong, 300) <= tail < hypergeom.cdf(errors, 700, wrong - 1, 300)


def test_the_exact_bound_fails_as_rarely_as_stated():
    # Worst cases over the true number of errors: draws without replacement, 5 standard deviations of the tail.
    rng = np.random.default_rng(3)
    n, k, tail, draws = 300, 100, 0.02, 20_000
    for wrong in (20, 60, 150):
        seen = rng.hypergeometric(wrong, n + k - wrong, k, draws)
        bounds = {c: hypergeometric_bound(n, k, c, tail) for c in set(seen.tolist())}
        failed = sum((wrong - c) / n >= bounds[c] for c in seen.tolist())
        assert failed <= draws * tail + 5 * math.sqrt(draws * tail)


def test_long_blocks_stay_quick_and_near_the_normal_approximation():
    n = k = 10**7
    bound = hypergeometric_bound(n, k, 300_000, (1e-10 / 2) ** 2)
    # One-sided normal quantile of 2.5e-21 is 9.43 standard deviations (Abramowitz and Stegun, 26.2.12).
    assert bound - 0.03 == pytest.approx(9.43 * math.sqrt(0.03 * 0.97 * (1 / n + 1 / k)), rel=0.02)


def test_thresholds_without_finite_key_terms():
    # P. W. Shor and J. Preskill, Phys. Rev. Lett. 85, 441 (2000): 11 %.
    assert brentq(lambda q: 1 - 2 * h(q), 0.01, 0.2) == pytest.approx(0.110028, abs=5e-7)


def test_device_independent_rate_of_acin_2007():
    # Phys. Rev. Lett. 98, 230501 (2007): the rate vanishes at 7.1 % with S = 2 sqrt 2 (1 - 2 Q).
    def rate(q):
        return 1 - h(q) - eavesdropper_information(2 * math.sqrt(2) * (1 - 2 * q))

    assert brentq(rate, 0.01, 0.12) == pytest.approx(0.07149, abs=5e-6)
    for s, chi in [(2.1, 0.924744), (2.3, 0.752898), (2.5, 0.543564), (2.6, 0.418420)]:
        assert eavesdropper_information(s) == pytest.approx(chi, abs=5e-7)
    assert device_independent_rate(0.0, 2 * math.sqrt(2)) == pytest.approx(1.0)
    assert device_independent_rate(0.0144, 2.677) == pytest.approx(0.583, abs=5e-4)  # Nadlinger et al. 2022, asymptotic
    # Zhang et al., Nature 607, 687 (2022): the plain formula on their S and Q; theirs has random bases, and is lower.
    assert device_independent_rate(0.078, 2.578) == pytest.approx(0.157, abs=5e-4)
    assert device_independent_rate(0.08, 2.0) == 0.0
    with pytest.raises(BadRequestError, match="2 sqrt 2"):
        eavesdropper_information(3.0)


def ma_fung_lo(loss_db, brightness):
    eta = 0.145 * 10 ** (-loss_db / 20)  # the source in the middle
    return PairModel(brightness, eta, eta, 6.02e-6, 6.02e-6, 0.015)


# Ma, Fung, Lo, Phys. Rev. A 76, 012307 (2007), parameters of the 144 km experiment; TNO's qkd_key_rate 2.0.4 agrees.
@pytest.mark.parametrize(
    ("loss_db", "gain", "error", "best"),
    [(20, 2.4095944157e-5, 0.0569335318, 3.62e-6), (40, 2.43465887e-7, 0.060354097, 3.29e-8)],
)
def test_model_of_ma_fung_lo_2007(loss_db, gain, error, best):
    model = ma_fung_lo(loss_db, 0.05)
    assert model.gain == pytest.approx(gain, rel=2e-9)
    assert model.error_rate == pytest.approx(error, abs=5e-10)
    rates = [ma_fung_lo(loss_db, light).asymptotic_rate() for light in np.geomspace(1e-3, 0.3, 400)]
    assert max(rates) == pytest.approx(best, rel=2e-3)


def test_epsilons_are_composed_and_printed():
    budget = SecurityTarget(1e-10, 1e-15).budget().with_term("authentication", 1e-20, "polynomial hash")
    assert budget.total == pytest.approx(1e-10 + 1e-15 + 1e-20, rel=1e-12)
    assert budget.over_blocks(100).total == pytest.approx(1e-8, rel=1e-4)
    assert "privacy amplification" in str(budget)
    assert str(budget).endswith("in all")
    with pytest.raises(BadRequestError, match="between 0 and 1"):
        EpsilonBudget((Epsilon("x", 0.1, "y"),)).over_blocks(10)


def test_no_key_where_there_is_none_and_no_nonsense():
    assert secret_bits(1000, 0.5, 0, 1e-10) == 0
    assert secret_bits(1000, 0.05, 900, 1e-10) == 0
    assert phase_error_bound(100, 1, 0.0, 1e-20) == 1.0
    for call in (
        lambda: phase_error_bound(0, 10, 0.1, 1e-9),
        lambda: phase_error_bound(10, 10, 0.6, 1e-9),
        lambda: phase_error_bound(10, 10, 0.1, 1e-9, "gauss"),
        lambda: hypergeometric_bound(10, 10, 11, 1e-9),
        lambda: secret_bits(10, 0.1, 0, 1e-9, quality=0.0),
        lambda: SecurityTarget(0.0, 1e-15),
        lambda: PairModel(0.0, 0.1, 0.1),
    ):
        with pytest.raises(BadRequestError):
            call()
