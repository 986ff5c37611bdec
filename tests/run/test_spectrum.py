"""Dispersion tells the bandwidth of the lab file, and opposite dispersions cancel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from plans.klyshko import measure_jitter
from plans.spectrum import measure_bandwidth
from qlab.analysis.dispersion import pair_bandwidth, pair_dispersion
from qlab.errors import BadRequestError, PlanError
from qlab.lab.build import open_lab
from qlab.run.engine import Session
from qlab.run.journal import find_run, read_run
from qlab.run.options import RunOptions
from qlab.run.report import render_report

if TYPE_CHECKING:
    from pathlib import Path

PAIRS = """
qlab: 1
name: spectrum
seed: 17
instruments:
  pump: {class: devices.sources.thorlabs_cld1015.CLD1015, address: twin, settings: {current_limit_a: 0.12, current_a: 0.08}}
  a1: {class: devices.detectors.sfifteen_spd.SPD, address: twin, twin: {jitter_fwhm_ps: 200}}
  b1: {class: devices.detectors.sfifteen_spd.SPD, address: twin, twin: {jitter_fwhm_ps: 250}}
  tagger: {class: devices.taggers.idquantique_id900.ID900, address: twin}
optics:
  crystal:
    {kind: pair_source, pump: pump, brightness_hz_per_mw: 1500, signal_nm: 780, idler_nm: 842, bandwidth_nm: 2.5}
  spool_a: {kind: fibre, length_m: 3000, dispersion_ps_nm_km: -110}
  spool_b: {kind: fibre, length_m: 3000, dispersion_ps_nm_km: 0}
paths:
  - {from: pump, to: crystal}
  - {from: crystal.signal, via: [spool_a], to: a1}
  - {from: crystal.idler, via: [spool_b], to: b1}
cables:
  - {from: a1, to: tagger.1}
  - {from: b1, to: tagger.3}
"""


def run(folder: Path, dispersion: tuple[float, float], plan: Any, **arguments: Any) -> tuple[Any, Path]:
    """Run a plan with the dispersions of both spools in ps/nm."""
    folder.mkdir()
    (folder / "lab.yaml").write_text(PAIRS)
    overrides = tuple(f"optics.spool_{n}.dispersion_ps_nm_km={d / 3.0}" for n, d in zip("ab", dispersion, strict=True))
    options = RunOptions(data_dir=folder)
    lab_name = str(folder / "lab.yaml")
    with open_lab(lab_name, overrides=overrides, data_dir=folder) as lab, Session(lab, options) as session:
        d = lab.devices
        found = session.run(plan(d["tagger"], d["pump"], inputs=[1, 3], **arguments))
    return found, folder


def test_the_bandwidth_is_that_of_the_lab_file(tmp_path: Path) -> None:
    bare, _ = run(tmp_path / "bare", (0.0, 0.0), measure_jitter, acquisition_s=0.5, sigma_ps=3.0)
    reference = {"reference_fwhm_ps": bare["pair_fwhm_ps"][0], "reference_fwhm_ps_sigma": bare["pair_fwhm_ps_sigma"][0]}
    known = {"signal_nm": 780.0, "idler_nm": 842.0, "acquisition_s": 0.5, "sigma": 0.01, **reference}
    found, folder = run(tmp_path / "a", (-330.0, 0.0), measure_bandwidth, dispersion_a_ps_nm=-330.0, **known)
    assert found["stopped_by"] == "sigma"
    assert abs(found["bandwidth_signal_nm"] - 2.5) < 3.5 * found["bandwidth_signal_nm_sigma"] < 0.1
    assert found["bandwidth_idler_nm"] == pytest.approx(found["bandwidth_signal_nm"] * (842 / 780) ** 2)
    page = render_report(read_run(find_run(folder / "runs", "-1")), folder / "report")
    assert "The peak that dispersion widened" in page.read_text()

    # what the idler's fibre does with the other sign takes away what the signal's does
    both = (-330.0, 330.0 * (780 / 842) ** 2)
    same, _ = run(tmp_path / "both", both, measure_jitter, acquisition_s=0.5, sigma_ps=3.0)
    error = np.hypot(same["pair_fwhm_ps_sigma"][0], bare["pair_fwhm_ps_sigma"][0])
    assert abs(same["pair_fwhm_ps"][0] - bare["pair_fwhm_ps"][0]) < 4 * error < 20.0 < found["fwhm_ps"] - 500.0


def test_widths_add_in_squares_and_so_do_their_errors() -> None:
    rng = np.random.default_rng(1)
    wide, narrow = rng.normal(500.0, 4.0, 20_000), rng.normal(300.0, 3.0, 20_000)
    values = np.sqrt(wide**2 - narrow**2) / rng.normal(200.0, 2.0, 20_000)
    found = pair_bandwidth((500.0, 4.0), (300.0, 3.0), (200.0, 2.0), 1.1)
    assert found.signal_nm == 2.0
    assert found.signal_nm_sigma == pytest.approx(values.std(), rel=0.03)
    assert found.idler_nm == pytest.approx(2.42)
    assert pair_dispersion(-100.0, 100.0) == 0.0
    with pytest.raises(BadRequestError, match="do not cancel"):
        pair_bandwidth((500.0, 4.0), (600.0, 3.0), (200.0, 2.0))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"dispersion_a_ps_nm": 100.0, "dispersion_b_ps_nm": -100.0}, "do not cancel"),
        ({"dispersion_a_ps_nm": 100.0, "inputs": [1]}, "expected two inputs"),
    ],
)
def test_a_wrong_wish_is_refused_before_anything_moves(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(PlanError, match=words):
        measure_bandwidth(None, **arguments).send(None)
