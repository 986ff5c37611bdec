"""Facts of protocol sheet 02 one by one: ranges with their edges, words and numbers, terminators, registers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from sim_devices.sources.srs_ldc501 import LDC501Twin

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import FakeBench, Wire

ILLEGAL_VALUE = b"1\n"
"""`LEXE?`"""


@pytest.fixture
def twin(table: FakeBench) -> LDC501Twin:
    return LDC501Twin.build("pump", table, {})


@pytest.fixture
def wire(visa: Callable[..., Wire], twin: LDC501Twin) -> Wire:
    return visa(twin)


@pytest.fixture
def lit(wire: Wire) -> Wire:
    wire.talk(b"SILM 100;SILD 85;TEON ON\n", wait_s=60.0)
    wire.talk(b"LDON ON\n", wait_s=0.1)
    return wire


@pytest.mark.parametrize(
    ("name", "low", "high", "below", "above"),
    [
        ("SILM", "0", "500", "-0.1", "500.1"),  # mA
        ("SVLM", "0.1", "10", "0.09", "10.1"),  # V
        ("BIAS", "0", "5", "-0.1", "5.1"),  # V
        ("SIPD", "0", "5000", "-1", "5001"),  # uA
        ("PILM", "0", "5000", "-1", "5001"),
        ("SYND", "5", "1000", "4", "1001"),  # ms
        ("TCUR", "-4.5", "4.5", "-4.51", "4.51"),  # A
        ("TILM", "0", "4.5", "-0.1", "4.51"),
        ("TVLM", "0", "8.5", "-0.1", "8.51"),  # V
        ("TSNR", "0", "6", "-1", "7"),
    ],
)
def test_a_range_ends_where_the_sheet_says(wire: Wire, name: str, low: str, high: str, below: str, above: str) -> None:
    for good in (low, high):
        assert float(wire.say(f"{name} {good};{name}?\n".encode())) == float(good)
        assert wire.say(b"LEXE?\n") == b"0\n"
    for bad in (below, above):
        assert wire.say(f"{name} {bad};LEXE?\n".encode()) == ILLEGAL_VALUE
        assert float(wire.say(f"{name}?\n".encode())) == float(high)


@pytest.mark.parametrize(("model", "high", "low"), [("LDC500", 100, 50), ("LDC501", 500, 250), ("LDC502", 2000, 1000)])
def test_each_model_has_its_two_ranges(
    visa: Callable[..., Wire], table: FakeBench, model: str, high: int, low: int
) -> None:
    wire = visa(LDC501Twin.build("pump", table, {"model": model}))
    assert wire.say(b"*IDN?\n") == f"Stanford Research Systems,{model},s/n098023,ver2.00\n".encode()
    assert wire.say(f"SILM {high};SILD {high};SILD?;LEXE?\n".encode()) == f"{high}.000;0\n".encode()
    assert wire.say(f"SILM {high + 1};LEXE?\n".encode()) == ILLEGAL_VALUE
    assert wire.say(b"RNGE LOW;SILM?;SILD?\n") == f"{low}.000;{low}.000\n".encode()  # both are dragged down
    assert wire.say(f"SILM {low + 1};LEXE?\n".encode()) == ILLEGAL_VALUE


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_a_line_ends_with_cr_or_lf(wire: Wire, end: bytes) -> None:
    assert wire.say(b"SILD 12.5" + end + b"SILD?" + end) == b"12.500\n"


@pytest.mark.parametrize(
    ("word", "number", "end"),
    [("NONE", 0, b""), ("CR", 1, b"\r"), ("LF", 2, b"\n"), ("CRLF", 3, b"\r\n"), ("LFCR", 4, b"\n\r")],
)
def test_the_reply_terminator_is_chosen_and_outlives_the_power(
    wire: Wire, twin: LDC501Twin, word: str, number: int, end: bytes
) -> None:
    assert wire.say(f"TERM {word};SILD?\n".encode()) == b"0.000" + end
    wire.say(b"TERM LF\n")
    assert wire.say(f"TERM {number};TERM?\n".encode()) == str(number).encode() + end
    assert wire.say(b"TOKN ON;TERM?\n") == word.encode() + end
    twin.reset_power()
    assert wire.say(b"LDON?\n").strip() in (b"0", b"OFF")
    assert wire.say(b"SILD?\n") == b"0.000" + end


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("SMOD", ("CC", "CP")),
        ("TMOD", ("CC", "CT")),
        ("RNGE", ("LOW", "HIGH")),
        ("SIBW", ("LOW", "HIGH")),
        *[(name, ("OFF", "ON")) for name in ("MODU", "PDMW", "AILM", "APLP", "APLC", "ATOF", "TOKN")],
    ],
)
def test_a_word_is_taken_as_word_or_number_and_told_as_tokn_says(wire: Wire, name: str, words: tuple[str, str]) -> None:
    for number, word in enumerate(words):
        for said in (word, word.lower(), str(number)):
            wire.say(f"{name} {words[1 - number]}\n{name} {said}\nTOKN OFF\n".encode())
            if name != "TOKN":
                assert wire.say(f"{name}?\n".encode()) == f"{number}\n".encode()
                assert wire.say(f"TOKN ON;{name}?\n".encode()) == f"{word}\n".encode()
    assert wire.say(f"TOKN OFF;{name} MAYBE;LCME?;{name} 2;LCME?\n".encode()) in (b"14;14\n", b"9;0\n")


def test_what_is_read_only_in_words_follows_tokn_too(wire: Wire, twin: LDC501Twin) -> None:
    assert wire.say(b"ILOC?;LDON?\nTOKN ON;ILOC?;LDON?;TOKN?\n") == b"1;0\nCLOSED;OFF;ON\n"
    twin.device_fault("interlock")
    assert wire.say(b"ILOC?;TOKN OFF;ILOC?\n") == b"OPEN;0\n"


def test_a_change_of_mode_does_not_jump(lit: Wire, table: FakeBench) -> None:
    power = table.knob("pump", "power_w")
    before = power.value(table.clock.now_ps())
    lit.talk(b"SIPD 50;SMOD CP\n", wait_s=0.1)
    assert power.value(table.clock.now_ps()) == pytest.approx(before)
    assert float(lit.say(b"SIPD?\n")) == pytest.approx(before * 1e3 * 5.0, abs=1e-3)  # 5 uA/mW
    lit.talk(b"SIPD 100;SILD 40\n", wait_s=0.1)
    before = power.value(table.clock.now_ps())
    current = float(lit.say(b"RILD?\n"))
    lit.talk(b"SMOD CC\n", wait_s=0.1)
    assert power.value(table.clock.now_ps()) == pytest.approx(before, rel=1e-4)
    assert float(lit.say(b"SILD?\n")) == pytest.approx(current, abs=1e-3)
    assert lit.say(b"PILM 90;SMOD CP;LEXE?;SMOD?;LDON?\n") == b"1;0;1\n"  # more light than its limit: it stays as it is


def test_constant_power_settles_within_5_ms(lit: Wire, table: FakeBench) -> None:
    power = table.knob("pump", "power_w")
    lit.talk(b"SMOD CP;SIPD 200\n", wait_s=0.1)
    lit.talk(b"SIPD 100\n", wait_s=0.005)
    assert power.value(table.clock.now_ps()) == pytest.approx(0.02 + 0.02 / math.e, rel=1e-3)


@pytest.mark.parametrize(("limit_v", "near"), [("4.14", False), ("4.12", True), ("3.89", True)])
def test_within_250_mv_of_the_compliance_limit_it_warns(lit: Wire, limit_v: str, near: bool) -> None:
    assert lit.say(b"RVLD?\n") == b"3.880\n"
    assert bool(int(lit.say(f"SVLM {limit_v};LDCR?\n".encode())) >> 7 & 1) is near
    assert lit.say(b"LDON?\n") == b"1\n"


def test_64_bytes_are_a_full_buffer_and_one_more_is_an_error(wire: Wire) -> None:
    said = b"SILD?" + b" " * 59
    assert wire.say(said + b"\n") == b"0.000\n"
    assert wire.say(said + b" \n") == b""
    assert wire.say(b"LCME?;*ESR?\n") == b"8;136\n"  # too long; a device's error beside the power-on bit


def test_errors_set_their_bits_of_the_event_register(wire: Wire) -> None:
    assert wire.say(b"*ESR?;*ESR?\n") == b"128;0\n"
    assert wire.say(b"*OPC;*ESR?\n") == b"1\n"
    assert wire.say(b"SILD 999;*ESR?\n") == b"16\n"
    assert wire.say(b"NOPE;*ESR?\n") == b"32\n"


def test_the_filters_choose_which_edge_of_the_laser_is_an_event(lit: Wire) -> None:
    lit.say(b"LDEV?\n")
    assert lit.say(b"LDNT 1;LDPT 0;LDON OFF;LDEV?;LDEV?\n") == b"1;0\n"  # off is an edge down
    assert lit.say(b"LDON ON;LDEV?\n") == b"0\n"
    assert lit.say(b"LDNT 0;LDPT 1;LDON OFF;LDEV?;LDON ON;LDEV?\n") == b"0;1\n"
    assert lit.say(b"*SRE 2;LDON OFF;LDON ON;*STB?\n") == b"8\n"
    assert lit.say(b"LDEN 1;*STB?;LDEV?\n") == b"74;1\n"  # idle, the laser's summary, the master's


def test_the_filters_choose_which_edge_of_the_tec_is_an_event(wire: Wire) -> None:
    wire.say(b"TEEV?\n")
    assert wire.say(b"TENT 0;TEPT 1;TEON ON;TEEV?;TEEV?\n") == b"1;0\n"
    assert wire.say(b"TENT 1;TEPT 0;TEON OFF;TEEV?\n") == b"1\n"
    assert wire.say(b"TEON ON;TEON OFF;TEEN 1;*SRE 1;*STB?\n") == b"73\n"  # idle, the TEC's summary, the master's


def test_modulation_units_and_calibration_are_kept(lit: Wire) -> None:
    assert lit.say(b"MODU ON;MODU?;SIBW HIGH;SIBW?;PDMW ON;PDMW?;BIAS 2.5;BIAS?\n") == b"1;1;1;2.500\n"
    assert lit.say(b"RESP 10;RESP?;RWPD?;RIPD?\n") == b"10.000;24.750;247.500\n"
    assert lit.say(b"CALP 49.5;RESP?;RWPD?\n") == b"5.000;49.500\n"
