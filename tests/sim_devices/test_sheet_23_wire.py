"""The CNT-91 and TSL-570 twins against protocol sheet 23: pyvisa over TCP, bytes written by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from qlab.errors import TwinError
from sim_devices.counters.pendulum_cnt91 import CNT91Twin
from sim_devices.sources.santec_tsl570 import TSL570Twin

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import FakeBench, Wire

LASER = [
    (b"*IDN?\r", b"SANTEC,TSL-570,21020001,0001.0000.0001\r"),
    (b":WAV 1551.25\r:WAV?\r", b"1551.2500\r"),
    (b":WAV:MIN?\r:WAV:MAX?\r", b"1500.0000\r1630.0000\r"),
    (b":WAV:FREQ:MIN?\r:WAV:FREQ:MAX?\r", b"183.92175\r199.86164\r"),  # 299792.458 / nm
    (b":WAVelength:SWEep:RANGe:MINimum?\r", b"1500.0000\r"),
    (b":POW 3.5\r:POW?\r", b"3.50\r"),
    (b":POW:UNIT?\r", b"0\r"),
    (b":POW:STAT?;SHUT?\r", b"0;1\r"),
    (b":POW:SHUT 0\r:POW:SHUT?\r", b"0\r"),
    (b":POW:ACT?\r", b"-60.00\r"),
    (b":WAV 1499.9\r:SYST:ERR?\r", b'-222,"Data out of range"\r'),
    (b":POW 13.1\r:SYST:ERR?\r", b'-222,"Data out of range"\r'),
    (b":WAV:FREQ 193.1\r:WAV?\r", b"1552.5244\r"),
    (b":POW:UNIT 1\r:POW 2\r:POW?\r:POW:UNIT 0\r:POW?\r", b"2.00\r3.01\r"),  # mW, dBm
    (b":POW:UNIT 1\r:POW 0\r:POW:UNIT 0\r:SYST:ERR?\r", b'-222,"Data out of range"\r'),
    (b":SYST:ALER?\r", b"No alerts.\r"),
    (b":WAV:UNIT?\r:WAV:UNIT 1\r:WAV:UNIT?\r", b"0\r1\r"),
    (b":WAV:FIN 50\r:WAV:FIN?\r:WAV:FIN:DIS\r:WAV:FIN?\r", b"50.00\r0.00\r"),
    (b":COHC 1\r:COHC?\r", b"1\r"),
    (b":WAV:SWE:MOD?;SPE?;CYCL?;DWEL?;DEL?;STAT?\r", b"1;100.0;1;0.0;0.0;0\r"),
    (b":WAV:SWE:SPE 15\r:WAV:SWE:SPE?\r", b"10.0\r"),  # the next lower one that it has
    (b":WAV:SWE:STAR 1550\r:WAV:SWE:STOP 1560\r:WAV:SWE:STAR?;STOP?\r", b"1550.0000;1560.0000\r"),
    (b":WAV:FREQ:SWE:STAR?;STOP?\r", b"193.41449;192.17465\r"),
    (b":WAV:FREQ:SWE:STOP 193\r:WAV:SWE:STOP?\r", b"1553.3288\r"),
    (b":WAV:SWE:STOP 1540\r:WAV:SWE 1\r:SYST:ERR?\r", b'-221,"Settings conflict"\r'),
    (b":TRIG:OUTP 2\r:TRIG:OUTP?;OUTP:SETT?;STEP?\r", b"2;0;0.1000\r"),
    (b":READ:POIN?\r", b"0\r"),
    (b":SYST:ERR?\r", b'0,"No error"\r'),
]


def test_a_session_with_the_laser(visa: Callable[..., Wire], table: FakeBench) -> None:
    wire = visa(TSL570Twin.build("laser", table, {}))
    for sent, expected in LASER:
        assert wire.say(sent) == expected, sent


def test_light_needs_diode_and_shutter_and_tuning_takes_time(visa: Callable[..., Wire], table: FakeBench) -> None:
    twin = TSL570Twin.build("laser", table, {})
    wire = visa(twin)
    power, wavelength = table.knob("laser", "power_w"), table.knob("laser", "wavelength_nm")
    wire.talk(b":POW 10\r:POW:STAT 1\r", wait_s=6.0)
    assert power.value(table.clock.now_ps()) == 0.0
    wire.say(b":POW:SHUT 0\r")
    assert power.value(table.clock.now_ps()) == pytest.approx(10e-3)
    assert wire.say(b":POW:ACT?\r") == b"10.00\r"
    wire.say(b":WAV 1600\r")
    wire.talk(wait_s=0.125)
    assert wavelength.value(table.clock.now_ps()) == pytest.approx(1575.0)  # 50 nm at 200 nm/s
    assert wire.say(b"*OPC?\r") == b""
    assert wire.talk(wait_s=0.13) == b"1\r"
    twin.device_fault("interlock")
    assert power.value(table.clock.now_ps()) == 0.0
    assert wire.say(b":POW:STAT 1\r:SYST:ERR?;:POW:STAT?;:SYST:LOCK?\r") == b'-221,"Settings conflict";0;1\r'
    with pytest.raises(TwinError, match="interlock"):
        twin.device_fault("no such thing")


def test_a_sweep_takes_the_light_along(visa: Callable[..., Wire], table: FakeBench) -> None:
    wire = visa(TSL570Twin.build("laser", table, {}))
    knob = table.knob("laser", "wavelength_nm")

    def now_nm() -> float:
        return knob.value(table.clock.now_ps())

    wire.say(b":WAV:SWE:STAR 1560\r:WAV:SWE:STOP 1570\r:WAV:SWE:SPE 10\r:WAV:SWE:CYCL 2\r:WAV:SWE:DEL 1\r:WAV:SWE 1\r")
    wire.talk(wait_s=0.05)  # 10 nm to the start at 200 nm/s
    assert now_nm() == pytest.approx(1560.0)
    wire.talk(wait_s=1.5)  # a delay of 1 s, then 10 nm/s
    assert now_nm() == pytest.approx(1565.0)
    wire.talk(wait_s=0.5 + 0.05 + 1.0 + 0.25)  # back, and again
    assert now_nm() == pytest.approx(1562.5)
    assert wire.say(b":WAV:SWE?\r:WAV:SWE 0\r:WAV:SWE?\r:WAV?\r") == b"1\r0\r1562.5000\r"
    wire.talk(b":WAV:SWE:DEL 0\r:WAV:SWE:CYCL 1\r:WAV:SWE:MOD 3\r:WAV:SWE:STAT:REP\r", wait_s=0.0125 + 1.25)
    assert now_nm() == pytest.approx(1567.5)  # there and back
    wire.talk(b":WAV:SWE:MOD 0\r:WAV:SWE:STEP 5\r:WAV:SWE:DWEL 1\r:WAV:SWE 1\r", wait_s=0.0375 + 1.5)
    assert now_nm() == pytest.approx(1565.0)  # in steps
    assert wire.talk(b"*OPC?\r", wait_s=2.0) == b"1\r"
    assert now_nm() == pytest.approx(1570.0)
    wire.talk(b":WAV 1550\r:WAV:FIN -100\r", wait_s=1.0)
    assert now_nm() == pytest.approx(1549.99)


@pytest.fixture
def counter(visa: Callable[..., Wire], table: FakeBench) -> Wire:
    table.feed.put(in1=range(0, 10**13, 10**8), in2=range(25_000, 10**13, 10**8))  # 10 kHz, 25 ns apart
    return visa(CNT91Twin.build("counter", table, {}))


COUNTER = [
    (b"*IDN?\n", b"PENDULUM, CNT-91, 123456, V1.26\n"),
    (b"*CLS\nINIT:CONT 0\nINIT:CONT?\n", b"0\n"),
    (b"ACQ:APER 0.1\nACQ:APER?\n", b"1.000000E-01\n"),
    (b"FORM:SMAX?\nFORM?\n", b"10000\nASC\n"),
    (b"ARM:SOUR EXT2;SOUR?;SLOP NEG;SLOP?;SOUR IMM\n", b"EXT2;NEG\n"),
    (b"CAL:INT:AUTO 0\nCAL:INT:AUTO?\n", b"0\n"),
    (b"CONF:FREQ (@2)\nCONF?\n", b'"FREQ (@2)"\n'),
    (b"FETC?\nSYST:ERR?\n", b'-230,"Data corrupt or stale"\n'),
    (b"ACQ:APER 2000\nSYST:ERR?\n", b'-222,"Data out of range"\n'),
    (b"CONF:FREQ (@9)\nSYST:ERR?\n", b'-224,"Illegal parameter value"\n'),
    (b"CONF:ARR:FREQ 10001,(@1)\nSYST:ERR?\n", b'-222,"Data out of range"\n'),
]


def test_a_session_with_the_counter(counter: Wire) -> None:
    for sent, expected in COUNTER:
        assert counter.say(sent) == expected, sent


def test_it_counts_what_is_on_its_inputs_and_takes_its_gate(counter: Wire) -> None:
    counter.say(b"ACQ:APER 0.1\n")
    assert counter.say(b"MEAS:FREQ? (@1)\n") == b""
    assert counter.talk(wait_s=0.11) == b"1.000000000000E+04\n"
    assert counter.talk(b"MEAS:TINT? (@1),(@2)\n", wait_s=0.11) == b"2.500000000000E-08\n"
    assert counter.talk(b"MEAS:FREQ? (@3)\n", wait_s=0.11) == b"9.910000000000E+37\n"
    assert counter.talk(b"CONF:TOT (@1)\nREAD?\n", wait_s=0.11) == b"1.000000000000E+03\n"


def test_results_may_carry_time_stamps_and_inputs_keep_their_levels(counter: Wire) -> None:
    counter.say(b"FORM:TINF 1\nACQ:APER 0.1\nCONF:FREQ (@1)\n")
    assert counter.talk(b"READ?\n", wait_s=0.2) == b"1.000000000000E+04,0.000000000000E+00\n"
    assert (
        counter.say(b"INP:LEV:AUTO?\nINP2:LEV:AUTO 0\nINP2:LEV 0.5\nINP2:LEV?;LEV:AUTO?\n")
        == b"1\n5.000000000000E-01;0\n"
    )
    assert counter.say(b"SYST:ERR?\n") == b'0,"No error"\n'


def test_tektronix_calls_the_same_counter_otherwise(visa: Callable[..., Wire], table: FakeBench) -> None:
    wire = visa(CNT91Twin.build("counter", table, {"model": "FCA3100", "serial": "123"}))
    assert wire.say(b"INIT:CONT 0\n*IDN?\n") == b"TEKTRONIX,FCA3100,123,V1.26\n"


def test_an_array_is_taken_gate_by_gate(counter: Wire) -> None:
    counter.talk(b"ACQ:APER 0.01\nCONF:ARR:FREQ:BTB 5,(@1)\nINIT\n", wait_s=0.035)
    assert counter.say(b"FETC:ARR? 5\n").count(b",") == 2  # three gates have ended
    counter.talk(wait_s=0.02)
    assert counter.say(b"*OPC?;FETC:ARR? MAX\n") == b"1;" + b",".join([b"1.000000000000E+04"] * 5) + b"\n"


def test_any_split_on_the_wire_gives_the_same_bytes(
    visa: Callable[..., Wire], table: FakeBench, pieces: Callable[[bytes], list[bytes]]
) -> None:
    wire = visa(TSL570Twin.build("laser", table, {}))
    stream, expected = b"".join(sent for sent, _ in LASER), b"".join(reply for _, reply in LASER)
    assert wire.say(*pieces(stream)) == expected
