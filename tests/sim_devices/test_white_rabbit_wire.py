r"""The White Rabbit twins against protocol sheet 21: pyserial on a pty and a raw UDP socket, bytes written by hand."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from qlab.errors import TwinError
from sim_devices.timing.white_rabbit_node import WhiteRabbitNodeTwin

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import FakeBench, Wire

PROMPT = b"wrc# "
QUIET = {"noise_ps": 0.0}
SESSION = [
    (b"ver\r", b"ver\r\nWR Core build: wrpc-v4.2\r\nBuilt for 128 kB RAM, stack is 2048 bytes\r\nwrc# "),
    (b"mac get\n", b"mac get\r\nMAC-address: 08:00:30:12:34:56\r\nwrc# "),
    (b"ip get\r", b"ip get\r\nIP-address: 192.168.10.21 (static assignment)\r\nwrc# "),
    (b"\r", b"\r\nwrc# "),
    (b"mode\r", b"mode\r\nrunning; e2e slave\r\nwrc# "),
    (b"ptp stop\r", b"ptp stop\r\nwrc# "),
    (b"ptp\r", b"ptp\r\nstopped; e2e slave\r\nwrc# "),
    (b"ptp start\r", b"ptp start\r\nwrc# "),
    (b"ptp master\r", b"ptp master\r\nwrc# "),
    (b"mode\r", b"mode\r\nrunning; e2e master\r\nwrc# "),
    (b"ptp slave\r", b"ptp slave\r\nwrc# "),
    (b"ptp maybe\r", b'ptp maybe\r\nCommand "ptp": error -22\r\nwrc# '),
    (b"xyzzy\r", b'xyzzy\r\nUnrecognized command "xyzzy".\r\nwrc# '),
    (b"time\r", b"time\r\nThu, Jan 1, 2026, 00:00:37 +0 nanoseconds.\r\nwrc# "),
    (b"sfp show\r", b"sfp show\r\n1: PN:AXGE-3454-0531   dTx:   225000 dRx:   226000 alpha: -73685416\r\nwrc# "),
    (b"diag\r", b"diag\r\nAux diag ID: 0x00000000, ver: 0x00000000, ro: 0, rw: 0\r\nwrc# "),
    (
        b"help\r",
        b"help\r\nAvailable commands:\r\n  diag\r\n  help\r\n  ip\r\n  mac\r\n  mode\r\n  ptp\r\n  sfp\r\n  stat\r\n"
        b"  time\r\n  ver\r\nwrc# ",
    ),
    (b"ver\n", b"ver\r\nWR Core build: wrpc-v4.2\r\nBuilt for 128 kB RAM, stack is 2048 bytes\r\nwrc# "),
    (b"stat off\r", b"stat off\r\nstatistics now off\r\nwrc# "),
]
FIELDS = (
    "lnk rx tx lock ptp sv ss aux0 sec nsec mu dms dtxm drxm dtxs drxs asym crtt cko setp ucnt bslide hd md ad temp"
)
SERVO = "sv ss mu dms dtxm drxm dtxs drxs asym crtt cko setp ucnt bslide"


@pytest.fixture
def node(table: FakeBench) -> WhiteRabbitNodeTwin:
    return WhiteRabbitNodeTwin.build("node", table, QUIET)


@pytest.fixture
def wire(serial_port: Callable[..., Wire], node: WhiteRabbitNodeTwin) -> Wire:
    return serial_port(node)


def fields(said: bytes) -> dict[str, str]:
    """Return the last line of statistics as a table, in the order of its fields."""
    line = re.findall(rb"lnk:[^\r\n]*\r\n", said)[-1].decode()
    return dict(re.findall(r"(\w+):('[^']*'|\S+)", line))


def stat(wire: Wire) -> dict[str, str]:
    return fields(wire.say(b"stat\r"))


def test_a_session_of_the_sheet(wire: Wire) -> None:
    for sent, expected in SESSION:
        assert wire.say(sent) == expected, sent


def test_any_split_on_the_wire_gives_the_same_bytes(wire: Wire, pieces: Callable[[bytes], list[bytes]]) -> None:
    stream = b"".join(sent for sent, _ in SESSION)
    assert wire.say(*pieces(stream)) == b"".join(expected for _, expected in SESSION)


def test_the_statistics_have_the_fields_of_the_sheet_in_its_order(wire: Wire) -> None:
    said = wire.say(b"stat\r")
    assert said.startswith(b"stat\r\nlnk:1 rx:")
    assert said.endswith(b" C\r\nwrc# ")
    found = fields(said)
    assert list(found) == FIELDS.split()
    assert found["ss"] == "'TRACK_PHASE'"
    assert found["ptp"] == "slave"
    assert found["temp"] == "40.0000"


def test_the_delays_obey_the_identities_of_the_sources(wire: Wire) -> None:
    found = {key: int(value) for key, value in stat(wire).items() if value.lstrip("-").isdecimal()}
    fixed = sum(found[key] for key in ("dtxm", "drxm", "dtxs", "drxs"))
    assert found["crtt"] == found["mu"] - fixed
    assert found["asym"] == found["mu"] - 2 * found["dms"]
    assert found["crtt"] == pytest.approx(2 * 5000 * 4898, abs=1)  # 5 km of silica, both ways


def test_a_master_has_no_servo_fields(wire: Wire) -> None:
    wire.say(b"ptp master\r")
    assert set(FIELDS.split()) - set(stat(wire)) == set(SERVO.split())


def test_stat_on_prints_once_a_second_until_it_is_off(wire: Wire) -> None:
    assert wire.say(b"stat on\r").count(b"lnk:") == 1
    lines = wire.talk(wait_s=3.5)
    assert lines.count(b"lnk:1") == 3
    assert PROMPT not in lines
    assert [int(fields(part + b"\r\n")["sec"]) for part in lines.split(b"\r\n")[:3]] == [
        1767225638,
        1767225639,
        1767225640,
    ]
    wire.say(b"stat off\r")
    assert wire.talk(wait_s=5.0) == b""


def test_the_update_counter_counts_seconds_however_often_it_is_asked(wire: Wire) -> None:
    first = int(stat(wire)["ucnt"])
    for _ in range(25):
        wire.talk(b"stat\r", wait_s=0.2)
    assert int(stat(wire)["ucnt"]) - first == 5


def test_the_offset_is_noise_that_polling_does_not_change(make_bench: Callable[[], FakeBench]) -> None:
    def offsets(polls: int) -> list[int]:
        bench = make_bench()
        twin = WhiteRabbitNodeTwin.build("node", bench, {})
        found = []
        for n in range(20 * polls):
            bench.clock.step(1.0 / polls)
            if n % polls == polls - 1:
                found.append(twin.servo.offset_ps)
            elif n % 3:
                twin.statistics()
        return found

    assert offsets(1) == offsets(5)
    assert 1.0 < sum(abs(each) for each in offsets(1)) / 20 < 5.0  # 3 ps


@pytest.mark.parametrize(
    ("fault", "shown"),
    [
        ("link_down", {"lnk": "0", "lock": "0", "ss": "'Uninitialized'", "sv": "0"}),
        ("lock_lost", {"lnk": "1", "lock": "0", "ss": "'Uninitialized'"}),
        ("track_lost", {"lnk": "1", "lock": "1", "ss": "'SYNC_PHASE'"}),
        ("servo_frozen", {"lnk": "1", "lock": "1", "ss": "'TRACK_PHASE'"}),
    ],
)
def test_faults_show_and_go(wire: Wire, node: WhiteRabbitNodeTwin, fault: str, shown: dict[str, str]) -> None:
    node.device_fault(fault)
    found = stat(wire)
    assert {key: found[key] for key in shown} == shown
    wire.talk(wait_s=10.0)
    if fault != "track_lost":
        assert stat(wire)["ucnt"] == found["ucnt"]
    node.device_fault(fault, active=False)
    states = []
    for _ in range(20):
        wire.talk(wait_s=1.0)
        states.append(stat(wire)["ss"].strip("'"))
    assert states[-1] == "TRACK_PHASE"
    seen = [state for state in dict.fromkeys(states) if state != "Uninitialized"]
    assert (
        seen
        in (
            ["SYNC_SEC", "SYNC_NSEC", "SYNC_PHASE", "WAIT_OFFSET_STABLE", "TRACK_PHASE"],
            ["SYNC_NSEC", "SYNC_PHASE", "WAIT_OFFSET_STABLE", "TRACK_PHASE"],
        )
        or seen[0] == "SYNC_SEC"
    )
    with pytest.raises(TwinError, match="link_down"):
        node.device_fault("no such thing")


def test_without_a_link_its_time_runs_away_and_comes_back(
    wire: Wire, node: WhiteRabbitNodeTwin, table: FakeBench
) -> None:
    phase, frequency = table.knob("node", "phase_ps"), table.knob("node", "frequency")
    node.device_fault("link_down")
    wire.talk(wait_s=100.0)
    now = table.clock.now_ps()
    assert frequency.value(now) == pytest.approx(1e-9)
    assert node.servo.time_error_ps == pytest.approx(100e3)  # 1e-9 of 100 s
    node.device_fault("link_down", active=False)
    wire.talk(wait_s=5.5)
    assert int(stat(wire)["cko"]) == pytest.approx(105e3, abs=1)  # it ran on until the PLL had locked
    wire.talk(wait_s=15.0)
    assert stat(wire)["cko"] == "0"
    assert frequency.value(table.clock.now_ps()) == 0.0
    # The frequency's error has added up to 105 ns; the phase knob takes them back.
    assert phase.value(table.clock.now_ps()) == pytest.approx(-105e3)


def test_a_step_of_the_master_is_followed(wire: Wire, node: WhiteRabbitNodeTwin) -> None:
    node.device_fault("offset_step")
    wire.talk(wait_s=1.0)
    assert int(stat(wire)["cko"]) == pytest.approx(2000 * 2.71828 ** (-1 / 3), abs=2)
    wire.talk(wait_s=40.0)
    assert stat(wire)["cko"] == "0"
    assert stat(wire)["ss"] == "'TRACK_PHASE'"


def test_a_warm_fibre_is_longer_and_its_asymmetry_shows_nowhere(
    serial_port: Callable[..., Wire], table: FakeBench
) -> None:
    parameters = {**QUIET, "swing_k": 5.0, "hidden_ps_per_k": 2.0, "uncalibrated_ps": 300.0}
    twin = WhiteRabbitNodeTwin.build("day", table, parameters)
    wire = serial_port(twin)
    night = int(stat(wire)["crtt"])
    wire.talk(wait_s=21600.0)  # a quarter of a day: 5 K warmer
    found = stat(wire)
    assert int(found["crtt"]) - night == pytest.approx(2 * 5 * 37 * 5, abs=1)  # 37 ps/(km K), both ways
    assert found["cko"] == "0"
    assert table.knob("day", "phase_ps").value(table.clock.now_ps()) == pytest.approx(10.0 - 150.0)


def test_power_on_begins_without_time(wire: Wire, node: WhiteRabbitNodeTwin) -> None:
    node.reset_power()
    assert wire.say(b"time\r") == b"time\r\nThu, Jan 1, 1970, 00:00:00 +0 nanoseconds.\r\nwrc# "
    wire.talk(wait_s=17.0)
    assert b"Jan 1, 2026, 00:00:54" in wire.say(b"time\r")
