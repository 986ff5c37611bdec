"""Towers around one source: what the plan says of its service against the truth of the world."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from plans.towers import synchronise_towers
from qlab.errors import PlanError
from qlab.lab.build import Lab, open_lab
from qlab.lab.load import shipped_labs
from qlab.run.engine import Session
from qlab.run.options import RunOptions

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def small_lab(folder: Path) -> str:
    """Return the shipped lab with the first two of its ten towers."""
    text = shipped_labs()["towers"].read_text()
    lines = [
        line for line in text.splitlines() if not re.search(r'tower_([3-9]|10)|fibre_([3-9]|10)|"(19|2[0-6])":', line)
    ]
    path = folder / "small.yaml"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def truth_ps(lab: Lab, tower: int, at_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a tower's clock less the hub's."""
    clocks, t = lab.wiring.clocks, np.rint(at_s * 1e12).astype(np.int64)
    return (clocks[f"tower_{tower + 1}"].local(t) - clocks["hub"].local(t)).astype(np.float64)


def true_share(lab: Lab, found: dict[str, Any]) -> float:
    """Return for what share of the time the time that each tower had on paper was true to the limit."""
    rows, below, seconds = found["exposures"], 0.0, 0.0
    begun_s = rows[0, 1]
    for k in range(len(found["names"])):
        mine = rows[(rows[:, 0] == k) & (rows[:, 2] > 0)]
        seconds += mine[0, 1] - begun_s
        for row, following in pairwise(mine):
            t = np.linspace(row[1], following[1], 50)
            error = row[5] + row[7] * (t - row[1]) * 1e12 - truth_ps(lab, k, t)
            below += float(np.mean(np.abs(error) < found["limit_ps"])) * (following[1] - row[1])
            seconds += following[1] - row[1]
    return below / seconds


def check(lab: Lab, found: dict[str, Any]) -> None:
    rows = found["exposures"]
    locked = rows[rows[:, 2] > 0]
    error = np.array([row[5] - truth_ps(lab, int(row[0]), row[1:2])[0] for row in locked])
    assert np.abs(error / locked[:, 6]).max() < 5.0
    assert np.sqrt(np.mean(error**2)) < 20.0
    assert found["locked_share"] == 1.0


def test_two_towers_in_turn_are_known_to_picoseconds_and_the_run_says_how_well_they_coast(tmp_path: Path) -> None:
    with (
        open_lab(small_lab(tmp_path), data_dir=tmp_path) as lab,
        Session(lab, RunOptions(data_dir=tmp_path)) as session,
    ):
        towers, switch, pump = (
            [lab.devices["tower_1"], lab.devices["tower_2"]],
            lab.devices["switch"],
            lab.devices["pump"],
        )
        found: dict[str, Any] = session.run(
            synchronise_towers(
                towers, switch, pump, hours=0.09, every_s=120.0, order="in_turn", limit_ns=0.3, share=0.5
            )
        )
        check(lab, found)
        assert found["exposures"].shape[0] == pytest.approx(12, abs=4)
        assert 0.0 < found["kept"] < 1.0
        assert found["holds"] == (found["kept"] >= 0.5)
        assert found["at_promised_ps"] < found["worst_ps"]
        assert 0.3 < found["pull_rms"] < 2.0  # errors are as large as was foreseen of them
        assert found["weights"].sum() == pytest.approx(1.0)
        with pytest.raises(PlanError, match="3 outputs for 2 towers"):
            session.run(synchronise_towers(towers, switch, None, hours=0.1, outputs=[17, 18, 19]))
        with pytest.raises(PlanError, match="1 towers"):
            session.run(synchronise_towers(towers[:1], switch))
        with pytest.raises(PlanError, match="no exposure found any pairs"):
            session.run(synchronise_towers(towers, switch, None, hours=0.0004))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_service_level_of_ten_towers_over_a_day_is_true(tmp_path: Path) -> None:
    with open_lab("towers", data_dir=tmp_path) as lab, Session(lab, RunOptions(data_dir=tmp_path)) as session:
        d = lab.devices
        towers = [d[f"tower_{k}"] for k in range(1, 11)]
        found: dict[str, Any] = session.run(synchronise_towers(towers, d["switch"], d["pump"]))
        check(lab, found)
        assert found["holds"], found["text"]
        # Errors are taken to grow evenly between exposures: true to some per cent of the time.
        assert found["kept"] == pytest.approx(true_share(lab, found), abs=0.03)
        # Every exposure's error in units of what was foreseen of it: some 400 normal numbers of nearly unit variance.
        assert found["pull_rms"] == pytest.approx(1.0, abs=0.2)
