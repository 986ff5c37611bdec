r"""The DLC pro's twin against protocol sheet 05: pyvisa over TCP, bytes written by hand; every answer ends with `\n> `."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from qlab.errors import TwinError
from sim_devices.sources.toptica_dlcpro import DLCproTwin

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import FakeBench, Wire

DL = b"laser1:dl:"
SESSION = [
    (b"(param-ref 'system-type)\n", b'"DLC pro"\n> '),
    (b"(param-ref 'serial-number)\n", b'"DLC PRO_012345"\n> '),
    (b"(param-ref 'fw-ver)\r\n", b'"3.3.3"\n> '),
    (b"(param-ref 'emission)\n", b"#f\n> "),
    (b"(param-ref 'interlock-open)\n", b"#f\n> "),
    (b"(param-ref 'frontkey-locked)\n", b"#f\n> "),
    (b"(param-ref 'emission-button-enabled)\n", b"#t\n> "),
    (b"(param-ref 'ul)\n", b"3\n> "),
    (b"(param-ref 'echo)\n", b"#f\n> "),
    (b"(param-ref 'system-health)\n", b"0\n> "),
    (b"(param-ref 'laser1:dl:cc:current-set)\n", b"120.0\n> "),
    (b"(param-set! 'laser1:dl:cc:current-set 119.9)\n", b"0\n> "),
    (b"(param-ref 'laser1:dl:cc:current-set)\n", b"119.9\n> "),
    (b"(param-gsv 'laser1:dl:cc:current-set)\n", b"119.9\n> "),
    (b'(param-set! \'system-label "red one")\n', b"0\n> "),
    (b"(param-ref 'system-label)\n", b'"red one"\n> '),
    (b"(param-ref 'laser2:dl:cc:current-set)\n", b"Error: -20 unavailable on your system\n> "),
    (b"(param-gsv 'uptime)\n", b"Error: -3 value not available\n> "),
    (b"(param-ref 'no-such-name)\n", b"Error: -21 unknown name\n> "),
    (b"(param-set! 'uptime 3)\n", b"-22\n> "),
    (b"(param-set! 'laser1:dl:cc:current-set 180.1)\n", b"-23\n> "),  # the clip is 180 mA
    (b"(param-set! 'laser1:dl:cc:current-set #t)\n", b"-24\n> "),
    (b"(param-set! 'laser1:dl:cc:enabled 1)\n", b"-24\n> "),
    (b"(exec 'change-ul 4)\n", b"4\n> "),
    (b'(param-set! \'system-label "x")\n', b"-22\n> "),  # read-only level
    (b'(exec \'change-ul 3 "")\n', b"3\n> "),
    (b'(exec \'change-ul 1 "wrong")\n', b"3\n> "),
    (b"\n", b"\n> "),
]
TREE = {
    "": "serial-number system-type system-model system-label fw-ver uptime emission interlock-open frontkey-"
    "locked emission-button-enabled system-health system-health-txt ul time echo",
    "laser1": "type product-name label emission enabled health health-txt busy",
    "laser1:dl": "type model serial-number ontime ontime-txt",
    "laser1:dl:cc": "enabled emission current-set current-act current-clip current-clip-limit voltage-act voltage-clip "
    "feedforward-enabled feedforward-factor pd status status-txt forced-off positive-polarity",
    "laser1:dl:tc": "enabled temp-set temp-act ready fault status status-txt current-act voltage-act temp-set-min temp-"
    "set-max temp-roc-enabled temp-roc-limit resistance",
    "laser1:dl:tc:t-loop": "p-gain i-gain d-gain",
    "laser1:dl:pc": "enabled voltage-set voltage-min voltage-max voltage-act heatsink-temp status status-txt",
    "laser1:dl:lock": "type state state-txt lock-enabled hold setpoint",
    "laser1:dl:lock:relock": "enabled",
    "laser1:dl:lock:window": "enabled",
    "laser1:scan": "enabled hold signal-type frequency output-channel unit amplitude offset start end",
    "laser1:ctl": "wavelength-set wavelength-act",
    "power-supply": "type",
    "system-messages": "count count-new latest-message",
    "standby": "enabled state",
}


@pytest.fixture
def twin(table: FakeBench) -> DLCproTwin:
    return DLCproTwin.build("laser", table, {})


@pytest.fixture
def wire(visa: Callable[..., Wire], twin: DLCproTwin) -> Wire:
    wire = visa(twin)
    assert wire.hear(b"> ") == b"Welcome to DLC pro\n> "
    return wire


def read(wire: Wire, name: bytes) -> str:
    return wire.say(b"(param-ref '" + name + b")\n").removesuffix(b"\n> ").decode()


def test_a_session(wire: Wire) -> None:
    for sent, expected in SESSION:
        assert wire.say(sent) == expected, sent


def test_bytes_may_come_in_any_parts(wire: Wire) -> None:
    command = b"(param-ref 'system-type)\n"
    assert wire.say(*(command[i : i + 1] for i in range(len(command)))) == b'"DLC pro"\n> '


def test_the_bytes_that_open_the_prompt_on_usb_are_passed_over(wire: Wire) -> None:
    assert wire.say(b"\x12\x03(param-ref 'ul)\n") == b"3\n> "


def test_an_echo_repeats_each_command_before_its_answer_with_carriage_returns(wire: Wire) -> None:
    assert wire.say(b"(param-set! 'echo #t)\n") == b"0\n> "
    sent = b"(param-set! 'laser1:dl:cc:current-set 100)\n"
    assert wire.say(sent) == sent.strip() + b"\r\n0\r\n> "
    assert wire.say(b"(param-set! 'echo #f)\n") == b"(param-set! 'echo #f)\r\n0\r\n> "


@pytest.mark.parametrize("name", [f"{branch}:{leaf}".lstrip(":") for branch in TREE for leaf in TREE[branch].split()])
def test_every_parameter_has_a_value(wire: Wire, name: str) -> None:
    value = read(wire, name.encode())
    assert re.fullmatch(r'#[tf]|-?\d+(\.\d+)?|".*"', value), value


def test_a_listing_shows_a_branch_by_depth(wire: Wire) -> None:
    lines = wire.say(b"(param-disp 'laser1:dl:lock)\n").decode().splitlines()
    assert "  lock-enabled = #f" in lines
    assert "    enabled = #f" in lines


def test_light_comes_with_the_current_and_follows_its_slope(wire: Wire, table: FakeBench) -> None:
    power = table.knob("laser", "power_w")
    wire.talk(wait_s=60.0)
    assert power.value(table.clock.now_ps()) == 0.0
    wire.say(b"(param-set! 'laser1:dl:cc:enabled #t)\n")
    assert read(wire, DL + b"cc:emission") == "#t"
    assert read(wire, b"emission") == "#t"
    assert float(read(wire, DL + b"cc:current-act")) == pytest.approx(120.0)
    low = power.value(table.clock.now_ps())
    wire.say(b"(param-set! 'laser1:dl:cc:current-set 130.0)\n")
    assert power.value(table.clock.now_ps()) - low == pytest.approx(8e-3, rel=0.01)  # 0.8 W/A
    assert float(read(wire, DL + b"cc:pd")) == pytest.approx(power.value(table.clock.now_ps()) * 1e3)


@pytest.mark.parametrize(
    ("fault", "name", "value"),
    [
        ("interlock", b"interlock-open", "#t"),
        ("key", b"frontkey-locked", "#t"),
        ("tc_fault", DL + b"tc:fault", "#t"),
        ("button", b"emission-button-enabled", "#t"),
    ],
)
def test_what_darkens_the_laser_shows_and_does_not_let_it_come_back_by_itself(
    wire: Wire, twin: DLCproTwin, table: FakeBench, fault: str, name: bytes, value: str
) -> None:
    power = table.knob("laser", "power_w")
    wire.talk(wait_s=60.0)
    wire.say(b"(param-set! 'laser1:dl:cc:enabled #t)\n")
    assert power.value(table.clock.now_ps()) > 0.0
    twin.device_fault(fault)
    assert power.value(table.clock.now_ps()) == 0.0
    assert read(wire, name) == value
    assert read(wire, b"emission") == "#f"
    assert read(wire, b"system-health") != "0"
    assert read(wire, b"system-health-txt") != '"OK"'
    assert read(wire, b"system-messages:count-new") == "1"
    # the set switch may stay on, but a failed temperature control switches it off
    assert read(wire, DL + b"cc:enabled") == ("#f" if fault == "tc_fault" else "#t")
    twin.device_fault(fault, active=False)
    wire.talk(wait_s=60.0)
    assert power.value(table.clock.now_ps()) == 0.0
    wire.say(b"(param-set! 'laser1:dl:cc:enabled #t)\n")
    assert power.value(table.clock.now_ps()) > 0.0


def test_a_lock_holds_the_wavelength_until_it_is_lost(wire: Wire, twin: DLCproTwin, table: FakeBench) -> None:
    wavelength = table.knob("laser", "wavelength_nm")
    wire.talk(wait_s=60.0)
    wire.say(b"(param-set! 'laser1:dl:cc:enabled #t)\n(param-set! 'laser1:dl:lock:lock-enabled #t)\n")
    assert read(wire, DL + b"lock:state-txt") == '"Locking"'
    wire.talk(wait_s=1.0)
    assert read(wire, DL + b"lock:state") == "5"
    held = wavelength.value(table.clock.now_ps())
    wire.say(b"(param-set! 'laser1:dl:pc:voltage-set 75.0)\n")
    assert wavelength.value(table.clock.now_ps()) == held
    twin.device_fault("lock_lost")
    assert read(wire, DL + b"lock:lock-enabled") == "#t"
    assert read(wire, DL + b"lock:state") != "5"
    assert wavelength.value(table.clock.now_ps()) - held == pytest.approx(3e-3, rel=0.01)  # 5 V at 0.6 pm/V


def test_the_piezo_tunes_at_once_and_the_motor_takes_its_time(wire: Wire, table: FakeBench) -> None:
    wavelength = table.knob("laser", "wavelength_nm")
    wire.talk(wait_s=60.0)
    wire.say(b"(param-set! 'laser1:dl:pc:voltage-set 80.0)\n")
    assert wavelength.value(table.clock.now_ps()) == pytest.approx(780.241 + 6e-3, abs=1e-5)
    wire.say(b"(param-set! 'laser1:ctl:wavelength-set 775.241)\n")
    assert read(wire, b"laser1:busy") == "#t"
    wire.talk(wait_s=0.5)
    assert wavelength.value(table.clock.now_ps()) == pytest.approx(777.741 + 6e-3, abs=1e-4)  # 5 nm/s
    wire.talk(wait_s=0.6)
    assert read(wire, b"laser1:busy") == "#f"
    assert read(wire, b"laser1:ctl:wavelength-act") == "775.241"


def test_a_mode_hop_jumps_by_the_cavitys_mode_spacing(twin: DLCproTwin, wire: Wire, table: FakeBench) -> None:
    wavelength = table.knob("laser", "wavelength_nm")
    wire.talk(wait_s=60.0)
    before = wavelength.value(table.clock.now_ps())
    twin.device_fault("mode_hop")
    assert wavelength.value(table.clock.now_ps()) - before == pytest.approx(0.01, abs=1e-6)


def test_a_fault_that_it_does_not_have_is_refused(twin: DLCproTwin) -> None:
    with pytest.raises(TwinError, match="no such thing"):
        twin.device_fault("no such thing")


def test_a_power_cycle_leaves_it_dark_with_its_settings(wire: Wire, twin: DLCproTwin, table: FakeBench) -> None:
    wire.talk(wait_s=60.0)
    wire.say(b"(param-set! 'laser1:dl:cc:enabled #t)\n(param-set! 'laser1:dl:cc:current-set 90.0)\n")
    twin.reset_power()
    assert table.knob("laser", "power_w").value(table.clock.now_ps()) == 0.0
    assert read(wire, DL + b"cc:enabled") == "#f"
    assert read(wire, DL + b"cc:current-set") == "90.0"


def test_the_monitoring_line_tells_each_change_with_its_time(visa: Callable[..., Wire], twin: DLCproTwin) -> None:
    wire = visa(twin.ports()["monitoring"])
    stamp = rb"\(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z '"
    first = wire.say(b"(add 'laser1:dl:cc:current-set 50 0.5)\n")
    assert re.fullmatch(stamp + rb"laser1:dl:cc:current-set 120\.0\)\n", first)
    assert wire.talk(wait_s=1.0) == b""
    twin.tree.put("laser1:dl:cc:current-set", "120.4")
    assert wire.talk(wait_s=1.0) == b""  # below the threshold
    twin.tree.put("laser1:dl:cc:current-set", "121.0")
    assert re.fullmatch(stamp + rb"laser1:dl:cc:current-set 121\.0\)\n", wire.talk(wait_s=0.1))
    wire.say(b"(remove 'laser1:dl:cc:current-set)\n")
    twin.tree.put("laser1:dl:cc:current-set", "100.0")
    assert wire.talk(wait_s=1.0) == b""
    error = wire.say(b"(add 'nothing)\n")
    assert re.fullmatch(rb"\(Error: -21 " + stamp + rb"nothing\) unknown name\)\n", error)


def test_each_client_has_its_own_prompt_and_outlives_the_others(
    visa: Callable[..., Wire], twin: DLCproTwin, wire: Wire
) -> None:
    other = visa(twin.ports()["monitoring"])
    other.say(b"(add 'uptime 100)\n")
    other.mount.close()
    assert wire.say(b"(param-ref 'ul)\n") == b"3\n> "
