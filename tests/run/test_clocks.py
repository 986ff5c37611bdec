"""Clocks of two nodes over the wire, against the world's truth."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from plans.clocks import Loop, synchronise_clocks
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


class FreeClock:
    """A clock that is known exactly and steered exactly: offset, frequency and drift, and the loop's roles."""

    steering_step, steering_limits = 0.0, (-1e-6, 1e-6)

    def __init__(self, x_s: float, y: float, drift_per_s: float) -> None:
        self.x_s, self.y, self.drift_per_s, self.steering = x_s, y, drift_per_s, 0.0
        self.lock, self.name = SimpleNamespace(get=lambda: 1), "free"
        self.offset_ps = SimpleNamespace(get=lambda: self.x_s * 1e12)
        self.frequency = SimpleNamespace(get=lambda: self.y)

    def steer(self, fraction: float) -> None:
        self.y += fraction - self.steering
        self.steering = fraction

    def note_steering(self, frequency: float) -> None:
        del frequency

    def go(self, seconds: float) -> None:
        self.x_s += self.y * seconds + self.drift_per_s * seconds**2 / 2.0
        self.y += self.drift_per_s * seconds


@pytest.mark.parametrize("drift", [0.0, 1e-13])
def test_the_loop_takes_a_frequency_error_off_and_leaves_of_a_drift_what_it_says(drift: float) -> None:
    """x(k+1) = x(k) (1 - T / tau) + a T^2 / 2, whatever the frequency was: from the loop's own law."""
    every_s, tau_s = 5.0, 20.0
    clock = FreeClock(1e-9, 3e-10, drift)
    loop = Loop(clock, clock, tau_s, 0.0)
    found = []
    for _ in range(60):
        found.append(clock.x_s)
        for message in loop.turn():
            if message.command == "set":
                message.obj.set(1)
        clock.go(every_s)
    ends = drift * every_s * tau_s / 2.0
    expected = ends + (1e-9 - ends) * (1.0 - every_s / tau_s) ** np.arange(60)
    assert np.array(found) == pytest.approx(expected, abs=1e-16)
    assert clock.steering == pytest.approx(-3e-10 - drift * 300.0, abs=2e-12 if drift else 1e-16)
