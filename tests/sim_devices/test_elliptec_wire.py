"""Two ELL14 twins on one pty against protocol sheet 13: pyserial, bytes written by hand, no terminators but the replies'."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sim_devices.polarisation.thorlabs_elliptec import ELL14Twin

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import FakeBench, Wire

    from qlab.twin.conversation import Twin

ASKED = [
    (b"0in", b"0IN0E1140005120231701016800023000\r\n"),
    (b"1in", b"1IN0E1140005220231701016800023000\r\n"),
    (b"0gs", b"0GS00\r\n"),
    (b"1gp", b"1PO00000000\r\n"),
    (b"0gv1gv", b"0GV64\r\n1GV64\r\n"),
    (b"1sv32", b"1GS00\r\n"),
    (b"1gv", b"1GV32\r\n"),
    (b"0zz", b"0GS03\r\n"),
    (b"0sv65", b"0GS04\r\n"),
    (b"5gs", b""),  # nobody there
    (b"1sv64", b"1GS00\r\n"),
]


def bus(table: FakeBench, serial_port: Callable[[Twin], Wire]) -> Wire:
    exact = {"encoder_noise_pulses": 0, "repeatability_deg": 0.0}
    modules = {
        unit: ELL14Twin.build(name, table, {"serial": serial, **exact})
        for unit, name, serial in (("0", "hwp", "11400051"), ("1", "qwp", "11400052"))
    }
    return serial_port(ELL14Twin.combine(modules))


def test_each_command_gets_the_sheets_reply(table: FakeBench, serial_port: Callable[[Twin], Wire]) -> None:
    wire = bus(table, serial_port)
    for sent, expected in ASKED:
        assert wire.say(sent) == expected, sent


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, sum(len(sent) for sent, _ in ASKED)), max_size=12))
def test_the_replies_do_not_depend_on_how_the_bytes_are_split(
    cuts: list[int],
    table: FakeBench,
    serial_port: Callable[[Twin], Wire],
    split_at: Callable[[bytes, list[int]], list[bytes]],
) -> None:
    wire = bus(table, serial_port)
    stream = b"".join(sent for sent, _ in ASKED)
    assert wire.say(*split_at(stream, cuts)) == b"".join(expected for _, expected in ASKED)


@pytest.mark.parametrize("first", ["0", "1"])
def test_a_move_answers_at_its_end_while_the_other_module_can_be_asked(
    first: str, table: FakeBench, serial_port: Callable[[Twin], Wire]
) -> None:
    wire = bus(table, serial_port)
    other = "1" if first == "0" else "0"
    # a quarter of a turn: 143360 / 4 = 0x8C00 pulses
    assert wire.say(f"{first}ma00008C00".encode()) == b""
    assert wire.say(f"{other}gs".encode()) == f"{other}GS00\r\n".encode()
    assert wire.talk(f"{first}gs".encode()) == f"{first}GS09\r\n".encode()
    wire.clock.sleep(1.0)
    assert wire.collect() == f"{first}PO00008C00\r\n".encode()
    assert wire.say(f"{first}gp{other}gp".encode()) == f"{first}PO00008C00\r\n{other}PO00000000\r\n".encode()
