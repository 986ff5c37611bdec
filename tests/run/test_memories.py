"""Repeater modules in a lab: pairs over lossy fibres, swapped along a chain, as good as theory says."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from plans.memories import measure_chain
from qlab import roles
from qlab.analysis.memories import bell_fidelity, correlation
from qlab.errors import BadRequestError, InstrumentError, LabFileError, PlanError
from qlab.lab.build import open_lab
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
    def go(names: list[str], pairs: int, twin: str = TWIN) -> tuple[dict[str, Any], Any, Any]:
        path = tmp_path / "chain.yaml"
        path.write_text(LAB.format(twin=twin))
        with open_lab(str(path), data_dir=tmp_path) as lab, Session(lab, RunOptions(data_dir=tmp_path)) as session:
            assert all(isinstance(device, roles.RepeaterModule) for device in lab.devices.values())
            result = session.run(measure_chain([lab.devices[name] for name in names], pairs=pairs))
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
