"""A nanowire that latches in mid-run is recovered, and the run's data say what happened when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from plans.nanowires import watch_nanowires
from qlab.errors import PlanError
from qlab.lab.build import open_lab
from qlab.run.engine import Session
from qlab.run.journal import find_run, read_run
from qlab.run.options import RunOptions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LAB = """
qlab: 1
name: cold
seed: 4
instruments:
  pump: {class: devices.sources.thorlabs_cld1015.CLD1015, address: twin, settings: {current_limit_a: 0.12, current_a: 0.08}}
  cryo: {class: devices.cryogenics.lakeshore_336.LakeShore336, address: twin, settings: {warm_above_k: 2.9}}
  rack:
    class: devices.detectors.srs_sim900.SIM900
    address: twin
    cold_stage: cryo.A
    settings: {slots: {1: sim928, 2: qoamp}, bias_ua: {1: 18.0, 2: 18.0}}
    twin: {slots: {1: sim928, 2: qoamp}}
  tagger: {class: devices.taggers.sfifteen_tdc1.TDC1, address: twin}
optics:
  crystal: {kind: pair_source, pump: pump, brightness_hz_per_mw: 20, bandwidth_nm: 1.0}
paths:
  - {from: pump, to: crystal}
  - {from: crystal.signal, to: rack.1}
  - {from: crystal.idler, to: rack.2}
cables:
  - {from: rack.1, to: tagger.1}
  - {from: rack.2, to: tagger.2}
"""


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Any]:
    """Run the plan with something that happens at the third point; return the run's record and the lab."""

    def go(happens: Callable[[Any], None], **more: Any) -> Any:
        path = tmp_path / "cold.yaml"
        path.write_text(LAB)
        with open_lab(str(path), data_dir=tmp_path) as lab, Session(lab, RunOptions(data_dir=tmp_path)) as session:
            d = lab.devices

            def watch(name: str, document: dict[str, Any]) -> None:
                if name == "event" and document["data"].get("point_number") == 1:
                    happens(lab)

            session.subscribe(watch)
            try:
                result = session.run(watch_nanowires(d["tagger"], d["rack"], d["pump"], **more))
            except PlanError as error:
                result = error
        return result, read_run(find_run(tmp_path / "runs", "-1")) if any((tmp_path / "runs").iterdir()) else None

    return go


@pytest.mark.parametrize(("slot", "words"), [(1, "no click in a whole acquisition"), (2, "a voltage across the wire")])
def test_a_latched_nanowire_is_recovered_and_the_run_says_when(run: Callable[..., Any], slot: int, words: str) -> None:
    done = []

    def latch(lab: Any) -> None:
        if not done:
            done.append(lab.clock.now_s())
            lab.twins["rack"].device_fault("latch", slot=slot)

    result, record = run(latch, acquisition_s=0.5, points=5)

    assert result == {"points": 5, "recoveries": 1}
    points = record.events["points"]
    assert [(p["point_number"], p["point_good"]) for p in points] == [(0, 1), (1, 1), (2, 0), (2, 1), (3, 1), (4, 1)]
    assert points[2]["point_counts"][slot - 1] == 0
    good = [p["point_counts"][slot - 1] for p in points if p["point_good"]]
    mean = sum(good) / len(good)
    assert all(abs(n - mean) < 5 * mean**0.5 for n in good)
    (incident,) = record.events["incidents"]
    assert incident["incident_detector"] == f"rack.{slot}"
    assert incident["incident_seen"] == words
    assert incident["incident_bias"] == pytest.approx(18.0, abs=1e-3)
    assert incident["incident_point"] == 2
    assert record.stop["exit_status"] == "success"


def test_a_stage_that_stays_warm_ends_the_run_with_a_reason(run: Callable[..., Any]) -> None:
    def stop_the_compressor(lab: Any) -> None:
        lab.twins["cryo"].device_fault("compressor_off")

    error, record = run(stop_the_compressor, acquisition_s=60.0, points=20, most_repeats=2)

    assert isinstance(error, PlanError)
    assert "latched again after 2 recoveries; is it cold?" in str(error)
    assert len(record.events["incidents"]) >= 3
    assert record.stop["exit_status"] == "fail"


def test_inputs_that_do_not_fit_are_refused(run: Callable[..., Any]) -> None:
    error, _ = run(lambda lab: None, inputs=[1])
    assert "expected 2 different inputs, one for each of rack" in str(error)
