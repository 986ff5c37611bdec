"""Text instruments that are not SCPI."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlab.clock import SteppedClock
from qlab.twin.lines import LineError, LineTwin, line

if TYPE_CHECKING:
    from qlab.twin.conversation import Later


class HeaterTwin(LineTwin):
    """As the TC200 of protocol sheet 04."""

    terminators = b"\r"
    ignored = b"\n"
    reply_terminator = b"\r"
    echo = True
    prompt = b"> "
    unknown = "CMD_NOT_DEFINED"
    set_c = 25.0

    @line("tset?")
    def get(self) -> str:
        return f"{self.set_c:.1f} C"

    @line(r"tset=(?P<value>[0-9.]{1,6})")
    def put(self, value: str) -> None:
        try:
            wanted = float(value)
        except ValueError:
            raise LineError("CMD_ARG_RANGE_ERR") from None
        if not 20 <= wanted <= 200:
            raise LineError("CMD_ARG_RANGE_ERR")
        self.set_c = wanted

    @line(r"([pid])gain=(\d+)")
    def gain(self, which: str, value: str) -> str:
        return f"{which} {value}"

    @line("config?")
    def config(self) -> list[str]:
        return ["one", "two"]


class CounterTwin(LineTwin):
    """As the S-Fifteen modules of sheet 09: sets are silent, a count takes its time, unknown commands too."""

    terminators = b";\r\n"
    ignore_case = True
    taken = 0

    @line("counts?")
    def counts(self) -> Later:
        return self.later(0.5, self.count)

    def count(self) -> str:
        self.taken += 1
        return str(self.taken)

    @line("*idn?")
    def idn(self) -> str:
        return "SPD, S-Fifteen"

    @line("slow set")
    def slow_set(self) -> Later:
        return self.later(0.1, None)

    @line("slow ok")
    def slow_ok(self) -> Later:
        return self.later(0.1, "ok")


@pytest.mark.parametrize(
    ("written", "reply"),
    [
        (b"tset?\r", b"tset?\r25.0 C\r> "),
        (b"tset?\r\n", b"tset?\r25.0 C\r> "),
        (b"tset=30.0\rtset?\r", b"tset=30.0\r> tset?\r30.0 C\r> "),
        (b"tset=300\rtset?\r", b"tset=300\rCMD_ARG_RANGE_ERR\r> tset?\r25.0 C\r> "),
        (b"tset\r", b"tset\rCMD_NOT_DEFINED\r> "),  # a pattern without parentheses is no regular expression
        (b"TSET?\r", b"TSET?\rCMD_NOT_DEFINED\r> "),
        (b"pgain=12\r", b"pgain=12\rp 12\r> "),
        (b"config?\r", b"config?\rone\rtwo\r> "),
        (b"\r", b""),
        (b"  \r", b"  \r> "),
    ],
)
def test_echo_answer_and_prompt_come_as_the_sheet_has_them(written: bytes, reply: bytes) -> None:
    assert HeaterTwin(SteppedClock()).connect().receive(written) == reply


def test_silence_is_a_protocol_fact() -> None:
    conversation = CounterTwin(SteppedClock()).connect()
    assert conversation.receive(b"slow set;") == b""
    assert conversation.receive(b"nonsense;*IDN?;") == b""
    assert conversation.due_ps() is not None


def test_a_later_answer_is_made_when_it_is_due_and_the_next_command_waits() -> None:
    clock = SteppedClock()
    twin = CounterTwin(clock)
    conversation = twin.connect()
    assert conversation.receive(b"COUNTS?;*idn?\r\nslow ok\n") == b""
    assert twin.taken == 0
    clock.sleep(0.5)
    assert conversation.wake() == b"1\r\nSPD, S-Fifteen\r\n"
    clock.sleep(0.1)
    assert conversation.wake() == b"ok\r\n"
    assert conversation.due_ps() is None


def test_an_empty_command_is_answered_where_the_firmware_does() -> None:
    class Shell(HeaterTwin):
        answer_empty = True

    assert Shell(SteppedClock()).connect().receive(b"\r") == b"\r> "


def test_a_busy_or_failing_instrument_says_so_in_its_own_format() -> None:
    twin = HeaterTwin(SteppedClock())
    assert twin.refuse(b"tset?", "busy", "") == b"tset?\rBUSY\r> "
    assert twin.refuse(b"tset?", "error", "") == b"tset?\rERROR\r> "
    assert twin.refuse(b"tset?", "error", "E7") == b"tset?\rE7\r> "


@given(data=st.binary(max_size=80), cuts=st.lists(st.integers(0, 80), max_size=8))
def test_random_bytes_in_any_split_give_one_answer_and_never_wedge(data: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    conversation = HeaterTwin(SteppedClock()).connect()
    got = b"".join(conversation.receive(data[a:b]) for a, b in itertools.pairwise(edges))
    assert got == HeaterTwin(SteppedClock()).connect().receive(data)
    assert conversation.receive(b"\rtset?\r").endswith(b" C\r> ")
