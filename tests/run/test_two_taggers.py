"""A plan that runs on an ID900 runs on a TDC1, and finds the same physics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from plans.source import characterise_source
from qlab.lab.build import open_lab
from qlab.run.engine import Session
from qlab.run.options import RunOptions

if TYPE_CHECKING:
    from pathlib import Path

LAB = """
qlab: 1
name: two
seed: {seed}
instruments:
  pump:
    class: devices.sources.thorlabs_cld1015.CLD1015
    address: twin
    settings: {{current_limit_a: 0.12, current_a: 0.08}}
  a: {{class: devices.detectors.sfifteen_spd.SPD, address: twin, twin: {{dark_rate_hz: 300, afterpulse_probability: 0}}}}
  b: {{class: devices.detectors.sfifteen_spd.SPD, address: twin, twin: {{dark_rate_hz: 300, afterpulse_probability: 0}}}}
  tagger: {{class: devices.taggers.{tagger}, address: twin}}
optics:
  crystal: {{kind: pair_source, pump: pump, brightness_hz_per_mw: 1000, bandwidth_nm: 1.0}}
  left: {{kind: attenuator, loss_db: 2.0}}
  right: {{kind: attenuator, loss_db: 3.0}}
paths:
  - {{from: pump, to: crystal}}
  - {{from: crystal.signal, via: [left], to: a}}
  - {{from: crystal.idler, via: [right], to: b}}
cables:
  - {{from: a, to: tagger.1}}
  - {{from: b, to: tagger.2, delay_ps: 40000}}
"""
ID900, TDC1 = "idquantique_id900.ID900", "sfifteen_tdc1.TDC1"


def measure(folder: Path, tagger: str, seed: int) -> dict[str, Any]:
    folder.mkdir()
    path = folder / "two.yaml"
    path.write_text(LAB.format(tagger=tagger, seed=seed))
    with open_lab(str(path), data_dir=folder) as lab, Session(lab, RunOptions(data_dir=folder)) as session:
        d = lab.devices
        plan = characterise_source(
            d["tagger"], d["pump"], acquisition_s=2.0, inputs_a=[1], inputs_b=[2], window_ps=8000
        )
        result: dict[str, Any] = session.run(plan)
        return result


@pytest.mark.parametrize(("one", "other"), [(ID900, TDC1)])
def test_two_taggers_find_the_same_source(tmp_path: Path, one: str, other: str) -> None:
    """Of two independent runs each figure agrees within four of its combined standard uncertainties."""
    first, second = measure(tmp_path / "id900", one, 11), measure(tmp_path / "tdc1", other, 12)
    for key in ("pair_rate_hz", "efficiency_a", "efficiency_b"):
        sigma = (first[f"{key}_sigma"] ** 2 + second[f"{key}_sigma"] ** 2) ** 0.5
        assert abs(first[key] - second[key]) < 4 * sigma, key
        assert sigma < 0.03 * first[key]  # so that a difference of some per cent would show
    # 50 mA above threshold and 0.6 W/A; losses of 2 and 3 dB before detectors of 0.5
    assert first["pair_rate_hz"] == pytest.approx(30_000.0, rel=0.05)
    assert first["efficiency_a"] == pytest.approx(0.5 * 10**-0.2, rel=0.05)
    assert second["efficiency_b"] == pytest.approx(0.5 * 10**-0.3, rel=0.05)
