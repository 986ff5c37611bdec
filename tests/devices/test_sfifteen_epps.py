"""The pair source on one board, and the pairs that come out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from qlab import roles
from qlab.errors import InstrumentError, LimitError
from qlab.lab.build import open_lab

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from qlab.lab.build import Lab

EPPS = """{class: devices.sources.sfifteen_epps.EPPS, address: twin,
    settings: {current_limit_ma: 60.0, current_ma: 50.0, crystal_c: 35.0}}"""


def test_it_is_dark_at_connection_and_shines_when_asked(table: Callable[..., Lab]) -> None:
    lab = table(epps=EPPS)
    epps, power = lab.devices["epps"], lab.bench.pump_power("epps")
    assert isinstance(epps, roles.PhotonSource)
    assert power.value(lab.clock.now_ps()) == 0.0
    epps.set(35.0).wait(120)
    assert epps.measured_crystal_c.get() == pytest.approx(35.0, abs=0.1)
    epps.switch_on().wait(60)
    assert power.value(lab.clock.now_ps()) == pytest.approx(0.8 * 0.020, rel=1e-3)
    epps.unstage().wait(30)
    assert power.value(lab.clock.now_ps()) == 0.0


def test_the_current_is_ramped_and_limited(table: Callable[..., Lab]) -> None:
    lab = table(epps=EPPS)
    epps = lab.devices["epps"]
    before = lab.clock.now_s()
    epps.current_ma.put(30.0)
    assert lab.clock.now_s() - before == pytest.approx(19 * 0.05, abs=0.06)  # 20 mA in steps of 1 mA
    with pytest.raises(LimitError, match="0 to 60 mA"):
        epps.current_ma.set(61.0)


def test_a_refusal_has_the_sources_words(table: Callable[..., Lab]) -> None:
    epps = table(epps=EPPS).devices["epps"]
    with pytest.raises(
        InstrumentError, match=r"refused a command; command 'HRATE 2'; found 'ERROR: argument out of range"
    ):
        epps.tell("HRATE 2")
    assert epps.crystal_rate_k_per_s.fetch() == 0.0  # and the dialogue goes on


def test_a_runaway_shows_in_the_health(table: Callable[..., Lab]) -> None:
    lab = table(epps=EPPS)
    epps = lab.devices["epps"]
    lab.clock.sleep(60.0)
    assert epps.refresh_health()
    lab.twins["epps"].device_fault("thermal_runaway")
    lab.clock.sleep(60.0)
    assert not epps.refresh_health()
    assert "K away from its set point" in epps.health.reason.get()


SOURCE = """
qlab: 1
name: source
seed: 2
instruments:
  epps:
    class: devices.sources.sfifteen_epps.EPPS
    address: twin
    settings: {current_limit_ma: 60.0, current_ma: 50.0, crystal_c: 35.0}
  a: {class: devices.detectors.sfifteen_spd.SPD, address: twin, twin: {dark_rate_hz: 0}}
  b: {class: devices.detectors.sfifteen_spd.SPD, address: twin, twin: {dark_rate_hz: 0}}
  tagger: {class: devices.taggers.sfifteen_tdc1.TDC1, address: twin}
optics:
  crystal: {kind: pair_source, pump: epps, oven: epps, brightness_hz_per_mw: 3000, phase_match_c: 35.0}
paths:
  - {from: epps, to: crystal}
  - {from: crystal.signal, to: a}
  - {from: crystal.idler, to: b}
cables:
  - {from: a, to: tagger.1}
  - {from: b, to: tagger.2}
"""


def test_pairs_need_light_and_the_crystals_temperature(tmp_path: Path) -> None:
    path = tmp_path / "source.yaml"
    path.write_text(SOURCE)
    with open_lab(str(path), data_dir=tmp_path) as lab:
        epps, tagger = lab.devices["epps"], lab.devices["tagger"]

        def count() -> int:
            tagger.trigger().wait(60)
            return int(tagger.last_block.counts(2)[0])

        assert count() == 0
        epps.set(35.0).wait(120)
        epps.switch_on().wait(60)
        lab.clock.sleep(600.0)
        matched = count()
        expected = 16 * 3000 * 0.5
        assert matched == pytest.approx(expected, rel=0.05)  # dead time and afterpulses of the module
        epps.set(36.0).wait(120)  # half of the phase matching
        lab.clock.sleep(600.0)
        assert count() == pytest.approx(matched / 2, rel=0.05)
