"""Repeater modules in a lab: pairs over lossy fibres, swapped along a chain, as good as theory says."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from plans.memories import measure_chain
from plans.purification import purify_pairs
from qlab import roles
from qlab.analysis.memories import (
    bell_fidelity,
    bell_weights,
    correlation,
    expected_purification,
    purified,
    success_rate,
)
from qlab.errors import BadRequestError, InstrumentError, LabFileError, PlanError
from qlab.lab.build import open_lab
from qlab.physics.register import BELL_KETS, rotation
from qlab.run.engine import Session
from qlab.run.journal import find_run, read_run
from qlab.run.options import RunOptions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TWIN = (
    "{init_error: 0, gate_error: 0, two_qubit_error: 0, measure_error: 0, emission_probability: 0.9,"
    " t2_s: 1000.0, storage_t2_s: 1000.0}"
)
LAB = """
qlab: 1
name: chain
seed: 11
instruments:
  alice: {{class: devices.repeaters.qrm.QRM, address: twin, twin: {twin}}}
  hub: {{class: devices.repeaters.qrm.QRM, address: twin, twin: {twin}, settings: {{links: {{1: {{}}, 2: {{}}}}}}}}
  bob: {{class: devices.repeaters.qrm.QRM, address: twin, twin: {twin}}}
optics:
  west: {{kind: fibre, length_m: 10000}}
  east: {{kind: fibre, length_m: 5000}}
  left: {{kind: midpoint, efficiency: 0.9, visibility: 0.96}}
  right: {{kind: midpoint, efficiency: 0.9, visibility: 0.9}}
paths:
  - {{from: alice.1, via: [west], to: left}}
  - {{from: hub.1, to: left}}
  - {{from: hub.2, to: right}}
  - {{from: bob.1, via: [east], to: right}}
"""


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Any]:
    def go(
        names: list[str], pairs: int, plan: Any = measure_chain, left: float = 0.96
    ) -> tuple[dict[str, Any], Any, Any]:
        path = tmp_path / "chain.yaml"
        path.write_text(LAB.format(twin=TWIN).replace("visibility: 0.96", f"visibility: {left}"))
        with open_lab(str(path), data_dir=tmp_path) as lab, Session(lab, RunOptions(data_dir=tmp_path)) as session:
            assert all(isinstance(device, roles.RepeaterModule) for device in lab.devices.values())
            result = session.run(plan([lab.devices[name] for name in names], pairs=pairs))
        return result, read_run(find_run(tmp_path / "runs", "-1")), lab

    return go


def test_neighbours_are_entangled_as_well_as_their_photons_interfere(run: Callable[..., Any]) -> None:
    result, record, _ = run(["alice", "hub"], 150)
    expected = (1.0 + 0.96) / 2.0
    assert abs(result["fidelity"] - expected) < 4.0 * result["fidelity_sigma"]
    assert result["correlation_z"] == 1.0  # a wrong phase does not show along Z
    assert abs(result["correlation_x"] - 0.96) < 4.0 * result["correlation_x_sigma"]
    events = record.events["pairs"]
    assert [event["pair_number"] for event in events] == list(range(150))
    assert {event["pair_bell"] for event in events} == {2, 3}


def test_a_swapped_pair_has_the_product_of_both_visibilities(run: Callable[..., Any]) -> None:
    # each link mixes Psi+ and Psi-; phase errors of both add up: V = V1 V2
    result, record, _ = run(["alice", "hub", "bob"], 120)
    assert result["correlation_z"] == 1.0
    for axis in ("x", "y"):
        assert abs(result[f"correlation_{axis}"] - 0.96 * 0.9) < 4.0 * result[f"correlation_{axis}_sigma"]
    assert {event["pair_bell"] for event in record.events["pairs"]} == {0, 1, 2, 3}


def test_one_module_or_none_is_no_chain(run: Callable[..., Any]) -> None:
    with pytest.raises(PlanError, match="expected at least 2 modules"):
        run(["alice"], 10)


def test_an_end_that_does_not_try_gets_no_pair(tmp_path: Path) -> None:
    path = tmp_path / "chain.yaml"
    path.write_text(LAB.format(twin=TWIN))
    with open_lab(str(path), data_dir=tmp_path) as lab:
        alice, bob = lab.devices["alice"], lab.devices["bob"]
        with pytest.raises(InstrumentError, match=r"no pair was heralded.*does the other end try"):
            alice.generate(1, timeout_s=0.5).wait(60)
        with pytest.raises(BadRequestError, match="no link 3; expected 1 to 2"):
            alice.generate(3)
        with pytest.raises(InstrumentError, match="No pair on qubit"):
            alice.refresh_pair(2)
        with pytest.raises(InstrumentError, match="not initialised"):
            bob.read_out(2).wait(30)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("{from: bob.1, via: [east], to: right}", "{from: bob.1, via: [east], to: left}", "a third path ends at left"),
        ("  - {from: bob.1, via: [east], to: right}\n", "", "1 paths end here; a midpoint joins two"),
        ("{from: bob.1,", "{from: bob.3,", "did you mean 'bob"),
        ("to: right}\n  - {from: bob", "to: bob}\n  - {from: bob", "there is no midpoint 'bob'"),
    ],
)
def test_a_midpoint_that_cannot_be_is_a_mistake_in_the_lab_file(tmp_path: Path, old: str, new: str, words: str) -> None:
    text = LAB.format(twin=TWIN)
    assert old in text
    path = tmp_path / "wrong.yaml"
    path.write_text(text.replace(old, new))
    with pytest.raises(LabFileError, match=words):
        open_lab(str(path), data_dir=tmp_path)


def test_a_memory_that_no_qubit_can_be_is_a_mistake_in_the_lab_file(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(LAB.format(twin="{t1_s: 1.0, t2_s: 3.0}"))
    with pytest.raises(LabFileError, match="longer than twice t1_s = 1 s"):
        open_lab(str(path), data_dir=tmp_path)


def test_fidelity_comes_from_three_correlations() -> None:
    result = bell_fidelity({"X": [95, 5], "Y": [90, 10], "Z": [100, 0]})
    assert result["fidelity"] == pytest.approx((1.0 + 0.9 + 0.8 + 1.0) / 4.0)
    sigmas = [2.0 * math.sqrt(p * (1 - p) / 100) for p in (96 / 102, 91 / 102, 101 / 102)]
    assert result["fidelity_sigma"] == pytest.approx(math.sqrt(sum(s**2 for s in sigmas)) / 4.0)
    assert [correlation(3, axis) for axis in ("X", "Y", "Z")] == [-1, -1, -1]  # the singlet
    with pytest.raises(BadRequestError, match="no outcome along Y"):
        bell_fidelity({"X": [1, 0], "Y": [0, 0], "Z": [1, 0]})


@pytest.mark.parametrize("pairs", [18, pytest.param(150, marks=pytest.mark.slow)])
def test_purified_pairs_are_as_good_and_as_rare_as_theory_says(run: Callable[..., Any], pairs: int) -> None:
    """Phase flips with probability 1 - F = 0.15: F' = F^2 / (F^2 + (1 - F)^2) in a share F^2 + (1 - F)^2 of the tries.

    Bennett et al., Phys. Rev. Lett. 76, 722 (1996), equations 5 and 6 without their terms for the other two Bell states.
    """
    result, record, _ = run(["alice", "hub"], pairs, purify_pairs, left=0.7)
    single = (1.0 + 0.7) / 2.0
    success = single**2 + (1.0 - single) ** 2
    better = single**2 / success
    for name, expected in (("single_fidelity", single), ("fidelity", better), ("success", success)):
        assert abs(result[name] - expected) < 4.0 * result[f"{name}_sigma"], name
    if pairs > 100:  # enough for 4 standard deviations between both kinds
        assert result["fidelity_sigma"] < (better - single) / 4.0
    assert abs(result["expected_fidelity"] - better) < 4.0 * result["expected_fidelity_sigma"]
    assert abs(result["expected_success"] - success) < 4.0 * result["expected_success_sigma"]
    assert result["single_correlation_z"] == result["correlation_x"] == 1.0  # phase flips have become bit flips
    events = record.events["pairs"]
    assert [event["pair_kind"] for event in events[:4]] == ["single", "purified", "single", "purified"]
    assert sum(event["pair_tries"] for event in events if event["pair_kind"] == "purified") == result["tries"]
    assert {event["pair_bell"] for event in events if event["pair_kind"] == "purified"} == {0, 2}  # Phi+, Psi+ turned


def test_purification_is_for_two_neighbours(run: Callable[..., Any]) -> None:
    with pytest.raises(PlanError, match=r"3 modules \(alice, hub, bob\).*modules=NAME,NAME"):
        run(["alice", "hub", "bob"], 10, purify_pairs)


@pytest.mark.parametrize("seed", range(6))
def test_the_formula_of_purification_is_what_its_gates_do(seed: int) -> None:
    """Any mixture of the four Bell states, turned, joined by two CNOTs, read along Z and compared: with matrices."""
    weights = np.random.default_rng(seed).dirichlet((4.0, 1.0, 1.0, 1.0))
    turn = np.kron(rotation("Y", math.pi / 2), rotation("Y", math.pi / 2))
    kets = [turn @ BELL_KETS[label] for label in (0, 1, 2, 3)]  # Phi+ as told, the other phase, the other parity, both
    rho = sum(w * np.outer(ket, ket.conj()) for w, ket in zip(weights, kets, strict=True))
    both = np.kron(rho, rho).reshape((2,) * 8)  # kept A, kept B, spent A, spent B; ket, then bra
    ket_index = np.indices((2, 2, 2, 2))
    moved = ket_index[0], ket_index[1], ket_index[2] ^ ket_index[0], ket_index[3] ^ ket_index[1]
    flat = np.ravel_multi_index(moved, (2, 2, 2, 2)).ravel()
    after = both.reshape(16, 16)[np.ix_(flat, flat)].reshape((2,) * 8)
    kept = sum(after[:, :, n, n, :, :, n, n] for n in (0, 1)).reshape(4, 4)  # both outcomes are the same
    success = float(np.trace(kept).real)
    expected = BELL_KETS[0]  # Phi+ turned is Phi+
    fidelity = float((expected.conj() @ kept @ expected).real) / success
    assert purified(weights) == pytest.approx((fidelity, success), rel=1e-12)


def test_weights_are_those_of_the_four_bell_states() -> None:
    for label in range(4):
        x, y, z = (correlation(label, axis) * correlation(0, axis) for axis in ("X", "Y", "Z"))
        assert bell_weights(x, y, z) == tuple(float(n == label) for n in range(4))
    counts = {"X": [85, 15], "Y": [85, 15], "Z": [100, 0]}
    found = expected_purification(counts)
    assert found["expected_success"] == pytest.approx(0.85**2 + 0.15**2)
    assert found["expected_fidelity"] == pytest.approx(0.85**2 / (0.85**2 + 0.15**2))
    assert success_rate(60, 40) == {"success": 0.6, "success_sigma": pytest.approx(0.049, abs=5e-4)}
