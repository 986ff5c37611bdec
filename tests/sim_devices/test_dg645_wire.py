r"""The DG645 twin against protocol sheet 06: pyvisa over TCP, bytes written by hand; replies end with `\r\n`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from qlab.errors import TwinError
from sim_devices.sources.srs_dg645 import DG645Twin

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import FakeBench, Wire

SESSION = [
    (b"*IDN?\n", b"Stanford Research Systems,DG645,s/n003075,ver1.17.10E\r\n"),
    (b"DLAY 3,2,1e-08\nDLAY?3\n", b"2,+0.000000010000\r\n"),  # the sheet's example, in exponent form
    (b"DLAY? 3\r\n", b"2,+0.000000010000\r\n"),  # with a blank too, and CRLF
    (b"DLAY 2,0,12e-12;DLAY?2\n", b"0,+0.000000000010\r\n"),  # steps of 5 ps
    (b"LINK?3\n", b"2\r\n"),
    (b"LINK 4,3;LINK?4\n", b"3\r\n"),
    (b"LAMP 1,3.3;LAMP?1;LOFF 1,-0.5;LOFF?1;LPOL 1,0;LPOL?1\n", b"+3.30;-0.50;0\r\n"),
    (b"TSRC 0;TSRC?;TRAT 1e6;TRAT?\n", b"0;+1000000.000000\r\n"),
    (b"TLVL -1.5;TLVL?\n", b"-1.50\r\n"),
    (b"INHB 2;INHB?;INHB 0\n", b"2\r\n"),
    (b"ADVT 1;ADVT?;HOLD 1e-3;HOLD?;PRES 1,4;PRES?1;PHAS 1,2;PHAS?1\n", b"1;+0.001000000000;4;2\r\n"),
    (b"BURM 1;BURM?;BURC 10;BURC?;BURP 1e-6;BURP?;BURD 0.1;BURD?;BURT 1;BURT?\n",
     b"1;10;+0.000001000000;+0.100000000000;1\r\n"),
    (b"SSDL 5,1e-9;SSDL?5;DLAY 5,0,1e-6;SPDL 5,1;DLAY?5;SPDL 5,0;DLAY?5\n",
     b"+0.000000001000;0,+0.000001001000;0,+0.000001000000\r\n"),
    (b"*SAV 3;TRAT 10;*RCL 3;TRAT?\n", b"+1000000.000000\r\n"),
    (b"IFCF?0;IFCF?12;EMAC?\n", b"1;255.0.0.0;00:19:b3:00:00:01\r\n"),
    (b"*CAL?;*TST?;*OPC?\n", b"0;0;1\r\n"),
    (b"DISP 11,3;DISP?;SHDP?;LCAL;REMT;IFRS 0;IFCF 1,19200;IFCF?1\n", b"11,3;1;19200\r\n"),
    (b"SSTR?;SSTL?;SSHD?;SSBC?;SSBD?;SSBP?;SSPS?1;SSPH?1;SSLA?1;SSLO?1\n",
     b"+1000.000000;+0.01;+0.000000001000;1;+0.000000001000;+0.000000001000;1;1;+0.10;+0.10\r\n"),
    (b"SSLA 1,0.5;SSLA?1;SSPS 2,3;SSPS?2;*PSC 0;*PSC?;TIMB?\n", b"+0.50;3;0;0\r\n"),
    (b"INSE 5;INSE?\n", b"5\r\n"),
    (b"LERR?\n", b"0\r\n"),
]  # fmt: skip


@pytest.fixture
def twin(table: FakeBench) -> DG645Twin:
    return DG645Twin.build("dg", table, {})


@pytest.fixture
def wire(visa: Callable[..., Wire], twin: DG645Twin) -> Wire:
    return visa(twin)


def test_a_session_of_the_sheet(wire: Wire) -> None:
    for sent, expected in SESSION:
        assert wire.say(sent) == expected, sent


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"NOPE\n", 111),
        (b"TRAT\n", 116),
        (b"TRAT 1,2\n", 115),
        (b"TRAT x\n", 118),
        (b"TRAT 2e7\n", 10),
        (b"TRAT 5e-5\n", 10),
        (b"LAMP 1,0.4\n", 10),
        (b"LAMP 1,5.1\n", 10),
        (b"LOFF 1,2.1\n", 10),
        (b"TLVL 3.6\n", 10),
        (b"BURP 9e-8\n", 10),
        (b"DLAY 2,0,2001\n", 12),
        (b"DLAY 2,0,-1e-9\n", 12),
        (b"LINK 2,3\nLINK 3,2\n", 13),  # B hangs on A by default
        (b"DLAY 0,1,1\n", 15),
        (b"*RCL 7\n", 14),
        (b"TSRC 0\n*TRG\n", 11),
        (b"*TRG?\n", 112),
        (b"INSR 1\n", 113),
        (b"TRAT ,\n", 114),
        (b"IFCF 14,1\n", 10),
        (b"IFRS 3\n", 10),
        (b"HOLD 11\n", 10),
        (b"TSRC 7\n", 10),
        (b"INHB 6\n", 10),
    ],
)
def test_each_error_has_its_number(wire: Wire, sent: bytes, code: int) -> None:
    assert wire.say(sent) == b""
    assert wire.say(b"LERR?\n") == f"{code}\r\n".encode()
    assert wire.say(b"LERR?\n") == b"0\r\n"


def test_errors_queue_and_overflow(wire: Wire) -> None:
    wire.say(b"NOPE\nTRAT 2e7\n")
    assert wire.say(b"LERR?;LERR?;LERR?\n") == b"111;10;0\r\n"
    wire.say(b"NOPE\n" * 25)
    codes = [wire.say(b"LERR?\n") for _ in range(20)]
    assert codes == [b"111\r\n"] * 19 + [b"254\r\n"]
    wire.say(b"NOPE\n*CLS\n")
    assert wire.say(b"LERR?\n") == b"0\r\n"


def test_a_chain_of_links_adds_up(wire: Wire, twin: DG645Twin) -> None:
    wire.say(b"DLAY 2,0,1e-6\nDLAY 3,2,2e-6\nDLAY 4,3,4e-6\n")
    assert twin.edge_s(4) == pytest.approx(7e-6)


def test_triggers_that_are_too_fast_are_missed_and_set_a_bit(wire: Wire, table: FakeBench) -> None:
    rate = table.knob("dg", "frequency_hz.1")
    wire.say(b"TSRC 0;TRAT 1e6;DLAY 2,0,1e-7\nINSR?\n")
    assert rate.value(table.clock.now_ps()) == 1e6
    wire.say(b"DLAY 2,0,1.5e-6\n")
    assert int(wire.say(b"INSR?\n")) & 0x02
    assert rate.value(table.clock.now_ps()) == 5e5  # every second one
    wire.say(b"DLAY 2,0,1e-7\nINSR?\n")
    assert not int(wire.say(b"INSR?\n")) & 0x02


def test_inhibit_burst_and_prescaler_shape_the_outputs(wire: Wire, table: FakeBench) -> None:
    wire.say(b"TSRC 0;TRAT 1000;INHB 2\n")
    rates = [table.knob("dg", f"frequency_hz.{n}") for n in range(3)]
    assert [knob.value(table.clock.now_ps()) for knob in rates] == [1000.0, 0.0, 1000.0]
    wire.say(b"INHB 1\n")
    assert [knob.value(table.clock.now_ps()) for knob in rates] == [0.0, 0.0, 0.0]
    wire.say(b"INHB 0;BURM 1;BURC 8;PRES 2,4\n")
    assert [knob.value(table.clock.now_ps()) for knob in rates] == [8000.0, 8000.0, 2000.0]


def test_a_single_shot_and_a_lost_reference(wire: Wire, twin: DG645Twin) -> None:
    wire.say(b"*TRG\n")
    assert int(wire.say(b"INSR?\n")) == 0x05
    assert int(wire.say(b"INSR?\n")) == 0
    wire.say(b"DLAY 2,0,1\n*TRG\n*TRG\n")
    assert int(wire.say(b"INSR?\n")) & 0x02  # still busy
    twin.device_fault("reference_lost")
    assert int(wire.say(b"INSR?\n")) & 0x40
    with pytest.raises(TwinError, match="reference_lost"):
        twin.device_fault("no such thing")


def test_the_instruments_status_raises_the_status_byte(wire: Wire, twin: DG645Twin) -> None:
    wire.say(b"INSE 8;*SRE 1;BURM 1;DLAY 2,0,1\n")
    assert wire.say(b"*STB?\n") == b"0\r\n"
    assert wire.say(b"*TRG\n*STB?\n") == b"71\r\n"  # end of burst, busy, in a burst, master summary
    assert wire.say(b"INSR?;*STB?\n") == b"13;22\r\n"
    wire.say(b"*RST\n")
    assert int(wire.say(b"INSR?\n")) == 1 << 5  # aborted
    wire.say(b"TSRC 0;INHB 1\n")
    assert int(wire.say(b"INSR?\n")) == 1 << 4  # inhibited
    twin.device_fault("rubidium_unlocked")
    assert int(wire.say(b"INSR?\n")) & 1 << 7
    wire.say(b"*ESE 32\nNOPE\n")
    assert int(wire.say(b"*STB?\n")) & 0x20


STREAM = b"".join(sent for sent, _ in SESSION)


def test_any_split_on_the_wire_gives_the_same_bytes(wire: Wire, pieces: Callable[[bytes], list[bytes]]) -> None:
    assert wire.say(*pieces(STREAM)) == b"".join(expected for _, expected in SESSION)
