"""The oven: echoes, prompts, and an enable that only toggles."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from devices.sources.thorlabs_tc200 import TC200
from qlab.errors import BadReplyError, InstrumentError, LimitError, LinkTimeoutError
from qlab.links.policy import LinkPolicy
from qlab.twin.faults import WireFault

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.clock import SteppedClock
    from qlab.lab.build import Lab

HELLO = (b"id?\r", b"id?\rTHORLABS TC200 VERSION 2.0\r> ")


@pytest.fixture
def oven(scripted: Callable, clock: SteppedClock) -> Callable:
    def make(*lines: tuple[bytes, bytes], retries: int = 0) -> tuple:
        link, port = scripted(*lines, retries=retries, terminator=b"> ", command_terminator=b"\r")
        link.open()
        return TC200(name="oven", link=link, clock=clock), port

    return make


def test_connecting_asks_for_celsius_and_warms_up_to_the_lab_files_temperature(
    scripted: Callable, clock: SteppedClock
) -> None:
    link, port = scripted(
        HELLO,
        (b"stat?\r", b"stat?\r0 > "),  # kelvin, heater off
        (b"unit=c\r", b"unit=c\r> "),
        (b"tset=40.0\r", b"tset=40.0\r> "),
        (b"tset?\r", b"tset?\r40.0 Celsius\r> "),
        (b"stat?\r", b"stat?\r10 > "),
        (b"ens\r", b"ens\r> "),
        (b"stat?\r", b"stat?\r11 > "),
        (b"tset?\r", b"tset?\r40.0 Celsius\r> "),
        (b"tmax?\r", b"tmax?\r200.0\r> "),
        (b"pmax?\r", b"pmax?\r18.0\r> "),
        terminator=b"> ",
        command_terminator=b"\r",
    )
    device = TC200(name="oven", link=link, clock=clock, settings={"temperature_c": 40.0})

    device.connect()

    assert port.script == []
    assert device.firmware == "2.0"


def test_the_enable_is_not_toggled_when_the_heater_is_as_it_should_be(oven: Callable) -> None:
    device, port = oven((b"stat?\r", b"stat?\r11 > "))

    device.switch_heater(on=True)

    assert port.script == []


def test_a_toggle_whose_answer_is_lost_is_not_repeated(oven: Callable) -> None:
    device, port = oven((b"stat?\r", b"stat?\r10 > "), (b"ens\r", b""), retries=3)

    with pytest.raises(LinkTimeoutError, match="ens"):
        device.switch_heater(on=True)
    assert port.script == []


def test_a_wrong_echo_is_a_bad_reply_and_a_query_is_then_repeated(oven: Callable) -> None:
    device, _ = oven((b"tact?\r", b"tset?\r30.0 C\r> "))
    with pytest.raises(BadReplyError, match=r"oven: the echo is not what was sent"):
        device.actual_c.fetch()

    device, port = oven((b"tact?\r", b"tbct?\r25.4 C\r> "), (b"tact?\r", b"tact?\r25.4 C\r> "), retries=1)
    assert device.actual_c.fetch() == 25.4
    assert port.plugged == 2


@pytest.mark.parametrize(
    ("reply", "words"), [("CMD_NOT_DEFINED", "does not know"), ("CMD_ARG_RANGE_ERR", "out of range")]
)
def test_errors_in_the_reply_are_the_controllers(oven: Callable, reply: str, words: str) -> None:
    device, _ = oven((b"pmax=9.0\r", f"pmax=9.0\r{reply}\r> ".encode()))

    with pytest.raises(InstrumentError, match=f"oven: .*{words}.*pmax=9.0"):
        device.max_power_w.set(9.0).wait(10)


def test_a_missing_sensor_is_named_and_the_heater_left_alone(oven: Callable) -> None:
    device, port = oven((b"stat?\r", b"stat?\r50 > "))

    with pytest.raises(InstrumentError, match="sensor is not connected"):
        device.switch_heater(on=True)
    assert port.script == []


def test_heating_is_done_when_three_readings_in_a_row_are_near_enough(table: Callable[..., Lab]) -> None:
    lab = table("oven")
    device = lab.devices["oven"]
    assert device.check_health() == []  # an oven that still warms up is healthy

    device.set(45.0).wait(60)

    assert abs(device.actual_c.get() - 45.0) <= 0.1
    assert device.check_health() == []
    with pytest.raises(LimitError, match="oven: temperature_c = 400"):
        device.set(400.0)


def test_a_sensor_that_is_unplugged_while_heating_ends_the_wait(table: Callable[..., Lab]) -> None:
    lab = table("oven")
    device = lab.devices["oven"]
    lab.clock.call_at(lab.clock.now_ps() + 20 * 10**12, lambda: lab.twins["oven"].device_fault("sensor_unplugged"))

    with pytest.raises(InstrumentError, match="sensor is not connected"):
        device.set(60.0).wait(60)
    assert device.check_health() == ["the temperature sensor is not connected"]


def test_a_set_point_below_the_room_is_given_up_with_the_reason(
    table: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devices.sources.thorlabs_tc200.SETTLING_TIMEOUT_S", 30.0)
    device = table("oven").devices["oven"]

    with pytest.raises(InstrumentError, match="heats but does not cool"):
        device.set(20.0).wait(120)


@pytest.mark.parametrize("kind", ["silent", "garble", "truncate", "duplicate", "noise_prefix", "drop", "late"])
def test_one_wire_fault_never_makes_a_wrong_reading(table: Callable[..., Lab], kind: str) -> None:
    lab = table("oven")
    device = lab.devices["oven"]
    lab.mounts["oven"].faults.arm(WireFault(kind, count=1, match="tset", delay_s=3.0 if kind == "late" else None))

    with contextlib.suppress(BadReplyError, InstrumentError):
        device.temperature_c.fetch()
    assert device.temperature_c.fetch() == 40.0


@pytest.mark.parametrize(
    ("status", "complaints"),
    [
        (b"11", []),  # heats
        (b"13", []),  # cycles
        (b"1d", []),  # whatever the sensor
        (b"91", []),  # a paused cycle
        (b"10", ["the heater is off"]),
        (b"90", ["the heater is off"]),
        (b"50", ["the temperature sensor is not connected"]),
        (b"d1", ["the temperature sensor is not connected"]),
    ],
)
def test_the_bits_of_the_status_byte_are_told_apart(
    scripted: Callable, clock: SteppedClock, status: bytes, complaints: list[str]
) -> None:
    link, _ = scripted((b"stat?\r", b"stat?\r" + status + b" > "), terminator=b"> ", command_terminator=b"\r")
    link.open()
    device = TC200(name="oven", link=link, clock=clock, settings={"temperature_c": 40.0})
    assert device.check_health() == complaints


@pytest.mark.parametrize("said", [b"tset?\r30.0 Celsius\r> ", b"tset?\r30.0 C\r> ", b"tset?\r30.0 Celsius\r\r> "])
def test_a_temperature_is_read_whatever_word_and_blank_line_is_behind_it(oven: Callable, said: bytes) -> None:
    device, _ = oven((b"tset?\r", said))
    assert device.temperature_c.fetch() == 30.0


def test_a_set_may_be_answered_with_an_empty_line(oven: Callable) -> None:
    device, port = oven((b"pmax=9.0\r", b"pmax=9.0\r\r> "), (b"pmax?\r", b"pmax?\r9.0\r> "))
    device.tell("pmax=9.0")
    assert device.max_power_w.fetch() == 9.0
    assert port.script == []


def test_an_answer_has_a_second() -> None:
    assert LinkPolicy().timeout_s >= 1.0
