r"""The Lake Shore 336 twin against protocol sheet 18: pyvisa over TCP, bytes written by hand; replies end with `\r\n`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from qlab.errors import TwinError
from sim_devices.cryogenics.lakeshore_336 import LakeShore336Twin

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import FakeBench, Wire

SESSION = [
    (b"*IDN?\n", b"LSCI,MODEL336,LSA1234/LSA5678,2.9\r\n"),
    (b"KRDG? A\r\n", b"+2.5000\r\n"),  # five significant digits; CRLF is taken too
    (b"KRDG? B\n", b"+40.000\r\n"),
    (b"KRDG? C\n", b"+295.15\r\n"),  # the room's
    (b"CRDG? C\n", b"+22.000\r\n"),
    (b"KRDG? A;*ESR?\n", b"+2.5000;128\r\n"),  # chained; the power was switched on
    (b"KRDG? A;:KRDG? B\n", b"+2.5000;+40.000\r\n"),
    (b"RDGST? A\n", b"000\r\n"),
    (b"SETP 1,4.2;SETP? 1\n", b"+4.2000\r\n"),
    (b"RANGE? 1;RANGE? 2;RANGE? 3;RANGE? 4\n", b"0;0;0;0\r\n"),
    (b"HTR? 1\n", b"+000.0\r\n"),
    (b"HTRST? 1\n", b"0\r\n"),
    (b"PID 1,100,50,25;PID? 1\n", b"+0100.0,+0050.0,+0025.0\r\n"),
    (b"RAMP 1,1,10.5;RAMP? 1\n", b"1,+010.5\r\n"),
    (b"RAMPST? 1\n", b"0\r\n"),
    (b"OUTMODE 1,1,1,0;OUTMODE? 1\n", b"1,1,0\r\n"),
    (b"MOUT 3,12.5;MOUT? 3\n", b"+012.500\r\n"),
    (b"TLIMIT A,325;TLIMIT? A\n", b"+325.00\r\n"),
    (b"ALARM A,1,10,1,0,0,0,0;ALARM? A\n", b"1,10,1,0,0,0,0\r\n"),
    (b"ALARMST? A\n", b"0,0\r\n"),
    (b'INNAME A,"nanowires";INNAME? A\n', b"nanowires      \r\n"),
    (b"INTYPE B,1,0,0,0,1;INTYPE? B\n", b"1,0,0,0,1\r\n"),
    (b"INCRV C,21;INCRV? C\n", b"21\r\n"),
    (b"RELAY 1,1,A,0;RELAYST? 1\n", b"1\r\n"),
    (b"MDAT? A\n", b"+2.5000,+2.5000\r\n"),
    (b"MODE 1;MODE?;LOCK 1,123;LOCK?;BRIGT 3;BRIGT?\n", b"1;1,123;3\r\n"),
    (b"*STB?;*OPC?;*TST?\n", b"0;1;0\r\n"),
]


@pytest.fixture
def cryo(table: FakeBench) -> LakeShore336Twin:
    return LakeShore336Twin.build("cryo", table, {})


@pytest.fixture
def wire(visa: Callable[..., Wire], cryo: LakeShore336Twin) -> Wire:
    return visa(cryo)


def test_a_session_of_the_sheet(wire: Wire) -> None:
    for sent, expected in SESSION:
        assert wire.say(sent) == expected, sent


@pytest.mark.parametrize(
    ("sent", "bits"),
    [
        (b"NONSENSE\n", 32),
        (b"RANGE 1,4\n", 16),
        (b"RANGE 3,2\n", 16),
        (b"PID 1,0.05,1,0\n", 16),
        (b"PID 1,1,1001,0\n", 16),
        (b"PID 1,1,1,201\n", 16),
        (b"RAMP 1,1,101\n", 16),
        (b"SETP 5,4\n", 16),
        (b"KRDG? E\n", 16),
        (b"SETP 1\n", 32),
    ],
)
def test_what_it_refuses_shows_in_the_event_register(wire: Wire, sent: bytes, bits: int) -> None:
    wire.say(b"*CLS\n")
    assert wire.say(sent) == b""
    assert wire.say(b"*ESR?\n") == f"{bits}\r\n".encode()
    assert wire.say(b"*ESR?\n") == b"0\r\n"  # cleared by reading


def test_without_its_compressor_the_cold_stage_warms_up(wire: Wire, cryo: LakeShore336Twin, table: FakeBench) -> None:
    cryo.device_fault("compressor_off")
    tau_s = 6 * 1800.0
    wire.talk(wait_s=tau_s)
    expected = 295.15 + (2.5 - 295.15) / math.e
    assert float(wire.say(b"KRDG? A\n")) == pytest.approx(expected, rel=1e-4)
    assert table.knob("cryo", "temperature_k.A").value(table.clock.now_ps()) == pytest.approx(expected)
    cryo.device_fault("compressor_off", active=False)
    wire.talk(wait_s=16 * 1800.0)
    assert wire.say(b"KRDG? A\n") == b"+2.5000\r\n"


def test_an_open_sensor_reads_nothing_and_says_so(wire: Wire, cryo: LakeShore336Twin) -> None:
    cryo.device_fault("sensor_open", channel=1)
    assert wire.say(b"KRDG? A;RDGST? A;RDGST? B\n") == b"+000.00;128;000\r\n"


def test_a_closed_loop_settles_at_its_set_point(wire: Wire) -> None:
    wire.talk(b"PID 1,20,20,0;OUTMODE 1,1,1,0;SETP 1,4.0;RANGE 1,1\n", wait_s=3600.0)
    assert float(wire.say(b"KRDG? A\n")) == pytest.approx(4.0, abs=0.02)
    assert 0 < float(wire.say(b"HTR? 1\n")) < 100
    wire.talk(b"RANGE 1,0\n", wait_s=16 * 1800.0)
    assert wire.say(b"KRDG? A\n") == b"+2.5000\r\n"


def test_a_set_point_ramps(wire: Wire) -> None:
    wire.say(b"OUTMODE 1,1,1,0;RANGE 1,1;RAMP 1,1,1;SETP 1,6.5\n")
    assert wire.say(b"RAMPST? 1\n") == b"1\r\n"
    wire.talk(wait_s=120.0)
    assert float(wire.say(b"SETP? 1\n")) == pytest.approx(4.5, abs=0.03)  # 2.5 K and 1 K a minute
    wire.talk(wait_s=200.0)
    assert wire.say(b"RAMPST? 1;SETP? 1\n") == b"0;+6.5000\r\n"


def test_a_limit_shuts_the_heaters_off_and_keeps_them_off(wire: Wire) -> None:
    wire.talk(b"TLIMIT A,5;OUTMODE 1,1,1,0;RANGE 1,3;SETP 1,300\n", wait_s=60.0)
    assert wire.say(b"RANGE? 1\n") == b"0\r\n"
    assert 4.9 < float(wire.say(b"KRDG? A\n")) < 5.3
    assert wire.say(b"TLIMIT A,3;RANGE 1,3;RANGE? 1\n") == b"0\r\n"


@pytest.mark.parametrize(("fault", "code"), [("heater_open", b"1"), ("heater_short", b"2")])
def test_a_broken_heater_goes_off_and_is_told_once(wire: Wire, cryo: LakeShore336Twin, fault: str, code: bytes) -> None:
    wire.say(b"OUTMODE 1,3,1,0;RANGE 1,1\n")
    cryo.device_fault(fault)
    assert wire.say(b"RANGE? 1;HTRST? 1;HTRST? 1\n") == b"0;" + code + b";0\r\n"
    assert wire.say(b"RANGE 1,1;RANGE? 1;HTRST? 1\n") == b"0;" + code + b"\r\n"
    with pytest.raises(TwinError, match="compressor_off"):
        cryo.device_fault("no such thing")


def test_a_reset_switches_the_heaters_off_and_leaves_the_cryostat(wire: Wire, cryo: LakeShore336Twin) -> None:
    wire.talk(b"OUTMODE 1,3,1,0;MOUT 1,50;RANGE 1,1\n", wait_s=10.0)
    warm = float(wire.say(b"KRDG? A\n"))
    cryo.reset_power()
    assert float(wire.say(b"KRDG? A\n")) == pytest.approx(warm)
    assert wire.say(b"RANGE? 1\n") == b"0\r\n"


STREAM = b"".join(sent for sent, _ in SESSION)


def test_any_split_on_the_wire_gives_the_same_bytes(wire: Wire, pieces: Callable[[bytes], list[bytes]]) -> None:
    assert wire.say(*pieces(STREAM)) == b"".join(expected for _, expected in SESSION)
