"""A tagger's delays are found from pairs or pulses, taken out, and what is left is below a picosecond."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from plans.bell import measure_chsh
from plans.calibration import calibrate_tagger
from qlab.errors import PlanError
from qlab.lab.build import open_lab
from qlab.run.calibration import calibration_path
from qlab.run.engine import Session
from qlab.run.journal import find_run, read_run
from qlab.run.options import RunOptions
from qlab.run.report import render_report

if TYPE_CHECKING:
    from pathlib import Path

LAB = (
    "instruments.oven.twin.tau_s=5",
    "optics.alice_fibre.drift_rad_per_sqrt_s=0.0",
    "optics.alice_fibre.dispersion_ps_nm_km=0.0",
)
# Sharp detectors: the same precision from a tenth of the pairs.
SHARP = tuple(f"instruments.{party}_{port}.twin.jitter_fwhm_ps=100" for party in ("alice", "bob") for port in "tr")
PULSER = """
qlab: 1
name: pulser
instruments:
  delaygen: {class: devices.sources.srs_dg645.DG645, address: twin, settings: {trigger_source: 0, trigger_rate_hz: 10000}}
  tagger: {class: devices.taggers.idquantique_id900.ID900, address: twin}
cables:
  - {from: delaygen.T0, to: tagger.1, delay_ps: 1234}
  - {from: delaygen.T0, to: tagger.2, delay_ps: 45}
  - {from: delaygen.T0, to: tagger.4, delay_ps: 9999}
"""
FIBRE_PS = 20.0 * 1.468 / 299_792_458.0 * 1e12
"""Bob's fibre is 20 m longer than Alice's."""
TRUTH_PS = np.array([0, 600, -1000 + FIBRE_PS, -300 + FIBRE_PS])
"""Cables and fibres of the lab `bell`, against Alice's transmitted input; all detectors are of one kind."""


def test_pairs_calibrate_all_four_inputs_below_one_picosecond(tmp_path: Path) -> None:
    with (
        open_lab("bell", overrides=(*LAB, *SHARP), data_dir=tmp_path) as lab,
        Session(lab, RunOptions(data_dir=tmp_path)) as session,
    ):
        d = lab.devices
        d["oven"].set(40.0).wait(30)
        found = session.run(calibrate_tagger(d["tagger"], d["pump"], acquisition_s=0.5))
        written = [channel.delay_ps.get() for channel in d["tagger"].inputs]
    assert found["stopped_by"] == "sigma"
    # two detectors' latencies differ by a rounding
    assert np.abs(found["delays_ps"] - TRUTH_PS).max() < 1.0 + 3.5 * found["delays_ps_sigma"].max()
    assert found["delays_ps_sigma"].max() <= 0.5
    assert found["chi2"] < found["degrees_of_freedom"] + 10
    assert np.abs(found["residual_ps"]).max() < 1.0 + 2 * found["residual_ps_sigma"].max()
    assert min(written) == 0
    assert written == found["settings_ps"].tolist()
    assert np.abs(np.array(written) + TRUTH_PS - TRUTH_PS.max()).max() < 2.0


def test_a_pulser_calibrates_exactly_and_later_runs_start_from_there(tmp_path: Path) -> None:
    path = tmp_path / "lab.yaml"
    path.write_text(PULSER)
    with open_lab(str(path), data_dir=tmp_path) as lab, Session(lab, RunOptions(data_dir=tmp_path)) as session:
        tagger = lab.devices["tagger"]
        found = session.run(calibrate_tagger(tagger, inputs=[1, 2, 4], acquisition_s=0.1))
        record = read_run(find_run(session.data_dir / "runs", "-1"))
        assert "Delays" in render_report(record, tmp_path / "report").read_text()
        again = session.run(calibrate_tagger(tagger, inputs=[1, 2, 4], acquisition_s=0.1, reference=2))
    assert found["delays_ps"] == pytest.approx([0, -1189, 8765], abs=0.1)
    assert found["residual_ps"] == pytest.approx([0, 0, 0], abs=0.1)
    assert again["settings_ps"].tolist() == found["settings_ps"].tolist() == [8765, 9954, 0, 0]


def test_plans_use_the_document_and_notice_when_it_is_not_true_any_more(tmp_path: Path) -> None:
    with (
        open_lab("bell", overrides=LAB, data_dir=tmp_path) as lab,
        Session(lab, RunOptions(data_dir=tmp_path)) as session,
    ):
        d = lab.devices
        d["oven"].set(40.0).wait(30)
        found = session.run(calibrate_tagger(d["tagger"], d["pump"], write="document", resolution_ps=5.0))
        document = calibration_path(d["tagger"])
        assert found["written_to"] == str(document)

        def delays() -> list[int]:
            plan = measure_chsh(d["tagger"], d["alice"], d["bob"], d["pump"], acquisition_s=0.1, max_rounds=1)
            return list(session.run(plan)["delays_ps"])

        assert delays() == [round(v) for v in found["delays_ps"]]
        said = json.loads(document.read_text())
        document.write_text(json.dumps(said | {"delays_ps": {**said["delays_ps"], "2": said["delays_ps"]["2"] + 3000}}))
        with pytest.raises(PlanError, match=r"input.* 3 .*run calibrate_tagger again"):
            delays()
        # under other delay settings the document says nothing
        d["tagger"].in1.delay_ps.set(100).wait(10)
        assert delays()[1] == pytest.approx(500, abs=20)


def test_inputs_that_nothing_ties_together_are_named(tmp_path: Path) -> None:
    path = tmp_path / "lab.yaml"
    path.write_text(PULSER)
    with open_lab(str(path), data_dir=tmp_path) as lab, Session(lab, RunOptions(data_dir=tmp_path)) as session:
        with pytest.raises(PlanError, match=r"nothing ties inputs \[3\] to input 1"):
            session.run(calibrate_tagger(lab.devices["tagger"], acquisition_s=0.1, max_rounds=2))
        with pytest.raises(PlanError, match="the reference among them"):
            session.run(calibrate_tagger(lab.devices["tagger"], inputs=[1, 2], reference=3))
