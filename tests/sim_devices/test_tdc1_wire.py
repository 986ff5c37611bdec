"""The TDC1 twin against protocol sheet 11: pyserial on a pty, bytes written by hand, words decoded by hand."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qlab.errors import TwinError
from qlab.tags.stream import TagBlock
from sim_devices.taggers.sfifteen_tdc1 import TDC1Twin

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import FakeBench, Wire

    from qlab.twin.conversation import Twin

MS = 10**9

TABLE = [
    (b"*IDN?\r\n", b"TDC1, S-Fifteen Instruments, TDC1-0042\r\n"),
    (b"\r\n", b""),
    (b"mode?;", b"0\r\n"),
    (b"pairs;mode?;", b"1\r\n"),
    (b"timestamp\rmode?\n", b"3\r\n"),
    (b"singles;mode?\r\n", b"0\r\n"),
    (b"time?;", b"1000\r\n"),
    (b"time 300;time?;", b"300\r\n"),
    (b"time 65535;time?;", b"-1\r\n"),  # as a negative 16-bit number
    (b"time 32768;time?;", b"-32768\r\n"),
    (b"time 70000;time?;", b"-32768\r\n"),  # out of range: nothing changes, nothing is said
    (b"time 100;time?;", b"100\r\n"),
    (b"level?;", b"-0.500 V\r\n"),
    (b"TTL;level?;", b"1.500 V\r\n"),
    (b"NEG 0.3;level?;", b"-0.300 V\r\n"),
    (b"POS 1.25;level?;", b"1.250 V\r\n"),
    (b"POS 50;level?;", b"1.250 V\r\n"),
    (b"nim;level?;", b"-0.500 V\r\n"),
    (b"REFCLK?;", b"0\r\n"),
    (b"REFCLK 1;REFCLK?;", b"1\r\n"),
    (b"REFCLK 3;REFCLK?;", b"1\r\n"),
    (b"ECLOCK?;", b"0\r\n"),
    (b"bogus;", b""),
    (b"*RST;REFCLK?;time?;", b"0\r\n1000\r\n"),
]


class Feed:
    """Events that the test chooses; time is asked for in any pieces."""

    def __init__(self, t: list[int], ch: list[int]) -> None:
        self.t, self.ch = np.array(t, np.int64), np.array(ch, np.uint8)

    def read(self, start_ps: int, stop_ps: int) -> TagBlock:
        i, j = np.searchsorted(self.t, [start_ps, stop_ps])
        return TagBlock(self.t[i:j], self.ch[i:j], start_ps, stop_ps)


def tagger(table: FakeBench, t: list[int], ch: list[int]) -> TDC1Twin:
    table.feed = Feed(t, ch)  # type: ignore[assignment]
    return TDC1Twin.build("tagger", table, {})


def words(data: bytes) -> list[tuple[int, bool, int]]:
    """Return time in bins, marker and pattern of each word."""
    return [(w >> 5, bool(w & 16), w & 15) for (w,) in struct.iter_unpack("<I", data)]


@pytest.mark.parametrize("whole", [True, False])
def test_each_command_gets_the_sheets_reply(whole: bool, table: FakeBench, serial_port: Callable[[Twin], Wire]) -> None:
    wire = serial_port(tagger(table, [], []))
    for sent, expected in TABLE:
        parts = [sent] if whole else [bytes([byte]) for byte in sent]
        assert wire.say(*parts) == expected, sent


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, sum(len(sent) for sent, _ in TABLE)), max_size=12))
def test_the_replies_do_not_depend_on_how_the_bytes_are_split(
    cuts: list[int],
    table: FakeBench,
    serial_port: Callable[[Twin], Wire],
    split_at: Callable[[bytes, list[int]], list[bytes]],
) -> None:
    wire = serial_port(tagger(table, [], []))
    stream = b"".join(sent for sent, _ in TABLE)
    assert wire.say(*split_at(stream, cuts)) == b"".join(expected for _, expected in TABLE)


def test_counts_come_after_the_integration_time(table: FakeBench, serial_port: Callable[[Twin], Wire]) -> None:
    # channels 1 and 3 coincide twice within 2 ns, 2 and 4 never; one event comes after the integration
    t = [10 * MS, 10 * MS + 2_000, 20 * MS, 20 * MS, 30 * MS, 50 * MS, 200 * MS]
    wire = serial_port(tagger(table, t, [0, 2, 0, 2, 1, 3, 0]))
    assert wire.talk(b"singles;time 100;counts?;") == b""
    wire.clock.sleep(0.099)
    assert wire.collect() == b""
    wire.clock.sleep(0.002)
    assert wire.collect() == b"2 1 2 1\r\n"

    again = serial_port(tagger(table, [time + 101 * MS for time in t], [0, 2, 0, 2, 1, 3, 0]))
    assert again.talk(b"pairs;time 100;counts?;mode?;", wait_s=0.101) == b"2 1 2 1 2 0 0 0\r\n1\r\n"


def test_the_stream_has_words_of_27_bits_wraps_markers_and_shared_bins(
    table: FakeBench, serial_port: Callable[[Twin], Wire]
) -> None:
    t = [2_000, 2_000, 5_000, 300 * MS]  # the third lies in the bin from 4 ns; the last after a wrap of 268 ms
    wire = serial_port(tagger(table, t, [0, 3, 1, 2]))
    data = wire.talk(b"timestamp;INPKT;time 310;counts?;\r\n", wait_s=0.35)
    half = 1 << 26
    assert words(data) == [
        (0, True, 0),
        (1, False, 0b1001),
        (2, False, 0b0010),
        (half, True, 0),
        (0, True, 0),
        (300 * MS // 2000 - (1 << 27), False, 0b0100),
    ]
    assert wire.say(b"mode?;") == b"3\r\n"


def test_an_endless_stream_ends_with_abort_and_queued_commands_follow(
    table: FakeBench, serial_port: Callable[[Twin], Wire]
) -> None:
    wire = serial_port(tagger(table, [MS * n for n in range(1, 400)], [n % 4 for n in range(1, 400)]))
    assert wire.say(b"timestamp;time 0;counts?;time?;") == b""
    wire.clock.sleep(0.1)
    assert len(words(wire.collect())) == pytest.approx(100, abs=1)
    assert wire.say(b"abort\r\n") == b"0\r\n"
    wire.clock.sleep(0.1)
    assert wire.collect() == b""


def test_the_wrong_polarity_sees_nothing(table: FakeBench, serial_port: Callable[[Twin], Wire]) -> None:
    wire = serial_port(tagger(table, [MS], [0]))
    assert wire.talk(b"TTL;time 10;counts?;", wait_s=0.011) == b"0 0 0 0\r\n"


def test_a_slip_loses_two_bytes_once_and_unknown_faults_are_refused(
    table: FakeBench, serial_port: Callable[[Twin], Wire]
) -> None:
    twin = tagger(table, [n * 10**7 for n in range(1, 400)], [0] * 399)
    wire = serial_port(twin)
    twin.device_fault("slip")
    assert len(wire.talk(b"timestamp;time 2;counts?;", wait_s=0.003)) % 4 == 2
    with pytest.raises(TwinError, match="expected slip or external_clock"):
        twin.device_fault("jam")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200))
def test_random_bytes_never_wedge_it(data: bytes, table: FakeBench, serial_port: Callable[[Twin], Wire]) -> None:
    wire = serial_port(tagger(table, [], []))
    wire.say(data.replace(b"counts?", b""), b"\r\nabort\r\n")
    assert wire.say(b"*IDN?\r\n").endswith(b"TDC1, S-Fifteen Instruments, TDC1-0042\r\n")


def test_help_has_several_lines_and_names_the_commands(table: FakeBench, serial_port: Callable[[Twin], Wire]) -> None:
    said = serial_port(tagger(table, [], [])).say(b"help\r\n")
    assert said.count(b"\r\n") > 3
    for word in (
        b"singles",
        b"pairs",
        b"timestamp",
        b"mode?",
        b"time",
        b"counts?",
        b"abort",
        b"NIM",
        b"TTL",
        b"REFCLK",
    ):
        assert word in said


def test_pairs_are_those_of_1_and_2_with_3_and_4(table: FakeBench, serial_port: Callable[[Twin], Wire]) -> None:
    # once 1 with 3, twice 1 with 4, three times 2 with 3, four times 2 with 4; and 1 with 2 five times, which is no pair
    t, ch = [], []
    for n, (a, b) in enumerate([(0, 2)] + 2 * [(0, 3)] + 3 * [(1, 2)] + 4 * [(1, 3)] + 5 * [(0, 1)], 1):
        t += [n * MS, n * MS]
        ch += [a, b]
    wire = serial_port(tagger(table, t, ch))
    assert wire.talk(b"pairs;time 100;counts?;", wait_s=0.101) == b"8 12 4 6 1 2 3 4\r\n"


def test_an_external_clock_shows_when_it_is_there(table: FakeBench, serial_port: Callable[[Twin], Wire]) -> None:
    twin = tagger(table, [], [])
    wire = serial_port(twin)
    twin.device_fault("external_clock")
    assert wire.say(b"ECLOCK?;REFCLK 2;REFCLK?;") == b"1\r\n2\r\n"
    twin.device_fault("external_clock", active=False)
    assert wire.say(b"ECLOCK?;") == b"0\r\n"
