"""Ways of time transfer side by side, an oscillator's stability and hold-over, over the wire against the world's truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from plans.time_transfer import characterise_oscillator, compare_time_transfer, holdover_test
from qlab.errors import PlanError
from qlab.lab.build import open_lab
from qlab.run.engine import Session
from qlab.run.options import RunOptions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with open_lab("timing", data_dir=tmp_path) as lab, Session(lab, RunOptions(data_dir=tmp_path)) as session:
        yield session


def truth_ps(session: Session, node: str, at_s: NDArray[np.float64]) -> NDArray[np.float64]:
    clocks = session.lab.wiring.clocks
    return np.array([clocks[node].local(round(s * 1e12)) - clocks["alice"].local(round(s * 1e12)) for s in at_s])


def test_pairs_white_rabbit_and_gps_are_compared_in_one_run(session: Session) -> None:
    d = session.lab.devices
    clocks = [d["alice_gps"], d["bob_gps"], d["rabbit"]]
    pairs = [d["by_gps"], d["by_rabbit"]]
    begun_s = session.lab.clock.now_ps() * 1e-12
    found: dict[str, Any] = session.run(compare_time_transfer(pairs, clocks, d["pump"], points=16, every_s=4.0))
    assert found["names"].tolist() == ["by_gps", "by_rabbit", "alice_gps", "bob_gps", "rabbit"]
    by_gps, by_rabbit, _, _, rabbit = found["mean_ps"]
    middle = truth_ps(session, "bob", np.linspace(begun_s + 20.0, begun_s + 80.0, 20)).mean()
    assert by_gps == pytest.approx(middle, abs=300.0)  # two disciplined clocks wander by some 100 ps meanwhile
    # The rabbit's own offset is its servo's: a few ps of noise; the pairs agree with it to what its calibration misses.
    assert abs(rabbit) < 5.0
    wander = session.lab.wiring.clocks["bob_rabbit"].local(10**14) - session.lab.wiring.clocks["alice"].local(10**14)
    assert by_rabbit == pytest.approx(wander, abs=25.0)
    # At 4 s: pairs some ps, GPS receivers 5 ns of noise (the twin's noise_ns), TDEV 5 ns within the few points' interval.
    tdev = found["tdev_s"][:, 0]
    assert tdev[1] < 2e-11
    for k in (2, 3):
        assert found["tdev_low_s"][k, 0] / 1.5 < 5e-9 < found["tdev_high_s"][k, 0] * 1.5


def test_a_clock_without_satellites_goes_as_its_twin_is_told_and_comes_back(session: Session) -> None:
    d = session.lab.devices
    with pytest.raises(PlanError, match="an outage of four"):
        session.run(holdover_test(d["by_gps"], d["bob_gps"], outage_s=100.0))
    found: dict[str, Any] = session.run(
        holdover_test(d["by_gps"], d["bob_gps"], d["pump"], outage_s=7200.0, every_s=900.0, limit_ns=50.0)
    )
    # The twin's hold-over: 2e-11 and 1e-10 a day; beside it two disciplined clocks wander by 3e-12 each.
    t = found["since_s"]
    expected = (2e-11 * t + 1e-10 / 86_400.0 * t**2 / 2.0) * 1e12
    assert np.abs(found["error_ps"] - expected).max() < 3.0 * 4.2e-12 * t[-1] * 1e12 / 2.0
    assert found["frequency"] == pytest.approx(2e-11, abs=6e-12)
    assert found["limit_reached_s"] == pytest.approx(50e-9 / 2e-11, abs=1000.0)
    assert abs(found["after_return_ns"]) < 20.0
    assert d["bob_gps"].state.fetch() == "LOCK"


@pytest.mark.slow
def test_an_oscillator_gets_deviations_with_intervals_and_masks(session: Session) -> None:
    d = session.lab.devices
    found: dict[str, Any] = session.run(characterise_oscillator(d["by_rabbit"], d["pump"], points=128))
    # White phase noise of 3 ps (the lab file) beside the pairs' own few ps: TDEV falls about as tau^(-1/2).
    tau, tdev = found["tdev_tau_s"], found["tdev"]
    assert tdev[0] < 8e-12
    slope = np.polyfit(np.log(tau[:5]), np.log(tdev[:5]), 1)[0]
    assert -0.9 < slope < 0.1
    assert (found["tdev_low"] <= tdev).all()
    assert (tdev <= found["tdev_high"]).all()
    assert found["g8272_tdev"].startswith("holds")
    assert found["g8272_mtie"].startswith("holds")


def test_wrong_wishes_are_refused(session: Session) -> None:
    d = session.lab.devices
    with pytest.raises(PlanError, match="points = 4"):
        session.run(characterise_oscillator(d["by_gps"], points=4))
    with pytest.raises(PlanError, match="0 pair clocks"):
        session.run(compare_time_transfer([], []))
    with pytest.raises(PlanError, match="by_gps finds no pairs"):
        session.run(compare_time_transfer([d["by_gps"]], [], None))
