r"""The FS740 twin against protocol sheet 19: pyvisa over TCP, bytes written by hand; replies end with `\r\n`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from qlab.errors import TwinError
from sim_devices.timing.srs_fs740 import FS740Twin

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import FakeBench, Wire

SESSION = [
    (b"*IDN?\n", b"Stanford Research Systems,FS740,s/n000123,ver4.10\r\n"),
    (b"*OPT?\r\n", b"2,A,A,A\r\n"),
    (b"TBAS:STAT?\n", b"LOCK\r\n"),
    (b"TBAS?\n", b"LOCK\r\n"),
    (b"TBASe:STATe?\n", b"LOCK\r\n"),
    (b"TBAS:WARM?;LOCK?;HOLD?\n", b"480;0;0\r\n"),
    (b"TBAS:STAT:WARM:DUR?\n", b"480\r\n"),
    (b"TBAS:TCON?;TCON? MAN\n", b"300;30\r\n"),
    (b"TBAS:FCON?\n", b"2.5000\r\n"),
    (b"TBAS:EVENT:COUNT?\n", b"1\r\n"),
    (b"TBAS:EVEN:PEEK?\n", b"LOCK,2026,1,1,0,0,0\r\n"),
    (b"TBAS:EVEN?\n", b"LOCK,2026,1,1,0,0,0\r\n"),
    (b"TBAS:EVEN?\n", b"INV,0,0,0,0,0,0\r\n"),
    (b"TBAS:CONF:LOCK?;BWID?;HMOD?\n", b"1;AUT;WAIT\r\n"),
    (b"GPS:POS?\n", b"0.650000000,-2.130000000,30.00\r\n"),
    (b"GPS:POS:SURV:PROG?\n", b"100\r\n"),
    (b"GPS:SAT:USE?\n", b"6,3,7,12,19,25,31\r\n"),
    (b"GPS:SAT:SNR?\n", b"40\r\n"),
    (b"SYST:DATE?;TIM?\n", b"2026,1,1;0,0,0.000000000\r\n"),
    (b"SYST:DATE 2027,1,1\nSYST:ERR?\n", b'-221,"Settings conflict"\r\n'),
    (b"SYST:TIM 1,2,3\nSYST:ERR?\n", b'-221,"Settings conflict"\r\n'),
    (b"SYST:COMM:LOCK?\nSYST:COMM:LOCK?\nSYST:COMM:UNL?\n", b"1\r\n0\r\n1\r\n"),
    (b"SOUR3:PHAS:SYNC:TDEL 1e-9;TDEL?\n", b"1.000000E-09\r\n"),
    (b"SENS:FREQ:GATE 0.5;GATE?\n", b"5.000000E-01\r\n"),
    (b"STAT:QUES:COND?;:STAT:GPS:COND?\n", b"0;0\r\n"),
    (b"SYST:ALAR?\n", b"0\r\n"),
    (b"TBAS:CONF:LIM 2e-6;:TBAS:CONF:TINT:LIM?\n", b"2.000000E-06\r\n"),
    (b"GPS:VERS?\n", b'"1.10","RES SMT 360"\r\n'),
    (b"GPS:SAT:TRAC?\n", b"6,3,7,12,19,25,31\r\n"),
    (b"GPS:CONF:CONS?;ALIG?;QUAL?;MODE?;SURV?;SURV:FIX?\n", b"GPS;UTC;3SAT;0,0.174533,20.0;RED;2000\r\n"),
    (b"GPS:CONF:CONS GLON;CONS?;CONS GPS\n", b"GLON\r\n"),
    (b"GPS:CONF:ADEL 1e-8;ADEL?\n", b"1.000000E-08\r\n"),
    (b"SYST:TIM:LOFF?\n", b"0\r\n"),
    (b"SYST:ALAR:COND?;EVEN?;ENAB?;MOD?;TINT?;DUR?;HOLD:DUR?\n", b"0;0;0;TRAC;1.000000E-07;0;0\r\n"),
    (b"STAT:QUES:PTR 4;NTR 4;PTR?;NTR?;ENAB 4;ENAB?;:STAT:QUES?\n", b"4;4;4;0\r\n"),
    (b"*ESE 32;*ESE?;*SRE 32;*SRE?;*STB?\n", b"32;32;16\r\n"),  # a reply waits
    (b"DATA:COUN?;POIN?\n", b"0;250000\r\n"),
    (b"SYST:ERR?\n", b'0,"No error"\r\n'),
]


@pytest.fixture
def twin(table: FakeBench) -> FS740Twin:
    return FS740Twin.build("gps", table, {"noise_ns": 0.0})


@pytest.fixture
def wire(visa: Callable[..., Wire], twin: FS740Twin) -> Wire:
    return visa(twin)


def test_a_session_of_the_sheet(wire: Wire) -> None:
    for sent, expected in SESSION:
        assert wire.say(sent) == expected, sent


def test_from_power_on_to_lock(wire: Wire, twin: FS740Twin) -> None:
    twin.reset_power()
    for wait_s, state, bits in (
        (1, b"POW", 7),
        (480, b"SEAR", 5),
        (60, b"STAB", 36),
        (120, b"VTIM", 4),
        (60, b"LOCK", 0),
    ):
        wire.talk(wait_s=wait_s)
        assert wire.say(b"TBAS?;:STAT:QUES:COND?\n") == state + b";%d\r\n" % bits
    assert wire.say(b"TBAS:LOCK?\n") == b"1\r\n"
    assert wire.say(b"SYST:DATE?;TIM?\n") == b"2026,1,1;0,12,1.000000000\r\n"


def test_without_antenna_it_holds_over_and_its_time_wanders(wire: Wire, twin: FS740Twin, table: FakeBench) -> None:
    wire.talk(wait_s=100.0)
    twin.device_fault("antenna_unplugged")
    assert wire.say(b"TBAS?;:STAT:GPS:COND?;:GPS:SAT:USE?\n") == b"NGPS;10;0\r\n"
    wire.talk(wait_s=10_000.0)
    assert wire.say(b"TBAS:HOLD?;LOCK?\n") == b"10000;0\r\n"
    # 2e-12 and an ageing of 1e-12 a day
    expected = -(2e-12 * 1e4 + 1e-12 / 86400 * 1e8 / 2)
    assert float(wire.say(b"TBAS:TINT?\n")) == pytest.approx(expected, rel=1e-6)
    knob = table.knob("gps", "frequency")
    assert knob.value(table.clock.now_ps()) == pytest.approx(2e-12 + 1e-12 / 86400 * 1e4, rel=1e-6)
    assert wire.say(b"SYST:DATE 2027,2,3;TIM 4,5,6;:SYST:ERR?\n") == b'0,"No error"\r\n'  # nobody else owns it now
    assert wire.say(b"SYST:DATE?;TIM?\n") == b"2027,2,3;4,5,6.000000000\r\n"
    assert wire.say(b"SYST:DATE 2027,2,30\nSYST:ERR?\n").startswith(b"-222")
    twin.device_fault("antenna_unplugged", active=False)
    wire.talk(wait_s=181.0)
    assert wire.say(b"TBAS?;:TBAS:EVEN:COUN?\n") == b"LOCK;4\r\n"  # locked, lost, stabilising, locked
    assert knob.value(table.clock.now_ps()) == 0.0
    assert wire.say(b"SYST:DATE?\n") == b"2026,1,1\r\n"  # GPS owns it again
    with pytest.raises(TwinError, match="antenna_unplugged"):
        twin.device_fault("no such thing")


@pytest.mark.parametrize(
    ("fault", "state", "gps", "questionable"),
    [
        ("antenna_shorted", b"NGPS", 1 << 2 | 1 << 3, 1 << 2),
        ("gps_bad", b"BGPS", 1 << 9, 1 << 2),
        ("rubidium_unlocked", b"UNL", 0, 1 << 2 | 1 << 10),
        ("pll_unlocked", b"UNL", 0, 1 << 2 | 1 << 11),
        ("efc_10mhz", b"UNL", 0, 1 << 2 | 1 << 12),
        ("efc_saturated", b"UNL", 0, 1 << 2 | 1 << 13),
        ("leap_second_pending", b"LOCK", 1 << 7, 0),
        ("no_pulses", b"LOCK", 1 << 12, 0),
    ],
)
def test_each_trouble_has_its_state_and_its_bits(
    wire: Wire, twin: FS740Twin, fault: str, state: bytes, gps: int, questionable: int
) -> None:
    twin.device_fault(fault)
    assert wire.say(b"TBAS?;:STAT:GPS:COND?;:STAT:QUES:COND?\n") == state + b";%d;%d\r\n" % (gps, questionable)
    twin.device_fault(fault, active=False)
    wire.talk(wait_s=181.0)
    assert wire.say(b"TBAS?;:STAT:GPS:COND?;:STAT:QUES:COND?\n") == b"LOCK;0;0\r\n"


def test_a_latched_alarm_stays_until_it_is_cleared(wire: Wire, twin: FS740Twin) -> None:
    wire.say(b"SYST:ALAR:ENAB 4;MODE LATC\n")
    assert wire.say(b"SYST:ALAR?\n") == b"0\r\n"
    twin.device_fault("antenna_unplugged")
    assert wire.say(b"SYST:ALAR?\n") == b"1\r\n"
    twin.device_fault("antenna_unplugged", active=False)
    wire.talk(wait_s=300.0)
    assert wire.say(b"SYST:ALAR?\n") == b"1\r\n"
    assert wire.say(b"SYST:ALAR:CLE\nSYST:ALAR?\n") == b"0\r\n"


def test_an_alarm_that_came_and_went_between_two_questions_is_latched(wire: Wire, twin: FS740Twin) -> None:
    wire.say(b"SYST:ALAR:ENAB 1024;MOD LATC;EVEN?\n")
    twin.device_fault("rubidium_unlocked")
    twin.device_fault("rubidium_unlocked", active=False)
    assert wire.say(b"SYST:ALAR?;ALAR:COND?;EVEN?;EVEN?\n") == b"1;0;1028;0\r\n"
    assert wire.say(b"SYST:ALAR:CLE;MOD TRAC;:SYST:ALAR?\n") == b"0\r\n"
    twin.device_fault("rubidium_unlocked")
    assert wire.say(b"SYST:ALAR?;ALAR:COND?\n") == b"1;1028\r\n"
    twin.device_fault("rubidium_unlocked", active=False)
    assert wire.say(b"SYST:ALAR?\n") == b"0\r\n"  # it tracks
    assert wire.say(b"SYST:ALAR:MOD FORC;MOD?;:SYST:ALAR?\n") == b"FORC;1\r\n"
    assert wire.say(b"SYST:ALAR:TINT 2e-7;TINT?;DUR 60;HOLD:DUR?\n") == b"2.000000E-07;60\r\n"


def test_hold_over_by_hand_is_a_state_of_its_own(wire: Wire) -> None:
    assert wire.say(b"TBAS:CONF:LOCK 0;:TBAS?\n") == b"MAN\r\n"
    wire.talk(wait_s=100.0)
    assert wire.say(b"TBAS:HOLD?;STAT:HOLD:DUR?\n") == b"100;100\r\n"
    assert wire.say(b"TBAS:CONF:LOCK 1;:TBAS?\n") == b"STAB\r\n"


def test_the_control_voltage_follows_the_ageing_and_stands_in_hold_over(wire: Wire, twin: FS740Twin) -> None:
    wire.talk(wait_s=10 * 86400.0)
    assert wire.say(b"TBAS:FCON?\n") == b"2.4900\r\n"  # 10 days of 1e-12, at 1e-9 a volt
    twin.device_fault("antenna_unplugged")
    wire.talk(wait_s=10 * 86400.0)
    assert wire.say(b"TBAS:FCON?\n") == b"2.4900\r\n"
    twin.device_fault("efc_saturated")
    assert wire.say(b"TBAS:FCON?\n") == b"5.0000\r\n"


def test_a_delayed_1_pps_makes_a_clock_that_is_behind(wire: Wire, twin: FS740Twin, table: FakeBench) -> None:
    phase = table.knob("gps", "phase_ps")
    wire.say(b"SOUR3:PHAS:SYNC:TDEL 2e-9\n")
    assert phase.value(table.clock.now_ps()) == pytest.approx(-2000.0)
    assert float(wire.say(b"TBAS:TINT?\n")) == pytest.approx(0.0, abs=1e-15)  # the internal pulse stays where it is
    twin.device_fault("antenna_unplugged")
    wire.talk(wait_s=1000.0)
    lost_s = 2e-12 * 1e3 + 1e-12 / 86400 * 1e6 / 2
    assert float(wire.say(b"TBAS:TINT?\n")) == pytest.approx(-lost_s, rel=1e-6)
    twin.device_fault("antenna_unplugged", active=False)
    wire.talk(wait_s=1000.0)
    assert phase.value(table.clock.now_ps()) == pytest.approx(-2000.0 - lost_s * 1e12, abs=1e-3)
    assert float(wire.say(b"TBAS:TINT?\n")) == pytest.approx(0.0, abs=1e-15)
    wire.say(b"TBAS:CONF:LOCK 0\n*RST\n")
    assert wire.say(b"SOUR3:PHAS:SYNC:TDEL?;:TBAS:CONF:LOCK?;:TBAS?\n") == b"0.000000E+00;1;STAB\r\n"
    assert phase.value(table.clock.now_ps()) == pytest.approx(-lost_s * 1e12, abs=1e-3)


def test_the_averaged_interval_is_quieter(visa: Callable[..., Wire], table: FakeBench) -> None:
    wire = visa(FS740Twin.build("gps", table, {"noise_ns": 5.0}))
    one, mean = map(float, wire.say(b"TBAS:TINT?;TINT? AVER\n").split(b";"))
    assert mean == pytest.approx(one / 10)
    assert 0 < abs(one) < 5e-8


@pytest.mark.parametrize("asked", [b"TBAS:EVEN:PEEK?", b"GPS:SAT:SNR?", b"GPS:VERS?", b"GPS:CONF:CONS?"])
def test_old_firmware_lacks_some_queries(visa: Callable[..., Wire], table: FakeBench, asked: bytes) -> None:
    old, new = (
        visa(FS740Twin.build(name, table, {"firmware": version})) for name, version in (("a", "3.99"), ("b", "4.00"))
    )
    assert old.say(b"*IDN?\n").endswith(b",ver3.99\r\n")
    assert old.say(asked + b"\nSYST:ERR?\n").startswith(b"-113,")
    assert new.say(asked + b"\nSYST:ERR?\n").endswith(b'\r\n0,"No error"\r\n')


def test_the_time_of_day_has_steps_of_10_ns_and_the_search_its_bits(wire: Wire, twin: FS740Twin) -> None:
    wire.clock.wait_until(wire.clock.now_ps() + 1_234_567_891_234)
    assert wire.say(b"SYST:TIM?\n").endswith(b",1.234567890\r\n")
    twin.reset_power()
    wire.talk(wait_s=1.0)
    assert wire.say(b"STAT:GPS:COND?;:GPS:POS:SURV:PROG?\n") == b"%d;0\r\n" % (1 | 1 << 4 | 1 << 6 | 1 << 11)
    wire.talk(wait_s=560.0)
    assert wire.say(b"TBAS?;:STAT:GPS:COND?;:GPS:POS:SURV:PROG?\n") == b"STAB;32;50\r\n"


def test_each_satellite_in_track_has_eight_numbers(wire: Wire) -> None:
    rows = wire.say(b"GPS:SAT:TRAC:STAT?\n").strip().split(b",")
    assert len(rows) == 6 * 8
    assert rows[:8] == [b"3", b"1", b"1", b"0", b"40", b"30", b"0", b"0"]


def test_it_counts_what_is_on_an_input(wire: Wire, table: FakeBench) -> None:
    table.feed.put(in1=range(0, 10**13, 10**8))  # 10 kHz
    assert wire.talk(b"SENS:FREQ:GATE 0.1\nMEAS:FREQ?\n", wait_s=0.2) == b"1.000000000000E+04\r\n"
    assert wire.talk(b"MEAS:FREQ? 2\n", wait_s=0.2) == b"9.910000000000E+37\r\n"
    assert wire.say(b"DATA:COUN?;READ? 5;REM? 5;COUN?\n") == b"1;" + 2 * b"1.000000000000E+04;" + b"0\r\n"


def test_it_tells_when_something_came_and_how_steady_it_is(wire: Wire, table: FakeBench) -> None:
    table.feed.put(in1=range(2 * 10**12 + 123_456_789_012, 10**13, 10**8), in2=[10**12 + 1])
    assert wire.talk(b"CONF1:TIM\nCONF1?\nCONF2?\n", wait_s=2.0) == b"TIM\r\nFREQ\r\n"
    # date, time of day, ms, us, ns, ps, fs
    assert wire.talk(b"READ1?\n", wait_s=1.1) == b"2026,1,1,0,0,2,123,456,789,12,0\r\n"
    assert wire.talk(b"FETC1?\n") == b"2026,1,1,0,0,2,123,456,789,12,0\r\n"
    assert wire.talk(b"MEAS2:TIM?\n", wait_s=1.1) == b"0,0,0,0,0,0,0,0,0,0,0\r\n"  # nothing within the gate
    wire.say(b"CALC:STAT?\n")
    assert wire.say(b"SYST:ERR?\n").startswith(b"-230,")
    assert wire.talk(b"SENS:FREQ:GATE 0.1\nINIT1\nMEAS:FREQ?\nMEAS:FREQ?\n", wait_s=0.3).count(b"\r\n") == 2
    mean, deviation, low, high = map(float, wire.say(b"CALC:STAT?\n").split(b","))
    assert (mean, low, high) == pytest.approx((1e4, 1e4, 1e4))
    assert deviation < 1e-6
    assert float(wire.say(b"CALC:STAB?\n")) < 1e-12
    assert wire.say(b"STOP1\nDATA:COUN?\n") == b"0\r\n"


def test_the_status_byte_tells_of_clock_receiver_and_errors(wire: Wire, twin: FS740Twin) -> None:
    wire.say(b"*CLS\nSTAT:QUES:ENAB 4\nSTAT:GPS:ENAB 2\n*SRE 8\n")
    assert wire.say(b"*STB?\n") == b"0\r\n"
    twin.device_fault("antenna_unplugged")
    assert int(wire.say(b"*STB?\n")) == 0x02 | 0x08 | 0x40  # GPS, QUES, master summary
    assert wire.say(b"STAT:QUES?;:STAT:GPS?\n") == b"4;10\r\n"
    assert wire.say(b"*STB?\n") == b"0\r\n"  # reading cleared the events
    wire.say(b"NOPE\n")
    assert int(wire.say(b"*STB?\n")) == 0x04


def test_the_interval_is_noise_that_polling_does_not_change(table: FakeBench) -> None:
    twin = FS740Twin.build("gps", table, {"noise_ns": 5.0})
    wire = twin.connect()
    first = [wire.receive(b"TBAS:TINT?\n") for _ in range(3)]
    assert len(set(first)) == 1
    values = []
    for _ in range(400):
        table.clock.sleep(1.0)
        values.append(float(wire.receive(b"TBAS:TINT?\n")))
    rms = (sum(v * v for v in values) / len(values)) ** 0.5
    assert rms == pytest.approx(5e-9, rel=4 / (2 * 400) ** 0.5)  # 4 sigma of a standard deviation


STREAM = b"".join(sent for sent, _ in SESSION)


def test_any_split_on_the_wire_gives_the_same_bytes(wire: Wire, pieces: Callable[[bytes], list[bytes]]) -> None:
    assert wire.say(*pieces(STREAM)) == b"".join(expected for _, expected in SESSION)
