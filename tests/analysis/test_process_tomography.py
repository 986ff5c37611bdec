"""Process tomography: channels with closed forms come back, and the stated uncertainty holds them as often as it says."""

from __future__ import annotations

import math

import numpy as np
import pytest

from qlab.analysis.process_measures import (
    average_fidelity,
    chi_matrix,
    choi_of_kraus,
    diattenuation,
    mueller_matrix,
    nearest_unitary,
    pdl_db,
    process_fidelity,
)
from qlab.analysis.process_tomography import (
    INPUTS,
    ancilla_counts,
    fit_process,
    lossless,
    prepared_counts,
    sample_process,
)
from qlab.analysis.projections import AXES, NINE_SETTINGS, PAULI, ProjectionCounts
from qlab.analysis.state_sampling import sample_states_batch
from qlab.errors import BadRequestError
from qlab.physics.jones import bloch_unitary, random_rotation
from qlab.physics.states import werner

SIX = tuple(tuple(sign * x for x in axis) for axis in AXES for sign in (1.0, -1.0))
ONE = np.eye(2)


def depolarising(p: float, u: np.ndarray = ONE) -> np.ndarray:
    """(1 - p) U rho U^dagger + p/2: process fidelity 1 - 3p/4 with U."""
    weights = [1 - 0.75 * p, p / 4, p / 4, p / 4]
    return np.array([math.sqrt(w) * s @ u for w, s in zip(weights, [ONE, *PAULI], strict=True)])


def damping(gamma: float) -> np.ndarray:
    """Amplitude damping of V towards H: M. A. Nielsen and I. L. Chuang (2000), section 8.3.5."""
    return np.array([[[1, 0], [0, math.sqrt(1 - gamma)]], [[0, math.sqrt(gamma)], [0, 0]]])


def polariser(loss_db: float, axis: tuple[float, float, float] = (1.0, 0.0, 0.0)) -> np.ndarray:
    """Partial polariser that lets the state along `axis` through and takes `loss_db` off the other."""
    low = 10 ** (-loss_db / 20)
    along = np.tensordot(axis, PAULI, axes=1)
    return np.array([((1 + low) * ONE + (1 - low) * along) / 2])


def output(kraus: np.ndarray, rho: np.ndarray) -> np.ndarray:
    return sum(k @ rho @ k.conj().T for k in kraus)


def prepared_mean(kraus: np.ndarray, inputs: tuple, photons: float) -> np.ndarray:
    """By Kraus operators and Born's rule, without the Choi matrix."""
    means = np.zeros((len(inputs), 3, 2))
    for i, v in enumerate(inputs):
        rho = output(kraus, (ONE + np.tensordot(v, PAULI, axes=1)) / 2)
        for j in range(3):
            means[i, j] = [photons * np.trace(rho @ (ONE + s * PAULI[j])).real / 2 for s in (1, -1)]
    return means


def ancilla_mean(kraus: np.ndarray, rho: np.ndarray, pairs: float) -> np.ndarray:
    wide = [np.kron(ONE, k) for k in kraus]
    state = output(np.array(wide), rho)
    means = np.zeros((9, 2, 2))
    for n, (a, b) in enumerate(NINE_SETTINGS):
        for i, x in enumerate((1, -1)):
            for j, y in enumerate((1, -1)):
                both = np.kron(ONE + x * np.tensordot(a, PAULI, axes=1), ONE + y * np.tensordot(b, PAULI, axes=1)) / 4
                means[n, i, j] = pairs * np.trace(both @ state).real
    return means


U = random_rotation(7)
CHANNELS = {
    "identity": (np.array([ONE]), True),
    "rotation": (np.array([U]), True),
    "depolarising": (depolarising(0.2, U), True),
    "damping": (damping(0.3), True),
    "pdl": (U @ polariser(1.5, (0.6, 0.0, 0.8)), False),
}


@pytest.mark.parametrize("name", CHANNELS)
@pytest.mark.parametrize("way", ["four inputs", "six inputs", "ancilla"])
def test_counts_without_noise_give_the_channel_back(name: str, way: str) -> None:
    kraus, keeps = CHANNELS[name]
    if way == "ancilla":
        rho = werner("psi-", 0.93)  # any entangled state will do, it need not be pure
        data = ancilla_counts(rho, NINE_SETTINGS, ancilla_mean(kraus, rho, 1e7))
    else:
        inputs = INPUTS if way == "four inputs" else SIX
        data = prepared_counts(inputs, AXES, prepared_mean(kraus, inputs, 1e7))
    truth = choi_of_kraus(kraus)
    truth *= 2 / np.trace(truth).real
    fit = fit_process(data, keeps_trace=keeps, tolerance=1e-4)
    assert np.abs(fit.choi - truth).max() < 2e-3
    assert fit.gap <= 1e-3
    assert np.linalg.eigvalsh(fit.choi)[0] > -1e-12
    if keeps:
        rest = np.einsum("ikjk->ij", fit.choi.reshape(2, 2, 2, 2))
        assert np.abs(rest - ONE).max() < 1e-9


def test_figures_of_known_channels() -> None:
    p, gamma = 0.2, 0.3
    choi = choi_of_kraus(depolarising(p, U))
    assert float(process_fidelity(choi, U)) == pytest.approx(1 - 3 * p / 4)
    assert float(average_fidelity(choi, U)) == pytest.approx(1 - p / 2)
    assert np.diag(chi_matrix(choi_of_kraus(depolarising(p)))).real == pytest.approx(
        [1 - 3 * p / 4, p / 4, p / 4, p / 4]
    )
    damped = mueller_matrix(choi_of_kraus(damping(gamma)))
    assert damped[1] == pytest.approx([gamma, 1 - gamma, 0, 0])
    assert [damped[2, 2], damped[3, 3]] == pytest.approx([math.sqrt(1 - gamma)] * 2)
    assert float(process_fidelity(choi_of_kraus(damping(gamma)), ONE)) == pytest.approx(
        (1 + math.sqrt(1 - gamma)) ** 2 / 4
    )
    lossy = choi_of_kraus(U @ polariser(1.5, (0.6, 0.0, 0.8)))
    assert float(pdl_db(lossy)) == pytest.approx(1.5)
    low = 10**-0.15
    assert float(diattenuation(lossy)) == pytest.approx((1 - low) / (1 + low))
    assert float(diattenuation(choi)) == pytest.approx(0.0, abs=1e-12)
    found = nearest_unitary(choi)
    assert abs(np.trace(found.conj().T @ U)) == pytest.approx(2.0)


def test_a_rotation_of_the_bloch_sphere_is_the_mueller_matrix() -> None:
    """About Z by 90 degrees: exp(-i pi/4 sigma_Z) takes X to the axis that [sigma_Z, sigma_X] says."""
    u = bloch_unitary((math.pi / 2, 0.0, 0.0))
    m = mueller_matrix(choi_of_kraus([u]))[1:, 1:]
    direct = np.array([[np.trace(a @ u @ b @ u.conj().T).real / 2 for b in PAULI] for a in PAULI])
    np.testing.assert_allclose(m, direct, atol=1e-12)
    assert np.linalg.det(m) == pytest.approx(1.0)


def test_the_maximum_among_lossless_channels_is_one() -> None:
    """The stated gap is a bound: mixing in any other lossless channel never gains more."""
    rng = np.random.default_rng(3)
    data = prepared_counts(SIX, AXES, rng.poisson(prepared_mean(depolarising(0.05, U), SIX, 300.0)))
    fit = fit_process(data, tolerance=1e-4)

    def value(choi: np.ndarray) -> float:
        """Return the log-likelihood at the best brightness."""
        mean = np.einsum("mij,ji->m", data.projectors, choi).real
        mean *= data.counts.sum() / mean.sum()
        return float((data.counts * np.log(mean) - mean).sum())

    best = value(fit.choi)
    for seed in range(150):
        other = choi_of_kraus(depolarising(rng.random(), random_rotation(seed)))
        if seed % 3 == 0:
            other = choi_of_kraus(random_rotation(seed) @ damping(rng.random()))
        for weight in (1e-5, 1e-3, 1e-1):
            assert value((1 - weight) * fit.choi + weight * other) <= best + fit.gap
    # and it is no worse than the truth
    assert best >= value(choi_of_kraus(depolarising(0.05, U)))


@pytest.mark.parametrize("keeps_trace", [True, False])
def test_the_stated_interval_holds_fidelity_and_loss_as_often_as_it_says(keeps_trace: bool) -> None:
    """A fibre that turns and depolarises by 4 %, or that has 0.8 dB of loss of one polarisation."""
    runs, rng = 100, np.random.default_rng(11)
    kraus = depolarising(0.04, U) if keeps_trace else polariser(0.8) @ depolarising(0.04, U)
    mean = prepared_mean(kraus, SIX, 1500.0)

    def figure(choi: np.ndarray) -> np.ndarray:
        return process_fidelity(choi, U) if keeps_trace else pdl_db(choi)

    data = prepared_counts(SIX, AXES, mean)
    counts = rng.poisson(mean, size=(runs, *mean.shape)).reshape(runs, -1).astype(np.float64)
    within = lossless() if keeps_trace else None
    found = sample_states_batch(data, counts, rng, chains=4, samples=80, within=within)
    truth = float(figure(choi_of_kraus(kraus)))
    hits = [(interval := one.interval(figure)).low <= truth <= interval.high for one in found]
    assert abs(np.mean(hits) - 0.6827) < 3 * (0.6827 * 0.3173 / runs) ** 0.5


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: prepared_counts(INPUTS, AXES, np.ones((4, 2, 2))), "expected (4, 3, 2)"),
        (lambda: prepared_counts(INPUTS[:2], AXES, np.ones((2, 3, 2))), "span 8 of 16"),
        (lambda: ancilla_counts(np.eye(4) / 4, NINE_SETTINGS, np.ones((9, 2, 2))), "span 4 of 16"),
        (lambda: ancilla_counts(np.eye(3), NINE_SETTINGS, np.ones((9, 2, 2))), "(4, 4)"),
        (lambda: choi_of_kraus(np.eye(2)), "(n, 2, 2)"),
        (lambda: pdl_db(np.eye(2)), "(..., 4, 4)"),
        (lambda: nearest_unitary(np.zeros((2, 4, 4)) + np.eye(4)), "expected one"),
    ],
)
def test_bad_input_is_named(make: object, text: str) -> None:
    with pytest.raises(BadRequestError) as error:
        make()  # type: ignore[operator]
    assert text in str(error.value)


def test_samples_of_a_process_repeat_with_their_seed_and_hold_the_truth() -> None:
    data = prepared_counts(SIX, AXES, np.random.default_rng(5).poisson(prepared_mean(depolarising(0.1, U), SIX, 800.0)))
    found = [sample_process(data, 3, chains=6, samples=60).interval(lambda c: process_fidelity(c, U)) for _ in range(2)]
    assert found[0] == found[1]
    assert abs(found[0].value - 0.925) < 4 * found[0].sigma


def test_projections_of_a_process_are_projection_counts() -> None:
    data = prepared_counts(INPUTS, AXES, np.ones((4, 3, 2)))
    assert isinstance(data, ProjectionCounts)
    assert data.projectors.shape == (24, 4, 4)
