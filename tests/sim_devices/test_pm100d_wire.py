"""The PM100D twin against protocol sheet 17: pyvisa on TCP, bytes written by hand; the PM103E's framed TCP."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qlab.errors import TwinError
from sim_devices.power.thorlabs_pm100d import PM100DTwin
from sim_devices.power.thorlabs_pm103e import PM103ETwin

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import FakeBench, HandClock, Wire

QUIET = {"noise_w": 0.0, "relative_noise": 0.0, "dark_w": 2e-10}
NO_ERROR = b'+0,"No error"\n'
RANGE = b'-222,"Data out of range"\n'
UNDEFINED = b'-113,"Undefined header"\n'

POWER_ON = [
    (b"*IDN?\n", b"Thorlabs,PM100D,P0012345,2.4.0\n"),
    (b"SYST:SENS:IDN?\n", b"S154C,1234567,12-MAR-2024,1,18,289\n"),
    (b"SYST:SENSOR:IDN?\n", b"S154C,1234567,12-MAR-2024,1,18,289\n"),
    (b"SYST:ERR?\n", NO_ERROR),
    (b"SYST:ERR:NEXT?\n", NO_ERROR),
    (b"*ESR?\n*ESR?\n", b"128\n0\n"),
    (b"CONF?\n", b"POW\n"),
    (b"SENS:CORR:WAV?\n", b"8.100000E+02\n"),
    (b"SENS:CORR?\n", b"0.000000E+00\n"),
    (b"SENS:CORR:LOSS?\n", b"0.000000E+00\n"),
    (b"SENS:CORR:COLL:ZERO:STAT?\n", b"0\n"),
    (b"SENS:CORR:COLL:ZERO:MAGN?\n", b"0.000000E+00\n"),
    (b"SENS:CORR:POW:RESP?\n", b"5.226481E-01\n"),  # 0.8 * 810 / 1239.84 A/W
    (b"SENS:AVER?\n", b"1\n"),
    (b"SENS:POW:RANG:AUTO?\n", b"1\n"),
    (b"SENS:POW:UNIT?\n", b"W\n"),
    (b"INP:FILT?\n", b"0\n"),
]

SETS = [
    (b"SENS:CORR:WAV 405\n", b""),  # a set is silent
    (b"SENS:CORR:WAV 405\nSENS:CORR:WAV?\n", b"4.050000E+02\n"),
    (b"SENS:CORR:WAV 405NM\nSENS:CORR:WAV?\n", b"4.050000E+02\n"),
    (b"Sense:Correction:WAVelength 532.5\nSENSE:CORR:WAV?\n", b"5.325000E+02\n"),
    (b"SENS:CORR:WAV? MIN\nSENS:CORR:WAV? MAX\n", b"4.000000E+02\n1.100000E+03\n"),
    (b"SENS:CORR:WAV MAX\nSENS:CORR:WAV?\n", b"1.100000E+03\n"),
    (b"SENS:CORR 3.5;:SENS:CORR:LOSS?\n", b"3.500000E+00\n"),
    (b"SENS:CORR:LOSS:MAGN 3\nSYST:ERR?\n", UNDEFINED),
    (b"SENS:CORR:POW:PDI:RESP 0.25;RESP?\n", b"2.500000E-01\n"),
    (b"SENS:CORR:POW:RESP 0.25;:SENS:CORR:WAV 810;POW:RESP?\n", b"5.226481E-01\n"),
    (b"SENS:AVER 100\nSENS:AVER:COUN?\n", b"100\n"),
    (b"SENS:POW:RANG 1E-3;RANG?;RANG:AUTO?\n", b"1.000000E-03;0\n"),  # a range switches auto ranging off
    (b"SENS:POW:RANG:UPP 2MW;UPP?\n", b"2.000000E-03\n"),
    (b"SENS:POW:RANG 1E-3;RANG:AUTO 1;AUTO?\n", b"1\n"),
    (b"SENS:POW:UNIT DBM;UNIT?\n", b"DBM\n"),
    (b"INP:PDI:FILT:LPAS 1\nINP:FILT:LPAS?\n", b"1\n"),
    (b"INP:FILT:LPAS:STAT ON;:INP:FILT?\n", b"1\n"),
    (b"SENS:FREQ:RANG:UPP 1000;UPP?;LOW?\n", b"1.000000E+03;1.000000E+00\n"),
    (b"SYST:LFR 60;LFR?\n", b"60\n"),
    (b"SYST:BEEP\nSYST:BEEP:STAT OFF;STAT?\n", b"0\n"),
    (b"DISP:BRIG 0.5;BRIG?;CONT?\n", b"5.000000E-01;5.000000E-01\n"),
    (b"CONF:POW\nCONF\nCONF?\n", b"POW\n"),
    (b"ABOR\nSYST:ERR?\n", NO_ERROR),
    (b"SENS:CORR:WAV 405;:SENS:AVER 9;*RST\nSENS:CORR:WAV?;:SENS:AVER?\n", b"8.100000E+02;1\n"),
    (b"*IDN?\r\n", b"Thorlabs,PM100D,P0012345,2.4.0\n"),
    (b"*TST?;*OPC?;*WAI;*IDN?\n", b"0;1;Thorlabs,PM100D,P0012345,2.4.0\n"),
]

ERRORS = [
    (b"SENS:CORR:WAV 399\nSYST:ERR?\nSENS:CORR:WAV?\n", RANGE + b"8.100000E+02\n"),
    (b"SENS:CORR:WAV 405PS\nSYST:ERR?\n", b'-131,"Invalid suffix"\n'),
    (b"SENS:CORR 61\nSYST:ERR?\n", RANGE),
    (b"SENS:AVER 0\nSYST:ERR?\n", RANGE),
    (b"SENS:AVER 3001\nSYST:ERR?\n", RANGE),
    (b"SENS:POW:RANG 11\nSYST:ERR?\n", RANGE),
    (b"SENS:CORR:POW:RESP 0\nSYST:ERR?\n", RANGE),
    (b"SENS:POW:UNIT HP\nSYST:ERR?\n", b'-224,"Illegal parameter value"\n'),
    (b"SENS:CORR:WAV\nSYST:ERR?\n", b'-109,"Missing parameter"\n'),
    (b"READ? 1\nSYST:ERR?\n", b'-108,"Parameter not allowed"\n'),
    (b"FETC?\nSYST:ERR?\n", b'-230,"Data corrupt or stale"\n'),  # nothing was measured yet
    (b"FOO?\nMEASUR?\nSYST:ERR?\nSYST:ERR?\nSYST:ERR?\n", UNDEFINED + UNDEFINED + NO_ERROR),
    (b"FOO\n*CLS\nSYST:ERR?\n*ESR?\n", NO_ERROR + b"0\n"),
]

STATUS = [
    (b"STAT:MEAS?;MEAS:EVEN?;COND?;ENAB?;PTR?;NTR?\n", b"0;0;0;0;32767;0\n"),
    (b"STAT:OPER?;OPER:COND?;ENAB 7;ENAB?\n", b"0;0;7\n"),
    (b"STAT:QUES?;QUES:COND?;PTR 8;PTR?;NTR 8;NTR?\n", b"0;0;8;8\n"),
    (b"STAT:AUX:COND?\n", b"2\n"),  # the sensor is there
    (b"*CLS;*ESE 32;*ESE?;*SRE 32;*SRE?;FOO;*STB?;*STB?\n", b"32;32;116;116\n"),  # +16: a reply waits
    (b"*ESR?;FOO;*ESR?;*OPC;*ESR?\n", b"128;32;1\n"),
]

# lab seconds to wait; 1 uW of light and 0.2 nW of dark signal
MEASUREMENTS = [
    (b"MEAS?\n", 0.02, b"1.000200E-06\n"),
    (b"MEAS:POW?\n", 0.02, b"1.000200E-06\n"),
    (b"MEASURE:SCALAR:POWER?\n", 0.02, b"1.000200E-06\n"),
    (b"READ?\n", 0.02, b"1.000200E-06\n"),
    (b"READ?\n", 0.019, b""),
    (b"SENS:AVER 10;:READ?\n", 0.19, b""),
    (b"SENS:AVER 10;:READ?\n", 0.2, b"1.000200E-06\n"),
    (b"READ?;READ?\n", 0.04, b"1.000200E-06;1.000200E-06\n"),
    (b"READ?\n*IDN?\n", 0.02, b"1.000200E-06\nThorlabs,PM100D,P0012345,2.4.0\n"),
    (b"INIT\nFETC?\n", 0.02, b"1.000200E-06\n"),
    (b"INIT\nFETC?\nFETC?\n", 0.02, b"1.000200E-06\n" * 2),
    (b"INIT;*OPC?\n", 0.02, b"1\n"),
    (b"INIT;ABOR;*OPC?;FETC?\nSYST:ERR?\n", 0.0, b'1\n-230,"Data corrupt or stale"\n'),
    (b"INIT;:STAT:OPER:COND?;*WAI;:STAT:OPER:COND?;:STAT:OPER?\n", 0.02, b"16;0;16\n"),
    (b"SENS:CORR 10;:READ?\n", 0.02, b"1.000200E-05\n"),  # 10 dB before the sensor
    (b"SENS:POW:UNIT DBM;:READ?\n", 0.02, b"-2.999913E+01\n"),  # 10 lg(1.0002e-3)
    (b"SENS:CORR:POW:RESP 0.261324;:READ?\n", 0.02, b"2.000400E-06\n"),  # half the responsivity, twice the power
    (b"SENS:POW:RANG 1E-7;:READ?;:STAT:QUES:COND?;:STAT:QUES?\n", 0.02, b"9.91E+37;8;8\n"),
    (b"SENS:POW:RANG 1E-3;:STAT:OPER:COND?;*WAI\n", 0.0, b"6\n"),  # settling after ranging
    (b"INP:FILT 1;:STAT:OPER:COND?\n", 0.0, b"2\n"),  # settling
    (b"SENS:POW:RANG 1E-3;:INIT;*WAI;:STAT:OPER:COND?;:STAT:OPER?\n", 0.02, b"0;22\n"),
    (b"SENS:CORR:COLL:ZERO;ZERO:STAT?\n", 0.0, b"1\n"),
    (b"SENS:CORR:COLL:ZERO:INIT;*WAI;STAT?;MAGN?;:READ?\n", 1.02, b"0;1.000200E-06;0.000000E+00\n"),
    (b"SENS:CORR:COLL:ZERO;ZERO:ABOR;STAT?;MAGN?;:READ?\n", 2.0, b"0;0.000000E+00;1.000200E-06\n"),
]


@pytest.fixture
def meter(table: FakeBench) -> PM100DTwin:
    table.light_w = 1e-6
    return PM100DTwin.build("meter", table, QUIET)


@pytest.fixture
def wire(visa: Callable[[object], Wire], meter: PM100DTwin) -> Wire:
    return visa(meter)


@pytest.mark.parametrize(("sent", "expected"), POWER_ON + SETS + ERRORS + STATUS)
def test_each_command_of_the_sheet_gets_its_reply(wire: Wire, sent: bytes, expected: bytes) -> None:
    assert wire.say(sent) == expected


@pytest.mark.parametrize(("sent", "wait_s", "expected"), MEASUREMENTS)
def test_a_measurement_takes_its_time(wire: Wire, sent: bytes, wait_s: float, expected: bytes) -> None:
    assert wire.talk(sent, wait_s=wait_s) == expected


def test_the_photodiodes_current_is_light_times_responsivity(visa: Callable[..., Wire], table: FakeBench) -> None:
    table.light_w = 1e-5
    wire = visa(PM100DTwin.build("meter", table, {"noise_w": 0.0, "relative_noise": 0.0, "dark_w": 0.0}))
    response = float(wire.say(b"SENS:CORR:LOSS 3;:SENS:CORR:POW:RESP?\n"))
    assert float(wire.talk(b"MEAS:CURR?\n", wait_s=1.0)) == pytest.approx(1e-5 * response, rel=1e-5)


def test_light_above_the_sensors_range_is_not_a_number_until_it_is_dimmer(wire: Wire, table: FakeBench) -> None:
    table.light_w = 4e-3  # S154C: 3 mW
    assert wire.talk(b"READ?;:STAT:QUES:COND?\n", wait_s=0.02) == b"9.91E+37;8\n"
    table.light_w = 2e-3
    assert wire.talk(b"READ?;:STAT:QUES:COND?;:STAT:QUES?;:STAT:QUES?\n", wait_s=0.02) == b"2.000000E-03;0;8;0\n"


def test_a_dark_adjustment_removes_the_dark_signal(wire: Wire, table: FakeBench) -> None:
    table.light_w = 0.0
    assert wire.talk(b"READ?;:SENS:CORR:COLL:ZERO;ZERO:STAT?\n", wait_s=0.02) == b"2.000000E-10;1\n"
    wire.talk(wait_s=1.0)
    assert wire.talk(b"SENS:CORR:COLL:ZERO:STAT?;MAGN?;:READ?\n", wait_s=0.02) == b"0;2.000000E-10;0.000000E+00\n"


def test_without_its_sensor_a_measurement_blocks_for_ten_seconds_and_fails(wire: Wire, meter: PM100DTwin) -> None:
    meter.device_fault("sensor_unplugged")
    assert wire.say(b"SYST:SENS:IDN?\n").startswith(b"no sensor,")
    assert wire.say(b"STAT:AUX:COND?\n") == b"0\n"
    assert wire.say(b"INIT\nSTAT:OPER:COND?\n") == b"32\n"  # it waits for a sample
    assert wire.talk(b"ABOR\nREAD?\nSYST:ERR?\n", wait_s=9.9) == b""
    assert wire.talk(wait_s=0.1) == b'-330,"Self-test failed"\n'
    meter.device_fault("sensor_unplugged", active=False)
    assert wire.talk(b"READ?\n", wait_s=0.02) == b"1.000200E-06\n"


def test_a_hot_sensor_shows_in_the_questionable_register(wire: Wire, meter: PM100DTwin) -> None:
    meter.device_fault("over_temperature")
    assert wire.say(b"STAT:QUES:COND?\n") == b"16\n"
    meter.device_fault("over_temperature", active=False)
    assert wire.say(b"STAT:QUES:COND?;:STAT:QUES?\n") == b"0;16\n"
    with pytest.raises(TwinError, match="sensor_unplugged"):
        meter.device_fault("no such thing")


def test_noise_belongs_to_the_moment_and_shrinks_with_averaging(make_bench: Callable[[], FakeBench]) -> None:
    def spread(averages: int) -> float:
        bench = make_bench()
        wire = PM100DTwin.build("meter", bench, {"relative_noise": 1e-2}).connect()
        wire.receive(b"SENS:AVER %d\n" % averages)
        values = []
        for _ in range(200):
            wire.receive(b"READ?\n")
            bench.clock.t_ps = wire.due_ps()
            values.append(float(wire.wake()))
        return (sum((v - 1e-3) ** 2 for v in values) / len(values)) ** 0.5

    # 1 mW with 1 %: 10 uW, and a tenth of it for 100 averages; 200 samples know it to 5 % (1 sigma)
    assert spread(1) == pytest.approx(1e-5, rel=0.2)
    assert spread(100) == pytest.approx(1e-6, rel=0.2)
    assert spread(1) == spread(1)


SESSION = b"".join(sent for sent, _ in POWER_ON + SETS + ERRORS[::2] + STATUS)


def test_any_split_on_the_wire_gives_the_same_bytes(
    wire: Wire, make_bench: Callable[[], FakeBench], pieces: Callable[[bytes], list[bytes]]
) -> None:
    whole = PM100DTwin.build("meter", make_bench(), QUIET).connect().receive(SESSION)
    assert whole.count(b"\n") > 40
    assert wire.say(*pieces(SESSION)) == whole


SLOW_SESSION = b"SENS:AVER 3\nREAD?\n*IDN?\nSENS:POW:UNIT DBM\nMEAS:POW?;*OPC?\nINIT\nFETC?\nFOO\nSYST:ERR?\n"


def _finish(wire, clock: HandClock) -> bytes:
    said = b""
    while wire.due_ps() is not None:
        clock.t_ps = wire.due_ps()
        said += wire.wake()
    return said


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, len(SESSION + SLOW_SESSION)), max_size=60))
def test_any_split_of_the_bytes_gives_the_same_replies(
    make_bench: Callable[[], FakeBench], split_at: Callable[[bytes, list[int]], list[bytes]], cuts: list[int]
) -> None:
    def talk(parts: list[bytes]) -> bytes:
        bench = make_bench()
        wire = PM100DTwin.build("meter", bench, QUIET).connect()
        return b"".join(wire.receive(part) for part in parts) + _finish(wire, bench.clock)

    assert talk(split_at(SESSION + SLOW_SESSION, cuts)) == talk([SESSION + SLOW_SESSION])


def test_the_serial_variants_speak_the_same_bytes(
    serial_port: Callable[[object], Wire], meter: PM100DTwin, make_bench: Callable[[], FakeBench]
) -> None:
    whole = PM100DTwin.build("meter", make_bench(), QUIET).connect().receive(SESSION)
    assert serial_port(meter).say(SESSION) == whole


# -- the PM103E: header 0xCA, number, length of the message; 0xCB, number, length of the segment


def _segments(message: bytes) -> bytes:
    out = struct.pack("<BBh", 0xCA, 0, len(message)) + message[:1436]
    for number, at in enumerate(range(1436, len(message), 1436), start=1):
        part = message[at : at + 1436]
        out += struct.pack("<BBh", 0xCB, number, len(part)) + part
    return out


@pytest.fixture
def framed(visa: Callable[[object], Wire], table: FakeBench) -> Wire:
    table.light_w = 1e-6
    return visa(PM103ETwin.build("meter", table, QUIET))


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"\xca\x00\x06\x00*IDN?\n", b"\xca\x00\x1f\x00Thorlabs,PM103E,P0012345,2.4.0\n"),
        (b"\xca\x00\x05\x00*IDN?", b"\xca\x00\x1f\x00Thorlabs,PM103E,P0012345,2.4.0\n"),
        (b"\xca\x00\x05\x00FOO?\n", b""),  # a wrong command gets no reply
        (_segments(b"FOO\n") + _segments(b"SYST:ERR?\n"), _segments(UNDEFINED)),
        (_segments(b"*OPC?\n*OPC?\n"), _segments(b"1\n") * 2),
        (b"noise" + _segments(b"*OPC?\n"), _segments(b"1\n")),
        (b"\xcb\x01\x06\x00*OPC?\n" + _segments(b"*OPC?\n"), _segments(b"1\n")),  # a segment without its first
        (_segments(b" " * 3000 + b"*OPC?\n"), _segments(b"1\n")),  # three segments
        (
            _segments(b"*IDN?;" * 49 + b"*IDN?\n"),
            _segments(b";".join([b"Thorlabs,PM103E,P0012345,2.4.0"] * 50) + b"\n"),
        ),
    ],
)
def test_framed_tcp_wraps_messages_in_segments(framed: Wire, sent: bytes, expected: bytes) -> None:
    assert framed.say(sent) == expected


def test_framed_replies_may_come_later(framed: Wire) -> None:
    assert framed.talk(_segments(b"READ?\n"), wait_s=0.02) == _segments(b"1.000200E-06\n")


FRAMED = b"xyz" + b"".join(
    _segments(sent) for sent in (b"*IDN?\n", b" " * 3000 + b"*OPC?\n", b"FOO\nSYST:ERR?\n", b"*IDN?;" * 99 + b"*IDN?\n")
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, len(FRAMED)), max_size=60))
def test_any_split_of_the_segments_gives_the_same_replies(
    bench: FakeBench, split_at: Callable[[bytes, list[int]], list[bytes]], cuts: list[int]
) -> None:
    whole = PM103ETwin.build("meter", bench, QUIET).connect().receive(FRAMED)
    wire = PM103ETwin.build("meter", bench, QUIET).connect()
    assert b"".join(wire.receive(part) for part in split_at(FRAMED, cuts)) == whole


def test_any_split_of_the_segments_on_the_wire_gives_the_same_bytes(
    framed: Wire, make_bench: Callable[[], FakeBench]
) -> None:
    whole = PM103ETwin.build("meter", make_bench(), QUIET).connect().receive(FRAMED[:60])
    assert framed.say(*(bytes([byte]) for byte in FRAMED[:60])) == whole
