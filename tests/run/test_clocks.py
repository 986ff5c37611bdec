"""Clocks of two nodes over the wire, against the world's truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from plans.clocks import synchronise_clocks
from qlab.errors import LabFileError, PlanError
from qlab.lab.build import open_lab
from qlab.run.engine import Session
from qlab.run.options import RunOptions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with open_lab("clocks", data_dir=tmp_path) as lab, Session(lab, RunOptions(data_dir=tmp_path)) as session:
        yield session


def truth_ps(session: Session, at_s: float) -> float:
    """Return Bob's clock less Alice's at a time of Alice's, which is nearly the lab's."""
    clocks = session.lab.wiring.clocks
    t = round(at_s * 1e12)
    return float(clocks["bob"].local(t) - clocks["alice"].local(t))


def test_two_rubidiums_are_found_steered_and_told_when_there_is_no_light(session: Session) -> None:
    d = session.lab.devices
    arguments = {"acquisition_s": 1.5, "duration_s": 20.0, "time_constant_s": 4.0}
    found: dict[str, Any] = session.run(synchronise_clocks(d["bob_clock"], d["pump"], d["bob_rubidium"], **arguments))
    assert found["locked_share"] == 1.0
    errors = found["offset_ps"] - [truth_ps(session, s) for s in found["at_s"]]
    pulls = errors / found["offset_ps_sigma"]
    assert np.abs(pulls).max() < 4.0
    # n pairs of a jitter of 350 ps / 2.355 a side: 12 points of some 5,000 pairs a second, and what clocks do in between
    assert np.sqrt(np.mean(errors**2)) < 20.0
    # The frequencies differ by 3e-10; two rubidiums wander by 3e-11 in a second.
    assert found["steering"] == pytest.approx(-3e-10, abs=6e-11)
    assert abs(found["error_ps"]) < 400.0
    assert d["bob_clock"].health.ok.get() == 1
    dark: dict[str, Any] = session.run(synchronise_clocks(d["bob_clock"], None, acquisition_s=1.5, duration_s=1.5))
    assert dark["locked_share"] == 0.0
    assert np.isnan(dark["offset_ps"]).all()
    assert "no peak is less likely by chance" in d["bob_clock"].health.reason.get()


def test_wrong_wishes_and_labs_are_refused(session: Session, tmp_path: Path) -> None:
    pair = session.lab.devices["bob_clock"]
    with pytest.raises(PlanError, match="duration_s = 1, acquisition_s = 2"):
        session.run(synchronise_clocks(pair, duration_s=1.0))
    text = session.lab.path.read_text().replace("second_pps: 4", "second_pps: 1")
    text = text.replace("second: bob_tagger", "second: bob_counter")
    (tmp_path / "wrong.yaml").write_text(text)
    with pytest.raises(LabFileError) as raised, open_lab(str(tmp_path / "wrong.yaml")):
        pass
    assert "input 1 is said to have pairs as well" in str(raised.value)
    assert "bob_counter" in str(raised.value)
