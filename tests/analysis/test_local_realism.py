"""p-values, Eberhard's inequality and errors of settings: against published numbers and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from qlab.analysis.analyser_errors import PlateErrors, analysed_bloch, chsh_settings_error
from qlab.analysis.bell import SIGNS, game_p_value
from qlab.analysis.eberhard import eberhard_counts, eberhard_optimum, eberhard_trials
from qlab.analysis.game_tests import chsh_wins, combined_p_value, game_test, sigmas_of
from qlab.analysis.local_realism import best_factors, quantum_counts
from qlab.analysis.prediction_ratio import prediction_based_ratio
from qlab.errors import BadRequestError

# -- games


@pytest.mark.parametrize(("wins", "trials", "published"), [(196, 245, 0.039), (237, 300, 0.061)])
def test_the_two_runs_at_delft_have_their_published_p_values(wins: int, trials: int, published: float) -> None:
    """B. Hensen et al., Nature 526, 682 (2015): 245 trials, k = 196, P = 0.039; Sci. Rep. 6, 30289 (2016), 0.061."""
    assert round(game_test(wins, trials).p_value, 3) == published
    # their generators were predictable with 1.08e-5 at most, which does not show in the digits
    assert round(game_test(wins, trials, setting_bias=1.08e-5).p_value, 3) == published


def test_the_usual_p_value_at_delft_is_half_of_the_one_without_assumptions() -> None:
    """S = 2.42 +- 0.20 (same paper): 2.1 sigma, 0.019 for a normal distribution of independent trials, 0.039 without."""
    s, sigma = 2.42, 0.20
    conventional = 0.5 * math.erfc((s - 2.0) / sigma / 2.0**0.5)
    assert conventional == pytest.approx(0.019, abs=0.0015)  # S and sigma are printed to two digits
    assert sigmas_of(conventional) == pytest.approx(2.1)
    assert game_test(196, 245).p_value > 2.0 * conventional


def test_the_two_runs_together() -> None:
    """Fisher: chi^2 of 4 degrees beyond -2 ln(p q), which is p q (1 - ln p q) for two."""
    p, q = 0.039, 0.061
    assert combined_p_value([p, q]) == pytest.approx(p * q * (1.0 - math.log(p * q)))


def test_the_binomial_bound_is_below_hoeffdings_and_never_below_the_truth() -> None:
    found = game_test(850, 1000)
    assert found.p_value < found.p_value_hoeffding == pytest.approx(game_p_value(850, 1000))
    assert math.log10(found.p_value) == pytest.approx(found.log10_p_value)
    # a local model that wins 3/4 of the games shows p <= 0.05 in at most 5 % of runs
    wins = np.random.default_rng(1).binomial(400, 0.75, 2000)
    assert np.mean([game_test(int(w), 400).p_value <= 0.05 for w in wins]) < 0.05 + 3 * (0.05 * 0.95 / 2000) ** 0.5


def test_evidence_beyond_floats_keeps_its_logarithm() -> None:
    """Chernoff: ln P <= -n D(w/n || 3/4)."""
    found = game_test(850_000, 1_000_000)
    d = 0.85 * math.log(0.85 / 0.75) + 0.15 * math.log(0.15 / 0.25)
    assert found.log10_p_value == pytest.approx(-1e6 * d / math.log(10.0), rel=1e-3)
    assert found.p_value == 0.0


def test_games_of_tables() -> None:
    counts = [[[40, 5], [6, 41]], [[7, 44], [43, 8]], [[42, 9], [7, 40]], [[43, 6], [8, 44]]]
    assert chsh_wins(counts) == (40 + 41 + 44 + 43 + 42 + 40 + 43 + 44, int(np.sum(counts)))


# -- prediction-based ratios


def test_the_gain_of_chsh_is_its_statistical_strength() -> None:
    """W. van Dam, R. D. Gill and P. D. Grunwald, IEEE Trans. Inf. Theory 51, 2812 (2005), table I: CHSH 0.0462738469."""
    p = quantum_counts(1.0, 1e9) / 1e9
    assert float((p * np.log2(best_factors(p * 1e9))).sum()) == pytest.approx(0.0462738469, abs=2e-9)


def test_batches_in_order_gain_nearly_what_the_state_allows_and_hold_for_drifting_local_models() -> None:
    rng = np.random.default_rng(3)
    batches = rng.poisson(quantum_counts(0.97, 2500), (8, 2, 2, 2, 2))
    found = prediction_based_ratio(batches)
    best = quantum_counts(0.97, 1.0)
    limit = float((best * np.log2(best_factors(best * 1e9))).sum())
    sigma = float(np.sqrt((best * np.log2(best_factors(best * 1e9)) ** 2).sum() / found.trials))
    assert abs(found.gain_bits - limit) < 4 * sigma
    assert found.log10_p_value == pytest.approx(-found.gain_bits * found.trials * math.log10(2.0))
    assert found.trials == batches[1:].sum()
    assert "fair sampling" in prediction_based_ratio(batches, selection="post-selected").assumes
    # local models that change their strategy with the batch: at most one run in twenty may show p <= 0.05
    shown = []
    for _ in range(40):
        drifting = np.zeros((4, 2, 2, 2, 2))
        for k in range(4):
            a, b = rng.integers(0, 2, 2), rng.integers(0, 2, 2)
            for x, y in np.ndindex(2, 2):
                drifting[k, x, y, a[x], b[y]] = rng.poisson(60)
        shown.append(prediction_based_ratio(drifting).log10_p_value <= math.log10(0.05))
    assert sum(shown) <= 6  # 40 / 20 = 2, and three sigmas


# -- Clauser, Horne and Eberhard


EBERHARD_1993 = {0.70: (0.136, 0.02), 0.75: (0.311, 0.31), 0.80: (0.465, 1.10), 0.85: (0.608, 2.48), 0.90: (0.741, 4.50),
                 0.95: (0.871, 7.12), 1.00: (1.000, 10.36)}  # fmt: skip
"""Efficiency: ratio of amplitudes, and the background in per cent: P. H. Eberhard, PRA 47, R747 (1993), table II (from
memory; that the optimum of the operator gives all fourteen confirms them)."""


@pytest.mark.parametrize("efficiency", EBERHARD_1993)
def test_eberhards_table(efficiency: float) -> None:
    found = eberhard_optimum(efficiency)
    ratio, background = EBERHARD_1993[efficiency]
    assert found.ratio == pytest.approx(ratio, abs=1.1e-3)
    assert 100.0 * found.max_background == pytest.approx(background, abs=6e-3)


def test_threshold_of_two_thirds_and_its_limits() -> None:
    """2/3: Eberhard; 1/2 with one perfect side, eta_b = eta_a/(3 eta_a - 1): Cabello and Larsson (2007)."""
    assert eberhard_optimum(2.0 / 3.0 - 1e-3).j > -1e-12
    assert eberhard_optimum(2.0 / 3.0 + 1e-3).j < -1e-9
    for eta_a in (1.0, 0.8):
        limit = eta_a / (3.0 * eta_a - 1.0)
        assert eberhard_optimum(eta_a, limit - 5e-3).j > -1e-12
        assert eberhard_optimum(eta_a, limit + 5e-3).j < -1e-8
    assert eberhard_optimum(1.0).j == pytest.approx((1.0 - 2.0**0.5) / 2.0)  # -J = (S - 2)/4


def test_the_state_and_angles_of_the_optimum_give_its_j() -> None:
    """Independent of the operator: Born's rule with loss, then the estimator on the mean counts."""
    for eta in (0.75, 0.9, 1.0):
        best = eberhard_optimum(eta)
        psi = np.array([1.0, 0.0, 0.0, best.ratio]) / math.hypot(1.0, best.ratio)
        counts = np.zeros((2, 2, 2, 2))
        for x, y in np.ndindex(2, 2):
            a, b = (math.radians(best.angles_deg[side][k]) for side, k in ((0, x), (1, y)))
            pa = np.outer(v := np.array([math.cos(a), math.sin(a)]), v)
            pb = np.outer(w := np.array([math.cos(b), math.sin(b)]), w)
            both = eta * eta * float(psi @ np.kron(pa, pb) @ psi)
            one, other = (
                eta * float(psi @ np.kron(pa, np.eye(2)) @ psi),
                eta * float(psi @ np.kron(np.eye(2), pb) @ psi),
            )
            counts[x, y] = 1e6 * np.array([[both, one - both], [other - both, 1.0 - one - other + both]])
        assert eberhard_trials(counts).j == pytest.approx(best.j, abs=1e-9)


def test_the_counts_of_vienna_2013() -> None:
    """M. Giustina et al., Nature 497, 227 (2013): J = -126,715 from the counts that they print."""
    found = eberhard_counts([[1_069_306, 1_152_595], [1_191_146, 69_749]], 1_522_865, 1_693_718)
    assert found.j == -126_715
    assert found.violation_sigmas > 69  # theirs, with an error from the scatter of 30 parts, larger than Poisson's


def test_the_error_of_j_is_its_spread() -> None:
    rng = np.random.default_rng(4)
    p = np.array([[[[0.02, 0.01], [0.015, 0.955]]] * 2, [[[0.03, 0.01], [0.005, 0.955]]] * 2])
    runs = [eberhard_trials(np.array([[rng.multinomial(5000, q.ravel()).reshape(2, 2) for q in r] for r in p]))
            for _ in range(1500)]  # fmt: skip
    assert np.std([r.j for r in runs]) == pytest.approx(
        np.mean([r.sigma for r in runs]), rel=0.08
    )  # 1500: 1.8 %, 4 sigma
    assert np.mean([r.j for r in runs]) == pytest.approx(-0.02 + 0.01 + 0.005 + 0.03, abs=4e-4)


# -- errors of the settings


def plates(vector_deg: float) -> tuple[float, float]:
    """Quarter- and half-wave plate that analyse the linear polarisation at an angle: quarter along it, half at half."""
    return vector_deg, vector_deg / 2.0


def test_plates_analyse_what_they_should() -> None:
    assert analysed_bloch(*plates(22.5)) == pytest.approx([2**-0.5, 2**-0.5, 0.0], abs=1e-12)
    assert analysed_bloch(45.0, 0.0) == pytest.approx([0.0, 0.0, analysed_bloch(45.0, 0.0)[2]], abs=1e-12)
    assert abs(analysed_bloch(45.0, 0.0)[2]) == pytest.approx(1.0)


@pytest.mark.parametrize("anew", [True, False])
def test_the_error_of_s_is_the_spread_of_s_with_straying_plates(anew: bool) -> None:
    rng = np.random.default_rng(8)
    t = np.diag([0.97, 0.97, -0.97])
    alice, bob = [plates(0.0), plates(45.0)], [plates(22.5), plates(67.5)]
    errors = PlateErrors(repeatability_deg=0.6, zero_deg=0.8, retardance_deg=2.0)
    found = chsh_settings_error(t, alice, bob, errors, errors, anew=anew)
    values = []
    for _ in range(1500):
        fixed = [(rng.normal(0, 0.8, 2), rng.normal(0, 2.0, 2)) for _ in range(2)]
        once = rng.normal(0, 0.6, (2, 2, 2))
        s = 0.0
        for term, sign in enumerate(SIGNS):
            vectors = []
            for party, settings in enumerate((alice, bob)):
                k = (term // 2, term % 2)[party]
                stray = rng.normal(0, 0.6, 2) if anew else once[party, k]
                zero, plate = fixed[party]
                q, h = np.array(settings[k]) + stray + zero
                vectors.append(analysed_bloch(q, h, 90 + plate[0], 180 + plate[1]))
            s += sign * float(vectors[0] @ t @ vectors[1])
        values.append(s)
    assert found.sigma == pytest.approx(np.std(values), rel=0.09)  # 1500 values: 1.8 %; they are not quite normal
    assert found.shift == pytest.approx(np.mean(values) - 0.97 * 8**0.5, abs=5 * found.sigma / 1500**0.5)
    assert found.shift < 0.0


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: game_test(5, 4), "won <= played"),
        (lambda: game_test(1, 4, setting_bias=0.5), "bias < 0.5"),
        (lambda: chsh_wins(np.ones((3, 2, 2))), "(4, 2, 2)"),
        (lambda: combined_p_value([0.0]), "above 0"),
        (lambda: sigmas_of(1.0), "between 0 and 1"),
        (lambda: prediction_based_ratio(np.ones((1, 2, 2, 2, 2))), "batches >= 2"),
        (lambda: eberhard_optimum(1.2), "at most 1"),
        (lambda: eberhard_counts([[1, 5], [1, 1]], 4, 9), "not above the singles"),
        (lambda: eberhard_trials(np.zeros((2, 2, 2, 2))), "some of each"),
        (lambda: eberhard_trials(np.ones((2, 2, 2))), "outcomes, outcomes"),
        (lambda: chsh_settings_error(np.eye(3), [(0, 0)], [(0, 0)], PlateErrors(), PlateErrors()), "expected 2, 2"),
    ],
)
def test_bad_input_is_named(make: object, text: str) -> None:
    with pytest.raises(BadRequestError) as error:
        make()  # type: ignore[operator]
    assert text in str(error.value)
