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
]


@pytest.mark.parametrize(("sent", "expected"), MAINFRAME)
def test_each_command_of_the_mainframe(wire: Wire, sent: bytes, expected: bytes) -> None:
    assert wire.say(sent) == expected


def test_what_it_does_not_know_is_dropped_and_sets_a_bit(wire: Wire) -> None:
    wire.say(b"*CLS\n")
    assert wire.say(b"*DCL\n") == b""
    assert wire.say(b"*ESR?\n", b"LCME?\n", b"LCME?\n") == b"32\r\n3\r\n0\r\n"
    assert wire.say(b'SNDT 7,"*IDN?"\n') == b""
    assert wire.say(b"*ESR?\n", b"LEXE?\n") == b"16\r\n1\r\n"
    assert wire.say(b"SNDT 1\n", b"LCME?\n") == b"7\r\n"


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
    wire.say(b'CONN 1,"xyz"\n')
    assert wire.say(b"VOLT?\n") == b"+0.000\r\n"
    assert wire.say(b"xyz\n", b"CTCR? 1\n") == b"1\r\n"


def test_the_sim928_sets_a_voltage_that_biases_the_wire(wire: Wire, rack: SIM900Twin, table: FakeBench) -> None:
    channel = rack.slots[1].module.channel
    assert module(wire, 1, b"VOLT 1.5;VOLT?") == b"#3008+1.500\r\n\r\n"
    assert channel.bias_ua == 0.0  # it is off
    assert module(wire, 1, b"OPON;EXON?") == b"#30031\r\n\r\n"
    assert channel.bias_ua == 15.0  # through 100 kOhm
    assert table.detector("rack.1").efficiency.value(table.clock.now_ps()) > 0.7
    assert module(wire, 1, b"VOLT -10.12;VOLT?") == b"#3009-10.120\r\n\r\n"
    assert module(wire, 1, b"VOLT 21;LEXE?;VOLT?") == b"#3012" + b"1\r\n-10.120\r\n\r\n"
    assert module(wire, 1, b"BATS?;BCOR;BATS?;OVSR?;OVSR?") == b"#3020" + b"1,3,0\r\n2,1,0\r\n4\r\n0\r\n" + b"\r\n"
    assert module(wire, 1, b"*RST;VOLT?;EXON?") == b"#3011" + b"+0.000\r\n0\r\n" + b"\r\n"
    assert module(wire, 1, b"NOPE;LCME?;*ESR?") == b"#3008" + b"2\r\n176\r\n" + b"\r\n"
    assert module(wire, 1, b"TERM LF;VOLT?") == b"#3007+0.000\n\r\n"


def test_a_sim928_comes_back_as_it_was_and_an_amplifier_without_bias(wire: Wire, rack: SIM900Twin) -> None:
    module(wire, 1, b"VOLT 1.2;OPON")
    module(wire, 3, b"+B30000;")
    rack.reset_power()
    assert rack.slots[1].module.channel.bias_ua == 12.0
    assert rack.slots[3].module.channel.bias_ua == 0.0


def test_the_amplifier_biases_measures_and_resets(wire: Wire, rack: SIM900Twin) -> None:
    channel = rack.slots[3].module.channel
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
    assert channel.bias_ua == pytest.approx(19.0, abs=1e-3)  # 95 % of the latching current
    assert not channel.latched
    assert module(wire, 3, b"+H19000;+H?;") == b"#300819000.0\n\r\n"
    module(wire, 3, b"+H;")
    assert module(wire, 3, b"+B?") == b"#300619000\n\r\n"


def test_a_bias_above_the_switching_current_latches_until_zero(wire: Wire, rack: SIM900Twin, table: FakeBench) -> None:
    channel, efficiency = rack.slots[1].module.channel, table.detector("rack.1").efficiency
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
