r"""The TC200 twin against protocol sheet 04: pyserial on a pty, bytes written by hand.

Each reply is the echo, the answer and the prompt: `<echo>\r<answer>\r> `, for sets `<echo>\r> `.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qlab.errors import TwinError
from sim_devices.sources.thorlabs_tc200 import TC200Twin

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import FakeBench, Wire

RANGE = b"CMD_ARG_RANGE_ERR\r> "
UNKNOWN = b"CMD_NOT_DEFINED\r> "

POWER_ON = [
    (b"id?\r", b"id?\rTHORLABS TC200 VERSION 2.0\r> "),
    (b"*idn?\r", b"*idn?\rTHORLABS TC200 VERSION 2.0\r> "),
    (b"tset?\r", b"tset?\r25.0 Celsius\r> "),
    (b"tact?\r", b"tact?\r22.0 C\r> "),  # the room's
    (b"tmax?\r", b"tmax?\r200.0\r> "),
    (b"pmax?\r", b"pmax?\r18.0\r> "),
    (b"pid?\r", b"pid?\r125 0 0\r> "),
    (b"sns?\r", b"sns?\rth10k\r> "),
    (b"tune?\r", b"tune?\r0\r> "),
    (b"stat?\r", b"stat?\r10 > "),  # no carriage return before this prompt; 0x10: degrees Celsius
    (b"config?\r", b"config?\rtset=25.0\rpmax=18.0\rtmax=200.0\r> "),
]

SETS = [
    (b"tset=30.0\r", b"tset=30.0\r> "),
    (b"tset=30.0\rtset?\r", b"tset=30.0\r> tset?\r30.0 Celsius\r> "),
    (b"tset=30\rtset?\r", b"tset=30\r> tset?\r30.0 Celsius\r> "),
    (b"tset=30.04\rtset?\r", b"tset=30.04\r> tset?\r30.0 Celsius\r> "),  # steps of 0.1
    (b"tset=20.0\r", b"tset=20.0\r> "),
    (b"tset=200.0\r", b"tset=200.0\r> "),
    (b"tmax=100\rtmax?\r", b"tmax=100\r> tmax?\r100.0\r> "),
    (b"tmax=20\r", b"tmax=20\r> "),
    (b"tmax=205.0\rtmax?\r", b"tmax=205.0\r> tmax?\r205.0\r> "),
    (b"tset=90\rtmax=80\rtset?\r", b"tset=90\r> tmax=80\r> tset?\r80.0 Celsius\r> "),
    (b"pmax=0.1\rpmax?\r", b"pmax=0.1\r> pmax?\r0.1\r> "),
    (b"pmax=18.0\r", b"pmax=18.0\r> "),
    (b"pgain=250\rigain=40\rdgain=10\rpid?\r", b"pgain=250\r> igain=40\r> dgain=10\r> pid?\r250 40 10\r> "),
    (b"pgain=1\rigain=0\rdgain=0\rpid?\r", b"pgain=1\r> igain=0\r> dgain=0\r> pid?\r1 0 0\r> "),
    (b"ens\rstat?\r", b"ens\r> stat?\r11 > "),
    (b"ens\rens\rstat?\r", b"ens\r> ens\r> stat?\r10 > "),  # it toggles
    (b"mode=cycle\rstat?\r", b"mode=cycle\r> stat?\r12 > "),
    (b"mode=cycle\rmode=normal\rstat?\r", b"mode=cycle\r> mode=normal\r> stat?\r10 > "),
    (b"sns=ptc100\rsns?\rstat?\r", b"sns=ptc100\r> sns?\rptc100\r> stat?\r14 > "),
    (b"sns=ptc1000\rstat?\r", b"sns=ptc1000\r> stat?\r18 > "),
    (b"sns=ptc100\rsns=th10k\rstat?\r", b"sns=ptc100\r> sns=th10k\r> stat?\r10 > "),
    (b"unit=k\rstat?\r", b"unit=k\r> stat?\r0 > "),  # hexadecimal without leading zero
    (b"unit=f\rstat?\r", b"unit=f\r> stat?\r20 > "),
    (b"unit=f\rtact?\r", b"unit=f\r> tact?\r71.6 F\r> "),  # 1.8 * 22 + 32
    (b"unit=k\rtact?\r", b"unit=k\r> tact?\r295.1 K\r> "),  # 22 + 273.15, by round half to even
    (b"unit=f\runit=c\rtact?\r", b"unit=f\r> unit=c\r> tact?\r22.0 C\r> "),
    (b"tune\rtune?\r", b"tune\r> tune?\r1\r> "),
    (b"mode=cycle\rsns=ptc1000\runit=f\rens\rstat?\r", b"mode=cycle\r> sns=ptc1000\r> unit=f\r> ens\r> stat?\r2b > "),
    (b"id?\r\n\n", b"id?\rTHORLABS TC200 VERSION 2.0\r> "),  # line feeds are passed over
    (b"tset=30.0\rpmax=9.5\rtmax=90.0\rconfig?\r", b"tset=30.0\r> pmax=9.5\r> tmax=90.0\r> "
     b"config?\rtset=30.0\rpmax=9.5\rtmax=90.0\r> "),
]  # fmt: skip

ERRORS = [
    (b"foo\r", b"foo\r" + UNKNOWN),
    (b"foo?\r", b"foo?\r" + UNKNOWN),
    (b"foo=1\r", b"foo=1\r" + UNKNOWN),
    (b"ID?\r", b"ID?\r" + UNKNOWN),  # upper case is refused
    (b"Tact?\r", b"Tact?\r" + UNKNOWN),
    (b"tset\r", b"tset\r" + UNKNOWN),
    (b"tset=19.9\rtset?\r", b"tset=19.9\r" + RANGE + b"tset?\r25.0 Celsius\r> "),  # state unchanged
    (b"tset=200.1\r", b"tset=200.1\r" + RANGE),
    (b"tmax=100\rtset=100.1\r", b"tmax=100\r> tset=100.1\r" + RANGE),
    (b"tmax=205\rtset=201\r", b"tmax=205\r> tset=201\r" + RANGE),
    (b"tmax=19\rtmax?\r", b"tmax=19\r" + RANGE + b"tmax?\r200.0\r> "),
    (b"tmax=205.1\r", b"tmax=205.1\r" + RANGE),
    (b"pmax=0\r", b"pmax=0\r" + RANGE),
    (b"pmax=18.1\rpmax?\r", b"pmax=18.1\r" + RANGE + b"pmax?\r18.0\r> "),
    (b"pgain=0\r", b"pgain=0\r" + RANGE),
    (b"pgain=251\rpid?\r", b"pgain=251\r" + RANGE + b"pid?\r125 0 0\r> "),
    (b"igain=251\r", b"igain=251\r" + RANGE),
    (b"dgain=-1\r", b"dgain=-1\r" + RANGE),
    (b"tset=\r", b"tset=\r" + RANGE),
    (b"tset=hot\r", b"tset=hot\r" + RANGE),
    (b"tset=nan\r", b"tset=nan\r" + RANGE),
    (b"sns=ptc10\rsns?\r", b"sns=ptc10\r" + RANGE + b"sns?\rth10k\r> "),
    (b"unit=r\r", b"unit=r\r" + RANGE),
    (b"mode=fast\r", b"mode=fast\r" + RANGE),
]


@pytest.fixture
def oven(table: FakeBench) -> TC200Twin:
    return TC200Twin.build("oven", table, {"tau_s": 60.0})


@pytest.fixture
def wire(serial_port: Callable[[object], Wire], oven: TC200Twin) -> Wire:
    return serial_port(oven)


@pytest.mark.parametrize(("sent", "expected"), POWER_ON + SETS + ERRORS)
def test_each_command_of_the_sheet_gets_its_reply(wire: Wire, sent: bytes, expected: bytes) -> None:
    assert wire.say(sent) == expected


def test_half_a_command_is_answered_when_it_ends_however_late(wire: Wire) -> None:
    assert wire.talk(b"tac", wait_s=100.0) == b""
    assert wire.say(b"t?\r") == b"tact?\r22.0 C\r> "


def test_the_oven_warms_towards_its_set_point_and_cools_towards_the_room(wire: Wire, table: FakeBench) -> None:
    wire.talk(b"tset=40.0\r", wait_s=600.0)
    assert wire.say(b"tact?\r") == b"tact?\r22.0 C\r> "  # the heater is off
    wire.talk(b"ens\r", wait_s=60.0)
    assert wire.say(b"tact?\r") == b"tact?\r33.4 C\r> "  # one time constant: 40 - 18 / e
    wire.talk(wait_s=600.0)
    assert wire.say(b"tact?\r") == b"tact?\r40.0 C\r> "
    assert table.oven_temperature("oven").value(table.clock.now_ps()) == pytest.approx(40.0, abs=0.01)
    wire.talk(b"ens\r", wait_s=60.0)
    assert wire.say(b"tact?\r") == b"tact?\r28.6 C\r> "  # 22 + 18 / e
    wire.talk(b"tset=20.0\rens\r", wait_s=1200.0)
    assert wire.say(b"tact?\r") == b"tact?\r22.0 C\r> "  # it cannot cool


def test_an_unplugged_sensor_switches_the_heater_off_and_keeps_it_off(wire: Wire, oven: TC200Twin) -> None:
    wire.say(b"ens\r")
    oven.device_fault("sensor_unplugged")
    assert wire.say(b"stat?\r") == b"stat?\r50 > "
    assert wire.say(b"ens\rstat?\r") == b"ens\r> stat?\r50 > "  # it does nothing
    assert wire.say(b"tune\rtune?\r") == b"tune\r> tune?\r0\r> "
    oven.device_fault("sensor_unplugged", active=False)
    assert wire.say(b"stat?\r", b"ens\rstat?\r") == b"stat?\r10 > ens\r> stat?\r11 > "
    with pytest.raises(TwinError, match="sensor_unplugged"):
        oven.device_fault("no such thing")


def test_a_power_cycle_switches_the_heater_off_and_keeps_the_settings(oven: TC200Twin) -> None:
    oven.connect().receive(b"tset=40.0\rens\r")
    oven.reset_power()
    assert oven.connect().receive(b"tset?\rstat?\r") == b"tset?\r40.0 Celsius\r> stat?\r10 > "
    assert oven.peek() == {"set_c": 40.0, "actual_c": 22.0, "enabled": False, "alarm": False}


SESSION = b"".join(sent for sent, _ in POWER_ON + SETS + ERRORS)


def test_any_split_on_the_wire_gives_the_same_bytes(
    wire: Wire, make_bench: Callable[[], FakeBench], pieces: Callable[[bytes], list[bytes]]
) -> None:
    whole = TC200Twin.build("oven", make_bench(), {}).connect().receive(SESSION)
    assert whole.count(b"> ") == SESSION.count(b"\r")
    assert wire.say(*pieces(SESSION)) == whole


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, len(SESSION)), max_size=60))
def test_any_split_of_the_bytes_gives_the_same_replies(
    make_bench: Callable[[], FakeBench], split_at: Callable[[bytes, list[int]], list[bytes]], cuts: list[int]
) -> None:
    whole = TC200Twin.build("oven", make_bench(), {}).connect().receive(SESSION)
    wire = TC200Twin.build("oven", make_bench(), {}).connect()
    assert b"".join(wire.receive(part) for part in split_at(SESSION, cuts)) == whole


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(max_size=60) | st.text("abcdeginpstu=?0123456789.\r", max_size=80).map(str.encode))
def test_random_bytes_neither_crash_nor_wedge_the_controller(bench: FakeBench, noise: bytes) -> None:
    wire = TC200Twin.build("oven", bench, {}).connect()
    wire.receive(noise)
    wire.receive(b"\r")
    assert wire.receive(b"id?\r") == b"id?\rTHORLABS TC200 VERSION 2.0\r> "


def test_a_paused_cycle_is_the_status_bytes_highest_bit(wire: Wire, oven: TC200Twin) -> None:
    oven.device_fault("cycle_paused")
    assert wire.say(b"stat?\rmode=cycle\rstat?\r") == b"stat?\r10 > mode=cycle\r> stat?\r92 > "
    oven.device_fault("cycle_paused", active=False)
    assert wire.say(b"stat?\r") == b"stat?\r12 > "
