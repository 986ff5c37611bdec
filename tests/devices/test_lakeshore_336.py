"""The cryostat's controller."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from qlab.errors import InstrumentError, LimitError

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.lab.build import Lab

CRYO = "{class: devices.cryogenics.lakeshore_336.LakeShore336, address: twin, settings: {warm_above_k: 2.9}}"


def test_temperatures_are_read_in_kelvin(table: Callable[..., Lab]) -> None:
    cryo = table(cryo=CRYO).devices["cryo"]
    cryo.trigger().wait(10)
    reading = cryo.read()
    assert reading["cryo_temperature_a_k"]["value"] == 2.5
    assert reading["cryo_temperature_b_k"]["value"] == 40.0
    assert cryo.describe()["cryo_temperature_a_k"]["units"] == "K"
    assert cryo.firmware == "2.9"


def test_a_stage_is_warmed_and_let_go(table: Callable[..., Lab]) -> None:
    lab = table(cryo=CRYO.replace("{warm_above_k: 2.9}", "{}"))
    cryo = lab.devices["cryo"]
    cryo.set(4.2).wait(300)
    assert cryo.temperature_a_k.get() == pytest.approx(4.2, rel=0.01)
    cryo.switch_heaters_off().wait(30)
    assert cryo.heater_range.fetch() == 0
    with pytest.raises(LimitError, match="set_point_k"):
        cryo.set(400.0)


def test_what_the_controller_refuses_is_an_error(table: Callable[..., Lab]) -> None:
    cryo = table(cryo=CRYO).devices["cryo"]
    with pytest.raises(InstrumentError, match=r"cryo: the controller refused a command; command 'RAMP 1,1,101'"):
        cryo.tell("RAMP 1,1,101")
    with pytest.raises(InstrumentError, match="knows no such command"):
        cryo.tell("NONSENSE")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"name": "sensor_open", "channel": 2}, "sensor B is open"),
        ({"name": "compressor_off"}, "stage A is warmer than 2.9 K"),
    ],
)
def test_a_fault_shows_in_the_health(table: Callable[..., Lab], fault: dict[str, object], words: str) -> None:
    lab = table(cryo=CRYO)
    cryo = lab.devices["cryo"]
    assert cryo.refresh_health()
    lab.twins["cryo"].device_fault(**fault)
    lab.clock.sleep(600.0)
    assert not cryo.refresh_health()
    assert cryo.health.reason.get() == words


def test_a_heater_that_breaks_while_it_heats_is_an_error(table: Callable[..., Lab]) -> None:
    lab = table(cryo=CRYO)
    cryo = lab.devices["cryo"]
    lab.twins["cryo"].device_fault("heater_open")
    with pytest.raises(InstrumentError, match="did not take a value"):
        cryo.set(4.2).wait(60)
    assert cryo.check_health() == ["heater 1 is open"]


def test_a_reconnection_does_not_switch_a_heater_on(table: Callable[..., Lab]) -> None:
    lab = table(cryo=CRYO)
    cryo = lab.devices["cryo"]
    cryo.heater_range.put(1)
    lab.mounts["cryo"].power_cycle()
    cryo.trigger().wait(30)
    assert cryo.heater_range.fetch() == 0
