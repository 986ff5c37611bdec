"""The counter and the tunable laser."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from qlab import roles
from qlab.errors import InterlockError, LimitError
from qlab.lab.build import open_lab

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from qlab.lab.build import Lab

LASER = (
    "{class: devices.sources.santec_tsl570.TSL570, address: twin, settings: {wavelength_nm: 1551.0, power_dbm: 3.0}}"
)
COUNTER = "{class: devices.counters.pendulum_cnt91.CNT91, address: twin, settings: {gate_s: 0.5}}"


def test_the_laser_shines_when_asked_and_tunes(table: Callable[..., Lab]) -> None:
    lab = table(laser=LASER)
    laser, power = lab.devices["laser"], lab.bench.pump_power("laser")
    assert isinstance(laser, roles.PhotonSource)
    assert power.value(lab.clock.now_ps()) == 0.0
    laser.switch_on().wait(60)
    laser.trigger().wait(30)
    assert laser.actual_dbm.get() == pytest.approx(3.0, abs=0.01)
    laser.set(1600.0).wait(60)
    assert lab.bench.knob("laser", "wavelength_nm").value(lab.clock.now_ps()) == pytest.approx(1600.0)
    with pytest.raises(LimitError, match="1500 to 1630 nm"):
        laser.set(1640.0)
    laser.switch_off().wait(30)
    assert power.value(lab.clock.now_ps()) == 0.0


def test_an_open_interlock_is_an_interlock_error(table: Callable[..., Lab]) -> None:
    lab = table(laser=LASER)
    laser = lab.devices["laser"]
    laser.switch_on().wait(60)
    lab.twins["laser"].device_fault("interlock")
    with pytest.raises(InterlockError, match="the interlock is open"):
        laser.trigger().wait(30)
    with pytest.raises(InterlockError, match="the interlock is open"):
        laser.switch_on().wait(60)


def test_an_input_without_a_signal_is_not_a_number(table: Callable[..., Lab]) -> None:
    counter = table(counter=COUNTER).devices["counter"]
    counter.trigger().wait(30)
    assert math.isnan(counter.frequency_hz.get())


CLICKS = """
qlab: 1
name: clicks
seed: 3
instruments:
  spd: {class: devices.detectors.sfifteen_spd.SPD, address: twin, twin: {dark_rate_hz: 2000, afterpulse_probability: 0}}
  counter: {class: devices.counters.pendulum_cnt91.CNT91, address: twin, settings: {gate_s: 1.0}}
cables:
  - {from: spd, to: counter.1}
"""


def test_it_counts_a_detectors_clicks(tmp_path: Path) -> None:
    path = tmp_path / "clicks.yaml"
    path.write_text(CLICKS)
    with open_lab(str(path), data_dir=tmp_path) as lab:
        counter = lab.devices["counter"]
        counter.trigger().wait(30)
        rate = counter.frequency_hz.get()
        assert rate > 100
        counter.take_series(20).wait(60)
        series = counter.series_hz.get()
        assert series.shape == (20,)
        assert np.mean(series) == pytest.approx(rate, abs=6 * (rate / 1.0) ** 0.5)
        assert np.std(series) == pytest.approx(np.mean(series) ** 0.5, rel=4 / (2 * 20) ** 0.5)  # Poisson, gates of 1 s
