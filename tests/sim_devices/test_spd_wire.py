"""The S-Fifteen detector's twin against protocol sheet 09: pyserial on a pty, bytes written by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sim_devices.detectors.sfifteen_spd import SPDTwin

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import FakeBench, HandClock, Wire

IDENTITY = b"SPD, S-Fifteen Instruments, APD module\r\n"
REFUSED = b"error: out of range\r\n"

POWER_ON = [
    (b"*idn?\n", IDENTITY),
    (b"hvolt?\n", b"180.00\r\n"),
    (b"threshvolt?\n", b"0.10\r\n"),
    (b"settemp?\n", b"-20.00\r\n"),
    (b"temp?\n", b"-20.00\r\n"),
    (b"loop?\n", b"1\r\n"),
    (b"pvolt?\n", b"0\r\n"),
    (b"constp?\n", b"1\r\n"),
    (b"consti?\n", b"0.1\r\n"),
    (b"time?\n", b"1000\r\n"),
    (b"delay?\n", b"0\r\n"),
]

TERMINATORS = [
    (b"*idn?;", IDENTITY),
    (b"*idn?\r", IDENTITY),
    (b"*idn?\r\n", IDENTITY),  # one command and an empty one, which says nothing
    (b"\r\n;;\n", b""),
    (b"*IDN?\n", IDENTITY),
    (b"Loop? ;time?\n", b"1\r\n1000\r\n"),
    (b"hvolt 170;hvolt?;settemp -10;settemp?\n", b"170.00\r\n-10.00\r\n"),
]

SETS = [
    (b"hvolt 170\n", b""),  # sets are silent
    (b"hvolt 170.5\nhvolt?\n", b"170.50\r\n"),
    (b"hvolt 0\nhvolt?\n", b"0.00\r\n"),
    (b"hvolt 250\nhvolt?\n", b"250.00\r\n"),
    (b"hvolt 1.7e2\nhvolt?\n", b"170.00\r\n"),
    (b"threshvolt 0.25\nthreshvolt?\n", b"0.25\r\n"),
    (b"threshvolt -0.05\nthreshvolt?\n", b"-0.05\r\n"),
    (b"settemp -35.5\nsettemp?\ntemp?\n", b"-35.50\r\n-20.00\r\n"),  # it takes time
    (b"loop 0\nloop?\n", b"0\r\n"),
    (b"loop 0\nloop 1\nloop?\n", b"1\r\n"),
    (b"pvolt 1.5\npvolt?\n", b"1.5\r\n"),
    (b"constp 2\nconstp?\n", b"2\r\n"),
    (b"consti 0.25\nconsti?\n", b"0.25\r\n"),
    (b"time 200\ntime?\n", b"200\r\n"),
    (b"time 65535\ntime?\n", b"65535\r\n"),
    (b"delay 12\ndelay?\n", b"12\r\n"),
    (b"save\n", b"saved\r\n"),
]

ERRORS = [
    (b"hvolt 250.1\nhvolt?\n", REFUSED + b"180.00\r\n"),
    (b"hvolt -1\n", REFUSED),
    (b"hvolt high\n", REFUSED),
    (b"hvolt nan\n", REFUSED),
    (b"settemp 31\nsettemp?\n", REFUSED + b"-20.00\r\n"),
    (b"settemp -61\n", REFUSED),
    (b"loop 2\nloop?\n", REFUSED + b"1\r\n"),
    (b"loop on\n", REFUSED),
    (b"time 0\ntime?\n", REFUSED + b"1000\r\n"),
    (b"time 65536\n", REFUSED),
    (b"time 1.5\n", REFUSED),
    (b"pvolt -1\n", REFUSED),
    (b"constp 1e999\n", REFUSED),
    (b"hvolt\n", b""),  # what it does not know it does not answer
    (b"foo\nfoo?\n*idn?\n", IDENTITY),
]


@pytest.fixture
def module(table: FakeBench) -> SPDTwin:
    return SPDTwin.build("spd", table, {})


@pytest.fixture
def wire(serial_port: Callable[[object], Wire], module: SPDTwin) -> Wire:
    return serial_port(module)


@pytest.mark.parametrize(("sent", "expected"), POWER_ON + TERMINATORS + SETS + ERRORS)
def test_each_command_of_the_sheet_gets_its_reply(wire: Wire, sent: bytes, expected: bytes) -> None:
    assert wire.say(sent) == expected


def test_help_has_several_lines_and_names_every_command(wire: Wire) -> None:
    said = wire.say(b"HELP\n")
    assert said.endswith(b"\r\n")
    assert said.count(b"\r\n") > 3
    for word in (b"hvolt", b"threshvolt", b"settemp", b"temp?", b"loop", b"pvolt", b"constp", b"consti"):
        assert word in said
    for word in (b"time", b"counts?", b"delay", b"save"):
        assert word in said


@pytest.mark.parametrize(("time_ms", "clicks"), [(1, 1), (200, 200), (1000, 1000)])
def test_counts_come_when_the_counting_time_has_passed(wire: Wire, time_ms: int, clicks: int) -> None:
    # the bench's detector clicks once a millisecond
    wire.say(b"time %d\n" % time_ms)
    assert wire.talk(b"counts?\n", wait_s=time_ms * 0.9e-3) == b""
    assert wire.talk(wait_s=time_ms * 0.1e-3) == b"%d\r\n" % clicks


def test_what_is_asked_while_it_counts_waits(wire: Wire) -> None:
    assert wire.talk(b"time 100;counts?;time 50;time?;counts?\n", wait_s=0.1) == b"100\r\n50\r\n"
    assert wire.talk(wait_s=0.05) == b"50\r\n"


def test_a_count_starts_when_it_is_asked_for(wire: Wire, table: FakeBench) -> None:
    table.world.interval_ps = 70_000_000_000
    wire.talk(b"time 100\n", wait_s=0.15)
    assert wire.talk(b"counts?\n", wait_s=0.1) == b"1\r\n"  # 210 ms; not 70 and 140 ms


def test_bias_above_breakdown_and_limit_is_refused(serial_port: Callable[[object], Wire], table: FakeBench) -> None:
    wire = serial_port(SPDTwin.build("spd", table, {"breakdown_v": 150.0, "maximum_excess_v": 40.0}))
    assert wire.say(b"hvolt 190\nhvolt 190.1\nhvolt?\n") == REFUSED + b"190.00\r\n"


def test_bias_above_breakdown_makes_efficiency_and_darks(wire: Wire, table: FakeBench) -> None:
    detector = table.detector("spd")

    def state() -> tuple[float, float]:
        now = table.clock.now_ps()
        return detector.efficiency.value(now), detector.dark_rate_hz.value(now)

    wire.say(b"hvolt 180\n")
    assert state() == pytest.approx((0.5, 500.0))  # the working point
    wire.say(b"hvolt 170\n")  # half the excess: 0.5 (1 - e^-0.5) / (1 - e^-1), half the darks
    assert state() == pytest.approx((0.311230, 250.0), rel=1e-5)
    wire.say(b"hvolt 150\n")
    assert state() == (0.0, 0.0)


def test_the_loop_holds_the_temperature_and_without_it_darks_climb(wire: Wire, table: FakeBench) -> None:
    darks = table.detector("spd").dark_rate_hz
    wire.talk(b"settemp -12\n", wait_s=100.0)
    assert wire.say(b"temp?\n") == b"-12.00\r\n"
    assert darks.value(table.clock.now_ps()) == pytest.approx(1000.0, rel=1e-3)  # double per 8 K
    wire.talk(b"loop 0\n", wait_s=5.0)
    assert wire.say(b"temp?\n") == b"9.49\r\n"  # one time constant towards the room: 22 - 34 / e
    assert 1000.0 < darks.value(table.clock.now_ps()) < 500.0 * 2 ** (42 / 8)
    wire.talk(wait_s=100.0)
    assert wire.say(b"temp?\n") == b"22.00\r\n"
    assert darks.value(table.clock.now_ps()) == pytest.approx(500.0 * 2 ** (42 / 8), rel=1e-3)
    wire.talk(b"pvolt 2\n", wait_s=100.0)
    assert wire.say(b"temp?\n") == b"2.00\r\n"  # 10 K a volt
    wire.talk(b"loop 1\n", wait_s=100.0)
    assert wire.say(b"temp?\n") == b"-12.00\r\n"


def test_a_hot_room_is_too_much_for_the_cooler(wire: Wire, table: FakeBench) -> None:
    table.ambient = 65.0
    wire.talk(b"settemp -20\n", wait_s=100.0)
    assert wire.say(b"temp?\n") == b"-15.00\r\n"  # 80 K below the room
    assert table.detector("spd").dark_rate_hz.value(table.clock.now_ps()) > 700.0


def test_saved_settings_survive_a_power_cycle_and_others_do_not(module: SPDTwin) -> None:
    module.connect().receive(b"hvolt 175;threshvolt 0.2;settemp -25;time 300;save;hvolt 170;time 5\n")
    module.reset_power()
    said = module.connect().receive(b"hvolt?;threshvolt?;settemp?;time?\n")
    assert said == b"175.00\r\n0.20\r\n-25.00\r\n300\r\n"
    assert module.peek() == {"bias_v": 175.0, "temperature_c": -20.0, "loop": 1, "time_ms": 300}


SESSION = (
    b"".join(sent for sent, _ in POWER_ON + TERMINATORS + SETS + ERRORS) + b"help\ntime 3\ncounts?\n*idn?;counts?\n"
)


def test_any_split_on_the_wire_gives_the_same_bytes(
    wire: Wire, make_bench: Callable[[], FakeBench], pieces: Callable[[bytes], list[bytes]]
) -> None:
    bench = make_bench()
    whole = _talk(SPDTwin.build("spd", bench, {}), bench.clock, [SESSION])
    assert whole.endswith(b"3\r\n" + IDENTITY + b"3\r\n")
    assert wire.talk(*pieces(SESSION), wait_s=0.006) == whole


def _talk(twin: SPDTwin, clock: HandClock, parts: list[bytes]) -> bytes:
    wire = twin.connect()
    said = b"".join(wire.receive(part) for part in parts)
    while (due_ps := wire.due_ps()) is not None:
        clock.t_ps = due_ps
        said += wire.wake()
    return said


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, len(SESSION)), max_size=60))
def test_any_split_of_the_bytes_gives_the_same_replies(
    make_bench: Callable[[], FakeBench], split_at: Callable[[bytes, list[int]], list[bytes]], cuts: list[int]
) -> None:
    whole, split = make_bench(), make_bench()
    expected = _talk(SPDTwin.build("spd", whole, {}), whole.clock, [SESSION])
    assert _talk(SPDTwin.build("spd", split, {}), split.clock, split_at(SESSION, cuts)) == expected


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(max_size=60) | st.text("acehilmnoprstuv?0123456789.; \n", max_size=80).map(str.encode))
def test_random_bytes_neither_crash_nor_wedge_the_module(bench: FakeBench, noise: bytes) -> None:
    wire = SPDTwin.build("spd", bench, {}).connect()
    wire.receive(noise + b"\n")
    assert wire.receive(b"*idn?\n") == IDENTITY
