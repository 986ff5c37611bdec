"""The 33500B twin against protocol sheet 23: pyvisa over TCP, bytes written by hand."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from qlab.errors import TwinError
from sim_devices.sources.keysight_33500b import Keysight33500BTwin

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import FakeBench, Wire

OK = b'+0,"No error"\n'
UPPER = b'-222,"Data out of range; value clipped to upper limit"\n'

SESSION = [
    (b"*IDN?\n", b"Agilent Technologies,33622A,MY50000123,A.01.10-2.25-03-64-02\n"),
    (b"*RST;*CLS\nFUNC?;:FREQ?;:VOLT?\n", b"SIN;+1.000000000000000E+03;+1.000000000000000E-01\n"),
    (b"FREQ 2 MHZ\nSOUR1:FREQ?\n", b"+2.000000000000000E+06\n"),
    (b"SOURce2:FREQuency:CW 50\nSOUR2:FREQ?;FREQ? MAX\n", b"+5.000000000000000E+01;+1.200000000000000E+08\n"),
    (b"FUNC RAMP\nSYST:ERR?\n", b'-221,"Settings conflict; frequency reduced for new function"\n'),
    (b"FREQ?\n", b"+8.000000000000000E+05\n"),  # 33600A: ramps to 800 kHz
    (b"FREQ 1E6\nSYST:ERR?;:FREQ?\n", UPPER[:-1] + b";+8.000000000000000E+05\n"),
    (b"FUNC SINusoid;:VOLT 20\nSYST:ERR?;:VOLT?\n", UPPER[:-1] + b";+1.000000000000000E+01\n"),
    (b"VOLT 4;:VOLT:OFFS 4\nSYST:ERR?\n", b'-221,"Settings conflict; offset changed due to amplitude"\n'),
    (b"VOLT:OFFS?;HIGH?;LOW?\n", b"+3.000000000000000E+00;+5.000000000000000E+00;+1.000000000000000E+00\n"),
    (b"OUTP:LOAD INF\nOUTP:LOAD?;:VOLT?\n", b"+9.900000000000000E+37;+8.000000000000000E+00\n"),
    (b"VOLT:UNIT DBM;:VOLT -10 DBM\nSYST:ERR?\n", b'-221,"Settings conflict; not able to use dBm with an open load"\n'),
    (
        b"OUTP:LOAD 50;:VOLT:OFFS 0;:VOLT 0 DBM;:VOLT:UNIT VRMS;:VOLT?\n",
        b"+2.236067977499790E-01\n",
    ),  # sqrt(1 mW 50 Ohm)
    (b"VOLT:UNIT VPP\nAPPL:SQU 5 KHZ, 3.0, -2.5\nOUTP?\n", b"1\n"),
    (
        b"APPL?\n",
        b'"SQU +5.000000000000000E+03,+3.000000000000000E+00,-2.500000000000000E+00"\n',
    ),
    (b"OUTP OFF;:OUTP1?\n", b"0\n"),
    (b"BURS:NCYC 5;MODE TRIG;INT:PER 2E-3;:BURS:NCYC?\n", b"+5.000000000000000E+00\n"),
    (b"SYST:ERR?\n", OK),
    (b"TRIG1:SOUR BUS;COUN 3;DEL 1E-3;TIM 0.5;SLOP NEG;:TRIG:SOUR?\n", b"BUS\n"),
    (b"FUNC:PULS:TRAN:BOTH 2E-8;:FUNC:PULS:TRAN?;HOLD?\n", b"+2.000000000000000E-08;WIDT\n"),
    (b"*CLS\nSOUR3:FREQ?\nSYST:ERR?\n", b'-114,"Header suffix out of range"\n'),
    (b"*OPC?\n", b"1\n"),
    (b"SYST:ERR?\n", OK),
]


@pytest.fixture
def awg(visa: Callable[..., Wire], table: FakeBench) -> tuple[Wire, Keysight33500BTwin]:
    twin = Keysight33500BTwin.build("awg", table, {})
    return visa(twin), twin


def test_a_session(awg: tuple[Wire, Keysight33500BTwin]) -> None:
    for sent, expected in SESSION:
        assert awg[0].say(sent) == expected, sent


def test_any_split_on_the_wire_gives_the_same_bytes(
    awg: tuple[Wire, Keysight33500BTwin], pieces: Callable[[bytes], list[bytes]]
) -> None:
    stream, expected = b"".join(sent for sent, _ in SESSION), b"".join(reply for _, reply in SESSION)
    assert awg[0].say(*pieces(stream)) == expected


def test_waveforms_come_as_lists_and_as_blocks_in_both_byte_orders(awg: tuple[Wire, Keysight33500BTwin]) -> None:
    wire, twin = awg
    ramp = [i / 8 for i in range(-8, 9)]
    floats = struct.pack(">17f", *ramp)
    wire.say(b"DATA:ARB name, 0, 0.5, 1.0\n")  # the sheet's example
    wire.say(b"DATA:ARB text, " + ", ".join(map(str, ramp)).encode() + b"\n")
    wire.say(b"DATA:ARB1 block,#268" + floats + b"\n")
    wire.say(b"FORM:BORD SWAP\nDATA:ARB:DAC dac,#234" + struct.pack("<17h", *(round(32767 * v) for v in ramp)) + b"\n")
    assert wire.say(b"SYST:ERR?\n") == OK
    assert wire.say(b"DATA:VOL:CAT?\n") == b'"INT:\\BUILTIN\\EXP_RISE.ARB","name","text","block","dac"\n'
    assert wire.say(b"DATA:VOL:FREE?;:DATA:ATTR:POIN? block;PTP? dac;AVER? text\n") == b"999946;17;+2.0000;+0.0000\n"
    for name in ("text", "block", "dac"):
        assert twin.memory[1].find(name)[1] == pytest.approx(ramp, abs=1 / 32767)
    wire.say(b"FUNC:ARB block;:FUNC ARB;:FUNC:ARB:FILT OFF;SRAT 1E6;:VOLT 2;:OUTP ON\n")
    assert wire.say(b"FUNC:ARB?;ARB:FREQ?\n") != b""
    now = 17 * 10**9  # 17 ms: 1000 repetitions of 17 us
    seen = [twin.voltage_v(1, now + k * 10**6 + 1000) for k in range(17)]
    assert seen == pytest.approx(ramp, abs=1e-6)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"DATA:ARB one, 0, 2\n", b"-222"),
        (b"DATA:ARB:DAC one, 0, 40000\n", b"-222"),
        (b"DATA:ARB one,#15abcde\n", b"-161"),
        (b"DATA:ARB 1st,0,0\n", b"+782"),
        (b"DATA:ARB thirteenchars,0,0\n", b"+783"),
        (b"DATA:ARB two,0,0\nDATA:ARB TWO,0,0\n", b"+786"),
        (b"FUNC:ARB nothing\n", b"+785"),
        (b"DATA:ARB\n", b"-109"),
        (b"DATA:ARB one\n", b"-109"),
        (b"FUNC ARBI\n", b"-224"),
        (b"INIT1\n", b"-213"),
        (b"*TRG\n", b"-211"),
    ],
)
def test_mistakes_stand_in_the_queue(awg: tuple[Wire, Keysight33500BTwin], sent: bytes, code: bytes) -> None:
    awg[0].say(sent)
    assert awg[0].say(b"SYST:ERR?\n").startswith(code + b",")


def test_a_burst_lasts_for_its_cycles_and_a_trigger_meanwhile_is_ignored(awg: tuple[Wire, Keysight33500BTwin]) -> None:
    wire, twin = awg
    wire.say(b"FREQ 1E3;:VOLT 2;:BURS:NCYC 3;:TRIG:SOUR BUS;:BURS:STAT 1;:OUTP 1\n")
    assert twin.voltage_v(1, wire.clock.now_ps()) == 0.0
    wire.say(b"*TRG\n")
    begun = wire.clock.now_ps()
    assert twin.voltage_v(1, begun + 250 * 10**6) == pytest.approx(1.0)  # a quarter of a period of 1 ms
    assert twin.voltage_v(1, begun + 3001 * 10**6) == 0.0
    assert wire.say(b"*TRG\nSYST:ERR?\n") == b'-211,"Trigger ignored"\n'
    assert wire.say(b"*OPC?\n") == b""
    assert wire.talk(wait_s=0.0031) == b"1\n"
    wire.say(b"INIT:CONT 0\n*TRG\n")
    assert wire.say(b"SYST:ERR?\n").startswith(b"-211")
    wire.say(b"TRIG:COUN 1;:INIT\n*TRG\n")
    assert wire.say(b"SYST:ERR?\n") == OK


def test_bursts_that_contradict_themselves_are_changed_with_an_error(awg: tuple[Wire, Keysight33500BTwin]) -> None:
    wire, _ = awg
    wire.say(b"FREQ 1E3;:BURS:NCYC 20;:BURS:STAT 1\n")
    assert wire.say(b"SYST:ERR?\n") == b'-221,"Settings conflict; burst period increased to fit entire burst"\n'
    assert wire.say(b"BURS:INT:PER?\n") == b"+2.000100000000000E-02\n"
    wire.say(b"BURS:NCYC INF\n")
    assert wire.say(b"SYST:ERR?;:TRIG:SOUR?\n").endswith(b'trigger source to BUS";BUS\n')
    wire.say(b"FUNC NOIS\n")
    assert wire.say(b"SYST:ERR?;:BURS:STAT?\n").endswith(b'for this function";0\n')


def test_pulses_keep_their_width_or_their_duty_cycle(awg: tuple[Wire, Keysight33500BTwin]) -> None:
    wire, twin = awg
    wire.say(b"FUNC PULS;:FUNC:PULS:PER 1E-3;WIDT 4E-4\n")
    width, error = wire.say(b"FREQ 1E4;:FUNC:PULS:WIDT?;:SYST:ERR?\n").split(b";", 1)
    assert float(width) == pytest.approx(1e-4 - 5e-9)  # a period less the shortest pulse
    assert error == b'-221,"Settings conflict; pulse width decreased due to period"\n'
    wire.say(b"FUNC:PULS:HOLD DCYC;DCYC 25\n")
    wire.say(b"FREQ 2E3;:VOLT 2;:OUTP 1\n")
    assert wire.say(b"SYST:ERR?;:FUNC:PULS:WIDT?\n") == OK[:-1] + b";+1.250000000000000E-04\n"
    assert (twin.voltage_v(1, 60 * 10**6), twin.voltage_v(1, 300 * 10**6)) == pytest.approx((1.0, -1.0))


@pytest.mark.parametrize(
    ("function", "at_us", "expected"),
    [
        (b"SIN", 250, 1.0),
        (b"SQU", 100, 1.0),
        (b"SQU", 600, -1.0),
        (b"RAMP", 750, 0.5),
        (b"TRI", 250, 0.0),
        (b"DC", 1, 0.0),
    ],
)
def test_functions_have_their_shape(
    awg: tuple[Wire, Keysight33500BTwin], function: bytes, at_us: int, expected: float
) -> None:
    awg[0].say(b"VOLT 2;:OUTP 1;:FUNC " + function + b"\n")  # at 1 kHz
    assert awg[1].voltage_v(1, at_us * 10**6) == pytest.approx(expected, abs=1e-9)


def test_models_have_their_channels_and_limits(visa: Callable[..., Wire], table: FakeBench) -> None:
    small = visa(Keysight33500BTwin.build("small", table, {"model": "33509B"}))
    assert small.say(b"*IDN?;:FREQ? MAX\n").endswith(b";+2.000000000000000E+07\n")
    assert small.say(b"SOUR2:FREQ?\nSYST:ERR?\n").startswith(b"-114")
    assert small.say(b"FUNC ARB\nSYST:ERR?;:FUNC?\n").endswith(b";SIN\n")
    assert small.say(b"DATA:ARB a,0,1\nSYST:ERR?\n").startswith(b"-241")
    with pytest.raises(ValidationError):
        Keysight33500BTwin.build("none", table, {"model": "33220A"})


def test_an_overload_switches_off_and_a_reset_leaves_the_world_alone(awg: tuple[Wire, Keysight33500BTwin]) -> None:
    wire, twin = awg
    wire.say(b"OUTP 1;:DATA:ARB kept,0,1\n")
    twin.device_fault("overload")
    assert wire.say(b"OUTP?;:STAT:QUES:COND?\n") == b"0;1\n"
    assert wire.say(b"OUTP 1;:OUTP?\n") == b"0\n"
    twin.device_fault("overload", active=False)
    twin.device_fault("reference_lost")
    assert wire.say(b"STAT:QUES:COND?;:ROSC:SOUR EXT;:STAT:QUES:COND?\n") == b"0;32\n"
    wire.say(b"*RST\n")
    assert b"kept" in wire.say(b"DATA:VOL:CAT?\n")
    twin.reset_power()
    assert b"kept" not in wire.say(b"DATA:VOL:CAT?\n")
    with pytest.raises(TwinError, match="reference_lost"):
        twin.device_fault("no such thing")


def test_random_bytes_do_no_harm(table: FakeBench) -> None:
    twin = Keysight33500BTwin.build("awg", table, {})
    heads = st.sampled_from(
        [b"FREQ ", b"VOLT ", b"DATA:ARB x,", b"OUTP:LOAD ", b"BURS:NCYC ", b"APPL:SIN ", b"FUNC:PULS:PER "]
    )

    @settings(max_examples=60)
    @given(heads, st.one_of(st.binary(max_size=30), st.floats().map(lambda v: repr(v).encode())))
    def bombard(head: bytes, rest: bytes) -> None:
        conversation = twin.connect()
        conversation.receive(head + rest + b"\n\n#0\n")
        conversation.close()
        assert twin.connect().receive(b"*IDN?\n").startswith(b"Agilent")
        twin.voltage_v(1, 10**9)

    bombard()
