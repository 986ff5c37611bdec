"""Tomography over the wire: the state in the lab file comes back with its uncertainty."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from plans.bell import align_polarisation
from plans.tomography import measure_process, measure_tomography
from qlab.analysis.state_measures import bell_weights, concurrence
from qlab.errors import PlanError
from qlab.lab.build import open_lab
from qlab.physics.jones import random_rotation
from qlab.physics.states import dephased, werner
from qlab.run.engine import Session
from qlab.run.journal import find_run, read_run
from qlab.run.options import RunOptions
from qlab.run.report import render_report

if TYPE_CHECKING:
    from pathlib import Path

WARM = ("instruments.oven.twin.tau_s=5",)


def test_the_labs_state_comes_back_within_its_stated_uncertainty(tmp_path: Path) -> None:
    options = RunOptions(overrides=WARM, data_dir=tmp_path)
    with open_lab("bell", overrides=WARM, data_dir=tmp_path) as lab, Session(lab, options) as session:
        d = lab.devices
        d["oven"].set(40.0).wait(30)
        session.run(align_polarisation(d["tagger"], d["alice"], d["bob"], d["pump"], acquisition_s=0.5))
        result = session.run(
            measure_tomography(
                d["tagger"], d["alice"], d["bob"], d["pump"], acquisition_s=0.15, sigma=0.001, extinction_db=30.0
            )
        )
        state = lab.file.optics["crystal"].state
        truth = dephased(werner(state.bell, state.visibility), state.coherence)
        record = read_run(find_run(tmp_path / "runs", "-1"))
        page = render_report(record, tmp_path / "report")
    assert result["fidelity_sigma"] <= 0.001
    # The alignment's error of some 0.3 degrees costs 1e-4 of fidelity.
    assert abs(result["fidelity"] - bell_weights(truth)[0]) < 3 * result["fidelity_sigma"]
    assert abs(result["concurrence"] - concurrence(truth)) < 3 * result["concurrence_sigma"]
    assert result["chain_spread"] < 1.1
    rho = np.asarray(record.events["analysis"][-1]["tomography_rho_real"])
    assert np.trace(rho) == pytest.approx(1.0)
    assert "density matrix" in page.read_text()
    assert (tmp_path / "report" / "state.png").stat().st_size > 10_000


STRAIGHT = (
    "optics.alice_fibre.rotation_seed=null",
    "optics.bob_fibre.rotation_seed=null",
    "optics.alice_fibre.drift_rad_per_sqrt_s=0",
    "optics.crystal.brightness_hz_per_mw=4000",
    "instruments.oven.twin.tau_s=1",
)


@pytest.mark.slow
@pytest.mark.parametrize(("settings", "number"), [("adaptive", 18), ("thirty-six", 36)])
def test_other_settings_find_the_same_state(settings: str, number: int, tmp_path: Path) -> None:
    options = RunOptions(overrides=STRAIGHT, data_dir=tmp_path)
    with open_lab("bell", overrides=STRAIGHT, data_dir=tmp_path) as lab, Session(lab, options) as session:
        d = lab.devices
        d["oven"].set(40.0).wait(30)
        rounds = 2 if settings == "adaptive" else 1
        more = {"sigma": 1e-4, "max_rounds": rounds, "acquisition_s": 0.1, "extinction_db": 30.0}
        found = session.run(measure_tomography(d["tagger"], d["alice"], d["bob"], d["pump"], settings=settings, **more))
    assert found["stopped_by"] == "max_rounds"
    assert found["settings"].shape == (number, 2, 3)
    assert abs(found["fidelity"] - bell_weights(werner("phi+", 0.98))[0]) < 3 * found["fidelity_sigma"] < 0.02
    # Each setting had the same time; a fidelity of 0.985 from N pairs has sqrt(F (1 - F) 9 / N / 2) at worst.
    assert found["fidelity_sigma"] < 1.5 * np.sqrt(0.985 * 0.015 * 4.5 / found["counts"].sum())


def test_a_link_is_what_it_makes_of_the_state_without_it(tmp_path: Path) -> None:
    more = {"sigma": 1e-4, "acquisition_s": 0.2, "extinction_db": 30.0}
    found = []
    for seed in ("null", "5"):
        overrides = (*STRAIGHT, f"optics.bob_fibre.rotation_seed={seed}")
        options = RunOptions(overrides=overrides, data_dir=tmp_path)
        with open_lab("bell", overrides=overrides, data_dir=tmp_path) as lab, Session(lab, options) as session:
            d = lab.devices
            d["oven"].set(40.0).wait(30)
            devices = (d["tagger"], d["alice"], d["bob"], d["pump"])
            if not found:
                plan = measure_tomography(*devices, settings="adaptive", max_rounds=2, **more)
            else:
                plan = measure_process(*devices, "-1", max_rounds=1, **more)
            found.append(session.run(plan))
            page = render_report(read_run(find_run(tmp_path / "runs", "-1")), tmp_path / "report")
    pair = found[0]
    assert pair["settings"].shape == (18, 2, 3)
    assert abs(pair["fidelity"] - bell_weights(werner("phi+", 0.98))[0]) < 3 * pair["fidelity_sigma"] < 0.01
    link, fibre = found[1], random_rotation(5)
    unitary = link["unitary_real"] + 1j * link["unitary_imag"]
    sigma = np.hypot(link["fidelity_sigma"], pair["fidelity_sigma"])  # the reference counts as exact
    assert abs(link["fidelity"] - 1.0) < 3.0 * sigma < 0.02
    overlap = abs(np.trace(unitary.conj().T @ fibre)) ** 2 / 4
    assert overlap > 0.999  # angles to 0.03 rad: three axes from some 3000 pairs each, and the plates' repeatability
    assert "What the link does to Stokes vectors" in page.read_text()
    with pytest.raises(PlanError, match="has no state; expected one of measure_tomography"):
        measure_process(devices[0], None, None, reference="-1").send(None)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"target": "phi"}, "expected one of phi+"),
        ({"sigma": 0.0}, "above 0"),
        ({"max_rounds": 0}, "at least 1"),
        ({"extinction_db": 3.0}, "at least 10"),
        ({"settings": "many"}, "expected one of nine, thirty-six, adaptive"),
    ],
)
def test_a_wrong_wish_is_refused_before_anything_moves(wrong: dict[str, object], text: str) -> None:
    with pytest.raises(PlanError, match=text.replace("+", "\\+")):
        measure_tomography(None, None, None, **wrong).send(None)
