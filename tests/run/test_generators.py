"""Generators on the wire make pulses: tags on an input, pairs in a crystal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from plans.recording import record_tags
from qlab.errors import LabFileError
from qlab.lab.build import open_lab
from qlab.run.engine import Session
from qlab.run.options import RunOptions

if TYPE_CHECKING:
    from pathlib import Path

GENERATORS = """
qlab: 1
name: generators
instruments:
  delaygen: {class: devices.sources.srs_dg645.DG645, address: twin, settings: {trigger_source: 0, trigger_rate_hz: 1000}}
  awg: {class: devices.sources.keysight_33500b.Keysight33500B, address: twin}
  pump: {class: devices.sources.thorlabs_cld1015.CLD1015, address: twin, settings: {current_limit_a: 0.12, current_a: 0.08}}
  gated: {class: devices.detectors.sfifteen_spd.SPD, address: twin, gate: {from: delaygen.GH, width_ps: 20000}}
  free: {class: devices.detectors.sfifteen_spd.SPD, address: twin, twin: {dark_rate_hz: 0, afterpulse_probability: 0}}
  tagger: {class: devices.taggers.idquantique_id900.ID900, address: twin}
optics:
  crystal:
    kind: pair_source
    pump: pump
    brightness_hz_per_mw: 100
    pulsed: {trigger: {from: delaygen.EF, delay_ps: 5000}, modes: 1}
paths:
  - {from: pump, to: crystal}
  - {from: crystal.signal, to: gated}
  - {from: crystal.idler, to: free}
cables:
  - {from: delaygen.T0, to: tagger.1}
  - {from: delaygen.AB, to: tagger.2, delay_ps: 700}
  - {from: awg.1, to: tagger.3}
  - {from: free, to: tagger.4}
"""


def opened(tmp_path: Path, text: str = GENERATORS) -> Any:
    path = tmp_path / "generators.yaml"
    path.write_text(text)
    return open_lab(str(path), data_dir=tmp_path)


def test_outputs_of_generators_make_tags_that_follow_their_settings(tmp_path: Path) -> None:
    with opened(tmp_path) as lab, Session(lab, RunOptions(data_dir=tmp_path)) as session:
        d = lab.devices

        def recorded() -> list[np.ndarray]:
            session.run(record_tags([d["tagger"]], duration_s=0.1))
            block = d["tagger"].last_block
            return [block.t[block.ch == n] for n in range(4)]

        d["delaygen"].set_pulse("ab", 3e-6, 1e-7).wait()
        t0, ab, awg, _ = recorded()
        assert (np.diff(t0) == 10**9).all()
        assert np.array_equal(ab, t0 + 3_000_700)
        assert not awg.size

        d["delaygen"].burst_count.set(3).wait()
        d["delaygen"].burst_period_s.set(2e-5).wait()
        d["delaygen"].burst.set(1).wait()
        _, ab, _, _ = recorded()
        phases = np.sort((ab - ab[0]) % 10**9)
        assert np.array_equal(phases[::100], [0, 20_000_000, 40_000_000])
        assert ab.size == 300
        d["delaygen"].burst.set(0).wait()

        d["delaygen"].trigger_rate_hz.set(3000.0).wait()
        square = d["awg"].output_1
        square.function.set("SQU").wait()
        square.set(700.0).wait()
        square.amplitude_vpp.set(5.0).wait()
        square.output.set(1).wait()
        t0, ab, awg, _ = recorded()
        assert set(np.diff(t0).tolist()) == {333_333_333, 333_333_334}
        assert np.array_equal(ab, t0 + 3_000_700)
        assert set(np.diff(awg).tolist()) == {1_428_571_428, 1_428_571_429}

        square.output.set(1).wait()  # it goes off, for safety, when a run ends
        d["delaygen"].ab.amplitude_v.set(0.5).wait()  # below what the tagger's input sees
        assert [t.size for t in recorded()[:3]] == [300, 0, 70]


def test_a_pulsed_crystal_makes_pairs_only_in_its_pulses(tmp_path: Path) -> None:
    """30 mW make 3000 pairs a second; 1000 thermal pulses a second, seen with 50 %: P = 1 - 1/(1 + 1.5)."""
    with opened(tmp_path) as lab, Session(lab, RunOptions(data_dir=tmp_path)) as session:
        d = lab.devices
        d["delaygen"].set_pulse("ef", 5e-6, 1e-7).wait()
        session.run(record_tags([d["tagger"]], d["pump"], duration_s=10.0))
        block = d["tagger"].last_block
        t0, clicks = block.t[block.ch == 0], block.t[block.ch == 3]
        after = clicks - t0[np.searchsorted(t0, clicks, side="right") - 1]
        assert after.min() >= 5_005_000
        assert np.count_nonzero(after < 5_005_000 + 2_000) / t0.size == pytest.approx(0.6, abs=4 * 0.0049)
        assert after.max() < 5_007_000


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("from: delaygen.GH", "from: delaygen.XY", "expected delaygen.T0, delaygen.AB, delaygen.CD"),
        ("from: delaygen.EF", "from: pump.1", "it sends no pulses"),
        ("from: delaygen.EF", "from: dealygen.EF", "did you mean 'delaygen'"),
        ("ID900, address: twin", "ID900, address: twin, gate: {from: awg.1}", "detects no single photons"),
    ],
)
def test_a_wrong_trigger_is_explained(tmp_path: Path, old: str, new: str, words: str) -> None:
    with pytest.raises(LabFileError, match=words), opened(tmp_path, GENERATORS.replace(old, new)):
        pass
