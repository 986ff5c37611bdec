r"""The EPPS twin against protocol sheet 01: pyserial on a pty, bytes written by hand; replies end with `\r\n`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from qlab.errors import TwinError
from sim_devices.sources.sfifteen_epps import REFUSED, SAVED, UNKNOWN, EPPSTwin

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import FakeBench, Wire

R, U = REFUSED.encode() + b"\r\n", UNKNOWN.encode() + b"\r\n"

SESSION = [
    (b"*IDN?\r\n", b"SPDCSDR,S-Fifteen Instruments,EPPS-0007\r\n"),
    (b"*idn?;", b"SPDCSDR,S-Fifteen Instruments,EPPS-0007\r\n"),
    (b"LCURRENT 12.500;HLOOP 1;", b""),  # a set says nothing
    (b"LCURRENT?\n", b"12.500\r\n"),
    (b"lcurrent?\r", b"12.500\r\n"),
    (b"LLIMIT 50;LLIMIT?;LCURRENT 50.1;LCURRENT?\n", b"50.000\r\n" + R + b"12.500\r\n"),
    (b"LLIMIT 97.1\n", R),
    (b"HLIMIT 10.1\n", R),
    (b"PLIMIT 2.6\n", R),
    (b"HSETTEMP 20;HSETTEMP?;HSETTEMP 19.9\n", b"20.000\r\n" + R),
    (b"HSETTEMP 100;HSETTEMP 100.1\n", R),
    (b"HSETTEMP 30;PSETTEMP 50;PSETTEMP 50.1;PSETTEMP 25\n", R),
    (b"HRATE 1;HRATE?;HRATE 1.1;HRATE 0\n", b"1.000\r\n" + R),
    (b"PVOLT -2.5;PVOLT?;PVOLT -2.6;PVOLT 0\n", b"-2.500\r\n" + R),
    (b"HCONSTP 2.5;HCONSTP?;PCONSTD 10;PCONSTD?;PCONSTD 10.1\n", b"2.500\r\n10.000\r\n" + R),
    (b"HLOOP?;PLOOP?;POWER?\n", b"1\r\n0\r\n0\r\n"),
    (b"STATUS?\n", b"1\r\n"),
    (b"POWER 3;PLOOP 1;ON;STATUS?\n", b"775\r\n"),  # 1 + 2 + 4 + 256 + 512
    (b"OFF;STATUS?\n", b"771\r\n"),
    (b"POWER 4\n", R),
    (b"NOPE\n", U),
    (b"NOPE?\n", U),
    (b"LCURRENT x\n", R),
    (b"*RST;STATUS?;LCURRENT?\n", b"0\r\n0.000\r\n"),
]


@pytest.fixture
def twin(table: FakeBench) -> EPPSTwin:
    return EPPSTwin.build("epps", table, {})


@pytest.fixture
def wire(serial_port: Callable[..., Wire], twin: EPPSTwin) -> Wire:
    return serial_port(twin)


def test_a_session_of_the_sheet(wire: Wire) -> None:
    for sent, expected in SESSION:
        assert wire.say(sent) == expected, sent


def test_light_needs_current_its_rail_and_on(wire: Wire, table: FakeBench) -> None:
    power = table.knob("epps", "power_w")
    wire.say(b"LCURRENT 50;ON\n")
    assert power.value(table.clock.now_ps()) == 0.0  # the current reads its set value, but there is no rail
    assert wire.say(b"LCURRENT?\n") == b"50.000\r\n"
    wire.say(b"POWER 2\n")
    cool_k = 3.0  # the room's 22 degC, below the 25 degC of threshold and slope
    expected = 0.8 * math.exp(cool_k / 500.0) * (0.050 - 0.030 * math.exp(-cool_k / 170.0))
    assert power.value(table.clock.now_ps()) == pytest.approx(expected)
    wire.say(b"OFF\n")
    assert power.value(table.clock.now_ps()) == 0.0


def test_the_heater_relaxes_ramps_and_holds_its_voltage_when_the_loop_opens(wire: Wire, table: FakeBench) -> None:
    crystal = table.oven_temperature("epps")
    wire.talk(b"POWER 1;HSETTEMP 42;HLOOP 1\n", wait_s=40.0)
    assert float(wire.say(b"HTEMP?\n")) == pytest.approx(42 - 20 / math.e, abs=2e-3)
    wire.talk(wait_s=600.0)
    assert wire.say(b"HTEMP?;HTARGET?\n") == b"42.000\r\n42.000\r\n"
    held = float(wire.say(b"HVOLT?\n"))
    assert held == pytest.approx((20 / 0.9) ** 0.5, abs=1e-3)
    wire.talk(b"HLOOP 0\n", wait_s=600.0)
    assert float(wire.say(b"HVOLT?\n")) == pytest.approx(held, abs=1e-3)
    assert crystal.value(table.clock.now_ps()) == pytest.approx(42.0, abs=0.01)
    wire.talk(b"HRATE 0.1;HLOOP 1;HSETTEMP 52\n", wait_s=50.0)
    assert float(wire.say(b"HTEMP?\n")) == pytest.approx(47.0, abs=0.01)
    wire.talk(b"POWER 0\n", wait_s=1000.0)
    assert wire.say(b"HTEMP?\n") == b"22.000\r\n"


def test_the_peltier_runs_away_when_told_so(wire: Wire, twin: EPPSTwin) -> None:
    wire.talk(b"POWER 1;PLOOP 1;PSETTEMP 25\n", wait_s=100.0)
    assert wire.say(b"PTEMP?\n") == b"25.000\r\n"
    twin.device_fault("thermal_runaway")
    wire.talk(wait_s=100.0)
    assert wire.say(b"PTEMP?\n") == b"52.000\r\n"
    with pytest.raises(TwinError, match="thermal_runaway"):
        twin.device_fault("no such thing")


def test_saving_takes_a_while_and_survives_a_power_cycle_dark(wire: Wire, twin: EPPSTwin) -> None:
    assert wire.say(b"LCURRENT 40;LLIMIT 60;POWER 3;ON;SAVE\n") == b""
    assert wire.talk(wait_s=1.0) == SAVED.encode() + b"\r\n"
    twin.reset_power()
    assert wire.say(b"LLIMIT?;LCURRENT?;STATUS?\n") == b"60.000\r\n40.000\r\n0\r\n"
    assert twin.peek()["laser_on"] is False


def test_help_has_several_lines(wire: Wire) -> None:
    assert wire.say(b"HELP\n").count(b"\r\n") > 10


STREAM = b"".join(sent for sent, _ in SESSION)


def test_any_split_on_the_wire_gives_the_same_bytes(wire: Wire, pieces: Callable[[bytes], list[bytes]]) -> None:
    assert wire.say(*pieces(STREAM)) == b"".join(expected for _, expected in SESSION)


@pytest.mark.parametrize(
    ("name", "limit", "low", "high", "above"),
    [
        (b"LCURRENT", b"LLIMIT 60", b"0", b"60", b"60.001"),
        (b"HVOLT", b"HLIMIT 4", b"0", b"4", b"4.001"),
        (b"PVOLT", b"PLIMIT 1", b"-1", b"1", b"1.001"),
        *[(b"%cCONST%c" % (part, term), b"", b"0", b"10", b"10.001") for part in b"HP" for term in b"PID"],
    ],
)
def test_a_range_ends_where_the_sheet_says(
    wire: Wire, name: bytes, limit: bytes, low: bytes, high: bytes, above: bytes
) -> None:
    assert wire.say(limit + b";") == b""
    for good in (low, high):
        assert wire.say(b"%s %s;%s?;" % (name, good, name)) == b"%.3f\r\n" % float(good)
    assert wire.say(
        b"%s %s;%s %.3f;%s?;" % (name, above, name, float(low) - 1e-3, name)
    ) == R + R + b"%.3f\r\n" % float(high)


def test_the_target_follows_the_ramp(wire: Wire) -> None:
    wire.talk(b"POWER 1;HRATE 0.5;HSETTEMP 42;HLOOP 1\n", wait_s=10.0)
    assert wire.say(b"HTARGET?;HSETTEMP?\n") == b"27.000\r\n42.000\r\n"  # from the room's 22 degC
    wire.talk(wait_s=40.0)
    assert wire.say(b"HTARGET?\n") == b"42.000\r\n"
