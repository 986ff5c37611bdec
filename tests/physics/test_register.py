"""The hidden qubits against textbook formulas."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from qlab.errors import WorldError
from qlab.physics.register import BELL_KETS, CNOT, CZ, PAULI, Axis, QubitRegister, bell_mixture, rotation

S = 10**12


def bell(label: int) -> np.ndarray:
    return np.outer(BELL_KETS[label], BELL_KETS[label].conj())


def fidelity(rho: np.ndarray, label: int) -> float:
    return float((BELL_KETS[label].conj() @ rho @ BELL_KETS[label]).real)


def make(*qubits: int, t1_s: float = math.inf, t2_s: float = math.inf, seed: int = 1) -> QubitRegister:
    register = QubitRegister(seed)
    for qubit in qubits:
        register.add(qubit, t1_s, t2_s)
    return register


def test_a_qubit_relaxes_with_t1_and_dephases_with_t2() -> None:
    register = make(1, t1_s=2.0, t2_s=0.5)
    register.reset(1, 0)
    register.apply(rotation("Y", math.pi / 2.0), (1,), 0)
    rho = register.state((1,), S)
    assert 2.0 * rho[0, 1].real == pytest.approx(math.exp(-1.0 / 0.5), rel=1e-12)
    assert rho[1, 1].real == pytest.approx(0.5 * math.exp(-1.0 / 2.0), rel=1e-12)
    steps = make(2, t1_s=2.0, t2_s=0.5)
    steps.reset(2, 0)
    steps.apply(rotation("Y", math.pi / 2.0), (2,), 0)
    for t in range(0, S + 1, S // 10):
        steps.apply(PAULI["I"], (2,), t)
    assert np.allclose(steps.state((2,), S), rho, atol=1e-12)


def test_a_pair_ages_at_both_ends_by_itself() -> None:
    register = make(1, t2_s=0.5)
    register.add(2, math.inf, 2.0)
    register.entangle(1, 2, bell(2), 0, S // 2)
    coherence = math.exp(-1.0 / 0.5) * math.exp(-0.5 / 2.0)
    assert fidelity(register.state((1, 2), S), 2) == pytest.approx((1.0 + coherence) / 2.0, rel=1e-9)


def test_times_that_no_qubit_can_have_are_refused() -> None:
    with pytest.raises(WorldError, match="T2 <= 2 T1"):
        make(1, t1_s=1.0, t2_s=2.5)


@pytest.mark.parametrize("axis", ["X", "Y", "Z"])
@pytest.mark.parametrize("label", [0, 1, 2, 3])
def test_bell_states_correlate_as_the_textbook_says(label: int, axis: Axis) -> None:
    both = np.kron(PAULI[axis], PAULI[axis])
    expected = round(float(np.trace(bell(label) @ both).real))
    products = set()
    for seed in range(20):
        register = make(1, 2, seed=seed)
        register.entangle(1, 2, bell(label), 0, 0)
        products.add((-1) ** (register.measure(1, axis, S) ^ register.measure(2, axis, 2 * S)))
    assert products == {expected}


def test_outcomes_are_fair_and_depend_on_seed_and_time_alone() -> None:
    register = make(1)
    outcomes = []
    for t in range(4000):
        register.reset(1, 2 * t * S)
        outcomes.append(register.measure(1, "X", (2 * t + 1) * S))
    assert abs(sum(outcomes) - 2000) < 4.0 * math.sqrt(1000)
    again = make(1)
    again.reset(1, 200 * S)
    assert again.measure(1, "X", 201 * S) == outcomes[100]


def test_misread_outcomes_are_as_many_as_asked_for() -> None:
    register = make(1)
    wrong = 0
    for t in range(4000):
        register.reset(1, 2 * t * S)
        wrong += register.measure(1, "Z", (2 * t + 1) * S, flip=0.1)
    assert abs(wrong - 400) < 4.0 * math.sqrt(4000 * 0.09)


@pytest.mark.parametrize(("left", "right"), [(1.0, 1.0), (0.9, 0.8), (0.7, 0.4)])
def test_swapping_two_werner_pairs_gives_the_product_rule(left: float, right: float) -> None:
    # F' = F1 F2 + (1 - F1)(1 - F2)/3 (Briegel, Duer, Cirac and Zoller, PRL 81, 5932, 1998, with perfect operations)
    for seed in range(6):
        register = make(1, 2, 3, 4, seed=seed)
        for pair, quality in (((1, 2), left), ((3, 4), right)):
            weight = (4.0 * quality - 1.0) / 3.0
            register.entangle(*pair, weight * bell(0) + (1.0 - weight) * np.eye(4) / 4.0, 0, 0)
        register.apply(CNOT, (2, 3), S)
        phase, parity = register.measure(2, "X", S), register.measure(3, "Z", S)
        found = fidelity(register.state((1, 4), S), 2 * parity + phase)
        assert found == pytest.approx(left * right + (1.0 - left) * (1.0 - right) / 3.0, abs=1e-12)


def test_a_gate_that_depolarises_costs_its_share_of_the_fidelity() -> None:
    register = make(1, 2)
    register.reset(1, 0)
    register.reset(2, 0)
    register.apply(rotation("Y", math.pi / 2.0), (1,), 0)
    register.apply(CNOT, (1, 2), 0, depolarising=0.04)
    assert fidelity(register.state((1, 2), 0), 0) == pytest.approx(1.0 - 0.04 * 3.0 / 4.0, abs=1e-12)


def test_gates_act_on_the_qubits_that_are_named_in_their_order() -> None:
    register = make(*range(5))
    for qubit in range(5):
        register.reset(qubit, 0)
    register.apply(PAULI["X"], (4,), 0)
    register.apply(CNOT, (4, 0), 0)
    register.apply(CNOT, (1, 4), 0)
    register.exchange(0, 2, 0)
    populations = [register.state((qubit,), 0)[1, 1].real for qubit in range(5)]
    assert np.allclose(populations, [0, 0, 1, 0, 1])


def test_a_cluster_of_five_is_a_ghz_state() -> None:
    register = make(*range(5))
    for qubit in range(5):
        register.reset(qubit, 0)
    register.apply(rotation("Y", math.pi / 2.0), (0,), 0)
    for a, b in pairwise(range(5)):
        register.apply(CNOT, (a, b), 0)
    rho = register.state(range(5), 0)
    assert rho[0, 0].real == pytest.approx(0.5)
    assert rho[0, 31].real == pytest.approx(0.5)
    assert np.allclose(register.state((1, 3), 0), np.diag([0.5, 0, 0, 0.5]))
    first = register.measure(2, "Z", 0)
    assert all(register.measure(qubit, "Z", 0) == first for qubit in (0, 1, 3, 4))


def test_cz_is_cnot_between_hadamards() -> None:
    hadamard = (PAULI["X"] + PAULI["Z"]) / math.sqrt(2.0)
    wrapped = np.kron(PAULI["I"], hadamard) @ CZ @ np.kron(PAULI["I"], hadamard)
    assert np.allclose(wrapped, CNOT)


def test_what_is_reset_leaves_the_others_mixed() -> None:
    register = make(1, 2)
    register.entangle(1, 2, bell(0), 0, 0)
    register.reset(1, 0)
    assert np.allclose(register.state((2,), 0), np.eye(2) / 2.0)
    assert np.allclose(register.state((1, 2), 0), np.kron(np.diag([1, 0]), np.eye(2) / 2.0))


def test_more_qubits_than_memory_allows_are_refused() -> None:
    register = make(*range(12))
    for qubit in range(9):
        register.apply(CNOT, (qubit, qubit + 1), 0)
    with pytest.raises(WorldError, match="expected at most 10"):
        register.apply(CNOT, (9, 10), 0)


def test_a_wrong_phase_is_what_interference_lacks() -> None:
    assert fidelity(bell_mixture(2, 0.05), 2) == pytest.approx(0.95)
    assert fidelity(bell_mixture(2, 0.05), 3) == pytest.approx(0.05)
