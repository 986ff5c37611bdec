"""`--estimate` works for every plan, and says how long it lasts; docs/plans.md has all of them as they are."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from qlab.clock import PS_PER_S
from qlab.lab.build import open_lab
from qlab.run.commands import run_to_its_end
from qlab.run.engine import Session
from qlab.run.estimate import estimate_plan
from qlab.run.loader import bind_parameters, find_plan, find_plans
from qlab.run.options import RunOptions
from qlab.run.warming import warm_up
from tests.run.plan_cases import CASES, Case
from tests.run.plans_page import page_estimates, plan_table

PAGE = Path(__file__).parents[2] / "docs" / "plans.md"
QUICK = ("characterise_source", "record_tags")
"""Plans whose estimate the gate checks; the others are slow tests."""


def lasts(name: str, case: Case, folder: Path, seed: int) -> float:
    """Run a plan and return its lab seconds."""
    lab_name = case.lab_name(folder)
    overrides = (*case.overrides, f"seed={seed}")
    options = RunOptions(overrides, folder)
    with open_lab(lab_name, overrides=overrides, data_dir=folder) as lab, Session(lab, options) as session:
        light = lab.file.world.replay is None
        if light:
            warm_up(lab)
        plan = find_plan(name)
        arguments = bind_parameters(plan, case.texts, lab.devices, light=light)
        begin_ps = lab.clock.now_ps()
        run_to_its_end(session, plan(**arguments))
        return (lab.clock.now_ps() - begin_ps) / PS_PER_S


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in sorted(CASES)])
def test_a_plan_lasts_as_long_as_its_estimate(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    if case.after:
        lasts(case.after, CASES[case.after], tmp_path, seed=11)
    options = RunOptions((*case.overrides, "seed=12"), tmp_path)
    found = estimate_plan(case.lab_name(tmp_path), name, case.texts, options, wall_s=900.0)
    spent_s = lasts(name, case, tmp_path, seed=13)
    assert found.complete
    assert abs(found.lab_s - spent_s) < case.bound * spent_s


def test_every_plan_has_a_case_with_parameters_that_it_has() -> None:
    ours = {name: plan for name, plan in find_plans().items() if plan.__module__.startswith("plans.")}
    assert set(ours) == set(CASES), "give every plan a short run in tests/run/plan_cases.py"
    for name, case in CASES.items():
        assert set(case.texts) <= set(inspect.signature(ours[name]).parameters), name


def test_the_page_has_every_plan_as_it_is() -> None:
    text = PAGE.read_text()
    estimates = page_estimates(text)
    assert plan_table(estimates) in text, "write it anew: python -m tests.run.plans_page docs/plans.md"
    assert all(words not in ("", "-") for words in estimates.values()), "measure them: ... docs/plans.md --estimates"
