r"""Facts of protocol sheet 06 one by one: numbering, ranges with their edges, error numbers, status bits, terminators."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sim_devices.sources.srs_dg645 import DG645Twin

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import FakeBench, Wire


@pytest.fixture
def twin(table: FakeBench) -> DG645Twin:
    return DG645Twin.build("dg", table, {})


@pytest.fixture
def wire(visa: Callable[..., Wire], twin: DG645Twin) -> Wire:
    return visa(twin)


def code(wire: Wire) -> int:
    return int(wire.say(b"LERR?\n"))


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_a_line_ends_with_lf_or_cr_and_a_reply_with_both(wire: Wire, end: bytes) -> None:
    assert wire.say(b"TSRC 0;TSRC?" + end + b"*IDN?" + end).count(b"\r\n") == 2


@pytest.mark.parametrize(
    ("name", "edges", "outside", "number"),
    [
        ("TSRC ", "0 6", "-1 7", 10),
        ("TRAT ", "1e-4 1e7", "9e-5 1.01e7", 10),
        ("TLVL ", "-3.5 3.5", "-3.51 3.51", 10),
        ("INHB ", "0 5", "-1 6", 10),
        ("ADVT ", "0 1", "-1 2", 10),
        ("BURM ", "0 1", "-1 2", 10),
        ("BURT ", "0 1", "-1 2", 10),
        ("BURC ", "1 4294967295", "0", 10),
        ("BURD ", "0 2000", "-1e-9 2000.1", 10),
        ("BURP ", "1e-7 1999.99999999", "9.9e-8 2000", 10),
        ("HOLD ", "0 10", "-1 10.1", 10),
        *[(f"LAMP {n},", "0.5 5.0", "0.49 5.01", 10) for n in range(5)],
        *[(f"LOFF {n},", "-2 2", "-2.01 2.01", 10) for n in range(5)],
        *[(f"LPOL {n},", "0 1", "-1 2", 10) for n in range(5)],
        *[(f"PRES {n},", "1 1000", "0", 10) for n in range(5)],
        *[(f"PHAS {n},", "0 3", "-1", 10) for n in range(1, 5)],
        *[(f"SSDL {n},", "0 2000", "-1e-9 2001", 10) for n in range(2, 10)],
        *[(f"DLAY {n},0,", "0 2000", "-1e-9 2000.1", 12) for n in range(2, 10)],
        ("*SAV ", "0 9", "-1 10", 10),
        ("IFRS ", "0 2", "-1 3", 10),
    ],
)
def test_a_range_ends_where_the_sheet_says(wire: Wire, name: str, edges: str, outside: str, number: int) -> None:
    for good in edges.split():
        assert wire.say(f"{name}{good}\n".encode()) == b""
        assert code(wire) == 0, good
    for bad in outside.split():
        wire.say(f"{name}{bad}\n".encode())
        assert code(wire) == number, bad


@pytest.mark.parametrize("name", ["LAMP", "LOFF", "LPOL"])
def test_an_output_beyond_4_is_none(wire: Wire, name: str) -> None:
    wire.say(f"{name} 5,1\n".encode())
    assert code(wire) == 10


def test_a_channel_beyond_9_is_none(wire: Wire) -> None:
    wire.say(b"DLAY 10,0,1\n")
    assert code(wire) == 10
    wire.say(b"PRES 5,1\nPHAS 0,1\nPHAS 5,1\n")
    assert [code(wire) for _ in range(3)] == [10, 10, 10]


@pytest.mark.parametrize(("letter", "channel"), [(letter, n) for n, letter in enumerate("ABCDEFGH", 2)])
def test_channels_a_to_h_are_2_to_9(wire: Wire, twin: DG645Twin, letter: str, channel: int) -> None:
    wire.say(b"DLAY %d,0,%de-6\n" % (channel, channel))
    assert twin.edge_s(channel) == pytest.approx(channel * 1e-6), letter


@pytest.mark.parametrize(("name", "output"), [("T0", 0), ("AB", 1), ("CD", 2), ("EF", 3), ("GH", 4)])
def test_outputs_are_numbered_from_t0(wire: Wire, table: FakeBench, name: str, output: int) -> None:
    wire.say(b"TSRC 0;TRAT 1000;LAMP %d,3.5;LOFF %d,0.5\n" % (output, output))
    for n, first in enumerate((2, 4, 6, 8), 1):
        wire.say(b"DLAY %d,0,1e-6;DLAY %d,%d,1e-6\n" % (first, first + 1, first))
        assert wire.say(b"LAMP?%d\n" % n) == (b"+3.50\r\n" if n == output else b"+2.50\r\n")
    assert table.knob("dg", f"frequency_hz.{output}").value(table.clock.now_ps()) == 1000.0
    assert wire.say(b"INHB %d\n" % 5) == b""
    silent = output != 0  # T0 pulses with every trigger
    assert (table.knob("dg", f"frequency_hz.{output}").value(table.clock.now_ps()) == 0.0) is silent, name


@pytest.mark.parametrize(
    ("inhibit", "alive"),
    [(0, [0, 1, 2, 3, 4]), (1, []), (2, [0, 2, 3, 4]), (3, [0, 3, 4]), (4, [0, 4]), (5, [0])],
)
def test_inhibit_silences_one_output_more_with_each_number(
    wire: Wire, table: FakeBench, inhibit: int, alive: list[int]
) -> None:
    wire.say(b"TSRC 0;TRAT 1000;INHB %d\n" % inhibit)
    rates = [table.knob("dg", f"frequency_hz.{n}").value(table.clock.now_ps()) for n in range(5)]
    assert [n for n, rate in enumerate(rates) if rate] == alive


@pytest.mark.parametrize(("source", "shoots"), [(n, n == 5) for n in range(7)])
def test_a_software_trigger_needs_the_single_shot_source(wire: Wire, source: int, shoots: bool) -> None:
    wire.say(b"TSRC %d\nINSR?\n*TRG\n" % source)
    assert code(wire) == (0 if shoots else 11)
    assert bool(int(wire.say(b"INSR?\n")) & 1) is (shoots or source == 0)  # the internal rate triggers by itself


@pytest.mark.parametrize(
    ("sent", "number"),
    [
        (b"TSRC x\n", 120),
        (b"TSRC 99999999999\n", 121),
        (b"TSRC #HG\n", 122),
        (b"TRAT x\n", 118),
        (b"TRAT " + b"1" * 300 + b"\n", 117),
        (b"*TRG 1\n", 115),
        (b"NOPENOPE 1\n", 110),
        (b"AB?\n", 110),
        (b"*AB\n", 110),
        (b"NOPE\n", 111),
    ],
)
def test_a_wrong_number_or_name_is_told_apart(wire: Wire, sent: bytes, number: int) -> None:
    assert wire.say(sent) == b""
    assert code(wire) == number


@pytest.mark.parametrize(("fault", "query", "number"), [("self_test", b"*TST?", 16), ("calibration", b"*CAL?", 17)])
def test_a_failed_test_is_an_error(wire: Wire, twin: DG645Twin, fault: str, query: bytes, number: int) -> None:
    assert wire.say(query + b"\n") == b"0\r\n"
    twin.device_fault(fault)
    assert wire.say(query + b"\n") == b"%d\r\n" % number
    assert (code(wire), code(wire)) == (number, 0)
    twin.device_fault(fault, active=False)
    assert wire.say(query + b"\n") == b"0\r\n"


def test_the_interface_has_fourteen_settings(wire: Wire) -> None:
    said = [wire.say(b"IFCF?%d\n" % n).strip() for n in range(14)]
    assert said[:4] == [b"1", b"9600", b"1", b"15"]  # RS-232, its baud rate, GPIB, its address
    assert all(switch == b"1" for switch in said[4:11])  # TCP/IP, DHCP, auto-IP, static, socket, telnet, VXI-11
    assert [part.count(b".") for part in said[11:]] == [3, 3, 3]  # address, mask, gateway
    wire.say(b"IFCF?14\n")
    assert code(wire) == 10


def test_errors_set_their_bits_and_a_waiting_reply_its_own(wire: Wire) -> None:
    assert wire.say(b"*ESR?\n*ESR?\n") == b"128\r\n0\r\n"
    assert wire.say(b"TRAT 1e9;*ESR?\n") == b"16\r\n"
    assert wire.say(b"NOPE;*ESR?\n") == b"32\r\n"
    assert wire.say(b"*TRG?;*ESR?\n") == b"32\r\n"
    assert wire.say(b"*OPC;*ESR?;*STB?\n") == b"1;16\r\n"  # MAV
    assert wire.say(b"*ESE 32;*SRE 32;NOPE;*STB?\n") == b"96\r\n"  # ESB, MSS


def test_a_burst_has_its_count_delay_and_period(wire: Wire, table: FakeBench) -> None:
    wire.say(b"TSRC 0;TRAT 1000;BURM 1;BURC 5;BURP 2e-6;BURD 1e-5;DLAY 2,0,1e-7;DLAY 3,2,1e-7\n")
    assert table.knob("dg", "frequency_hz.1").value(table.clock.now_ps()) == 5000.0
    assert int(wire.say(b"INSR?\n")) & 1 << 3  # the burst's end
    wire.say(b"BURM 0\nINSR?\n")
    assert not int(wire.say(b"INSR?\n")) & 1 << 3


def test_the_insertion_delay_is_85_ns(wire: Wire, table: FakeBench) -> None:
    wire.say(b"DLAY 2,0,1e-6\n*TRG\n")  # B is 100 ns behind A
    for ns, busy in ((1184, True), (2, False)):
        table.clock.sleep(ns * 1e-9)
        assert bool(int(wire.say(b"*STB?\n")) & 0x02) is busy
