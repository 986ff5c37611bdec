"""The PAX1000 driver on its twin, with light of known polarisation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from qlab import roles
from qlab.errors import InstrumentError
from qlab.lab.build import open_lab

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from qlab.lab.build import Lab

PAX = "{class: devices.polarisation.thorlabs_pax1000.PAX1000, address: twin, settings: {mode: 9, rotation_hz: 100}}"

PLATE = """
qlab: 1
name: plate
seed: 11
instruments:
  laser: {class: devices.sources.santec_tsl570.TSL570, address: twin, settings: {wavelength_nm: 1550, power_dbm: 0}}
  mount: {class: devices.polarisation.thorlabs_k10cr1.K10CR1, address: twin}
  pax:
    class: devices.polarisation.thorlabs_pax1000.PAX1000
    address: twin
    settings: {wavelength_nm: 1550, mode: 9, rotation_hz: 100, averages: 4}
optics:
  plate: {kind: wave_plate, retardance: RETARDANCE, mount: mount}
  loss: {kind: attenuator, loss_db: 3}
paths:
  - {from: laser, via: [plate, loss], to: pax}
"""
ACCURACY_DEG = 0.25
"""Data sheet: on the Poincare sphere."""
NOISE_DEG = 0.05
"""Of the twin's noise of 2e-4 in mode 9, four measurements averaged, and the mount's repeatability: far below."""


def sphere_deg(found: np.ndarray, expected: list[float]) -> float:
    """Return the angle between two directions on the Poincare sphere."""
    cosine = float(np.dot(found, expected) / np.linalg.norm(found) / np.linalg.norm(expected))
    return math.degrees(math.acos(min(1.0, cosine)))


@pytest.mark.parametrize("angle_deg", [0.0, 11.25, 22.5, 60.0])
@pytest.mark.parametrize("kind", ["half", "quarter"])
def test_light_behind_a_wave_plate_is_read_within_the_instruments_error(
    tmp_path: Path, kind: str, angle_deg: float
) -> None:
    """H behind a plate at the angle p (Goldstein, Polarized Light, 6.3); a quarter-wave one at 45 degrees makes R."""
    path = tmp_path / "plate.yaml"
    path.write_text(PLATE.replace("RETARDANCE", kind))
    with open_lab(str(path), data_dir=tmp_path) as lab:
        mount, laser, pax = (lab.devices[name] for name in ("mount", "laser", "pax"))
        mount.home().wait(120)
        mount.set(angle_deg).wait(120)
        laser.switch_on().wait(60)
        pax.trigger().wait(60)
        two, four = math.radians(2 * angle_deg), math.radians(4 * angle_deg)
        if kind == "half":
            expected = [math.cos(four), math.sin(four), 0.0]
        else:
            expected = [math.cos(two) ** 2, math.sin(two) * math.cos(two), math.sin(two)]
        found = pax.stokes.get()
        assert (
            sphere_deg(found, expected) < ACCURACY_DEG + NOISE_DEG + 0.2
        )  # the play of the mount, 0.05 deg, four times on the sphere
        assert pax.dop.get() == pytest.approx(1.0, abs=6e-3)
        assert pax.power_w.get() == pytest.approx(1e-3 * 10**-0.3, rel=0.01)
        world = lab.bench.stokes_w("pax", lab.clock.now_ps())
        assert sphere_deg(found, list(world[1:] / world[0])) < ACCURACY_DEG + NOISE_DEG
        pax.unstage().wait(30)
        assert not lab.twins["pax"].peek()["turns"]


def test_it_meets_the_role_and_starts_and_stops_its_plate(table: Callable[..., Lab]) -> None:
    lab = table(pax=PAX)
    pax, twin = lab.devices["pax"], lab.twins["pax"]
    assert isinstance(pax, roles.PowerMeter)
    assert not twin.peek()["turns"]
    begun = lab.clock.now_s()
    pax.trigger().wait(60)
    assert twin.peek()["turns"]
    assert lab.clock.now_s() - begun > 5.0  # it had to spin up
    pax.stop()
    pax.join_jobs(30)
    assert not twin.peek()["turns"]


def test_what_began_before_the_trigger_is_not_taken(table: Callable[..., Lab]) -> None:
    lab = table(pax=PAX)
    pax = lab.devices["pax"]
    pax.trigger().wait(60)
    lab.clock.sleep(5.0)  # the queue is full
    begun = lab.clock.now_s()
    pax.trigger().wait(60)
    assert lab.clock.now_s() - begun >= 2 / 100.0  # one whole measurement of two turns


def test_a_series_has_a_row_for_each_measurement(table: Callable[..., Lab]) -> None:
    pax = table(pax=PAX).devices["pax"]
    pax.take_series(25).wait(60)
    assert pax.series.get().shape == (25, 4)


def test_a_blocked_plate_is_an_error_and_heat_is_told(table: Callable[..., Lab]) -> None:
    lab = table(pax=PAX)
    pax, twin = lab.devices["pax"], lab.twins["pax"]
    pax.trigger().wait(60)
    assert pax.check_health() == []
    twin.device_fault("over_temperature")
    lab.clock.sleep(2.0)
    assert pax.check_health() == ["it is too hot"]
    twin.device_fault("motor_stuck")
    with pytest.raises(InstrumentError, match=r"has not settled after 30 s.*is it blocked"):
        pax.trigger().wait(60)


def test_after_a_power_cycle_it_is_set_up_again(table: Callable[..., Lab]) -> None:
    lab = table(pax=PAX)
    pax, twin = lab.devices["pax"], lab.twins["pax"]
    lab.mounts["pax"].power_cycle(boot_s=2.0)
    lab.clock.sleep(5.0)
    pax.trigger().wait(60)
    assert (twin.mode, twin.rotation_hz) == (9, 100.0)
