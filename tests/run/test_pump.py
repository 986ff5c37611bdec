"""A source over its pump power: the brightness of the lab file, and accidentals as theory has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from plans.pump import scan_pump
from qlab.analysis.pump_scan import ArmFigures, expected_car, fit_brightness
from qlab.errors import BadRequestError, PlanError
from qlab.lab.build import open_lab
from qlab.run.engine import Session
from qlab.run.journal import find_run, read_run
from qlab.run.options import RunOptions
from qlab.run.report import render_report

if TYPE_CHECKING:
    from pathlib import Path

CURRENTS_A = [0.032, 0.036, 0.045, 0.06]


def test_the_brightness_is_that_of_the_lab_file_and_the_accidentals_those_of_theory(tmp_path: Path) -> None:
    overrides = ("instruments.oven.twin.tau_s=1", "optics.crystal.brightness_hz_per_mw=20000")
    options = RunOptions(data_dir=tmp_path)
    with open_lab("bell", overrides=overrides, data_dir=tmp_path) as lab, Session(lab, options) as session:
        d = lab.devices
        d["oven"].set(40.0).wait(30)
        found = session.run(
            scan_pump(d["tagger"], d["pump"], CURRENTS_A, meter=d["meter"], acquisition_s=0.25, max_rounds=2)
        )
        assert d["pump"].emission.get() == 0
        page = render_report(read_run(find_run(session.data_dir / "runs", "-1")), tmp_path / "report")
    # 0.6 W/A above 30 mA, of which the meter sees a hundredth and the crystal the rest
    milliwatts = 0.6e3 * (np.array(CURRENTS_A) - 0.03)
    assert found["point_power"] == pytest.approx(milliwatts * 1e-5, rel=0.02, abs=1e-7)  # its own noise and accuracy
    truth = 20_000 * 0.99 * milliwatts
    assert np.abs((found["point_pair_rate_hz"] - truth) / found["point_pair_rate_hz_sigma"]).max() < 3.5
    assert found["brightness"] == pytest.approx(20_000 * 99e3, rel=0.02)
    # 0.5 behind 100 and 120 m at 3 dB/km
    for arm, loss_db in (("a", 0.3), ("b", 0.36)):
        error = found[f"efficiency_{arm}"] - 0.5 * 10 ** (-loss_db / 10)
        assert abs(error) < 3.5 * found[f"efficiency_{arm}_sigma"]
        assert found[f"darks_{arm}_hz"] == pytest.approx(1000, abs=5 * 1000**0.5)
    counted, expected = found["point_displaced"], found["point_coincidences"] / found["point_car_expected"] * 20
    assert np.abs((counted - expected) / np.sqrt(expected)).max() < 3.5
    assert found["point_car"][0] > 5 * found["point_car"][-1]
    assert "Brightness and accidentals" in page.read_text()


def test_the_ratio_is_highest_where_darks_are_as_many_as_photons() -> None:
    arm = ArmFigures(0.1, 1000.0)
    pairs = np.geomspace(100, 1e7, 1001)
    car = expected_car(pairs, arm, arm, 1000.0)
    assert pairs[np.argmax(car)] == pytest.approx(10_000, rel=0.02)
    assert car.max() == pytest.approx(0.01 * 10_000 / (2000.0**2 * 1e-9))
    assert car[-1] == pytest.approx(1 / (pairs[-1] * 1e-9), rel=0.01)
    more = expected_car(pairs, ArmFigures(0.1, 1000.0, 0.05), arm, 1000.0)
    assert more == pytest.approx(0.95 * car)


def test_the_line_is_found_with_the_uncertainties_it_states() -> None:
    rng = np.random.default_rng(1)
    power, sigma = np.array([1.0, 2.0, 4.0, 8.0]), np.array([3.0, 4.0, 5.0, 9.0])
    fits = [fit_brightness(power, 100 * (power - 0.2) + rng.normal(0, sigma), sigma) for _ in range(2000)]
    for name, truth in (("slope", 100.0), ("threshold", 0.2)):
        values = np.array([getattr(fit, name) for fit in fits])
        assert values.mean() == pytest.approx(truth, abs=4 * values.std() / 2000**0.5 + 1e-4)
        assert values.std() == pytest.approx(np.mean([getattr(fit, f"{name}_sigma") for fit in fits]), rel=0.06)
    assert np.mean([fit.chi2 for fit in fits]) == pytest.approx(2.0, abs=4 * 2 / 2000**0.5)
    with pytest.raises(BadRequestError, match="3 different powers"):
        fit_brightness([1.0, 1.0, 2.0], [1.0, 1.0, 2.0], [1.0, 1.0, 1.0])


class Pump:
    name = "pump"
    current_a = None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"settings": [0.1, 0.2, 0.3]}, "no signal 'current_a' to set"),
        ({"settings": [0.1, 0.2, 0.3], "inputs_a": [1], "inputs_b": [1]}, "each in one arm"),
    ],
)
def test_a_wrong_wish_is_refused_before_anything_moves(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(PlanError, match=words):
        scan_pump(None, Pump(), **arguments).send(None)
