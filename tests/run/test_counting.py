"""One plan on every counter, one on every detector; which role each class has."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from plans.counting import count_rates, watch_detectors
from qlab.errors import PlanError
from qlab.lab.build import open_lab
from qlab.lab.role_table import role_table
from qlab.run.engine import Session
from qlab.run.journal import find_run, read_run
from qlab.run.loader import bind_parameters
from qlab.run.options import RunOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

LAB = """
qlab: 1
name: counting
seed: 6
instruments:
  spd: {class: devices.detectors.sfifteen_spd.SPD, address: twin, twin: {dark_rate_hz: 20000, afterpulse_probability: 0}}
  wires: {class: devices.detectors.srs_sim900.SIM900, address: twin}
  id900: {class: devices.taggers.idquantique_id900.ID900, address: twin}
  tdc1: {class: devices.taggers.sfifteen_tdc1.TDC1, address: twin}
  counter: {class: devices.counters.pendulum_cnt91.CNT91, address: twin}
cables:
  - {from: spd, to: id900.2}
  - {from: spd, to: tdc1.1}
  - {from: spd, to: counter.1}
"""


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    path = tmp_path / "lab.yaml"
    path.write_text(LAB)
    with open_lab(str(path), data_dir=tmp_path) as lab, Session(lab, RunOptions(data_dir=tmp_path)) as session:
        yield session


def test_four_kinds_of_counters_count_the_same_clicks(session: Session) -> None:
    """20 kHz less 50 ns of dead time (0.1 %): each within four of its standard uncertainties, and of 0.6 %."""
    arguments = bind_parameters(count_rates, {"gate_s": "1.0"}, session.lab.devices)
    assert [c.name for c in arguments["counters"]] == ["spd", "id900", "tdc1", "counter"]
    found: dict[str, Any] = session.run(count_rates(**arguments))
    dead_ps = session.lab.bench.detector("spd").dead_time_ps if session.lab.bench is not None else 0
    theory = 20_000.0 / (1.0 + 20_000.0 * dead_ps * 1e-12)
    rates = [found[name] for name in ("spd_1_hz", "id900_2_hz", "tdc1_1_hz", "counter_1_hz")]
    for rate in rates:
        assert abs(rate - theory) < 4 * (theory / 5.0) ** 0.5
    # At about the same time they count the same clicks: closer to each other than chance would have it.
    assert all(abs(a - b) < 3 * (theory / 5.0) ** 0.5 for a, b in pairwise(rates))
    assert found["id900_1_hz"] == 0.0
    record = read_run(find_run(session.data_dir / "runs", "-1"))
    assert len(record.events["rates"]) == 5


def test_a_gate_that_a_counter_cannot_is_refused_at_once(session: Session) -> None:
    for name, gate_s in (("spd", 100.0), ("id900", 1e5), ("counter", 5000.0)):
        with pytest.raises(Exception, match=r"limits|between|outside"):
            session.lab.devices[name].count(gate_s)


def test_a_night_with_a_warm_diode_is_told(session: Session) -> None:
    d = session.lab.devices
    arguments = bind_parameters(watch_detectors, {}, d)
    assert [one.name for one in arguments["detectors"]] == ["spd", "wires"]
    d["spd"].loop.set(0).wait(5)
    found: dict[str, Any] = session.run(watch_detectors(arguments["detectors"], duration_s=600.0, every_s=60.0))
    assert found["spd_unwell_s"] == pytest.approx(600.0, abs=70.0)
    assert "loop is open" in found["spd_reasons"]
    assert (found["wires_unwell_s"], found["wires_reasons"]) == (0.0, "")


@pytest.mark.parametrize(("plan", "wrong"), [(count_rates, {"points": 0}), (watch_detectors, {"every_s": 0.0})])
def test_a_wrong_wish_is_refused(session: Session, plan: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(PlanError, match="expected at least one"):
        next(plan([session.lab.devices["spd"]], **wrong))


def test_the_table_of_roles_is_true() -> None:
    """docs/roles.md; to write it anew: make pages."""
    page = (Path(__file__).parents[2] / "docs" / "roles.md").read_text()
    assert role_table() in page
    rows = [row for row in page.splitlines() if row.startswith("| `")]
    assert rows
    assert not [row for row in rows if row.endswith("|  |")], "an instrument that no plan can use"
