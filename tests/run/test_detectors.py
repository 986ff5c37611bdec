"""Detectors characterised over the wire are what the lab file says they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from plans.detectors import characterise_detectors
from qlab.errors import PlanError
from qlab.lab.build import open_lab
from qlab.run.engine import Session
from qlab.run.journal import find_run, read_run
from qlab.run.options import RunOptions
from qlab.run.report import render_report

if TYPE_CHECKING:
    from pathlib import Path

LAB = """
qlab: 1
name: detectors
seed: 3
instruments:
  a:
    class: devices.detectors.sfifteen_spd.SPD
    address: twin
    twin: {dark_rate_hz: 20000, afterpulse_probability: 0.03, afterpulse_tau_ns: 40, dead_time_ns: 50}
  b:
    class: devices.detectors.sfifteen_spd.SPD
    address: twin
    twin: {dark_rate_hz: 5000, afterpulse_probability: 0.1, afterpulse_tau_ns: 100, dead_time_ns: 80}
  tagger: {class: devices.taggers.idquantique_id900.ID900, address: twin}
cables:
  - {from: a, to: tagger.1}
  - {from: b, to: tagger.3}
"""


def test_dead_time_and_afterpulsing_come_back(tmp_path: Path) -> None:
    path = tmp_path / "lab.yaml"
    path.write_text(LAB)
    with open_lab(str(path), data_dir=tmp_path) as lab, Session(lab, RunOptions(data_dir=tmp_path)) as session:
        found = session.run(characterise_detectors(lab.devices["tagger"], clicks=40_000))
        record = read_run(find_run(tmp_path / "runs", "-1"))
        assert "Dead time and afterpulses" in render_report(record, tmp_path / "report").read_text()
        with pytest.raises(PlanError, match=r"too few clicks on inputs \[2\]"):
            session.run(characterise_detectors(lab.devices["tagger"], inputs=[1, 2], max_s=2.0))
    assert found["channels"].tolist() == [0, 2]
    for name, truth in (
        ("rate_hz", (20_000.0, 5_000.0)),
        ("afterpulse_probability", (0.03, 0.1)),
        ("afterpulse_tau_ps", (40_000.0, 100_000.0)),
    ):
        for value, sigma, expected in zip(found[name], found[f"{name}_sigma"], truth, strict=True):
            assert abs(value - expected) < 3 * sigma, name
            assert sigma < 0.1 * expected, name
    assert found["dead_time_ps"] == pytest.approx([50_000.0, 80_000.0], abs=100.0)


def test_a_wrong_wish_is_refused_before_anything_moves() -> None:
    with pytest.raises(PlanError, match="at least 100 clicks"):
        characterise_detectors(None, clicks=5).send(None)
