r"""The SIM900 twin and its modules against protocol sheet 07: pyserial on a pty, bytes written by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from qlab.errors import TwinError
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
    """Say something to a module and fetch what it answers."""
    wire.talk(b'SNDT %d,"%s"\n' % (slot, text), wait_s=0.1)
    return wire.say(b"GETN? %d,100\n" % slot)


MAINFRAME = [
    (b"*IDN?\n", b"Stanford Research Systems,SIM900,s/n000112,ver3.4\r\n"),
    (b"*IDN?\r\n", b"Stanford Research Systems,SIM900,s/n000112,ver3.4\r\n"),
    (b"CTCR?\n", b"15370\r\n"),  # slots 1 and 3, ports A to D
    (b"CTCR? 3\n", b"1\r\n"),
    (b"CTCR? 2\n", b"0\r\n"),
    (b"NINP? 1\n", b"0\r\n"),
    (b"GETN? 1,20\n", b"#3000\r\n"),
    (b'ECHO? "it""s"\n', b'it"s\r\n'),
    (b"TERM? 1\n", b"1\r\n"),  # a line feed at power-on
    (b"TERM 1,CRLF\nTERM? 1\n", b"2\r\n"),
    (b"TERM 1,2\nTERM? 1\n", b"2\r\n"),
    (b"*RST\nTERM? 1\n", b"0\r\n"),  # a carriage return after a reset
    (b"BAUD 1,19200\nBAUD? 1\n", b"19200\r\n"),
    (b"TMOT? 1\n", b"1000\r\n"),
    (b"TOKN?\n", b"0\r\n"),
    (b"MSGL?\n", b"64\r\n"),
    (b"LOCK?\n", b"0\r\n"),
    (b"*OPC?\n", b"1\r\n"),
    (b"*ESR?\n", b"128\r\n"),
    (b"LEXE?\n", b"0\r\n"),
    (b"LCME?\n", b"0\r\n"),
    (b"*TST?\n", b"0\r\n"),
    (b"*WAI\n*OPC\n*ESR?\n*ESR?\n", b"129\r\n0\r\n"),
    (b"*ESE 48\n*ESE?\n*ESE 0,1\n*ESE?\n*ESE 4,0\n*ESE?\n", b"48\r\n49\r\n33\r\n"),
    (b"*SRE 32\n*SRE?\n", b"32\r\n"),
    (b"*PSC?\n*PSC 0\n*PSC?\n", b"1\r\n0\r\n"),
    (b"*ESR? 7\n*ESR? 7\n", b"1\r\n0\r\n"),
    (b"*STB?\n*ESE 32\n*SRE 32\nNOPE\n*STB?\n", b"8\r\n104\r\n"),  # idle; event summary and master summary
    (b"FLOW? 1\nPARI? 1\nWORD? 1\nSBIT? 1\nBAUD? 1\n", b"1\r\n0\r\n8\r\n1\r\n9600\r\n"),
    (b"FLOW 1,XON\nPARI 1,2\nWORD 1,7\nSBIT 1,2\nFLOW? 1\nPARI? 1\nWORD? 1\nSBIT? 1\n", b"2\r\n2\r\n7\r\n2\r\n"),
    (b"TOKN ON\nTOKN?\nFLOW? 1\nTERM? 1\nTERM? D\nTOKN OFF\nTOKN?\n", b"ON\r\nRTS\r\nLF\r\nCRLF\r\n0\r\n"),
    (b"NOUT? 1\nAOUT? 1\nAINP? 1\nDONE? 1\nDONE?\n", b"0\r\n512\r\n512\r\n1\r\n16382\r\n"),
    (b"BRER?\nBRER 8\nBRER?\n", b"510\r\n8\r\n"),
    (b"RPER?\nRPER 3,1\nRPER?\nRPER? 3\nRPER 2\nRPER? 3\n", b"0\r\n8\r\n1\r\n0\r\n"),
    (b"MSGL 128\nMSGL?\nMSGL 129\nMSGL?\nLEXE?\n", b"128\r\n128\r\n6\r\n"),
    (b"TMOT 1,250\nTMOT? 1\n", b"250\r\n"),
    (b"PLLC?\nTBIN?\nLOCK?\nPLLC ON\nPLLC?\nLOCK?\n", b"0\r\n0\r\n0\r\n1\r\n3\r\n"),  # nothing to follow
    (b"VMON?\nIMON?\nPMON?\nTICK?\n", b"15.0\r\n0.5\r\n7.5\r\n0\r\n"),
    (b"FLSH\nFLSI\nFLSI 1\nFLSO\nFLSO 1\nFLOQ\nLCME?\n", b"0\r\n"),
    (b"TERM D,LF\n*IDN?\n", b"Stanford Research Systems,SIM900,s/n000112,ver3.4\n"),
    (b"TERM D,4\nTERM? D\n", b"4"),
]


@pytest.mark.parametrize(("sent", "expected"), MAINFRAME)
def test_each_command_of_the_mainframe(wire: Wire, sent: bytes, expected: bytes) -> None:
    assert wire.say(sent) == expected


def test_what_it_does_not_know_is_dropped_and_sets_a_bit(wire: Wire) -> None:
    wire.say(b"*CLS\n")
    assert wire.say(b"*DCL\n") == b""
    assert wire.say(b"*ESR?\n", b"LCME?\n", b"LCME?\n") == b"32\r\n3\r\n0\r\n"
    assert wire.say(b"SNDT 1\n", b"LCME?\n") == b"7\r\n"


MISTAKES = [  # what is wrong, `LCME?` or `LEXE?`, and the bit in `*ESR?`
    (b"?IDN", b"LCME?", 1, 32),
    (b"AB", b"LCME?", 2, 32),
    (b"VOLT 1", b"LCME?", 3, 32),
    (b"*IDN??", b"LCME?", 4, 32),
    (b"SNDT? 1", b"LCME?", 5, 32),
    (b"LOCK 1", b"LCME?", 6, 32),
    (b"SNDT 1", b"LCME?", 7, 32),
    (b"*CLS 1", b"LCME?", 8, 32),
    (b'SNDT 1,"' + b"x" * 510 + b'"', b"LCME?", 12, 32),
    (b'SNDT 1,"open', b"LCME?", 13, 32),
    (b"SNDT 1,#x", b"LCME?", 16, 32),
    (b'SNDT ,"*RST"', b"LCME?", 18, 32),
    (b"TERM 1,2,3", b"LCME?", 19, 32),
    (b'SNDT Z,"*RST"', b"LCME?", 20, 32),
    (b"BAUD 1,fast", b"LCME?", 21, 32),
    (b"TERM 1,EOL", b"LCME?", 24, 32),
    (b'SNDT D,"*RST"', b"LEXE?", 1, 16),
    (b"TERM 1,5", b"LEXE?", 2, 16),
    (b"RAWN? 1,1", b"LEXE?", 3, 16),
    (b"*ESE 8,1", b"LEXE?", 5, 16),
    (b"*ESE 256", b"LEXE?", 6, 16),
]


def test_each_mistake_has_its_number_and_says_nothing(wire: Wire) -> None:
    for line, query, number, bit in MISTAKES:
        assert wire.say(b"*CLS\n", line + b"\n") == b"", line
        asked = wire.say(b"*ESR?\n", query + b"\n", query + b"\n")
        assert asked == b"%d\r\n%d\r\n0\r\n" % (bit, number), line


def test_bytes_take_their_time_on_the_line_one_behind_the_other(wire: Wire) -> None:
    wire.say(b'SNDT 1,"*IDN?;VOLT?"\n')
    assert wire.say(b"NOUT? 1\n", b"AOUT? 1\n", b"DONE? 1\n", b"DONE?\n") == b"12\r\n500\r\n0\r\n16380\r\n"
    wire.talk(wait_s=0.0055)
    assert wire.say(b"NOUT? 1\n") == b"7\r\n"  # 9600 baud: 1.04 ms a byte
    wire.talk(wait_s=0.0195)
    assert wire.say(b"DONE? 1\n", b"NINP? 1\n", b"AINP? 1\n") == b"1\r\n7\r\n505\r\n"
    assert wire.say(b"GETN? 1,5\n", b"*STB?\n") == b"#3005Stanf\r\n9\r\n"  # the rest waits: bit 0
    wire.talk(wait_s=0.1)
    assert wire.say(b"GETN? 1,200\n").endswith(b"s/n003001,ver1.1\r\n+0.000\r\n\r\n")


def test_what_nobody_takes_is_given_up_after_the_time_out(wire: Wire) -> None:
    assert wire.say(b'SNDT 7,"*IDN?"\n', b"NOUT? 7\n", b"DONE? 7\n") == b"6\r\n0\r\n"
    wire.talk(wait_s=0.9)
    assert wire.say(b"NOUT? 7\n", b"LEXE?\n") == b"6\r\n0\r\n"
    wire.talk(wait_s=0.2)
    assert wire.say(b"NOUT? 7\n", b"LEXE?\n", b"*ESR?\n") == b"0\r\n4\r\n144\r\n"
    assert wire.say(b'SNDT 7,"*IDN?"\n', b"FLSO 7\n", b"NOUT? 7\n") == b"0\r\n"
    assert wire.say(b"FLOW 7,NONE\n", b'SNDT 7,"*IDN?"\n', b"NOUT? 7\n") == b"0\r\n"  # into nothing


def test_a_port_that_passes_through_tells_the_host_unasked(wire: Wire) -> None:
    wire.say(b"RPER 1,1\n", b"MSGL 30\n")
    said = wire.talk(b'SNDT 1,"*IDN?"\n', wait_s=0.1)
    assert said == b"MSG 1,#230Stanford Research Systems,SIM9\r\nMSG 1,#22128,s/n003001,ver1.1\r\n\r\n"
    assert wire.say(b"NINP? 1\n") == b"0\r\n"
    wire.say(b"RPER 0\n")
    assert wire.talk(b'SNDT 1,"VOLT?"\n', wait_s=0.1) == b""


def test_blocks_carry_any_byte_and_quotes_may_be_single(wire: Wire) -> None:
    assert wire.say(b"SNDT 1,#15*RST\n\n", b"LCME?\n") == b"0\r\n"  # the line feed inside ends no line
    wire.talk(b"BRER 2\n", b"BRDT #14*RST\n", b"BRDC 'VOLT?\n")
    wire.talk(b"SNDT 1,'VOLT?'\n", wait_s=0.1)
    assert wire.say(b"NINP? 1\n", b"NINP? 3\n") == b"8\r\n0\r\n"


def test_another_baud_rate_is_noise_to_a_module_until_a_break(wire: Wire) -> None:
    wire.talk(b"BAUD 1,19200\n", b'SNDT 1,"VOLT?"\n', wait_s=0.1)
    assert wire.say(b"NINP? 1\n", b"SRST 1\n", b"BAUD? 1\n") == b"0\r\n9600\r\n"
    assert module(wire, 1, b"CESR?") == b"#3005130\r\n\r\n"  # framing, and device clear by the break
    assert module(wire, 1, b"BAUD?") == b"#30069470\r\n\r\n"
    assert module(wire, 1, b"BAUD 19200") == b"#3000\r\n"
    wire.say(b"BAUD 1,19200\n")
    assert module(wire, 1, b"BAUD?") == b"#300719200\r\n\r\n"
    wire.say(b"SRST\n")
    assert module(wire, 1, b"BAUD?") == b"#30069470\r\n\r\n"


def test_the_time_base_locks_to_a_reference(visa: Callable[..., Wire], table: FakeBench) -> None:
    wire = visa(SIM900Twin.build("rack", table, {"reference": True}))
    assert wire.say(b"TBIN?\n", b"PLLC ON\n", b"LOCK?\n") == b"1\r\n1\r\n"
    wire.talk(wait_s=1.0)
    assert wire.say(b"LOCK?\n", b"TICK?\n", b"PLLC OFF\n", b"LOCK?\n") == b"2\r\n20\r\n0\r\n"


SOURCE = [
    (b"*OPC?", b"1"), (b"*TST?", b"0"), (b"*ESR?", b"128"), (b"*OPC;*ESR?", b"1"), (b"*ESE 5;*ESE?", b"5"),
    (b"*ESE 1,1;*ESE?", b"7"), (b"*SRE 33;*SRE?", b"33"), (b"*PSC?", b"1"), (b"CESE 2;CESE?", b"2"),
    (b"*STB?", b"16"), (b"OVSE 4;OVSE?", b"4"), (b"OVCR?", b"0"), (b"OVSR?", b"0"), (b"TERM?", b"3"),
    (b"TOKN ON;EXON?", b"OFF"), (b"TERM?", b"CRLF"), (b"TOKN OFF;TOKN?", b"0"), (b"EXON ON;EXON?", b"1"),
    (b"EXON 0;EXON?", b"0"), (b"OPON;EXON?", b"1"), (b"OPOF;EXON?", b"0"), (b"BIDN? 0", b"BA000001"),
    (b"BIDN? 1", b"003001"), (b"BIDN? 2", b"300"), (b"BIDN? 3", b"12"), (b"BIDN? 4", b"2026-01-01"),
    (b"VOLT 20;VOLT?", b"+20.000"), (b"VOLT 0.0004;VOLT?", b"+0.000"), (b"volt -1.5E0;volt?", b"-1.500"),
    (b"VOLT 20.001;LEXE?;LEXE?", b"1\r\n0"), (b"EXON 2;LEXE?", b"2"), (b"*ESE 8,1;LEXE?", b"3"),
    (b"FLY;LCME?;LCME?", b"2\r\n0"), (b"BCOR?;LCME?", b"3"), (b"BATS 1;LCME?", b"4"), (b"VOLT;LCME?", b"5"),
    (b"VOLT 1,2;LCME?", b"6"), (b"*ESE ,1;LCME?", b"7"), (b"BIDN? ,;LCME?", b"6"), (b"VOLT 1V;LCME?", b"9"),
    (b"BIDN? x;LCME?", b"10"), (b"EXON MAYBE;LCME?", b"14"), (b"*CLS;*ESR?", b"0"),
]  # fmt: skip


def test_each_command_of_the_sim928(wire: Wire) -> None:
    for sent, expected in SOURCE:
        assert module(wire, 1, sent)[5:-2] == expected + b"\r\n", sent


def test_an_overload_shows_and_a_trip_disconnects_the_output_until_it_is_switched_off(
    wire: Wire, rack: SIM900Twin
) -> None:
    module(wire, 1, b"VOLT 1.5;OPON;OVSE 3;*SRE 1")
    rack.device_fault("overload")
    assert module(wire, 1, b"OVCR?;OVSR?;OVSR?")[5:-2] == b"1\r\n1\r\n0\r\n"
    assert rack.modules[1].channel.bias_ua == 15.0
    rack.device_fault("overload", active=False)
    rack.device_fault("trip")
    assert module(wire, 1, b"*STB?;OVCR?;OVSR? 1;OVSR?")[5:-2] == b"81\r\n2\r\n1\r\n0\r\n"
    assert rack.modules[1].channel.bias_ua == 0.0
    module(wire, 1, b"OPON")
    assert rack.modules[1].channel.bias_ua == 0.0  # latched
    assert module(wire, 1, b"OPOF;OPON;OVCR?")[5:-2] == b"0\r\n"
    assert rack.modules[1].channel.bias_ua == 15.0
    rack.device_fault("battery")
    assert module(wire, 1, b"OVCR?;OVSR?")[5:-2] == b"8\r\n8\r\n"
    with pytest.raises(TwinError, match="slot 3"):
        rack.device_fault("trip", slot=3)


def test_batteries_swap_by_themselves_and_when_told(wire: Wire) -> None:
    assert module(wire, 1, b"BATS?;BCOR;BATS?")[5:-2] == b"1,3,0\r\n1,3,0\r\n"
    wire.talk(wait_s=1.0)
    assert module(wire, 1, b"BATS?;OVSR?")[5:-2] == b"2,1,0\r\n4\r\n"
    module(wire, 1, b"BCOR")  # the other one is not ready
    wire.talk(wait_s=1.0)
    assert module(wire, 1, b"BATS?;OVSR?")[5:-2] == b"2,1,0\r\n0\r\n"
    wire.talk(wait_s=5 * 3600.0)
    assert module(wire, 1, b"BATS?")[5:-2] == b"3,1,0\r\n"
    wire.talk(wait_s=10 * 3600.0)
    assert module(wire, 1, b"BATS?;OVSR?")[5:-2] == b"1,2,0\r\n4\r\n"


def test_a_module_is_reached_through_the_mainframe(wire: Wire) -> None:
    idn = b"Stanford Research Systems,SIM928,s/n003001,ver1.1\r\n"
    assert wire.say(b'SNDT 1,"*IDN?"\n', b"NINP? 1\n") == b"0\r\n"  # it takes a while
    wire.talk(wait_s=0.1)
    assert wire.say(b"NINP? 1\n") == b"%d\r\n" % len(idn)
    assert wire.say(b"RAWN? 1,%d\n" % len(idn)) == idn
    assert wire.say(b"RAWN? 1,5\n") == b""  # fewer bytes than asked for
    assert wire.say(b"LEXE?\n") == b"3\r\n"
    wire.talk(b'SEND 1,"*IDN?"\n', wait_s=0.1)
    assert wire.say(b"NINP? 1\n") == b"0\r\n"  # no terminator went with it
    wire.talk(b'SNDT 1,""\n', wait_s=0.1)
    assert wire.say(b"GETN? 1,4\n") == b"#3004Stan\r\n"
    assert wire.say(b"FLSI 1\n", b"NINP? 1\n") == b"0\r\n"
    wire.talk(b'BRDT "*IDN?"\n', wait_s=0.1)
    assert wire.say(b"NINP? 1\n") == b"%d\r\n" % len(idn)


def test_a_connection_passes_everything_until_the_escape(wire: Wire) -> None:
    assert wire.talk(b'CONN 1,"xyz"\n', b"VOLT?\n", wait_s=0.1) == b"+0.000\r\n"
    assert wire.talk(b"VOLT 1x", b"y1\n", wait_s=0.1) == b""  # what only begins like the escape is passed on
    assert wire.talk(b"LCME?;x", b"yzCTCR? 1\n", wait_s=0.1) == b"1\r\n9\r\n"[:3]
    assert wire.say(b"GETN? 1,9\n") == b"#30039\r\n\r\n"  # what came after the end waits as ever
    assert wire.talk(b'CONN 3,"!"\n', b"+A?", wait_s=0.1) == b"QO-AMP-SIM 003003\n"  # no line ends are needed
    assert wire.say(b"!LEXE?\n") == b"0\r\n"


def test_the_sim928_sets_a_voltage_that_biases_the_wire(wire: Wire, rack: SIM900Twin, table: FakeBench) -> None:
    channel = rack.modules[1].channel
    assert module(wire, 1, b"VOLT 1.5;VOLT?") == b"#3008+1.500\r\n\r\n"
    assert channel.bias_ua == 0.0  # it is off
    assert module(wire, 1, b"OPON;EXON?") == b"#30031\r\n\r\n"
    assert channel.bias_ua == 15.0  # through 100 kOhm
    assert table.detector("rack.1").efficiency.value(table.clock.now_ps()) > 0.7
    assert module(wire, 1, b"VOLT -10.12;VOLT?") == b"#3009-10.120\r\n\r\n"
    assert module(wire, 1, b"VOLT 21;LEXE?;VOLT?") == b"#3012" + b"1\r\n-10.120\r\n\r\n"
    assert module(wire, 1, b"*RST;VOLT?;EXON?") == b"#3011" + b"+0.000\r\n0\r\n" + b"\r\n"
    assert module(wire, 1, b"NOPE;LCME?;*ESR?") == b"#3008" + b"2\r\n176\r\n" + b"\r\n"
    assert module(wire, 1, b"TERM LF;VOLT?") == b"#3007+0.000\n\r\n"


def test_a_sim928_comes_back_as_it_was_and_an_amplifier_without_bias(wire: Wire, rack: SIM900Twin) -> None:
    module(wire, 1, b"VOLT 1.2;OPON")
    module(wire, 3, b"+B30000;")
    rack.reset_power()
    assert rack.modules[1].channel.bias_ua == 12.0
    assert rack.modules[3].channel.bias_ua == 0.0


def test_the_amplifier_biases_measures_and_resets(wire: Wire, rack: SIM900Twin) -> None:
    channel = rack.modules[3].channel
    assert module(wire, 3, b"+A?") == b"#3018QO-AMP-SIM 003003\n\r\n"
    assert module(wire, 3, b"+B39321;+B?") == b"#300639321\n\r\n"
    assert channel.bias_ua == pytest.approx(15.0, abs=1e-3)
    assert module(wire, 3, b"+C?") == b"#30020\n\r\n"
    rack.device_fault("latch", slot=3)
    volts = int(module(wire, 3, b"+C0;+C?")[5:-3]) / 65535 * 1.1
    assert volts == pytest.approx(15e-6 * 10e3, rel=1e-3)  # bias times normal resistance
    assert int(module(wire, 3, b"+C1;+C?")[5:-3]) == pytest.approx(0.15 / 5.0 * 65535, rel=1e-3)
    assert module(wire, 3, b"+F;+C?") == b"#30020\n\r\n"
    assert channel.bias_ua == pytest.approx(15.0, abs=1e-3)
    rack.device_fault("latch", slot=3)
    assert module(wire, 3, b"+E1;+E?;+C?") == b"#30041\n0\n\r\n"  # it resets by itself
    assert module(wire, 3, b"+D25;+D?") == b"#300325\n\r\n"
    module(wire, 3, b"+G;")
    wire.talk(wait_s=0.25)  # its reset event
    assert channel.bias_ua == pytest.approx(19.0, abs=1e-3)  # 95 % of the latching current
    assert not channel.latched
    assert module(wire, 3, b"+H19000;+H?;") == b"#300819000.0\n\r\n"
    module(wire, 3, b"+H;")
    assert module(wire, 3, b"+B?") == b"#300619000\n\r\n"


@pytest.mark.parametrize("tens_of_ms", [1, 25, 255])
def test_a_reset_event_lasts_as_long_as_it_is_told_to(
    wire: Wire, rack: SIM900Twin, table: FakeBench, tens_of_ms: int
) -> None:
    """`+D`: ten milliseconds each, sheet 07; the world sees no click from begin to end."""
    detector, channel = table.detector("rack.3"), rack.modules[3].channel
    module(wire, 3, b"+B39321;+D%d;" % tens_of_ms)
    before = detector.efficiency.value(table.clock.now_ps())
    rack.device_fault("latch", slot=3)
    assert detector.efficiency.value(table.clock.now_ps()) == 0.0
    begin_ps = table.clock.now_ps()
    rack.modules[3].take(b"+F;")
    back_ps = begin_ps + tens_of_ms * 10**10
    for knob, working in ((detector.efficiency, before), (detector.dark_rate_hz, detector.dark_rate_hz.value(back_ps))):
        assert [knob.value(t) for t in (begin_ps, back_ps - 1, back_ps)] == [0.0, 0.0, working]
        assert working > 0.0
    assert back_ps in detector.efficiency.breaks(begin_ps, back_ps + 1)
    assert channel.bias_ua == 0.0
    wire.talk(wait_s=tens_of_ms * 0.01)
    assert channel.bias_ua == pytest.approx(15.0, abs=1e-3)
    assert not channel.latched


def test_a_reset_too_short_to_cool_the_wire_leaves_it_latched(wire: Wire, rack: SIM900Twin) -> None:
    """It takes a few milliseconds without bias; and a bias that is set during a reset event ends it."""
    channel = rack.modules[3].channel
    module(wire, 3, b"+B39321;+D0;")
    rack.device_fault("latch", slot=3)
    module(wire, 3, b"+F;")
    assert channel.latched
    rack.modules[3].take(b"+D255;+F;")
    wire.talk(wait_s=0.02)
    rack.modules[3].take(b"+B26214;")
    assert channel.bias_ua == pytest.approx(10.0, abs=1e-3)
    assert not channel.latched
    wire.talk(wait_s=5.0)
    assert channel.bias_ua == pytest.approx(10.0, abs=1e-3)


def test_an_amplifier_with_auto_reset_ends_a_latch_by_itself(wire: Wire, rack: SIM900Twin, table: FakeBench) -> None:
    channel, efficiency = rack.modules[3].channel, table.detector("rack.3").efficiency
    module(wire, 3, b"+B39321;+D30;+E1;")
    begin_ps = table.clock.now_ps()
    rack.device_fault("latch", slot=3)
    assert efficiency.value(begin_ps + 299 * 10**9) == 0.0
    assert efficiency.value(begin_ps + 300 * 10**9) > 0.5
    wire.talk(wait_s=0.3)
    assert not channel.latched


def test_a_bias_above_the_switching_current_latches_until_zero(wire: Wire, rack: SIM900Twin, table: FakeBench) -> None:
    channel, efficiency = rack.modules[1].channel, table.detector("rack.1").efficiency
    module(wire, 1, b"VOLT 2.1;OPON")
    assert channel.latched
    module(wire, 1, b"VOLT 1.8")
    assert channel.latched
    assert efficiency.value(table.clock.now_ps()) == 0.0
    module(wire, 1, b"VOLT 0")
    module(wire, 1, b"VOLT 1.8")
    assert not channel.latched
    assert efficiency.value(table.clock.now_ps()) > 0.8
    with pytest.raises(TwinError, match="latch"):
        rack.device_fault("no such thing")


def test_a_stage_that_warms_up_latches_the_wire(table: FakeBench) -> None:
    from qlab.physics.knob import Ramp

    knob = table.knob("rack", "temperature_k", 2.5)
    knob.set(Ramp(0, 2.5, 1000 * 10**12, 7.5), 0)  # 5 mK a second
    rack = SIM900Twin.build("rack", table, {})
    wire, efficiency = rack.connect(), table.detector("rack.1").efficiency
    wire.receive(b'SNDT 1,"VOLT 1.5;OPON"\n')
    # 15 uA of 20 uA: (1 - (T/9)^2)^1.5 = 0.75 (1 - (2.5/9)^2)^1.5, at 4.392 K, after 378.5 s
    assert efficiency.value(375 * 10**12) > 0.5
    assert efficiency.value(400 * 10**12) == 0.0
    table.clock.sleep(375.0)
    assert rack.peek() == {"slot_1": {"bias_ua": 15.0, "latched": False}}
    table.clock.sleep(25.0)
    assert rack.peek() == {"slot_1": {"bias_ua": 15.0, "latched": True}}


STREAM = b"".join(sent for sent, _ in MAINFRAME[:17])


def test_any_split_on_the_wire_gives_the_same_bytes(
    wire: Wire, make_bench: Callable[[], FakeBench], pieces: Callable[[bytes], list[bytes]]
) -> None:
    whole = SIM900Twin.build("rack", make_bench(), {"slots": {1: "sim928", 3: "qoamp"}}).connect().receive(STREAM)
    assert wire.say(*pieces(STREAM)) == whole


def test_a_reset_on_a_stage_whose_temperature_moves_ends_at_its_picosecond(table: FakeBench) -> None:
    from qlab.physics.knob import Ramp

    table.knob("rack", "temperature_k", 2.5).set(Ramp(0, 2.5, 10**15, 2.6), 0)
    rack = SIM900Twin.build("rack", table, {"slots": {3: "qoamp"}})
    efficiency = table.detector("rack.3").efficiency
    rack.modules[3].take(b"+B39321;+D20;")
    working = efficiency.value(10**11)
    rack.modules[3].take(b"+F;")
    assert efficiency.breaks(0, 10**12).count(2 * 10**11) == 1
    assert [efficiency.value(t) for t in (0, 2 * 10**11 - 1)] == [0.0, 0.0]
    assert efficiency.value(2 * 10**11) == pytest.approx(working, rel=1e-3)
