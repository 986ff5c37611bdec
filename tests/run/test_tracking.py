"""A fibre's polarisation wanders while data are taken; the error rate stays where it is compensated, and only there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from plans.tracking import track_polarisation
from qlab.errors import PlanError
from qlab.lab.build import open_lab
from qlab.lab.load import shipped_labs
from qlab.run.engine import Session
from qlab.run.journal import find_run, read_run
from qlab.run.options import RunOptions
from qlab.run.report import render_report

if TYPE_CHECKING:
    from pathlib import Path

FLOOR = (1.0 - 0.98 * (1.0 - 2e-3) ** 2) / 2.0
"""Error rate of the lab's state behind splitters of 30 dB."""
EPC = "  squeezers: {class: devices.polarisation.ozoptics_epc400.EPC400, node: bob, address: twin}\n"
MPC = "  squeezers: {class: devices.polarisation.thorlabs_mpc320.MPC320, node: bob, address: twin}\n"
SHORT = {"duration_s": 25.0, "data_s": 0.3, "probe_s": 0.2, "drift_rad_per_sqrt_s": 0.04}


def lab_file(folder: Path, controller: str, kind: str) -> str:
    """Write the lab `bell` with a controller behind Bob's fibre."""
    text = shipped_labs()["bell"].read_text()
    text = text.replace("  tagger:    ", f"{controller}  tagger:    ", 1)
    text = text.replace(
        "  alice_qwp_plate:", f"  squeeze: {{kind: {kind}, instrument: squeezers}}\n  alice_qwp_plate:", 1
    )
    path = folder / "lab.yaml"
    path.write_text(text.replace("via: [bob_fibre, ", "via: [bob_fibre, squeeze, "))
    return str(path)


def track(folder: Path, lab_name: str = "bell", drift: float = 0.04, **arguments: Any) -> dict[str, Any]:
    """Run the plan while Alice's fibre turns by so much in the root of a second about each axis."""
    overrides = (
        "instruments.oven.twin.tau_s=1",
        "optics.crystal.brightness_hz_per_mw=400",
        f"optics.alice_fibre.drift_rad_per_sqrt_s={drift}",
    )
    options = RunOptions(data_dir=folder)
    with open_lab(lab_name, overrides=overrides, data_dir=folder) as lab, Session(lab, options) as session:
        d = lab.devices
        d["oven"].set(40.0).wait(30)
        plan = track_polarisation(
            d["tagger"], d["alice"], d["bob"], d["pump"], d.get("squeezers"), **{**SHORT, **arguments}
        )
        found: dict[str, Any] = session.run(plan)
    return found


def excess(found: dict[str, Any]) -> float:
    """Return how much of the error rate comes of the turn."""
    return (found["qber_z"] + found["qber_x"]) / 2.0 - FLOOR


def cost(found: dict[str, Any]) -> float:
    """Return what the turns that were undone would have cost, in Z and X together: (d_x^2 + 2 d_y^2 + d_z^2) / 8."""
    return float((found["round_made_rad"] ** 2 @ np.array([1.0, 2.0, 1.0]) / 8.0).mean())


def test_wave_plates_follow_the_fibre_and_hold_the_error_rate(tmp_path: Path) -> None:
    held = track(tmp_path)
    # An axis is probed every third round of 2 s and left alone for 4 s on average: (d_x^2 + d_y^2) / 4 of 0.04^2 rad^2 a s.
    assert excess(held) < 0.0032 + 0.003
    assert cost(held) > 2.0 * excess(held)
    page = render_report(read_run(find_run(tmp_path / "runs", "-1")), tmp_path / "report")
    assert "Error rates and compensation" in page.read_text()
    assert (tmp_path / "report" / "tracking.png").stat().st_size > 10_000


@pytest.mark.slow
def test_without_compensation_the_errors_grow(tmp_path: Path) -> None:
    held, left = track(tmp_path / "held"), track(tmp_path / "left", compensate="nothing")
    assert excess(left) > 3.0 * excess(held)
    assert not left["round_made_rad"].any()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_squeezers_in_the_fibre_do_so_too(tmp_path: Path) -> None:
    lab_name = lab_file(tmp_path, EPC, "squeezers")
    longer = {"duration_s": 100.0, "data_s": 0.5, "probe_s": 0.3, "drift_rad_per_sqrt_s": 0.02}
    begin = {"start": [0.0, 750.0, 0.0, 750.0], "step": 150.0}
    held = track(tmp_path, lab_name, 0.02, compensate="controller", **longer, **begin)
    assert excess(held) < 0.005
    assert cost(held) > 1.5 * excess(held)
    assert np.linalg.matrix_rank(held["response"], tol=1e-5) == 3


def test_paddles_learn_what_they_do_and_undo_a_turn(tmp_path: Path) -> None:
    name = lab_file(tmp_path, MPC, "paddles")
    well_set = {"start": [62.5, 85.0, 62.5], "step": 5.0, "duration_s": 8.0, "drift_rad_per_sqrt_s": 0.02}
    held = track(tmp_path, name, 0.02, compensate="controller", **well_set)
    # Quarter, half and quarter wave at these angles: 4, 2 sqrt 2 and 2 sqrt 2 rad a radian; counts tell 0.013 rad a degree.
    sizes = np.linalg.norm(held["response"], axis=0) * 180 / np.pi
    assert sizes == pytest.approx([2.83, 4.0, 2.83], abs=4 * 0.013 * 180 / np.pi / 3**0.5)
    assert held["learnt"] == 1
    assert held["begun_again"] == 0
    assert excess(held) < 0.02


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_paddles_hold_the_error_rate_from_where_they_turn_about_two_axes_only(tmp_path: Path) -> None:
    # They come home to zero, all alike, and nobody says where to begin or how far a step is.
    name = lab_file(tmp_path, MPC, "paddles")
    longer = {"duration_s": 200.0, "data_s": 0.5, "probe_s": 0.3, "drift_rad_per_sqrt_s": 0.02}
    held = track(tmp_path / "held", name, 0.02, compensate="controller", **longer)
    left = track(tmp_path / "left", name, 0.02, compensate="nothing", **longer)
    # Left alone an axis turns for 8 s on average, 0.02^2 rad^2 each, and the probes' noise is another 0.002: half their sum.
    assert excess(held) < 0.0026 + 0.0024
    assert excess(left) > 3.0 * excess(held)
    assert cost(held) > 1.5 * excess(held)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [({"probe_s": 0.0}, "probe_s = 0"), ({"compensate": "controller"}, "no controller; name one")],
)
def test_a_wrong_wish_is_refused_before_anything_moves(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(PlanError, match=words):
        track_polarisation(None, None, None, **arguments).send(None)
