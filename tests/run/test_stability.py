"""A long run waits while something is wrong, goes on when all is well, and its data say what happened when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from plans.stability import monitor_stability
from qlab.analysis.constancy import fit_drift
from qlab.clock import PS_PER_S
from qlab.errors import BadRequestError, PlanError
from qlab.lab.build import open_lab
from qlab.run.engine import Session
from qlab.run.journal import find_run, read_run
from qlab.run.options import RunOptions
from qlab.run.report import render_report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

OVERRIDES = (
    "optics.alice_fibre.rotation_seed=null",
    "optics.bob_fibre.rotation_seed=null",
    "optics.alice_fibre.drift_rad_per_sqrt_s=0",
    "optics.crystal.brightness_hz_per_mw=400",
    "instruments.oven.twin.tau_s=1",
)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with (
        open_lab("bell", overrides=OVERRIDES, data_dir=tmp_path) as lab,
        Session(lab, RunOptions(data_dir=tmp_path)) as session,
    ):
        lab.devices["oven"].set(40.0).wait(30)
        yield session


def after(session: Session, seconds: float, what: Callable[[], object]) -> None:
    clock = session.lab.clock
    clock.call_at(clock.now_ps() + round(seconds * PS_PER_S), what)


def test_the_run_waits_for_the_interlock_and_for_the_errors_to_go(session: Session) -> None:
    d, pump = session.lab.devices, session.lab.twins["pump"]
    wrong = np.diag([1.0, -1.0, -1.0])
    after(session, 27.0, lambda: pump.device_fault("interlock"))
    after(session, 36.0, lambda: pump.device_fault("interlock", active=False))
    after(session, 62.0, lambda: d["bob"].set_frame(wrong))
    after(session, 72.0, lambda: d["bob"].set_frame(np.eye(3)))
    plan = monitor_stability(
        d["tagger"], d["alice"], d["bob"], d["pump"], [d["pump"], d["oven"], d["tagger"]],
        duration_s=90.0, acquisition_s=0.2, every_s=5.0, restart_source=True,
    )  # fmt: skip
    found = session.run(plan)

    assert d["pump"].emission.get() == 0  # at its end
    lines = found["incident_what"].splitlines()
    assert any(line.startswith("pump: ") and "interlock" in line for line in lines)
    assert lines[-1].startswith("error rate: ")
    begin, lasts = found["incident_begin_s"], found["incident_lasts_s"]
    start = begin[0]
    # seen at the next point, and ended at the first look that found no trouble
    assert 5.0 < start < 35.0
    assert begin[-1] - start == pytest.approx(35.0, abs=13.0)
    assert 4.0 < lasts[-1] < 25.0
    good = found["point_good"].astype(bool)
    assert found["points"] - found["good_points"] == (~good).sum() == 2
    # nothing of the bad times is in the figures: the lab's state behind splitters of 30 dB
    for basis in "zx":
        floor = (1 - 0.98 * (1 - 2e-3) ** 2) / 2
        assert abs(found[f"error_rate_{basis}"] - floor) < 4 * found[f"error_rate_{basis}_sigma"]
    assert abs(found["drift_hz_per_s"]) < 4 * found["drift_hz_per_s_sigma"]
    assert found["chi2"] < found["degrees_of_freedom"] + 5 * (2 * found["degrees_of_freedom"]) ** 0.5
    assert found["lost_s"] < lasts.sum() + 1e-6

    record = read_run(find_run(session.data_dir / "runs", "-1"))
    events = record.events["incidents"]
    assert len(events) == 2 * len(lines)  # begin and end of each
    assert [e["incident_reason"] for e in events if np.isnan(e["incident_end_s"])] == [
        line.partition(": ")[2] for line in lines
    ]
    page = render_report(record, session.data_dir / "report")
    assert "What happened when" in page.read_text()


def test_a_run_whose_trouble_does_not_end_ends_in_time_and_says_so(session: Session) -> None:
    d = session.lab.devices
    session.lab.twins["oven"].device_fault("sensor_unplugged")
    d["oven"].refresh_health()
    before_s = session.lab.clock.now_s()
    plan = monitor_stability(
        d["tagger"], d["alice"], d["bob"], d["pump"], [d["oven"]], duration_s=40.0, acquisition_s=0.2, delays_ps=[0] * 4
    )
    found = session.run(plan)
    assert session.lab.clock.now_s() - before_s < 60.0
    assert found["good_points"] == 0
    assert found["incident_what"].startswith("oven: ")
    assert found["incident_lasts_s"][0] > 25.0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [({"most_error_rate": 0.0}, "most_error_rate = 0"), ({"poll_s": 0.0}, "poll_s = 0")],
)
def test_a_wrong_wish_is_refused_before_anything_moves(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(PlanError, match=words):
        monitor_stability(None, None, None, **arguments).send(None)


def test_a_line_is_fitted_with_the_scatter_that_it_has() -> None:
    rng = np.random.default_rng(1)
    t = np.arange(400.0)
    slopes, inside = [], 0
    for _ in range(100):
        y = 1000 + 0.1 * t + rng.normal(0, 30, t.size) + rng.normal(0, 40, t.size)
        fit = fit_drift(t, y, np.full(t.size, 30.0))
        slopes.append(fit.slope)
        inside += abs(fit.slope - 0.1) < fit.slope_sigma
    # 30 is known, 40 is not: 50 together
    assert np.mean(slopes) == pytest.approx(0.1, abs=4 * 50 / np.sqrt(12) / 400 / 400**0.5)
    assert abs(inside - 68) < 3 * np.sqrt(100 * 0.68 * 0.32)
    assert fit.excess == pytest.approx(40 / fit.mean, rel=0.15)
    with pytest.raises(BadRequestError, match="three or more"):
        fit_drift([0.0, 1.0], [1.0, 1.0], [1.0, 1.0])
