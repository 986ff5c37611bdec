"""Darks, efficiencies and jitters measured over the wire are those of the lab file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from plans.data_sheet import measure_detectors
from plans.detectors import measure_darks
from plans.klyshko import measure_jitter, measure_klyshko_efficiency
from qlab.errors import PlanError
from qlab.lab.build import open_lab
from qlab.run.engine import Session
from qlab.run.journal import find_run, read_run
from qlab.run.options import RunOptions
from qlab.run.report import render_report

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Dead times, afterpulses and darks large enough that leaving out any correction fails the test.
PAIRS = """
qlab: 1
name: pairs
seed: 11
instruments:
  pump: {class: devices.sources.thorlabs_cld1015.CLD1015, address: twin, settings: {current_limit_a: 0.12, current_a: 0.08}}
  a1:
    class: devices.detectors.sfifteen_spd.SPD
    address: twin
    twin: {efficiency: 0.6, dark_rate_hz: 8000, jitter_fwhm_ps: 400, dead_time_ns: 60, afterpulse_probability: 0.03}
  a2:
    class: devices.detectors.sfifteen_spd.SPD
    address: twin
    twin: {efficiency: 0.4, dark_rate_hz: 3000, jitter_fwhm_ps: 900, dead_time_ns: 90, afterpulse_probability: 0.06}
  b1:
    class: devices.detectors.sfifteen_spd.SPD
    address: twin
    twin: {efficiency: 0.5, dark_rate_hz: 5000, jitter_fwhm_ps: 600, dead_time_ns: 45, afterpulse_probability: 0.02}
  tagger: {class: devices.taggers.idquantique_id900.ID900, address: twin}
optics:
  crystal: {kind: pair_source, pump: pump, brightness_hz_per_mw: 8000}
  half: {kind: beam_splitter, transmittance: 0.5}
paths:
  - {from: pump, to: crystal}
  - {from: crystal.signal, via: [half], to: {transmitted: a1, reflected: a2}}
  - {from: crystal.idler, to: b1}
cables:
  - {from: a1, to: tagger.1, delay_ps: 3000}
  - {from: a2, to: tagger.2, delay_ps: 4100}
  - {from: b1, to: tagger.3}
"""
PULSED = """
qlab: 1
name: pulsed
seed: 12
instruments:
  delaygen: {class: devices.sources.srs_dg645.DG645, address: twin, settings: {trigger_source: 0, trigger_rate_hz: 500000}}
  pump: {class: devices.sources.thorlabs_cld1015.CLD1015, address: twin, settings: {current_limit_a: 0.12, current_a: 0.08}}
  d1: {class: devices.detectors.sfifteen_spd.SPD, address: twin, twin: {jitter_fwhm_ps: 300}}
  d2: {class: devices.detectors.sfifteen_spd.SPD, address: twin, twin: {jitter_fwhm_ps: 700}}
  tagger: {class: devices.taggers.idquantique_id900.ID900, address: twin}
optics:
  crystal:
    kind: pair_source
    pump: pump
    brightness_hz_per_mw: 3000
    pulsed: {trigger: {from: delaygen.EF}}
paths:
  - {from: pump, to: crystal}
  - {from: crystal.signal, to: d1}
  - {from: crystal.idler, to: d2}
cables:
  - {from: delaygen.T0, to: tagger.1}
  - {from: d1, to: tagger.2, delay_ps: 2000}
  - {from: d2, to: tagger.3, delay_ps: 9000}
"""


def session_of(text: str, folder: Path) -> Iterator[tuple[Session, dict[str, Any]]]:
    path = folder / "lab.yaml"
    path.write_text(text)
    with open_lab(str(path), data_dir=folder) as lab, Session(lab, RunOptions(data_dir=folder)) as session:
        yield session, lab.devices


def report(session: Session) -> str:
    """Render the last run's report and return its page."""
    record = read_run(find_run(session.data_dir / "runs", "-1"))
    return render_report(record, session.data_dir / "report").read_text()


@pytest.fixture
def pairs(tmp_path: Path) -> Iterator[tuple[Session, dict[str, Any]]]:
    yield from session_of(PAIRS, tmp_path)


@pytest.fixture
def pulsed(tmp_path: Path) -> Iterator[tuple[Session, dict[str, Any]]]:
    yield from session_of(PULSED, tmp_path)


def test_darks_are_those_of_the_detectors_without_their_afterpulses(pairs: tuple[Session, dict[str, Any]]) -> None:
    session, d = pairs
    found = session.run(measure_darks(d["tagger"], d["pump"], sigma=0.01))
    assert found["stopped_by"] == "sigma"
    assert found["channels"].tolist() == [0, 1, 2]
    z = (found["rate_hz"] - [8000, 3000, 5000]) / found["rate_hz_sigma"]
    assert np.abs(z).max() < 3.5
    # 1/m = tau + (1 - p)/n + p/(n + 1/tau_a) with the twin's tau_a of 50 ns: time-tags.md, section 5
    n = 3000.0
    counted = 1.0 / (90e-9 + 0.94 / n + 0.06 / (n + 1 / 50e-9))
    sigma = (found["counted_hz_high"][1] - found["counted_hz_low"][1]) / 2
    assert abs(found["counted_hz"][1] - counted) < 4 * sigma < counted - n
    assert "In the dark" in report(session)


def test_klyshko_efficiencies_are_those_of_the_detectors(pairs: tuple[Session, dict[str, Any]]) -> None:
    session, d = pairs
    plan = measure_klyshko_efficiency(
        d["tagger"], d["pump"], inputs_a=[1, 2], inputs_b=[3], sigma=0.001, window_ps=1500
    )
    found = session.run(plan)
    assert d["pump"].emission.get() == 0
    assert found["stopped_by"] == "sigma"
    for name, truth in (("inputs_a", [0.3, 0.2]), ("inputs_b", [0.5])):
        assert np.abs((found[name] - truth) / found[f"{name}_sigma"]).max() < 3.5, found[name]
        assert (found[f"{name}_sigma"] < 0.002).all()
    assert abs(found["arm_a"] - 0.5) < 3.5 * found["arm_a_sigma"]
    # 30 mW at 8000 pairs a second and mW
    assert abs(found["pair_rate_hz"] - 240_000) < 3.5 * found["pair_rate_hz_sigma"]
    # what the corrections are worth: jitter takes 11 % of a2's pairs out of a window of 1.5 ns
    assert found["capture"][1, 0] == pytest.approx(0.897, abs=0.003)
    assert "Efficiencies" in report(session)


def test_pairs_of_two_arms_tell_widths_but_not_whose(pairs: tuple[Session, dict[str, Any]]) -> None:
    session, d = pairs
    found = session.run(measure_jitter(d["tagger"], d["pump"], inputs=[1, 2, 3], sigma_ps=3.0))
    assert found["pairs"].tolist() == [[0, 2], [1, 2]]
    truth = np.hypot([400, 900], 600)
    assert np.abs((found["pair_fwhm_ps"] - truth) / found["pair_fwhm_ps_sigma"]).max() < 3.5
    assert np.isnan(found["fwhm_ps"]).all()
    assert "Coincidence peaks" in report(session)


def test_a_trigger_closes_the_ring_and_each_jitter_is_known(pulsed: tuple[Session, dict[str, Any]]) -> None:
    session, d = pulsed
    found = session.run(measure_jitter(d["tagger"], d["pump"], inputs=[1, 2, 3], acquisition_s=0.5, sigma_ps=3.0))
    assert found["pairs"].tolist() == [[0, 1], [0, 2], [1, 2]]
    assert np.abs((found["fwhm_ps"][1:] - [300, 700]) / found["fwhm_ps_sigma"][1:]).max() < 3.5
    assert found["fwhm_ps"][0] < 100.0  # a trigger has none; 0 within the uncertainty of a difference of squares


def test_one_run_tells_everything_of_all_detectors_on_one_page(pairs: tuple[Session, dict[str, Any]]) -> None:
    session, d = pairs
    wide = {"inputs_a": [1, 2], "inputs_b": [3], "sigma": 0.002, "dark_sigma": 0.02, "acquisition_s": 0.5}
    found = session.run(measure_detectors(d["tagger"], d["pump"], **wide))
    assert d["pump"].emission.get() == 0
    assert found["stopped_by"] == found["darks_stopped_by"] == "sigma"
    truth = {
        "efficiency": [0.3, 0.2, 0.5],
        "dark_hz": [8000, 3000, 5000],
        "dead_time_ps": [60_000, 90_000, 45_000],
        "afterpulse_probability": [0.03, 0.06, 0.02],
        "afterpulse_tau_ps": [50_000] * 3,
        "pair_fwhm_ps": np.hypot([400, 900], 600),
    }
    for name, values in truth.items():
        assert np.abs((found[name] - values) / found[f"{name}_sigma"]).max() < 3.5, name
    assert (found["efficiency_sigma"] < 0.01 * found["efficiency"]).all()
    assert (found["dark_hz_sigma"] < 0.03 * found["dark_hz"]).all()
    text = report(session)
    for piece in ("Coincidence peaks", "By input", "<th>input 3</th>", "afterpulse_probability", "dead_time_ps"):
        assert piece in text


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (lambda: measure_darks(None, sigma=0.0), "sigma = 0"),
        (lambda: measure_darks(None, acquisition_s=0.0), "acquisition_s = 0"),
        (lambda: measure_klyshko_efficiency(None, None, inputs_a=[1], inputs_b=[1]), "each in one arm"),
        (lambda: measure_klyshko_efficiency(None, None, transmission_a=1.5), "transmission <= 1"),
        (lambda: measure_jitter(None, max_duration_s=-1.0), "max_duration_s = -1"),
    ],
)
def test_a_wrong_wish_is_refused_before_anything_moves(plan: Any, words: str) -> None:
    with pytest.raises(PlanError, match=words):
        plan().send(None)
