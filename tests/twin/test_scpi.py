"""The SCPI engine against SCPI-1999 and IEEE 488.2."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlab.clock import SteppedClock
from qlab.errors import TwinError
from qlab.twin.scpi import (
    Later,
    ScpiError,
    ScpiTwin,
    block,
    boolean,
    choice,
    command,
    integer,
    number,
    optional,
    parameter,
    query,
    string,
)
from qlab.twin.scpi_tree import Header


class LampTwin(ScpiTwin):
    identity = "Acme,Lamp,0001,1.0"
    level = parameter("SOURce[1]:LEVel[:IMMediate]", 1.0, limits=(0.0, 10.0), fmt=".3f", units="V")
    on = parameter("OUTPut[1][:STATe]", False)
    shape = parameter("SOURce[1]:FUNCtion", "SIN", choices=("SINusoid", "SQUare"), changed="shape_changed")
    averages = parameter("AVERage:COUNt", 1, limits=(1, 100))
    changes = 0
    wave = b""

    def shape_changed(self) -> None:
        self.changes += 1

    @query("MEASure[:SCALar]:TEMPerature?")
    def temperature(self) -> Later:
        return Later(0.5, lambda: "25.0")

    @query("MEASure:FAILure?")
    def failure(self) -> Later:
        return Later(0.5, self.broken)

    def broken(self) -> str:
        raise ScpiError(-240)

    @query("INPUt#:LEVel?")
    def input_level(self, number: int) -> str:
        return f"in{number}"

    @query("INPUt#:SUM?")
    def input_sum(self, number: int, first: str, second: str = "0") -> int:
        return number + int(first) + int(second)

    @command("TRIGger:CLASh")
    def clash(self) -> None:
        raise ScpiError(-221)

    @command("WAVE:DATA", integer(0, 9), block)
    def set_wave(self, index: int, wave: bytes) -> None:
        self.wave = wave

    @query("WAVE:DATA?")
    def get_wave(self) -> bytes:
        return self.wave

    @query(
        "TYPE?",
        number(-5, 5, units="V"),
        boolean,
        choice("RISing", "FALLing"),
        string,
        optional(integer(1, 9, default=3), 7),
    )
    def types(self, volts: float, flag: bool, edge: str, text: str, count: int) -> str:
        return f"{volts:g}|{flag}|{edge}|{text}|{count}"

    @query("ODD#?")
    def odd(self, which: int) -> float:
        return (math.nan, math.inf, -math.inf, 1.5)[which]

    @command("ODD1:NUMBer")
    def odd_number(self, *numbers: str) -> None:
        self.changes = len(numbers)


def ask(text: str, twin: ScpiTwin | None = None) -> str:
    conversation = (twin or LampTwin(SteppedClock())).connect()
    return conversation.receive(text.encode("latin-1") + b"\n").decode("latin-1")


@pytest.mark.parametrize(
    ("written", "reply"),
    [
        ("*IDN?", "Acme,Lamp,0001,1.0\n"),
        ("*idn?\r", "Acme,Lamp,0001,1.0\n"),
        ("SOUR:LEV?", "1.000\n"),
        ("source1:level:immediate?", "1.000\n"),
        (":SOUR1:LEV:IMM?", "1.000\n"),
        ("SOUR:LEV 2.5;LEV?", "2.500\n"),  # the second unit starts from SOURce (SCPI-1999 6.2.4)
        ("SOUR:LEV 2500 mV;:SOUR:LEV?", "2.500\n"),
        ("SOUR:LEV? MAX;LEV? MIN;LEV? DEF", "10.000;0.000;1.000\n"),
        ("SOUR:LEV MAX;LEV?;LEV DEF;LEV?", "10.000;1.000\n"),
        ("SOUR:LEV 3;*IDN?;LEV?", "Acme,Lamp,0001,1.0;3.000\n"),  # a common command keeps the path
        ("OUTP ON;OUTP?", "1\n"),
        ("OUTP:STAT 1;:OUTP?", "1\n"),
        ("OUTP:STAT 0.4;STAT?", "0\n"),  # a number is rounded (SCPI-1999 7.3)
        ("SOUR:FUNC squ;FUNC?", "SQU\n"),
        ("SOUR:FUNC SQUARE;FUNC?", "SQU\n"),
        ("INPU3:LEV?;:INPU:LEV?", "in3;in1\n"),
        ("INPU2:SUM? 3;:INPU2:SUM? 3 , 4", "5;9\n"),
        ("AVER:COUN 2.6;COUN?", "3\n"),
        ("AVER:COUN #H1F;COUN?;COUN #B101;COUN?;COUN #q17;COUN?", "31;5;15\n"),
        ("SOUR:LEV 3", ""),
        ("  ;; ;", ""),
        ("SYST:ERR?", '+0,"No error"\n'),
        ("*ESE 255;*ESE?", "255\n"),
        ("STAT:OPER:ENAB 7;ENAB?;:STAT:QUES?", "7;0\n"),
        ("TYPE? 100mV,ON,falling,'a;b,''c'''", "0.1|True|FALL|a;b,'c'|7\n"),
        ('TYPE?\tMAX , 0,RIS,"say ""x""", DEF', '5|False|RIS|say "x"|3\n'),
        ("ODD0?;ODD1?;ODD2?;ODD3?", "9.91E+37;9.9E+37;-9.9E+37;1.500000E+00\n"),  # SCPI-1999 7.2.1
    ],
)
def test_a_message_gets_the_reply_of_the_standard(written: str, reply: str) -> None:
    assert ask(written) == reply


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("SOURC:LEV?", -113),  # nothing between short and long form
        ("OUTP2?", -113),
        ("LEV?", -113),  # a node that must be there is not
        ("SOUR:LEV;STAT?", -109),
        ("::SOUR:LEV?", -113),
        ("SOUR::LEV?", -113),
        ("A:" * 20 + "A", -113),
        ("\xe9l\xe9ment?", -113),
        ("?", -113),
        ("SOUR:LEV 11", -222),
        ("SOUR:LEV 1E400", -222),
        ("SOUR:LEV NAN", -222),
        ("SOUR:LEV", -109),
        ("SOUR:LEV 1,2", -108),
        ("SOUR:LEV? 1,2", -108),
        ("SOUR:LEV 1,", -103),
        ("SOUR:LEV blue", -104),
        ("SOUR:LEV 1..2", -120),
        ("SOUR:LEV #HXY", -120),
        ("SOUR:LEV 1 A", -131),
        ("SOUR:FUNC TRIangle", -224),
        ("OUTP INF", -222),
        ("AVER:COUN INF", -222),
        ("TRIG:CLAS", -221),
        ("TRIG:CLAS 1", -108),
        ("INPU1:LEV? 3", -108),
        ("INPU1:SUM?", -109),
        ("TYPE? 1,ON,RIS,bare", -151),
        ("TYPE? 1,ON,RIS,'x',12", -222),
        ("TYPE? 1,ON,RIS", -109),
        ("TYPE? 1,ON,RIS,'x',1,1", -108),
        ("WAVE:DATA 1,abc", -161),
        ("WAVE:DATA 1,#2", -161),
    ],
)
def test_a_mistake_is_queued_with_its_number_and_event_bit(written: str, code: int) -> None:
    twin = LampTwin(SteppedClock())
    twin.esr = 0
    assert ask(written, twin) == ""
    assert ask("SYST:ERR?", twin).startswith(f"{code},")
    assert int(ask("*ESR?", twin)) & {1: 0x20, 2: 0x10}[-code // 100]
    assert ask("*ESR?", twin) == "0\n"


def test_units_behind_a_mistake_are_still_carried_out() -> None:
    assert ask("NONS;:SOUR:LEV 2;LEV?") == "2.000\n"


def test_reset_keeps_masks_and_queue_and_clears_settings() -> None:
    twin = LampTwin(SteppedClock())
    ask("*ESE 4;:SOUR:LEV 7;:NONSense;*RST", twin)
    assert ask("*ESE?;:SOUR:LEV?;:SYST:ERR?", twin) == '4;1.000;-113,"Undefined header"\n'


def test_a_late_reply_holds_back_what_comes_behind_it() -> None:
    clock = SteppedClock()
    conversation = LampTwin(clock).connect()
    assert conversation.receive(b"MEAS:TEMP?;*IDN?\n*ESE?\n") == b""
    assert conversation.due_ps() == 500_000_000_000
    assert conversation.wake() == b""
    clock.sleep(0.5)
    assert conversation.wake() == b"25.0;Acme,Lamp,0001,1.0\n0\n"
    assert conversation.due_ps() is None


def test_a_late_reply_may_fail() -> None:
    clock = SteppedClock()
    twin = LampTwin(clock)
    conversation = twin.connect()
    conversation.receive(b"MEAS:FAIL?;*ESE?\n")
    clock.sleep(0.5)
    assert conversation.wake() == b"0\n"
    assert ask("SYST:ERR?", twin) == '-240,"Hardware error"\n'


def test_a_closed_conversation_owes_nothing() -> None:
    conversation = LampTwin(SteppedClock()).connect()
    conversation.receive(b"MEAS:TEMP?\n*IDN?\n")
    conversation.close()
    assert conversation.due_ps() is None
    assert conversation.wake() == b""


def test_settings_read_and_write_like_attributes() -> None:
    twin = LampTwin(SteppedClock())
    twin.level = 4.0
    assert ask("SOUR:LEV?", twin) == "4.000\n"
    ask("SOUR:FUNC SQU;LEV 5;:OUTP 1;:ODD1:NUMB 1,2,3", twin)
    assert (twin.level, twin.on, twin.shape, twin.averages, twin.changes) == (5.0, True, "SQU", 1, 3)
    assert twin.peek() == {"averages": 1, "level": 5.0, "on": True, "shape": "SQU"}
    assert LampTwin.level.limits == (0.0, 10.0)


def test_a_set_calls_what_depends_on_it() -> None:
    twin = LampTwin(SteppedClock())
    ask("SOUR:FUNC SQU;FUNC SIN;FUNC?", twin)
    assert twin.changes == 2


@given(wave=st.binary(max_size=2000), cut=st.integers(0, 2000))
def test_a_block_comes_and_goes_whatever_is_in_it(wave: bytes, cut: int) -> None:
    twin = LampTwin(SteppedClock())
    conversation = twin.connect()
    length = str(len(wave)).encode()
    encoded = b"#" + str(len(length)).encode() + length + wave
    message = b"WAVE:DATA 1, " + encoded + b";DATA?;*ESE?\n"
    reply = conversation.receive(message[:cut]) + conversation.receive(message[cut:])
    assert twin.wave == wave
    assert reply == encoded + b";0\n"


def test_limits_may_depend_on_the_state() -> None:
    class Limited(LampTwin):
        def limits_of(self, name: str) -> tuple[float, float] | None:
            return (0.0, 2.0) if name == "level" else None

    assert ask("SOUR:LEV 3;LEV? MAX;:SYST:ERR?;:AVER:COUN? MAX", Limited(SteppedClock())) == (
        '2.000;-222,"Data out of range";100\n'
    )


def test_a_subclass_may_change_what_a_command_of_its_base_does() -> None:
    class Loud(LampTwin):
        def identify(self) -> str:
            return self.identity.upper()

        @query("INPUt#:LEVel?")
        def louder(self, number: int) -> str:
            return f"IN{number}"

    assert ask("*IDN?;:INPU2:LEV?;:SOUR:LEV?", Loud(SteppedClock())) == "ACME,LAMP,0001,1.0;IN2;1.000\n"


def test_a_wrong_table_is_refused_when_the_class_is_made() -> None:
    with pytest.raises(TwinError, match="declares 'A\\?' twice"):

        class Twice(ScpiTwin):
            @query("A?")
            def one(self) -> str:
                return ""

            @query("A?")
            def two(self) -> str:
                return ""

    with pytest.raises(TwinError, match="no question mark"):
        query("MEASure")
    for pattern in ("OUTPut[:STATe", "A B", "[:A]", ""):
        with pytest.raises(TwinError, match="SCPI pattern"):
            Header(pattern)


def test_header_patterns_capture_suffixes() -> None:
    assert Header("DELAy#:[INPOrt:]LINK?").match(["DELA5", "LINK"]) == (5,)
    assert Header("DELAy#:[INPOrt:]LINK?").match(["delay", "INPORT", "link"]) == (1,)
    assert Header("[SOURce#]:X").match(["X"]) == (1,)


NOISE = st.binary(max_size=200) | st.lists(
    st.sampled_from(
        [b"*IDN?", b"SOUR:LEV", b" 3", b"?", b";", b":", b",", b"\n", b"'", b'"', b"(", b"MEAS:TEMP?", b"LEV?", b"#H"]
    ),
    max_size=40,
).map(b"".join)


class PlainTwin(LampTwin):
    """Without blocks in its table: no message can swallow the next."""


PlainTwin._scpi_table = tuple(entry for entry in LampTwin._scpi_table if not entry.blocks)


@given(NOISE, st.lists(st.integers(0, 200), max_size=8))
def test_random_bytes_in_any_split_give_one_answer_and_never_wedge(data: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(c, len(data)) for c in cuts), len(data)]
    clock = SteppedClock()
    whole, parts = PlainTwin(clock), PlainTwin(clock)
    straight, conversation = whole.connect(), parts.connect()
    got = b"".join(conversation.receive(data[a:b]) for a, b in itertools.pairwise(edges))
    assert got == straight.receive(data)
    got = conversation.receive(b"\n:SYST:VERS?\n")
    while conversation.due_ps() is not None:
        clock.wait_until(conversation.due_ps() or 0)
        got += conversation.wake()
    assert got.endswith(b"1999.0\n")


@given(st.binary(max_size=40))
def test_random_blocks_never_crash_the_engine(data: bytes) -> None:
    conversation = LampTwin(SteppedClock()).connect()
    conversation.receive(b"WAVE:DATA 1,#" + data + b"\n")
    conversation.receive(b"x" * 70000 + b"\n")  # longer than any block could claim
    assert conversation.receive(b"*ESE?\n") == b"0\n"
