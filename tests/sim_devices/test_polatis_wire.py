r"""The Polatis twin against protocol sheet 15: pyvisa on the SCPI port, a socket on the TL1 port, bytes written by hand."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from qlab.errors import TwinError
from sim_devices.routing.polatis_oxc import PolatisTwin

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import FakeBench, Wire

NONE = b'+0,"No error"\r\n'


@pytest.fixture
def switch(table: FakeBench) -> PolatisTwin:
    return PolatisTwin.build("oxc", table, {})


@pytest.fixture
def wire(visa: Callable[..., Wire], switch: PolatisTwin) -> Wire:
    return visa(switch)


SESSION = [
    (b"*IDN?\n", b"Polatis,N-VST-16x16-LU1-DMHNV-801,001310,6.5.2.18\r\n"),
    (b":oxc:swit:size?\n", b"16,16\r\n"),
    (b":oxc:swit:conn:stat?\n", b"(@),(@)\r\n"),
    (b":oxc:swit:conn:add (@1,2),(@17,18)\n", b""),  # a set is not answered
    (b":oxc:swit:conn:stat?\n", b"(@1,2),(@17,18)\r\n"),
    (b"oxc:swit:conn:stat?\n", b"(@1,2),(@17,18)\r\n"),  # without a colon
    (b":OXC:SWITCH:CONNECT:STATE?\n", b"(@1,2),(@17,18)\r\n"),
    (b":oxc:swit:conn:port? 2\n", b'"18"\r\n'),
    (b":oxc:swit:conn:port? 18\n", b'"2"\r\n'),
    (b":oxc:swit:conn:port? 5\n", b'""\r\n'),
    (b":oxc:swit:conn:add (@1),(@18)\n:oxc:swit:conn:stat?\n", b"(@1),(@18)\r\n"),  # ports in use move
    (b":oxc:swit:conn:add (@3:5),(@19:21)\n:oxc:swit:conn:stat?\n", b"(@1,3,4,5),(@18,19,20,21)\r\n"),
    (b":oxc:swit:conn:sub (@1),(@18)\n:oxc:swit:conn:stat?\n", b"(@3,4,5),(@19,20,21)\r\n"),
    (b":oxc:swit:conn:only (@1,5),(@17,21)\n:oxc:swit:conn:stat?\n", b"(@1,5),(@17,21)\r\n"),
    (b":oxc:swit:port:dis (@5)\n:oxc:swit:port:stat? (@4,5,6)\n", b"(E,D,E)\r\n"),
    (b":oxc:swit:conn:stat?\n", b"(@1),(@17)\r\n"),
    (b":oxc:swit:port:enab (@5)\n:oxc:swit:port:stat? (@5)\n", b"(E)\r\n"),
    (b":oxc:swit:disc:all\n:oxc:swit:conn:stat?\n", b"(@),(@)\r\n"),
    (b":syst:err?\n", NONE),
    (b"*esr?;*stb?;*opc?\n", b"128;16;1\r\n"),
]


def test_a_session_of_the_sheet(wire: Wire) -> None:
    for sent, expected in SESSION:
        assert wire.say(sent) == expected, sent


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b":oxc:swit:conn:add (@1,2),(@17)\n", b"-220"),
        (b":oxc:swit:conn:add (@1),(@2)\n", b"-200"),
        (b":oxc:swit:conn:add (@1),(@33)\n", b"-200"),
        (b":oxc:swit:port:dis (@2)\n:oxc:swit:conn:add (@2),(@17)\n", b"-200"),
        (b":oxc:swit:conn:sub (@1),(@17)\n", b"-200"),
        (b":oxc:swit:conn:add 1,17\n", b"-104"),
        (b":oxc:swit:conn:port? 40\n", b"-222"),
        (b":oxc:swit:conn:port? 000001" + b"1" * 5000 + b"\n", b"-104"),
        (b":oxc:swit:conn:add (@" + b"1" * 5000 + b"),(@17)\n", b"-104"),
        (b":oxc:swit:what\n", b"-113"),
        (b":opm:pow? (@1)\n", b"-113"),  # the option trees are of no use here
        (b":voa:att (@1),3\n", b"-113"),
        (b":oxc:swit:port:stat? (@33)\n", b"-222"),
        (b":pmon:pow? (@1)\n", b"-241"),  # this model has no power monitors
    ],
)
def test_what_it_refuses_is_queued_and_changes_nothing(wire: Wire, sent: bytes, code: bytes) -> None:
    assert wire.say(sent) == b""
    assert wire.say(b":syst:err?\n").startswith(code + b',"')
    assert wire.say(b":syst:err?\n") == NONE
    assert wire.say(b":oxc:swit:conn:stat?\n") == b"(@),(@)\r\n"


def test_a_model_with_power_monitors(visa: Callable[..., Wire], table: FakeBench) -> None:
    wire = visa(PolatisTwin.build("oxc", table, {"power_monitors": True, "inputs": 200, "outputs": 200}))
    table.light_w = 1.1e-6
    assert wire.say(b":pmon:pow? (@1,17)\n") == b"(-29.59,-29.59)\r\n"  # 10 lg(1.1e-3)
    table.light_w = 0.0
    assert wire.say(b":pmon:pow? (@1,17)\n") == b"(-60.00,-60.00)\r\n"
    assert wire.say(b":pmon:pow? (@1:256)\n").count(b"-60.00") == 256
    assert wire.say(b":pmon:pow? (@1:257)\n:syst:err?\n").startswith(b"-220")


def test_an_ost_model_joins_ports_of_the_same_side(visa: Callable[..., Wire], table: FakeBench) -> None:
    wire = visa(PolatisTwin.build("oxc", table, {"any_pair": True, "inputs": 24, "outputs": 24}))
    assert wire.say(b"*IDN?\n").startswith(b"Polatis,N-OST-24x24-LA1-DMHNS")  # the sheet's sample
    wire.say(b":oxc:swit:conn:add (@2,1),(@1,30)\n:oxc:swit:conn:add (@9),(@3)\n")  # 1 moves from 2 to 30
    assert wire.say(b":oxc:swit:conn:stat?\n:oxc:swit:conn:port? 9\n") == b'(@1,3),(@30,9)\r\n"3"\r\n'
    wire.talk(wait_s=0.03)
    now_ps = table.clock.now_ps()
    assert [table.knob("oxc", f"route.{n}").value(now_ps) for n in (1, 2, 3, 9, 30)] == [30.0, 0.0, 9.0, 3.0, 1.0]
    assert wire.say(b":oxc:swit:conn:add (@5),(@5)\n:syst:err?\n").startswith(b"-200")


def test_all_errors_are_read_at_once_and_the_address_is_told(wire: Wire) -> None:
    wire.say(b":oxc:swit:what\n:oxc:swit:conn:add (@1),(@2)\n")
    assert re.fullmatch(rb'-113,"[^"]*",-200,"[^"]*"\r\n', wire.say(b":syst:err:all?\n"))
    wire.say(b":oxc:swit:what\n*cls\n")
    assert wire.say(b":syst:err?\n") == NONE
    assert re.match(rb'IP="[\d.]+" Gateway="[\d.]+"', wire.say(b":syst:comm:netw:addr?\n"))


def test_a_beam_is_dark_while_it_is_steered(wire: Wire, table: FakeBench) -> None:
    route = table.knob("oxc", "route.3")
    wire.say(b":oxc:swit:conn:add (@3),(@20)\n")
    assert route.value(table.clock.now_ps()) == 0.0
    wire.talk(wait_s=0.03)
    assert route.value(table.clock.now_ps()) == 20.0


def test_connections_outlive_a_restart_as_configured_and_a_failed_port_refuses(
    visa: Callable[..., Wire], table: FakeBench, switch: PolatisTwin
) -> None:
    wire = visa(switch)
    wire.say(b":oxc:swit:conn:add (@1),(@17)\n")
    switch.reset_power()
    assert wire.say(b":oxc:swit:conn:stat?\n") == b"(@1),(@17)\r\n"
    switch.device_fault("port_failed", port=17)
    assert wire.say(b":oxc:swit:conn:stat?\n:oxc:swit:port:stat? (@16:18)\n") == b"(@),(@)\r\n(E,F,E)\r\n"
    assert wire.say(b":oxc:swit:conn:add (@1),(@17)\n:syst:err?\n").startswith(b"-200")
    with pytest.raises(TwinError, match="port_failed"):
        switch.device_fault("no such thing")
    other = PolatisTwin.build("other", table, {"keeps_connections": False})
    other.connect().receive(b":oxc:swit:conn:add (@1),(@17)\n")
    other.reset_power()
    assert other.connect().receive(b":oxc:swit:conn:stat?\n") == b"(@),(@)\r\n"


def test_tl1_logs_in_and_sees_the_same_connections(switch: PolatisTwin) -> None:
    tl1 = switch.ports()["tl1"].connect()
    head = rb"\r\n   POLATIS \d\d-\d\d-\d\d \d\d:\d\d:\d\d\r\nM  "
    assert re.fullmatch(head + rb"1 DENY\r\n;", tl1.receive(b"RTRV-HDR:::1:;"))  # nobody has logged in
    assert re.fullmatch(head + rb"2 DENY\r\n;", tl1.receive(b"ACT-USER::admin:2::wrong;"))
    assert re.fullmatch(head + rb"3 COMPLD\r\n;", tl1.receive(b"ACT-USER::admin:3::root;"))
    for sent, expected in (
        (b"RTRV-HDR:::14:;", rb"14 COMPLD\r\n;"),
        (b'RTRV-EQPT:"POLATIS":SYSTEM:4:::PARAMETER=SIZE;', rb'4 COMPLD\r\n   "SYSTEM:SIZE=16x16"\r\n;'),
        (b'ENT-PATCH:"POLATIS":17,1:5:;', rb"5 COMPLD\r\n;"),  # the destination first
        (b'ENT-PATCH:"POLATIS":2,18:6:;', rb"6 COMPLD\r\n;"),
        (b'RTRV-PATCH:"POLATIS"::7:;', rb'7 COMPLD\r\n   "1,17"\r\n   "2,18"\r\n;'),
        (b'DLT-PATCH:"POLATIS":1&2:8:;', rb"8 COMPLD\r\n;"),
        (b'RTRV-PATCH:"POLATIS"::9:;', rb"9 COMPLD\r\n;"),
        (b'RTRV-PORT-SHUTTER:"POLATIS":1&&2:10:;', rb'10 COMPLD\r\n   "1:OPEN"\r\n   "2:OPEN"\r\n;'),
        (b'RTRV-INV:"POLATIS":OCS:11:;', rb'11 COMPLD\r\n   "OCS:SN=001310"\r\n;'),
        (b'RTRV-NETYPE:"POLATIS"::12:;', rb'12 COMPLD\r\n   "Polatis,N-VST-16x16,OCS,6\.5\.2\.18"\r\n;'),
        (b'ENT-PATCH:"POLATIS":1,99:13:;', rb'13 DENY\r\n   "there is no port 99"\r\n;'),
        (b'RTRV-PORT-POWER:"POLATIS":1:14:;', rb'14 DENY\r\n   "no command RTRV-PORT-POWER"\r\n;'),
    ):
        assert re.fullmatch(head + expected, tl1.receive(sent)), sent
    assert switch.connect().receive(b":oxc:swit:conn:stat?\n") == b"(@),(@)\r\n"


def test_tl1_reports_power_where_there_are_monitors(table: FakeBench) -> None:
    tl1 = PolatisTwin.build("oxc", table, {"power_monitors": True}).ports()["tl1"].connect()
    tl1.receive(b"ACT-USER::admin:1::root;")
    table.light_w = 1e-6
    assert b'"1:-30.00"\r\n   "2:-30.00"' in tl1.receive(b'RTRV-PORT-POWER:"POLATIS":1&&2:2:;')
    assert b'"1:1550.0,-30.00"' in tl1.receive(b'RTRV-PORT-PMON:"POLATIS":1:3:;')


def test_a_switch_without_a_name_says_so_on_both_tl1_ports(table: FakeBench) -> None:
    switch = PolatisTwin.build("oxc", table, {"tl1_name": ""})
    for port in ("tl1", "tl1_raw"):
        tl1 = switch.ports()[port].connect()
        assert tl1.receive(b"ACT-USER::admin:1::root;").startswith(b"\r\n   ( nil ) 26-01-01 ")


STREAM = b"".join(sent for sent, _ in SESSION)


def test_any_split_on_the_wire_gives_the_same_bytes(wire: Wire, pieces: Callable[[bytes], list[bytes]]) -> None:
    assert wire.say(*pieces(STREAM)) == b"".join(expected for _, expected in SESSION)


def test_the_map_is_replaced_as_a_whole_and_connections_outlive_the_link(wire: Wire, switch: PolatisTwin) -> None:
    wire.say(b":oxc:swit:conn:add (@1,2,3),(@17,18,19)\n:oxc:swit:conn:only (@2,4),(@17,20)\n")
    assert wire.say(b":oxc:swit:conn:stat?\n") == b"(@2,4),(@17,20)\r\n"  # 2 took 17 from 1
    other = switch.connect()  # who calls again
    assert other.receive(b":OXC:Swit:Conn:Stat?\n") == b"(@2,4),(@17,20)\r\n"
    assert wire.say(b":oxc:swit:conn:only (@),(@)\n:oxc:swit:conn:stat?\n") == b"(@),(@)\r\n"
