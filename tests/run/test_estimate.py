"""A dry run on twins says how long a plan takes; the bar of the run to come believes it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest

from qlab.cli import main
from qlab.clock import PS_PER_S, SteppedClock
from qlab.errors import BadRequestError, PlanError
from qlab.lab.build import open_lab
from qlab.lab.load import load_lab, shipped_labs
from qlab.run.commands import run_to_its_end
from qlab.run.engine import Session
from qlab.run.estimate import Estimate, estimate_plan, recall_estimate, remember_estimate, twin_overrides
from qlab.run.loader import bind_parameters, find_plan
from qlab.run.options import RunOptions
from qlab.run.progress import Progress
from qlab.run.warming import warm_up

if TYPE_CHECKING:
    from pathlib import Path

WARM = ("instruments.oven.twin.tau_s=5",)
STRAIGHT = ("optics.alice_fibre.rotation_seed=null", "optics.bob_fibre.rotation_seed=null", *WARM)
CHSH = {"sigma": "0.006", "acquisition_s": "0.1"}


def lasts_s(plan_name: str, texts: dict[str, str], options: RunOptions) -> tuple[float, int]:
    """Run a plan; return its lab time and points."""
    seen: list[str] = []
    with (
        open_lab("bell", overrides=options.overrides, data_dir=options.data_dir) as lab,
        Session(lab, options) as session,
    ):
        warm_up(lab)
        session.subscribe(lambda name, doc: seen.append(name) if "tagger_counts" in doc.get("data", {}) else None)
        plan = find_plan(plan_name)
        begin_ps = lab.clock.now_ps()
        run_to_its_end(session, plan(**bind_parameters(plan, texts, lab.devices)))
        return (lab.clock.now_ps() - begin_ps) / PS_PER_S, len(seen)


def test_an_adaptive_plan_takes_the_time_of_its_dry_run_under_another_seed(tmp_path: Path) -> None:
    found = estimate_plan("bell", "measure_chsh", CHSH, RunOptions((*STRAIGHT, "seed=1"), tmp_path))
    spent_s, points = lasts_s("measure_chsh", CHSH, RunOptions((*STRAIGHT, "seed=2"), tmp_path))
    assert found.complete
    assert found.points == points > 4  # several rounds: their number comes from the data
    assert found.lab_s == pytest.approx(spent_s, rel=0.03)
    assert found.warm_up_s > 10


def test_a_dry_run_that_is_cut_off_extrapolates_to_the_most_points(tmp_path: Path) -> None:
    texts = {"acquisition_s": "0.1", "points": "6", "max_rounds": "1"}
    options = RunOptions(STRAIGHT, tmp_path)
    cut = estimate_plan("bell", "measure_visibility", texts, options, wall_s=0.0)
    spent_s, points = lasts_s("measure_visibility", texts, options)
    assert not cut.complete
    assert cut.dry_points == 2
    assert cut.points == points == 12
    assert cut.lab_s == pytest.approx(spent_s, rel=0.15)  # the plates turn as far as they have to
    assert "at most about" in cut.render()


def test_a_lab_with_real_addresses_is_rehearsed_on_twins_and_left_alone(tmp_path: Path) -> None:
    text = shipped_labs()["bell"].read_text().replace("name: bell", "name: real").replace("mode: stepped", "mode: real")
    text = text.replace('address: "twin:plates"', "address: /dev/nobody-has-this").replace(
        "address: twin", 'address: "tcp://192.0.2.1:1"'
    )
    path = tmp_path / "real.yaml"
    path.write_text(text)
    overrides = twin_overrides(load_lab(str(path)).lab)
    assert "clock.mode=stepped" in overrides
    shared = {o.partition("=")[2] for o in overrides if "wp.address" in o}
    assert len(shared) == 1  # four plates on one port stay on one bus
    assert shared.pop().startswith("twin:dry")
    found = estimate_plan(str(path), "record_tags", {"duration_s": "2"}, RunOptions(WARM, tmp_path / "data"))
    assert found.complete
    assert found.points == 1
    spent_s, _ = lasts_s("record_tags", {"duration_s": "2"}, RunOptions(WARM, tmp_path / "twins"))
    assert found.lab_s == pytest.approx(spent_s, rel=0.03)
    assert not (tmp_path / "data" / "tags").exists()


def test_the_command_line_says_it_and_the_next_run_knows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", "record_tags", "duration_s=0.5", "--data-dir", str(tmp_path)]
    for override in WARM:
        words += ["--set", override]
    assert main([*words, "--estimate"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("record_tags: ")
    assert "of lab time, 1 points, after a warm-up of" in out
    known = recall_estimate("bell", "record_tags", {"duration_s": "0.5"}, RunOptions(WARM, tmp_path))
    assert known["estimated_points"] == 1
    assert recall_estimate("bell", "record_tags", {"duration_s": "0.6"}, RunOptions(WARM, tmp_path)) == {}


def test_what_the_plan_would_fail_with_is_said_by_its_estimate(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="max_rounds = 0"):
        estimate_plan("bell", "measure_chsh", {"max_rounds": "0"}, RunOptions(WARM, tmp_path))
    with pytest.raises(BadRequestError, match="there is no plan 'measure'"):
        estimate_plan("bell", "measure", {}, RunOptions(WARM, tmp_path))


def test_spoiled_estimates_are_as_good_as_none(tmp_path: Path) -> None:
    options = RunOptions((), tmp_path)
    (tmp_path / "estimates.json").write_text("{")
    assert recall_estimate("bell", "record_tags", {}, options) == {}
    remember_estimate("bell", "record_tags", {}, options, Estimate(7200.0, 3, 0.0, 3, 1.0, complete=True))
    assert recall_estimate("bell", "record_tags", {}, options) == {"estimated_s": 7200.0, "estimated_points": 3}


def test_the_bar_follows_the_estimate_by_lab_time() -> None:
    terminal, wall = io.StringIO(), iter(range(0, 1000, 2))
    with SteppedClock() as clock:
        progress = Progress(clock, io.StringIO(), terminal, lambda: float(next(wall)))
        start: dict[str, Any] = {"uid": "0123456789", "num_points": 80, "estimated_s": 4.0, "estimated_points": 8}
        progress("start", start)
        progress("descriptor", {"uid": "d", "name": "primary", "data_keys": {}, "hints": {}})
        clock.sleep(1.0)
        progress("event", {"descriptor": "d", "data": {}, "time": 0.0})
    # a quarter of the lab time in 2 s of the wall's: 6 s are left
    assert "[########----------------------] 1 of about 8 points in 0:02, about 0:06 left" in terminal.getvalue()
