r"""The Lake Shore 336 twin against protocol sheet 18: pyvisa over TCP, bytes written by hand; replies end with `\r\n`."""

from __future__ import annotations

import math
import socket
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
        (b"PID 1,1001,1,0\n", 16),
        (b"PID 1,1,0.05,0\n", 16),
        (b"PID 1,1,1001,0\n", 16),
        (b"PID 1,1,1,-1\n", 16),
        (b"RAMP 1,1,-1\n", 16),
        (b"RANGE 2,4\n", 16),
        (b"RANGE 4,2\n", 16),
        (b"RANGE 5,1\n", 16),
        (b"OUTMODE 1,6,1,0\n", 16),
        (b"MODE 3\n", 16),
        (b"SETP 0,4\n", 16),
        (b"SYST:ERR?\n", 32),  # there is no queue of texts
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
    assert wire.say(b"*STB?\n") == b"0\r\n"  # no bit for a queue


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


MORE = [
    (b"SRDG? A\n", b"+1.69000\r\n"),
    (b"CRVHDR? 2\n", b"DT-670         ,STANDARD C,2,475.0,1\r\n"),
    (b"CRVPT? 2,1\n", b"-0.30000,+500.0000\r\n"),
    (b"FILTER A,1,10,2;FILTER? A\n", b"1,10,2\r\n"),
    (b"DIODEX A,1;DIODEX? A\n", b"1\r\n"),
    (b"HTRSET 1,1,2,0,1;HTRSET? 1\n", b"1,2,0,1,1\r\n"),
    (b"ZONE 1,2,10,50,20,0,12.5,2,1,5;ZONE? 1,2\n", b"+10.0000,+0050.0,+0020.0,+0000.0,+012.500,2,1,+005.0\r\n"),
    (b"ZONE? 2,10\n", b"+0.0000,+0050.0,+0020.0,+0000.0,+000.000,0,0,+000.1\r\n"),
    (b"MNMXRST;MDAT? B\n", b"+40.0000,+40.0000\r\n"),
    (b"*ESE 255;*ESE?;*SRE 191;*SRE?\n", b"255;191\r\n"),
    (b"*WAI;*OPC;*ESR?\n", b"129\r\n"),  # the power was switched on, and the operation is complete
    (b"KRDG? 0\n", b"+2.5000,+40.000,+295.15,+295.15\r\n"),
]


def test_what_else_the_sheet_has(wire: Wire) -> None:
    for sent, expected in MORE:
        assert wire.say(sent) == expected, sent
    assert wire.say(b"NET?\n").count(b",") == 9
    assert wire.say(b"*RST;FILTER? A\n") == b"0,08,02\r\n"


def test_autotune_takes_its_time_sets_gains_and_tells_of_it(wire: Wire) -> None:
    wire.say(b"ATUNE 1,2\n")
    assert wire.say(b"TUNEST?\n") == b"0,1,1,00\r\n"  # it does not regulate: not ready
    wire.say(b"PID 1,1,1,0;OUTMODE 1,1,1,0;SETP 1,4;RANGE 1,1;ATUNE 1,2;OPSTR?\n")
    assert wire.say(b"TUNEST?\n") == b"1,1,0,00\r\n"
    assert not int(wire.say(b"OPST?\n")) & 32
    wire.talk(wait_s=300.0)
    assert wire.say(b"TUNEST?;PID? 1\n") == b"1,1,0,05;+0001.0,+0001.0,+0000.0\r\n"
    wire.talk(wait_s=301.0)
    assert wire.say(b"TUNEST?;PID? 1\n") == b"0,0,0,00;+0200.0,+0002.0,+0002.0\r\n"
    assert int(wire.say(b"OPSTR?\n")) & 32
    wire.talk(wait_s=3600.0)
    assert float(wire.say(b"KRDG? A\n")) == pytest.approx(4.0, abs=0.02)


def test_a_zone_gives_gains_and_range_by_the_set_point(wire: Wire) -> None:
    wire.say(b"ZONE 1,1,5,30,15,0,0,1,1,1;ZONE 1,2,300,60,10,5,0,3,1,1\n")
    wire.say(b"OUTMODE 1,2,1,0;SETP 1,4;RANGE 1,1\n")
    assert wire.say(b"PID? 1;RANGE? 1\n") == b"+0030.0,+0015.0,+0000.0;1\r\n"
    wire.say(b"SETP 1,50\n")
    assert wire.say(b"PID? 1;RANGE? 1\n") == b"+0060.0,+0010.0,+0005.0;3\r\n"
    wire.say(b"RANGE 1,0\n")
    assert wire.say(b"RANGE? 1\n") == b"0\r\n"  # a zone switches no heater on


def test_alarms_latch_where_they_are_told_to(wire: Wire, cryo: LakeShore336Twin) -> None:
    wire.say(b"OPSTE 1;OPSTR?\n")
    wire.say(b"ALARM A,1,2.0,1.0,0.1,0,0,0;ALARM B,1,30,1,0,1,0,0\n")
    assert wire.say(b"ALARMST? A;ALARMST? B;ALARMST? C\n") == b"1,0;1,0;0,0\r\n"
    assert int(wire.say(b"OPST?\n")) & 1
    assert int(wire.say(b"*STB?\n")) & 0x80
    wire.say(b"ALARM A,1,2.45,1.0,0.1,0,0,0\n")
    assert wire.say(b"ALARMST? A\n") == b"1,0\r\n"  # 2.5 K
    wire.say(b"ALARM A,1,2.55,1.0,0.1,0,0,0;ALARM B,1,50,1,0,1,0,0\n")
    assert wire.say(b"ALARMST? A;ALARMST? B\n") == b"1,0;1,0\r\n"  # within the dead band; latched
    wire.say(b"ALMRST\n")
    assert wire.say(b"ALARMST? A;ALARMST? B\n") == b"0,0;0,0\r\n"
    cryo.device_fault("sensor_open", channel=3)
    assert int(wire.say(b"OPST?\n")) & 2


def test_a_reading_is_new_ten_times_a_second_and_a_ramps_end_shows(wire: Wire) -> None:
    wire.talk(b"OPSTR?\n", wait_s=0.2)
    assert int(wire.say(b"OPSTR?\n")) & 16
    assert not int(wire.say(b"OPSTR?\n")) & 16
    wire.say(b"OUTMODE 1,1,1,0;RANGE 1,1;RAMP 1,1,1;SETP 1,3.5\n")
    assert int(wire.say(b"OPST?\n")) & 0b1100 == 0b1000  # the first ramps, the second does not
    wire.talk(wait_s=90.0)
    assert int(wire.say(b"OPST?;OPSTR?\n").split(b";")[1]) & 4


EDGES = [
    (b"PID 1,0.1,0.1,0;PID? 1\n", b"+0000.1,+0000.1,+0000.0\r\n"),
    (b"PID 2,1000,1000,200;PID? 2\n", b"+1000.0,+1000.0,+0200.0\r\n"),
    (b"RAMP 4,1,100;RAMP? 4;RAMP 4,0,0;RAMP? 4\n", b"1,+100.0;0,+000.0\r\n"),
    (b"RANGE 1,3;RANGE? 1;RANGE 2,3;RANGE? 2;RANGE 3,1;RANGE? 3;RANGE 4,1;RANGE? 4\n", b"3;3;1;1\r\n"),
    (b"RANGE 1,0;RANGE 2,0;RANGE 3,0;RANGE 4,0;RANGE? 1;RANGE? 2;RANGE? 3;RANGE? 4\n", b"0;0;0;0\r\n"),
    (b"SETP 4,77;SETP? 4;SETP 2,5;SETP? 2\n", b"+77.000;+5.0000\r\n"),
    *[(f"OUTMODE 2,{mode},2,1;OUTMODE? 2\n".encode(), f"{mode},2,1\r\n".encode()) for mode in range(6)],
    (b"MODE 0;MODE?;MODE 2;MODE?\n", b"0;2\r\n"),
    (b"OUTMODE 1,3,1,0;MOUT 1,50;RANGE 1,1;HTR? 1\n", b"+050.0\r\n"),
]


def test_ranges_reach_to_their_edges(wire: Wire) -> None:
    for sent, expected in EDGES:
        assert wire.say(sent) == expected, sent
    assert wire.say(b"*ESR?\n") == b"128\r\n"


@pytest.mark.parametrize(
    ("mode", "percent", "warms"),
    [(0, b"+000.0", False), (1, b"+100.0", True), (3, b"+040.0", True), (4, b"+000.0", False), (5, b"+040.0", True)],
)
def test_each_mode_of_an_output_heats_as_it_should(wire: Wire, mode: int, percent: bytes, warms: bool) -> None:
    wire.talk(b"OUTMODE 1,%d,1,0;MOUT 1,40;PID 1,1000,0.1,0;SETP 1,60;RANGE 1,3\n" % mode, wait_s=30.5)
    assert wire.say(b"HTR? 1\n") == percent + b"\r\n"
    assert (float(wire.say(b"KRDG? A\n")) > 3.0) == warms
    if mode == 5:  # warm-up: it ends where it should
        wire.talk(wait_s=7200.0)
        assert float(wire.say(b"KRDG? A\n")) == pytest.approx(60.0, abs=0.2)


@pytest.mark.parametrize(
    ("fault", "setting", "bits", "reading"),
    [
        ({"name": "sensor_open"}, b"", b"128", b"+000.00"),
        ({"name": "sensor_short"}, b"", b"064", b"+000.00"),
        (None, b"INTYPE A,0,0,0,0,1", b"001", b"+2.5000"),
    ],
)
def test_a_readings_status_tells_what_is_wrong_with_it(
    wire: Wire, cryo: LakeShore336Twin, fault: dict[str, str] | None, setting: bytes, bits: bytes, reading: bytes
) -> None:
    if fault:
        cryo.device_fault(**fault)
    wire.say(setting + b"\n")
    assert wire.say(b"RDGST? A;KRDG? A\n") == bits + b";" + reading + b"\r\n"
    if fault:
        cryo.device_fault(**fault, active=False)
        assert wire.say(b"RDGST? A;KRDG? A\n") == b"000;+2.5000\r\n"


@pytest.mark.parametrize(("kelvin", "bits"), [(1.3, b"016"), (500.0, b"032"), (300.0, b"000")])
def test_a_temperature_beyond_the_curve_is_told(
    visa: Callable[..., Wire], table: FakeBench, kelvin: float, bits: bytes
) -> None:
    wire = visa(LakeShore336Twin.build("far", table, {"base_k": (kelvin, None, None, None)}))
    assert wire.say(b"RDGST? A\n") == bits + b"\r\n"


def test_extremes_are_those_since_the_reset(wire: Wire, cryo: LakeShore336Twin) -> None:
    wire.say(b"MNMXRST\n")
    cryo.device_fault("compressor_off")
    wire.talk(wait_s=600.0)
    warmest = float(wire.say(b"KRDG? A\n"))
    cryo.device_fault("compressor_off", active=False)
    wire.talk(wait_s=36000.0)
    low, high = map(float, wire.say(b"MDAT? A\n").split(b","))
    assert low == 2.5
    assert high == pytest.approx(warmest, abs=1e-3)
    assert high > 10.0
    assert wire.say(b"MNMXRST;MDAT? A\n") == b"+2.5000,+2.5000\r\n"


def test_a_relay_follows_its_mode_or_an_alarm(wire: Wire) -> None:
    assert wire.say(b"RELAY 1,1,A,0;RELAYST? 1;RELAY 1,0,A,0;RELAYST? 1\n") == b"1;0\r\n"
    wire.say(b"RELAY 1,2,A,1;RELAY 2,2,A,0\n")
    assert wire.say(b"RELAYST? 1;RELAYST? 2\n") == b"0;0\r\n"
    wire.say(b"ALARM A,1,2.0,1.0,0,0,0,0\n")  # 2.5 K are too warm
    assert wire.say(b"RELAYST? 1;RELAYST? 2\n") == b"1;0\r\n"
    wire.say(b"ALARM A,1,9.0,3.0,0,0,0,0\n")  # too cold
    assert wire.say(b"RELAYST? 1;RELAYST? 2\n") == b"0;1\r\n"
    wire.say(b"RELAY 1,2,A,2\n")
    assert wire.say(b"RELAYST? 1\n") == b"1\r\n"


def test_the_common_commands_mean_what_ieee_488_says(wire: Wire) -> None:
    assert wire.say(b"*ESR?\n*ESR?\n") == b"128\r\n0\r\n"  # power on, read and cleared
    wire.say(b"*ESE 48\n*SRE 32\nNONSENSE\n")
    assert wire.say(b"*STB?\n*STB?\n") == b"96\r\n96\r\n"  # reading does not clear it
    wire.say(b"*RST\n")
    assert wire.say(b"*ESE?\n*SRE?\n*ESR?\n") == b"48\r\n32\r\n32\r\n"  # a reset leaves them alone
    wire.say(b"RANGE 1,9\n*OPC\n")
    assert wire.say(b"*ESR?\n*OPC?\n") == b"17\r\n1\r\n"
    wire.say(b"NONSENSE\n*CLS\n")
    assert wire.say(b"*ESR?\n*STB?\n*TST?\n*WAI;*OPC?\n") == b"0\r\n0\r\n0\r\n1\r\n"


def test_there_is_one_client_at_a_time(wire: Wire) -> None:
    with socket.create_connection(("127.0.0.1", wire.mount.port), timeout=5) as second:
        assert second.recv(100) == b""  # it is hung up on
    assert wire.say(b"KRDG? A\n") == b"+2.5000\r\n"


STREAM = b"".join(sent for sent, _ in SESSION)


def test_any_split_on_the_wire_gives_the_same_bytes(wire: Wire, pieces: Callable[[bytes], list[bytes]]) -> None:
    assert wire.say(*pieces(STREAM)) == b"".join(expected for _, expected in SESSION)
