"""Tomography over the wire: the state in the lab file comes back with its uncertainty."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from plans.bell import align_polarisation
from plans.tomography import measure_tomography
from qlab.analysis.state_measures import bell_weights, concurrence
from qlab.errors import PlanError
from qlab.lab.build import open_lab
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


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"target": "phi"}, "expected one of phi+"),
        ({"sigma": 0.0}, "above 0"),
        ({"max_rounds": 0}, "at least 1"),
        ({"extinction_db": 3.0}, "at least 10"),
    ],
)
def test_a_wrong_wish_is_refused_before_anything_moves(wrong: dict[str, object], text: str) -> None:
    with pytest.raises(PlanError, match=text.replace("+", "\\+")):
        measure_tomography(None, None, None, **wrong).send(None)
