r"""Facts of protocol sheet 07 one by one, beside the commands: flushing, breaks, errors of the line, ranges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sim_devices.detectors.srs_sim900 import SIM900Twin

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import FakeBench, Wire


@pytest.fixture
def rack(table: FakeBench) -> SIM900Twin:
    return SIM900Twin.build("rack", table, {"slots": {1: "sim928", 3: "qoamp"}})


@pytest.fixture
def wire(serial_port: Callable[..., Wire], rack: SIM900Twin) -> Wire:
    return serial_port(rack)


def module(wire: Wire, slot: int, text: bytes) -> bytes:
    """Say something to a module and return what it answers, without the block's header and the mainframe's end."""
    wire.talk(b'SNDT %d,"%s"\n' % (slot, text), wait_s=0.2)
    return wire.say(b"GETN? %d,100\n" % slot)[5:-2]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_the_host_ends_a_line_with_cr_or_lf(wire: Wire, end: bytes) -> None:
    assert wire.say(b"TERM? 1" + end + b"TERM? D" + end) == b"1\r\n2\r\n"


def test_a_semicolon_chains_nothing_on_the_mainframe_and_commands_on_a_module(wire: Wire) -> None:
    assert wire.say(b"TERM? 1;TERM? 1\n") == b""
    assert wire.say(b"*ESR?\n") != b"128\r\n"
    assert module(wire, 1, b"VOLT 1;VOLT?;*OPC?") == b"+1.000\r\n1\r\n"


@pytest.mark.parametrize("query", [b"AINP? 1", b"AOUT? 1"])
def test_a_queue_has_512_bytes(wire: Wire, query: bytes) -> None:
    assert wire.say(query + b"\n") == b"512\r\n"


def test_flushing_all_forgets_what_came_and_what_is_to_go(wire: Wire) -> None:
    wire.talk(b'SNDT 1,"VOLT?"\n', wait_s=0.1)
    wire.say(b'SNDT 7,"lost"\n')
    assert wire.say(b"NINP? 1\n", b"NOUT? 7\n") == b"8\r\n5\r\n"
    assert wire.say(b"FLSH\n", b"NINP? 1\n", b"NOUT? 7\n") == b"0\r\n0\r\n"


def test_flushing_the_inputs_leaves_the_outputs_and_the_other_way_round(wire: Wire) -> None:
    wire.talk(b'SNDT 1,"VOLT?"\n', wait_s=0.1)
    wire.say(b'SNDT 7,"lost"\n')
    assert wire.say(b"FLSI\n", b"NINP? 1\n", b"NOUT? 7\n") == b"0\r\n5\r\n"
    wire.talk(b'SNDT 1,"VOLT?"\n', wait_s=0.1)
    assert wire.say(b"FLSO\n", b"NINP? 1\n", b"NOUT? 7\n") == b"8\r\n0\r\n"


def test_a_reset_gives_ports_a_carriage_return_and_a_second(wire: Wire) -> None:
    wire.say(b"TMOT 1,250\n", b"TERM 1,LFCR\n")
    assert wire.say(b"*RST\n", b"TMOT? 1\n", b"TERM? 1\n", b"TERM? D\n") == b"1000\r\n0\r\n2\r\n"


def test_the_mainframe_has_its_terminators_numbered_from_cr_and_a_sim928_from_none(wire: Wire) -> None:
    for number, word in enumerate((b"CR", b"LF", b"CRLF", b"LFCR", b"NONE")):
        assert wire.say(b"TERM 1,%s\n" % word, b"TERM? 1\n") == b"%d\r\n" % number
    wire.say(b"TERM 1,LF\n")
    for number, (word, end) in enumerate(
        ((b"NONE", b""), (b"CR", b"\r"), (b"LF", b"\n"), (b"CRLF", b"\r\n"), (b"LFCR", b"\n\r"))
    ):
        assert module(wire, 1, b"TERM %s;TERM?" % word) == b"%d" % number + end


def test_a_break_brings_a_source_back_to_cr_lf_and_9600_baud(wire: Wire) -> None:
    module(wire, 1, b"TERM LF;BAUD 19200")
    wire.say(b"SRST 1\n")
    assert module(wire, 1, b"TERM?;BAUD?") == b"3\r\n9470\r\n"


@pytest.mark.parametrize(("volt", "said"), [(b"20", b"+20.000"), (b"-20", b"-20.000"), (b"1.0006", b"+1.001")])
def test_a_source_goes_to_20_v_either_way_in_steps_of_1_mv(wire: Wire, volt: bytes, said: bytes) -> None:
    assert module(wire, 1, b"VOLT %s;VOLT?;LEXE?" % volt) == said + b"\r\n0\r\n"


@pytest.mark.parametrize("volt", [b"20.001", b"-20.001"])
def test_a_source_refuses_more_than_20_v(wire: Wire, volt: bytes) -> None:
    assert module(wire, 1, b"VOLT 3;VOLT %s;VOLT?;LEXE?" % volt) == b"+3.000\r\n1\r\n"


def test_errors_of_the_line_are_told_apart(wire: Wire) -> None:
    module(wire, 1, b"CESR?")
    wire.talk(b"PARI 1,ODD\n", b'SNDT 1,"VOLT 9"\n', b"PARI 1,NONE\n", wait_s=0.1)
    assert module(wire, 1, b"") == b""
    assert module(wire, 1, b"CESR?;CESR?;VOLT?") == b"1\r\n0\r\n+0.000\r\n"  # parity, and nothing was heard
    wire.talk(b"BAUD 1,19200\n", b'SNDT 1,"VOLT 9"\n', b"BAUD 1,9600\n", wait_s=0.1)
    assert module(wire, 1, b"CESR?") == b"2\r\n"  # framing
    wire.talk(b'SEND 1,"%s"\n' % (b"x" * 300), wait_s=1.0)
    assert module(wire, 1, b";CESR?;*ESR? 1;LCME?") == b"16\r\n1\r\n2\r\n"  # overrun; what was kept of it is no command
    wire.say(b"SRST 1\n")
    assert module(wire, 1, b"CESR?") == b"128\r\n"  # device clear


def test_each_register_of_a_source_has_its_bit_in_the_status_byte(wire: Wire, rack: SIM900Twin) -> None:
    assert module(wire, 1, b"*CLS;*STB?") == b"16\r\n"  # idle
    assert module(wire, 1, b"*ESE 32;NOPE;*STB?") == b"48\r\n"
    assert module(wire, 1, b"*SRE 32;*STB?;*CLS;*SRE 0") == b"112\r\n"
    wire.say(b"SRST 1\n")
    assert module(wire, 1, b"CESE 128;*STB?;*CLS") == b"144\r\n"
    rack.device_fault("overload")
    assert module(wire, 1, b"OVSE 1;*STB?") == b"17\r\n"


def test_a_swap_of_batteries_leaves_the_voltage_alone(wire: Wire, rack: SIM900Twin) -> None:
    module(wire, 1, b"VOLT 1.5;OPON;BCOR")
    wire.talk(wait_s=1.0)
    assert module(wire, 1, b"OVSR?;VOLT?") == b"4\r\n+1.500\r\n"
    assert rack.modules[1].channel.bias_ua == 15.0


def test_a_source_answers_within_100_ms(wire: Wire) -> None:
    assert wire.talk(b'SNDT 1,"*IDN?"\n', wait_s=0.1) == b""
    assert wire.say(b"NINP? 1\n") == b"51\r\n"


@pytest.mark.parametrize(
    ("sent", "code"), [(b"+B0;+B?", b"0"), (b"+B65535;+B?", b"65535"), (b"+D0;+D?", b"0"), (b"+D255;+D?", b"255")]
)
def test_the_amplifiers_numbers_have_their_range(wire: Wire, sent: bytes, code: bytes) -> None:
    assert module(wire, 3, sent) == code + b"\n"


def test_the_amplifiers_full_scale_is_25_ua(wire: Wire, rack: SIM900Twin) -> None:
    module(wire, 3, b"+B65535;")
    assert rack.modules[3].channel.bias_ua == pytest.approx(25.0)
