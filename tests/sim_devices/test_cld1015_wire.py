"""The CLD1015 twin against protocol sheet 03: pyvisa on TCP, bytes written by hand."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qlab.errors import TwinError
from sim_devices.sources.thorlabs_cld1015 import CLD1015Twin
from sim_devices.sources.thorlabs_itc4000 import ITC4000Twin

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import FakeBench, Wire

NO_ERROR = b'+0,"No error"\n'
CONFLICT = b'-221,"Settings conflict"\n'
RANGE = b'-222,"Data out of range"\n'

POWER_ON = [
    (b"*IDN?\n", b"Thorlabs,CLD1015,M00123456,1.7.0\n"),
    (b"*ESR?\n", b"128\n"),  # power on
    (b"*STB?\n", b"0\n"),
    (b"SYST:ERR?\n", NO_ERROR),
    (b"OUTP?\n", b"0\n"),
    (b"OUTP2?\n", b"0\n"),
    (b"SOUR:FUNC:MODE?\n", b"CURR\n"),
    (b"SOUR:CURR?\n", b"0.000000E+00\n"),
    (b"SOUR:CURR:LIM?\n", b"1.500000E+00\n"),
    (b"SOUR:CURR:LIM:TRIP?\n", b"0\n"),
    (b"SOUR:AM:STAT?\n", b"0\n"),
    (b"SOUR:AM:SOUR?\n", b"EXT\n"),
    (b"SOUR2:TEMP?\n", b"2.500000E+01\n"),
    (b"SOUR2:TEMP:LIM:LOW?\n", b"5.000000E+00\n"),
    (b"SOUR2:TEMP:LIM:UPP?\n", b"7.000000E+01\n"),
    (b"SOUR2:CURR?\n", b"0.000000E+00\n"),
    (b"SOUR2:CURR:LIM?\n", b"1.000000E+00\n"),
    (b"UNIT:TEMP?\n", b"C\n"),
    (b"SENS2:TEMP:DATA?\n", b"2.200000E+01\n"),  # the room's
    (b"SENS3:CURR:DATA?\n", b"0.000000E+00\n"),
    (b"SENS4:VOLT:DATA?\n", b"0.000000E+00\n"),
    (b"MEAS:TEMP?\n", b"2.200000E+01\n"),
    (b"MEAS:CURR?\n", b"0.000000E+00\n"),
    (b"MEAS:VOLT?\n", b"0.000000E+00\n"),
    (b"MEAS:POW2?\n", b"0.000000E+00\n"),
    (b"OUTP:PROT:INTL:TRIP?\n", b"0\n"),
    (b"OUTP:PROT:KEYL:TRIP?\n", b"0\n"),
    (b"OUTP:PROT:OTEM:TRIP?\n", b"0\n"),
    (b"OUTP:PROT:CONN:TRIP?\n", b"0\n"),
    (b"OUTP:PROT:VOLT:TRIP?\n", b"0\n"),
]

SPELLINGS = [
    (b"OUTPut1:STATe?\n", b"0\n"),
    (b"outp:stat?\n", b"0\n"),
    (b"OUTP2:STAT?\n", b"0\n"),
    (b"SOURCE1:CURRENT:LEVEL:IMMEDIATE:AMPLITUDE?\n", b"0.000000E+00\n"),
    (b"sour1:curr:ampl?\n", b"0.000000E+00\n"),
    (b"SOUR:CURR:LIM:AMPL?\n", b"1.500000E+00\n"),
    (b"SOURCE2:TEMPERATURE:SPOINT?\n", b"2.500000E+01\n"),
    (b"SOUR2:CURR:AMPL?\n", b"0.000000E+00\n"),
    (b"OUTP1:PROTECTION:INTLOCK:TRIP?\n", b"0\n"),
    (b"SYSTEM:ERROR:NEXT?\n", NO_ERROR),
    (b":OUTP?;:OUTP2?\n", b"0;0\n"),
    (b"SOUR:CURR?;CURR:LIM?\n", b"0.000000E+00;1.500000E+00\n"),
    (b"SOUR:CURR:LIM?;LIM:TRIP?;:SOUR2:TEMP?\n", b"1.500000E+00;0;2.500000E+01\n"),
    (b"*IDN?\r\n", b"Thorlabs,CLD1015,M00123456,1.7.0\n"),
    (b"\n\n OUTP? \n", b"0\n"),
]

SETS = [
    (b"SOUR:CURR 0.1\n", b""),  # a set is silent
    (b"SOUR:CURR 0.1\nSOUR:CURR?\n", b"1.000000E-01\n"),
    (b"SOUR:CURR 1E-1\nSOUR:CURR?\n", b"1.000000E-01\n"),
    (b"SOUR:CURR 100MA\nSOUR:CURR?\n", b"1.000000E-01\n"),
    (b"SOUR:CURR? MIN\n", b"0.000000E+00\n"),
    (b"SOUR:CURR? MAX\n", b"1.500000E+00\n"),
    (b"SOUR:CURR? DEF\n", b"0.000000E+00\n"),
    (b"SOUR:CURR:LIM 0.2\nSOUR:CURR? MAX\n", b"2.000000E-01\n"),  # the limit bounds the current
    (b"SOUR:CURR:LIM 0.2\nSOUR:CURR MAX\nSOUR:CURR?\n", b"2.000000E-01\n"),
    (b"SOUR:CURR 0.3\nSOUR:CURR:LIM 0.2\nSOUR:CURR?;CURR:LIM:TRIP?\n", b"2.000000E-01;1\n"),
    (b"SOUR:FUNC:MODE POW\nSOUR:FUNC:MODE?\n", b"POW\n"),
    (b"SOUR:FUNC:MODE POWER;MODE CURR;MODE?\n", b"CURR\n"),
    (b"SOUR:AM:STAT ON\nSOUR:AM:STAT?\n", b"1\n"),
    (b"SOUR:AM:SOUR INT\nSOUR:AM:SOUR?\n", b"INT\n"),
    (b"SOUR2:TEMP 30\nSOUR2:TEMP?\n", b"3.000000E+01\n"),
    (b"SOUR2:TEMP:SPO 30.5\nSOUR2:TEMP?\n", b"3.050000E+01\n"),
    (b"SOUR2:TEMP? MIN;TEMP? MAX;TEMP? DEF\n", b"5.000000E+00;7.000000E+01;2.500000E+01\n"),
    (b"SOUR2:TEMP:LIM:LOW 20;UPP 28\nSOUR2:TEMP? MIN;TEMP? MAX\n", b"2.000000E+01;2.800000E+01\n"),
    (b"SOUR2:TEMP:LIM:UPP 20\nSOUR2:TEMP?\n", b"2.000000E+01\n"),  # the set point keeps to the window
    (b"SOUR2:TEMP:LIM:LOW? MAX;UPP? MIN\n", b"7.000000E+01;5.000000E+00\n"),
    (b"UNIT:TEMP K\nUNIT:TEMP?;:SOUR2:TEMP?\n", b"K;2.981500E+02\n"),  # 25 + 273.15
    (b"UNIT:TEMP F\nSOUR2:TEMP?;TEMP:LIM:UPP?\n", b"7.700000E+01;1.580000E+02\n"),  # 1.8 c + 32
    (b"UNIT:TEMP K;:SOUR2:TEMP 300;:UNIT:TEMP C;:SOUR2:TEMP?\n", b"2.685000E+01\n"),
    (b"UNIT:TEMP F;:MEAS:TEMP?;:UNIT:TEMP K;:SENS2:TEMP:DATA?\n", b"7.160000E+01;2.951500E+02\n"),
    (b"SOUR2:CURR -0.5;CURR?\n", b"-5.000000E-01\n"),
    (b"SOUR2:CURR:LIM 2\nSOUR2:CURR:LIM?\n", b"2.000000E+00\n"),
    (b"SOUR2:TEMP:LCON:GAIN 2;GAIN?\n", b"2.000000E+00\n"),
    (b"SOUR2:TEMP:LCON:INT 0.3;INT?\n", b"3.000000E-01\n"),
    (b"SOUR2:TEMP:LCON:DER 0.4;DER?\n", b"4.000000E-01\n"),
    (b"SOUR2:TEMP:LCON:PER 5;PER?\n", b"5.000000E+00\n"),
    (b"OUTP ON\nOUTP?\n", b"1\n"),
    (b"OUTP 1;:OUTP?;:OUTP OFF;:OUTP?\n", b"1;0\n"),
    (b"OUTP2 ON\nOUTP2?\n", b"1\n"),
    (b"SOUR:CURR 0.08;:OUTP ON;:SENS3:CURR:DATA?;:MEAS:CURR?\n", b"8.000000E-02;8.000000E-02\n"),
    (b"SOUR:CURR 0.1;:OUTP ON;:SENS4:VOLT:DATA?\n", b"1.500000E+00\n"),  # 1.2 V + 3 ohm * 0.1 A
    # *RST switches both outputs off and sets the defaults
    (b"SOUR:CURR 0.1;:SOUR2:TEMP 30;:UNIT:TEMP K;:OUTP ON;:OUTP2 ON\n*RST;OUTP?;OUTP2?\n", b"0;0\n"),
    (b"SOUR:CURR 0.1;:SOUR2:TEMP 30;:UNIT:TEMP K;*RST\nSOUR:CURR?;:SOUR2:TEMP?\n", b"0.000000E+00;2.500000E+01\n"),
    # *SAV and *RCL bring the settings back, not the light
    (b"SOUR:CURR 0.1;:SOUR2:TEMP 30;:OUTP ON;*SAV 3\n*RST;*RCL 3\nSOUR:CURR?;:SOUR2:TEMP?\n", b"1.000000E-01;3.000000E+01\n"),
    (b"OUTP ON;OUTP2 ON;*SAV 0;*RCL 0;OUTP?;OUTP2?\n", b"0;0\n"),
    (b"SOUR:CURR 0.1\n*RCL 7\nSOUR:CURR?\n", b"0.000000E+00\n"),
]  # fmt: skip

ERRORS = [
    (b"SOUR:CURR 1.6\nSOUR:CURR?\nSYST:ERR?\n", b"0.000000E+00\n" + RANGE),
    (b"SOUR:CURR -0.1\nSYST:ERR?\n", RANGE),
    (b"SOUR:CURR:LIM 0.2;:SOUR:CURR 0.3\nSYST:ERR?\n", RANGE),
    (b"SOUR2:TEMP 80\nSYST:ERR?\n", RANGE),
    (b"SOUR2:TEMP:LIM:UPP 28;:SOUR2:TEMP 30;TEMP?;:SYST:ERR?\n", b"2.500000E+01;" + RANGE),
    (b"UNIT:TEMP K;:SOUR2:TEMP 25\nSYST:ERR?\n", RANGE),  # 25 K is cold
    (b"*SAV 10\nSYST:ERR?\n", RANGE),
    (b"*RCL -1\nSYST:ERR?\n", RANGE),
    (b"SOUR:CURR\nSYST:ERR?\n", b'-109,"Missing parameter"\n'),
    (b"SOUR:CURR 1,2\nSYST:ERR?\n", b'-108,"Parameter not allowed"\n'),
    (b"SOUR:CURR abc\nSYST:ERR?\n", b'-104,"Data type error"\n'),
    (b"SOUR:CURR 0.1V\nSYST:ERR?\n", b'-131,"Invalid suffix"\n'),
    (b"SOUR:FUNC:MODE VOLT\nSYST:ERR?\n", b'-224,"Illegal parameter value"\n'),
    (b"UNIT:TEMP R\nSYST:ERR?\n", b'-224,"Illegal parameter value"\n'),
    (b"OUTP MAYBE\nSYST:ERR?\n", b'-104,"Data type error"\n'),
    (b"FOO:BAR\nFOO?\nSYST:ERR?\nSYST:ERR?\nSYST:ERR?\n", b'-113,"Undefined header"\n' * 2 + NO_ERROR),
    (b"OUTP:COND?\nSYST:ERR?\n", b'-113,"Undefined header"\n'),  # the 4000 series has it
    (b"OUTP3 ON\nSYST:ERR?\n", b'-113,"Undefined header"\n'),
    (b"CUR? ;OUTP?\nSYST:ERR?\n", b"0\n" + b'-113,"Undefined header"\n'),
    (b"FOO\n*CLS\nSYST:ERR?\n", NO_ERROR),
    (b"FOO\n" * 25 + b"SYST:ERR:COUN?\n", b"20\n"),
    (b"FOO\n" * 25 + b"SYST:ERR?\n" * 20, b'-113,"Undefined header"\n' * 19 + b'-350,"Queue overflow"\n'),
]

STATUS = [
    (b"*ESR?\n*ESR?\n", b"128\n0\n"),  # read and clear
    (b"*ESR?;FOO\n*ESR?\n", b"128\n32\n"),
    (b"*ESR?;:SOUR:CURR 9\n*ESR?\n", b"128\n16\n"),
    (b"*ESE 60\n*ESE?\n", b"60\n"),
    (b"*SRE 36\n*SRE?\n", b"36\n"),
    (b"*CLS;*ESE 32;*SRE 32;FOO\n*STB?\n*STB?\n", b"100\n100\n"),  # errors 4, events 32, summary 64; not cleared
    (b"*CLS;*OPC\n*ESR?\n", b"1\n"),
    (b"*OPC?\n", b"1\n"),
    (b"*WAI;*TST?\n", b"0\n"),
    (b"*ESE 60;*SRE 36;FOO;*RST;*ESE?;*SRE?;SYST:ERR?\n", b'60;36;-113,"Undefined header"\n'),
    (b"STAT:OPER?;OPER:COND?;ENAB?;PTR?;NTR?\n", b"0;0;0;32767;0\n"),
    (b"STAT:QUES?;QUES:COND?\n", b"0;0\n"),
    (b"STAT:MEAS?;MEAS:COND?\n", b"0;0\n"),
    (b"STAT:MEAS:ENAB 5;ENAB?;PTR 4;PTR?;NTR 1;NTR?;:STAT:PRES;:STAT:MEAS:ENAB?;PTR?;NTR?\n", b"5;4;1;0;32767;0\n"),
]

FAULTS = [
    ("interlock", b"INTL", 2),
    ("key_lock", b"KEYL", 0),
    ("over_temperature", b"OTEM", 14),
    ("connection", b"CONN", 12),
    ("voltage", b"VOLT", 1),
]


@pytest.fixture
def laser(table: FakeBench) -> CLD1015Twin:
    return CLD1015Twin.build("pump", table, {})


@pytest.fixture
def wire(visa: Callable[[object], Wire], laser: CLD1015Twin) -> Wire:
    return visa(laser)


@pytest.mark.parametrize(("sent", "expected"), POWER_ON + SPELLINGS + SETS + ERRORS + STATUS)
def test_each_command_of_the_sheet_gets_its_reply(wire: Wire, sent: bytes, expected: bytes) -> None:
    assert wire.say(sent) == expected


def test_pyvisas_own_query_reads_one_line(host, laser: CLD1015Twin) -> None:
    import pyvisa

    manager = pyvisa.ResourceManager("@py")
    try:
        session = manager.open_resource(host.mount_tcp(laser).address)
        session.read_termination = session.write_termination = "\n"
        assert session.query("*IDN?") == "Thorlabs,CLD1015,M00123456,1.7.0"
        session.write("SOUR:CURR 0.05")
        assert session.query_ascii_values("SOUR:CURR?;CURR:LIM?", separator=";") == [0.05, 1.5]
    finally:
        manager.close()


@pytest.mark.parametrize(("fault", "node", "bit"), FAULTS)
def test_a_fault_puts_the_laser_out_and_keeps_it_off_until_it_has_ended(
    wire: Wire, laser: CLD1015Twin, fault: str, node: bytes, bit: int
) -> None:
    trip = b"OUTP:PROT:%s:TRIP?\n" % node
    assert wire.say(b"OUTP ON;:OUTP?\n") == b"1\n"
    laser.device_fault(fault)
    assert wire.say(b"OUTP?\n", trip, b"STAT:MEAS:COND?\n") == b"0\n1\n%d\n" % (1 << bit)
    assert wire.say(b"SYST:ERR?\n") == NO_ERROR  # nobody asked for anything wrong
    assert wire.say(b"OUTP ON\n", b"OUTP?\n", b"SYST:ERR?\n", b"SYST:ERR?\n") == b"0\n" + CONFLICT + NO_ERROR
    laser.device_fault(fault, active=False)
    assert wire.say(trip, trip, b"STAT:MEAS:COND?;:STAT:MEAS?;:STAT:MEAS?\n") == b"1\n1\n0;%d;0\n" % (1 << bit)
    assert wire.say(b"OUTP ON;:OUTP?\n", trip, b"SYST:ERR?\n") == b"1\n0\n" + NO_ERROR


@pytest.mark.parametrize(
    ("fault", "bit"),
    [
        ("output_inhibit", 4),
        ("power_limit", 5),
        ("temperature_protection", 8),
        ("sensor_failure", 10),
        ("tec_compliance", 11),
    ],
)
def test_the_other_protections_keep_the_laser_off_too(wire: Wire, laser: CLD1015Twin, fault: str, bit: int) -> None:
    laser.device_fault(fault)
    assert wire.say(b"OUTP 1\nOUTP?;:SYST:ERR?\nSTAT:MEAS:COND?\n") == b"0;" + CONFLICT + b"%d\n" % (1 << bit)


def test_without_its_sensor_the_tec_stays_off(wire: Wire, laser: CLD1015Twin) -> None:
    wire.say(b"OUTP2 ON\n")
    laser.device_fault("sensor_failure")
    assert wire.say(b"OUTP2?;:OUTP2 ON;:OUTP2?;:SYST:ERR?\n") == b"0;0;" + CONFLICT
    with pytest.raises(TwinError, match="interlock"):
        laser.device_fault("no such thing")


def test_an_open_interlock_is_still_open_after_a_power_cycle(laser: CLD1015Twin) -> None:
    laser.device_fault("interlock")
    laser.connect().receive(b"SOUR:CURR 0.1\n*SAV 2\n*ESE 60\nFOO\n")
    laser.reset_power()
    said = laser.connect().receive(
        b"*ESR?\n*ESE?\nSYST:ERR?\nOUTP:PROT:INTL:TRIP?\nSTAT:MEAS:COND?\n*RCL 2\nSOUR:CURR?\n"
    )
    assert said == b"128\n0\n" + NO_ERROR + b"1\n4\n1.000000E-01\n"  # the memories outlive the power


def test_the_laser_starts_softly_and_follows_its_current(wire: Wire, table: FakeBench) -> None:
    wire.say(b"SOUR:CURR 0.08;:OUTP ON\n")
    light = table.pump_power("pump")
    full_w = watts(0.08, 22.0)  # the room's temperature: the TEC is off
    assert wire.talk(b"MEAS:POW2?\n", wait_s=0.15) == b"0.000000E+00\n"
    assert wire.say(b"MEAS:POW2?\n") == b"%.6E\n" % (full_w / 2)
    wire.say(b"SOUR:CURR 0.13\n")  # the start goes on
    assert light.value(table.clock.now_ps()) == pytest.approx(full_w / 2)
    wire.talk(wait_s=0.15)
    assert wire.say(b"MEAS:POW2?;:SOUR:CURR 0.08;:MEAS:POW2?;:OUTP 0;:MEAS:POW2?\n") == b"%.6E;%.6E;0.000000E+00\n" % (
        watts(0.13, 22.0),
        full_w,
    )


def watts(current_a: float, celsius: float) -> float:
    """Threshold and slope of the twin's diode at 25 degC, with T0 and T1 (Coldren et al., chapter 2)."""
    return 0.6 * math.exp(-(celsius - 25.0) / 500.0) * (current_a - 0.03 * math.exp((celsius - 25.0) / 170.0))


@pytest.mark.parametrize("set_c", [10.0, 25.0, 40.0])
def test_light_and_wavelength_follow_the_diodes_temperature(wire: Wire, table: FakeBench, set_c: float) -> None:
    light, wavelength = table.pump_power("pump"), table.knob("pump", "wavelength_nm")
    wire.talk(b"SOUR:CURR 0.1;:OUTP ON\n", wait_s=1.0)
    wire.talk(b"SOUR2:TEMP %f;:OUTP2 ON\n" % set_c)
    for seconds in (0.0, 1.5, 3.0, 60.0):
        left = math.exp(-seconds / 3.0) if seconds < 48.0 else 0.0
        celsius = set_c + (22.0 - set_c) * left  # from the room's, with the TEC's time constant
        at_ps = table.clock.now_ps() + round(seconds * 1e12)
        assert light.value(at_ps) == pytest.approx(watts(0.1, celsius), rel=1e-9)
        heat = celsius - 25.0 + 60.0 * (0.1 - 0.03)
        mode = 0.0154 * heat + 0.03 * round((0.0432 - 0.0154) * heat / 0.03)
        assert wavelength.value(at_ps) == pytest.approx(405.0 + mode, abs=1e-9)


def test_the_lab_file_says_what_diode_it_is(visa: Callable[[object], Wire], table: FakeBench) -> None:
    diode = {"t0_k": 60.0, "t1_k": 150.0, "wavelength_nm": 1550.0, "gain_nm_per_k": 0.1, "mode_nm_per_k": 0.1}
    wire = visa(CLD1015Twin.build("seed", table, diode))
    wire.talk(b"SOUR:CURR 0.1;:SOUR2:TEMP 35;:OUTP2 ON;:OUTP ON\n", wait_s=60.0)
    expected = 0.6 * math.exp(-10.0 / 150.0) * (0.1 - 0.03 * math.exp(10.0 / 60.0))
    assert table.pump_power("seed").value(table.clock.now_ps()) == pytest.approx(expected, rel=1e-9)
    nm = table.knob("seed", "wavelength_nm").value(table.clock.now_ps())
    assert nm == pytest.approx(1550.0 + 0.1 * (10.0 + 60.0 * 0.07), abs=1e-9)


def test_the_tec_settles_within_tens_of_seconds(wire: Wire) -> None:
    wire.talk(b"SOUR2:TEMP 30;:OUTP2 ON\n", wait_s=3.0)
    # one time constant of 3 s from the room's 22 degC: 30 - 8 / e
    assert wire.say(b"SENS2:TEMP:DATA?\n") == b"2.705696E+01\n"
    wire.talk(wait_s=60.0)
    assert wire.say(b"SENS2:TEMP:DATA?\n") == b"3.000000E+01\n"
    wire.talk(b"OUTP2 OFF\n", wait_s=60.0)
    assert wire.say(b"SENS2:TEMP:DATA?\n") == b"2.200000E+01\n"


def test_a_temperature_outside_its_window_shows_in_the_register(wire: Wire) -> None:
    assert wire.say(b"SOUR2:TEMP:LIM:LOW 24\nSTAT:MEAS:COND?\n") == b"512\n"
    wire.talk(b"OUTP2 ON\n", wait_s=30.0)
    assert wire.say(b"STAT:MEAS:COND?\n") == b"0\n"


def test_the_4000_series_has_a_little_more(visa: Callable[[object], Wire], table: FakeBench) -> None:
    wire = visa(ITC4000Twin.build("pump", table, {}))
    assert wire.say(b"*IDN?\n") == b"THORLABS,ITC4020,E12345678,1.4.0/2.0.3/1.6.0\n"
    assert wire.say(b"OUTP:POL?\n") == b"CG\n"
    assert wire.say(b"OUTP:PROT:EXT:MODE?\nOUTP:PROT:EXT:MODE PROT\nOUTP:PROT:EXT:MODE?\n") == b"OFF\nPROT\n"
    assert wire.say(b"OUTP:PROT:EXT:MODE ON\nSYST:ERR?\n") == b'-224,"Illegal parameter value"\n'
    assert wire.talk(b"OUTP:COND?;:OUTP ON;:OUTP:COND?\n", wait_s=0.3) == b"0;0\n"
    assert wire.say(b"OUTP:COND?\n") == b"1\n"


SESSION = b"".join(sent for sent, _ in POWER_ON[:6] + SPELLINGS + SETS[::3] + ERRORS[::3] + STATUS[::2])


def test_any_split_on_the_wire_gives_the_same_bytes(
    wire: Wire, make_bench: Callable[[], FakeBench], pieces: Callable[[bytes], list[bytes]]
) -> None:
    whole = CLD1015Twin.build("pump", make_bench(), {}).connect().receive(SESSION)
    assert whole.count(b"\n") > 40
    assert wire.say(*pieces(SESSION)) == whole


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, len(SESSION)), max_size=60))
def test_any_split_of_the_bytes_gives_the_same_replies(
    make_bench: Callable[[], FakeBench], split_at: Callable[[bytes, list[int]], list[bytes]], cuts: list[int]
) -> None:
    whole = CLD1015Twin.build("pump", make_bench(), {}).connect().receive(SESSION)
    wire = CLD1015Twin.build("pump", make_bench(), {}).connect()
    assert b"".join(wire.receive(part) for part in split_at(SESSION, cuts)) == whole
