"""The cryostat's controller."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from devices.cryogenics.lakeshore_336 import LakeShore336
from qlab.errors import InstrumentError, LimitError

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.clock import SteppedClock
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
        ({"name": "sensor_short", "channel": 1}, "sensor A shows zero"),
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


@pytest.mark.parametrize(
    ("bit", "words"),
    [(0, "is invalid"), (4, "is under range"), (5, "is over range"), (6, "shows zero"), (7, "is open")],
)
def test_each_bit_of_a_readings_status_has_its_word(
    scripted: Callable, clock: SteppedClock, bit: int, words: str
) -> None:
    link, _ = scripted(
        (b"RDGST? A\n", f"{1 << bit:03d}\r\n".encode()),
        *((f"HTRST? {n}\n".encode(), b"0\r\n") for n in (1, 2)),
        terminator=b"\r\n",
        command_terminator=b"\n",
    )
    cryo = LakeShore336(name="cryo", link=link, clock=clock, settings={"inputs": "A"})
    assert cryo.check_health() == [f"sensor A {words}"]


@pytest.mark.parametrize(("code", "found"), [(0, []), (1, ["heater 1 is open"]), (2, ["heater 1 is shorted"])])
def test_each_heater_status_has_its_word(scripted: Callable, clock: SteppedClock, code: int, found: list[str]) -> None:
    replies = ((b"HTRST? 1\n", f"{code}\r\n".encode()), (b"HTRST? 2\n", b"0\r\n"))
    link, _ = scripted(*replies, terminator=b"\r\n", command_terminator=b"\n")
    assert LakeShore336(name="cryo", link=link, clock=clock, settings={"inputs": ""}).check_health() == found


def test_all_four_outputs_are_switched_off(table: Callable[..., Lab]) -> None:
    lab = table(cryo=CRYO)
    cryo, twin = lab.devices["cryo"], lab.twins["cryo"]
    for output in (1, 2, 3, 4):
        cryo.tell(f"OUTMODE {output},3,{output},0;MOUT {output},1;RANGE {output},1")
    assert [loop.range for loop in twin.loops] == [1, 1, 1, 1]
    cryo.switch_heaters_off().wait(30)
    assert [loop.range for loop in twin.loops] == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("address", "seconds"), [("/dev/ttyUSB0", 0.1), ("ASRL/dev/ttyS0::INSTR", 0.1), ("script", 0.0)]
)
def test_a_serial_line_rests_between_commands(
    scripted: Callable, clock: SteppedClock, address: str, seconds: float
) -> None:
    asked = [(b"KRDG? A\n", b"+2.7431\r\n")] * 3
    link, _ = scripted(*asked, terminator=b"\r\n", command_terminator=b"\n")
    link.address = address
    cryo = LakeShore336(name="cryo", link=link, clock=clock)
    began_ps = clock.now_ps()
    for _ in asked:
        assert float(cryo.ask("KRDG? A")) == 2.7431
    assert (clock.now_ps() - began_ps) * 1e-12 == pytest.approx(seconds, abs=1e-9)
