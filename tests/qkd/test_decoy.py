"""Decoy-state bounds against published figures and against simulated blocks whose photon numbers are known."""

import math

import numpy as np
import pytest
from scipy.optimize import brentq

from qlab.analysis.qber import binary_entropy as h
from qlab.errors import BadRequestError
from qlab.qkd.decoy import DecoyCounts, Intensities, decoy_bounds, decoy_secret_bits
from qlab.qkd.decoy_model import FibreLink

TWO = Intensities((0.45, 0.17, 2e-4), (0.6, 0.3, 0.1))
ONE = Intensities((0.45, 0.12), (0.7, 0.3))


def rate_of_lim_2014(intensities, key_bits, key_basis):
    """Secret bits a pulse at 100 km; eps_sec is 1e-15 a bit of the key, so that the length is a fixed point."""
    counts, pulses = FibreLink(20.0).expected_counts(intensities, key_bits, key_basis)
    disclosed = 1.16 * h(sum(counts.key_errors) / key_bits) * key_bits + math.log2(2 / 1e-15)
    length = key_bits // 5
    for _ in range(50):
        eps = 1e-15 * length
        length = decoy_secret_bits(decoy_bounds(intensities, counts, eps), disclosed, eps, intensities.parts)
    return length / pulses


def test_rates_of_lim_2014_at_100_km():
    # Phys. Rev. A 89, 022307 (2014): from 1e7 to 1e9 the rate grows "about 1.75" times.  Intensities, probabilities and
    # basis choice as a Nelder-Mead search over all five found them; an independent program gave 4.766e-5 and 8.537e-5.
    best_short = Intensities((0.41444236, 0.21642258, 2e-4), (0.38442815, 0.43918261, 0.17638924))
    best_long = Intensities((0.43839673, 0.16871988, 2e-4), (0.75598528, 0.15501691, 0.08899781))
    short = rate_of_lim_2014(best_short, 1e7, 0.85051369)
    long = rate_of_lim_2014(best_long, 1e9, 0.92727639)
    assert short == pytest.approx(4.766e-5, abs=5e-9)
    assert long == pytest.approx(8.537e-5, abs=5e-9)
    assert long / short == pytest.approx(1.791, abs=5e-4)


@pytest.mark.parametrize(("weak", "published"), [(1e-4, 142.05), (0.05, 140.55)])
def test_largest_distances_of_ma_qi_zhao_lo_2005(weak, published):
    # Phys. Rev. A 72, 012326 (2005), on the experiment of Gobby, Yuan, Shields, Appl. Phys. Lett. 84, 3762 (2004): a fibre of
    # 0.21 dB/km, a receiver of 4.5 %, Y_0 1.7e-6, 3.3 % misaligned, f 1.22, signals of 0.48.  With infinite decoys keys
    # end at 142.05 km, with vacuum and one of 0.05 at 140.55 km.  Inputs and distances recalled, not read again: to 0.1 km.
    signal, pulses = 0.48, 1e30
    light = Intensities((signal, weak, 0.0), (0.3, 0.3, 0.4))

    def rate(kilometres):
        link = FibreLink(0.21 * kilometres, 0.045, 1.7e-6 / 2, 0.0, 0.033)
        pairs = [link.click_and_error(mu) for mu in light.mean_photons]
        hits, errors = (
            tuple(pulses * p * pair[k] for p, pair in zip(light.probabilities, pairs, strict=True)) for k in (0, 1)
        )
        found = decoy_bounds(light, DecoyCounts(hits, errors, hits, errors), 1e-9)
        single = found.single / (pulses * light.share(1)) * signal * math.exp(-signal)
        gain, wrong = pairs[0]
        return single * (1 - h(found.phase_error)) - 1.22 * gain * h(wrong / gain)

    assert brentq(rate, 100, 150) == pytest.approx(published, abs=0.1)


def block(intensities, pulses, rng):
    """Draw a block of which the photon numbers are known: counts, and the truth for vacuum and single photons."""
    eta, dark, misaligned = 0.05, 1e-5, 0.02
    photons = np.arange(12)
    seen = 1 - (1 - 2 * dark) * (1 - eta) ** photons
    wrong = (dark + misaligned * (1 - (1 - eta) ** photons)) / seen
    table = {}
    for basis, share in (("key", 0.81), ("test", 0.01)):
        hits, errors = [], []
        for mu, p in zip(intensities.mean_photons, intensities.probabilities, strict=True):
            poisson = np.exp(-mu) * mu**photons / np.array([math.factorial(n) for n in photons])
            sent = rng.multinomial(rng.binomial(pulses, share * p), poisson / poisson.sum())
            hits.append(rng.binomial(sent, seen))
            errors.append(rng.binomial(hits[-1], wrong))
        table[basis] = np.array(hits), np.array(errors)
    (key, key_errors), (test, test_errors) = table["key"], table["test"]
    sums = [tuple(x.sum(axis=1).tolist()) for x in (key, key_errors, test, test_errors)]
    return DecoyCounts(*sums), key[:, 0].sum(), key[:, 1].sum(), test[:, 1].sum(), test_errors[:, 1].sum(), wrong[1]


@pytest.mark.parametrize("intensities", [TWO, ONE], ids=["lim", "rusca"])
def test_bounds_hold_for_blocks_whose_photon_numbers_are_known(intensities):
    # eps_sec 0.05: in 200 blocks 10 may fail; the bounds of Hoeffding are looser than that.
    rng = np.random.default_rng(12)
    failed = 0
    for _ in range(200):
        counts, vacuum, single, single_test, single_errors, _ = block(intensities, 5_000_000, rng)
        bounds = decoy_bounds(intensities, counts, 0.05)
        failed += (
            bounds.vacuum > vacuum
            or bounds.single > single
            or bounds.single_test > single_test
            or bounds.single_errors < single_errors
        )
    assert failed <= 10


@pytest.mark.parametrize(
    ("intensities", "least", "most"),
    [(Intensities((0.3, 0.02, 2e-4), (0.4, 0.4, 0.2)), 0.98, 1.1), (Intensities((0.1, 0.01), (0.5, 0.5)), 0.9, 1.25)],
    ids=["lim", "rusca"],
)
def test_bounds_of_very_long_blocks_and_weak_decoys_come_near_the_truth(intensities, least, most):
    # What is left for infinite blocks is of the order of mu_2 with two decoys, of mu_1 and of the error rate with one.
    counts, _, single, _, _, rate = block(intensities, 10**14, np.random.default_rng(4))
    bounds = decoy_bounds(intensities, counts, 1e-9)
    assert least < bounds.single / single <= 1.0
    assert rate <= bounds.phase_error < most * rate


def test_a_block_that_shows_no_single_photons_has_no_key():
    counts, *_ = block(TWO, 20_000, np.random.default_rng(1))
    bounds = decoy_bounds(TWO, counts, 1e-9)
    assert bounds.phase_error == 0.5
    assert decoy_secret_bits(bounds, 0.0, 1e-9, TWO.parts) == 0


def test_photon_number_splitting_leaves_no_key():
    # Eve blocks single photons and sends multi-photon pulses on without loss: the same total, but the decoys tell.
    key = [1e6 * p * (1 - math.exp(-mu) * (1 + mu)) for mu, p in zip(TWO.mean_photons, TWO.probabilities, strict=True)]
    counts = DecoyCounts(tuple(key), (0.0,) * 3, tuple(k / 10 for k in key), (0.0,) * 3)
    assert decoy_bounds(TWO, counts, 1e-9).entropy == 0.0


def test_nonsense_is_refused():
    for call in (
        lambda: Intensities((0.1, 0.5), (0.5, 0.5)),
        lambda: Intensities((0.5, 0.3, 0.25), (0.5, 0.3, 0.2)),
        lambda: Intensities((0.5, 0.1), (0.5, 0.6)),
        lambda: DecoyCounts((1, 2), (2, 0), (1, 1), (0, 0)),
        lambda: decoy_bounds(ONE, DecoyCounts((5, 2, 1), (0, 0, 0), (1, 1, 1), (0, 0, 0)), 1e-9),
        lambda: FibreLink(-1.0),
        lambda: FibreLink(1.0).expected_counts(ONE, 0, 0.5),
    ):
        with pytest.raises(BadRequestError):
            call()
