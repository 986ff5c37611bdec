"""The SCPI engine against SCPI-1999 and IEEE 488.2."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlab.clock import SteppedClock
from qlab.twin.scpi import Later, ScpiError, ScpiTwin, command, parameter, query
from qlab.twin.scpi_tree import Header


class LampTwin(ScpiTwin):
    identity = "Acme,Lamp,0001,1.0"
    level = parameter("SOURce[1]:LEVel[:IMMediate]", 1.0, limits=(0.0, 10.0), fmt=".3f")
    on = parameter("OUTPut[1][:STATe]", False)
    shape = parameter("SOURce[1]:FUNCtion", "SIN", choices=("SINusoid", "SQUare"))

    @query("MEASure[:SCALar]:TEMPerature?")
    def temperature(self) -> Later:
        return Later(0.5, lambda: "25.0")

    @query("INPUt#:LEVel?")
    def input_level(self, number: int) -> str:
        return f"in{number}"

    @command("TRIGger:CLASh")
    def clash(self) -> None:
        raise ScpiError(-221, "Settings conflict")


def ask(text: str, twin: ScpiTwin | None = None) -> str:
    conversation = (twin or LampTwin(SteppedClock())).connect()
    return conversation.receive(text.encode() + b"\n").decode()


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
        ("SOUR:LEV 3;*IDN?;LEV?", "Acme,Lamp,0001,1.0;3.000\n"),  # a common command keeps the path
        ("OUTP ON;OUTP?", "1\n"),
        ("OUTP:STAT 1;:OUTP?", "1\n"),
        ("SOUR:FUNC squ;FUNC?", "SQU\n"),
        ("INPU3:LEV?;:INPU:LEV?", "in3;in1\n"),
        ("SOUR:LEV 3", ""),
        ("SYST:ERR?", '+0,"No error"\n'),
        ("*ESE 255;*ESE?", "255\n"),
        ("STAT:OPER:ENAB 7;ENAB?;:STAT:QUES?", "7;0\n"),
    ],
)
def test_a_message_gets_the_reply_of_the_standard(written: str, reply: str) -> None:
    assert ask(written) == reply


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("SOURC:LEV?", -113),  # nothing between short and long form
        ("OUTP2?", -113),
        ("SOUR:LEV 11", -222),
        ("SOUR:LEV", -109),
        ("SOUR:LEV blue", -104),
        ("SOUR:FUNC TRIangle", -224),
        ("TRIG:CLAS", -221),
        ("INPU1:LEV? 3", -108),
    ],
)
def test_a_mistake_is_queued_with_its_number_and_event_bit(written: str, code: int) -> None:
    twin = LampTwin(SteppedClock())
    twin.esr = 0
    assert ask(written, twin) == ""
    assert ask("SYST:ERR?", twin).startswith(f"{code},")
    assert int(ask("*ESR?", twin)) == {1: 0x20, 2: 0x10}[-code // 100]
    assert ask("*ESR?", twin) == "0\n"


def test_a_full_queue_ends_with_overflow() -> None:
    twin = LampTwin(SteppedClock())
    for _ in range(30):
        ask("NONSense", twin)
    codes = [ask("SYST:ERR?", twin).split(",")[0] for _ in range(21)]
    assert codes == ["-113"] * 19 + ["-350", "+0"]


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


def test_status_transition_filters_latch_events() -> None:
    group = LampTwin(SteppedClock()).status["QUEStionable"]
    group.set_bits(8, on=True)
    group.set_bits(8, on=False)
    assert (group.read_event(), group.read_event()) == (8, 0)
    group.positive, group.negative = 0, 8
    group.set_bits(8, on=True)
    assert group.event == 0
    group.set_bits(8, on=False)
    assert group.event == 8


def test_header_patterns_capture_suffixes() -> None:
    assert Header("DELAy#[:INPOrt]:LINK?").match(["DELA5", "LINK"]) == (5,)
    assert Header("DELAy#[:INPOrt]:LINK?").match(["delay", "INPORT", "link"]) == (1,)


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=8))
def test_random_bytes_in_any_split_give_one_answer_and_never_wedge(data: bytes, cuts: list[int]) -> None:
    data = data.replace(b"#", b"")  # a block header may rightly wait for its bytes
    edges = [0, *sorted(min(c, len(data)) for c in cuts), len(data)]
    whole, parts = LampTwin(SteppedClock()), LampTwin(SteppedClock())
    conversation = parts.connect()
    got = b"".join(conversation.receive(data[a:b]) for a, b in itertools.pairwise(edges))
    assert got == whole.connect().receive(data)
    assert conversation.receive(b"\n:SYST:VERS?\n").endswith(b"1999.0\n")
