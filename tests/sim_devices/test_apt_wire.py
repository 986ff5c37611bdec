"""The APT twins against protocol sheet 12: pyserial on a pty, messages written by hand in hexadecimal."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qlab.errors import TwinError
from sim_devices.polarisation.thorlabs_apt import K10CR1Twin, KDC101Twin, MPC320Twin
from sim_devices.routing.thorlabs_z825b import Z825BTwin

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import FakeBench, Wire

IDLE = 0x80000400  # homed and enabled
K10_PER_DEG = 409600 / 3


def h(text: str) -> bytes:
    return bytes.fromhex(text)


def long(number: int, layout: str, *values: int) -> bytes:
    data = struct.pack(f"<{layout}", *values)
    return struct.pack("<HHBB", number, len(data), 0xD0, 0x01) + data


def answer(number: int, layout: str, *values: int) -> bytes:
    data = struct.pack(f"<{layout}", *values)
    return struct.pack("<HHBB", number, len(data), 0x81, 0x50) + data


@pytest.fixture
def mount(table: FakeBench) -> K10CR1Twin:
    return K10CR1Twin.build("mount", table, {"repeatability_deg": 0.0, "backlash_deg": 0.0})


@pytest.fixture
def wire(serial_port: Callable[..., Wire], mount: K10CR1Twin) -> Wire:
    return serial_port(mount)


def test_info_has_model_serial_and_firmware(wire: Wire) -> None:
    reply = wire.say(h("0500 00 00 50 01"))
    assert reply[:6] == h("0600 5400 81 50")
    assert len(reply) == 6 + 84
    serial, model = struct.unpack_from("<i8s", reply, 6)
    assert (serial, model) == (55000123, b"K10CR1\0\0")
    kind, *version, internal, hardware, state, channels = struct.unpack_from("<H4B60sHHH", reply, 18)
    assert (kind, version, internal) == (16, [3, 0, 2, 0], bytes(60))  # version 2.0.3, minor first
    assert (hardware, state, channels) == (1, 0, 1)


def test_homing_ends_with_homed_and_status_shows_it(wire: Wire, table: FakeBench) -> None:
    assert wire.say(h("2904 01 00 50 01")) == answer(0x042A, "HI", 1, 0x80000000)
    assert wire.say(h("4304 01 00 50 01")) == b""
    assert wire.say(h("2904 01 00 50 01")) == answer(0x042A, "HI", 1, 0x80000000 | 1 << 9 | 0x30)
    assert wire.talk(wait_s=60.0) == h("4404 01 00 01 50")
    assert wire.say(h("2904 01 00 50 01")) == answer(0x042A, "HI", 1, IDLE)
    assert table.knob("mount", "angle_deg").value(table.clock.now_ps()) == 0.0


@pytest.fixture
def homed(wire: Wire) -> Wire:
    wire.talk(h("4304 01 00 50 01"), wait_s=60.0)
    return wire


def test_an_absolute_move_ends_with_move_completed(homed: Wire, table: FakeBench) -> None:
    counts = round(45 * K10_PER_DEG)
    assert homed.say(long(0x0453, "Hi", 1, counts)) == b""
    both = struct.unpack_from("<I", homed.say(h("8004 01 00 50 01")), 16)[0]
    assert both & 0x30 == 0x30  # a K10CR1 sets both moving bits
    assert homed.talk(wait_s=10.0) == answer(0x0464, "HiHHI", 1, counts, 0, 0, IDLE)
    assert homed.say(h("8004 01 00 50 01")) == answer(0x0481, "HiII", 1, counts, 0, IDLE)
    assert homed.say(h("1104 01 00 50 01")) == answer(0x0412, "Hi", 1, counts)
    assert table.knob("mount", "angle_deg").value(table.clock.now_ps()) == pytest.approx(45.0, abs=1e-4)


def test_the_way_takes_its_time(homed: Wire, table: FakeBench) -> None:
    """90 degrees at 10 deg/s, and 0.5 s of acceleration at 20 deg/s^2: halfway after half of 9.5 s."""
    homed.say(long(0x0453, "Hi", 1, round(90 * K10_PER_DEG)))
    table.clock.sleep(4.75)
    assert table.knob("mount", "angle_deg").value(table.clock.now_ps()) == pytest.approx(45.0, abs=0.01)
    assert homed.talk(wait_s=4.0) == b""
    assert homed.talk(wait_s=1.0)[:2] == h("6404")


def test_relative_moves_presets_and_jogs(homed: Wire) -> None:
    homed.talk(long(0x0448, "Hi", 1, 1000), wait_s=5.0)
    homed.talk(long(0x0448, "Hi", 1, -400), wait_s=5.0)
    assert homed.say(h("1104 01 00 50 01")) == answer(0x0412, "Hi", 1, 600)
    homed.say(long(0x0445, "Hi", 1, 50), long(0x0450, "Hi", 1, 7000), long(0x0416, "HHiiiiH", 1, 2, 25, 0, 1, 1, 2))
    homed.talk(h("4804 01 00 50 01"), wait_s=5.0)
    assert homed.say(h("1104 01 00 50 01")) == answer(0x0412, "Hi", 1, 650)
    homed.talk(h("5304 01 00 50 01"), wait_s=5.0)
    assert homed.say(h("1104 01 00 50 01")) == answer(0x0412, "Hi", 1, 7000)
    homed.talk(h("6a04 01 02 50 01"), wait_s=5.0)
    homed.talk(h("6a04 01 02 50 01"), wait_s=5.0)
    homed.talk(h("6a04 01 01 50 01"), wait_s=5.0)
    assert homed.say(h("1104 01 00 50 01")) == answer(0x0412, "Hi", 1, 6975)


def test_a_stop_ends_the_move_where_it_is(homed: Wire) -> None:
    homed.talk(long(0x0453, "Hi", 1, round(90 * K10_PER_DEG)), wait_s=4.75)
    reply = homed.say(h("6504 01 02 50 01"))
    assert reply[:2] == h("6604")
    assert struct.unpack_from("<i", reply, 8)[0] == pytest.approx(45 * K10_PER_DEG, rel=1e-3)
    assert homed.talk(wait_s=20.0) == b""  # no completion follows


def test_a_second_move_retargets(homed: Wire) -> None:
    homed.talk(long(0x0453, "Hi", 1, round(90 * K10_PER_DEG)), wait_s=2.0)
    assert homed.talk(long(0x0453, "Hi", 1, 0), wait_s=20.0) == answer(0x0464, "HiHHI", 1, 0, 0, 0, IDLE)


def test_a_stalled_motor_sets_its_bits_and_never_completes(homed: Wire, mount: K10CR1Twin) -> None:
    mount.device_fault("stuck_motor")
    assert homed.talk(long(0x0453, "Hi", 1, 5000), wait_s=60.0) == b""
    assert homed.say(h("2904 01 00 50 01")) == answer(0x042A, "HI", 1, IDLE | 1 << 14 | 1 << 30)
    mount.device_fault("stuck_motor", active=False)
    assert homed.talk(long(0x0453, "Hi", 1, 5000), wait_s=60.0)[:2] == h("6404")
    mount.device_fault("over_temperature")
    assert homed.say(h("2904 01 00 50 01")) == answer(0x042A, "HI", 1, IDLE | 1 << 17 | 1 << 30)
    with pytest.raises(TwinError, match="stuck_motor"):
        mount.device_fault("no such thing")


def test_a_disabled_channel_ignores_moves_and_registers_are_kept(homed: Wire) -> None:
    homed.say(h("1002 01 02 50 01"))
    assert homed.say(h("1102 01 00 50 01")) == h("1202 01 02 01 50")
    assert homed.talk(long(0x0453, "Hi", 1, 5000), wait_s=10.0) == b""
    homed.say(h("1002 01 01 50 01"))
    assert homed.say(h("1102 01 00 50 01")) == h("1202 01 01 01 50")
    for number, layout, values in (
        (0x0413, "Hiii", (1, 0, 30040, 7329109 * 5)),
        (0x0423, "HHHiiH", (1, 3, 1, 100, 200, 1)),
        (0x043A, "Hi", (1, 136533)),
        (0x0440, "HHHii", (1, 2, 1, 7329109, 546133)),
    ):
        homed.say(long(number, layout, *values))
        request = struct.pack("<HBBBB", number + 1, 1, 0, 0x50, 1)
        assert homed.say(request) == answer(number + 2, layout, *values)


def test_velocity_parameters_slow_it_down(homed: Wire) -> None:
    homed.say(long(0x0413, "Hiii", 1, 0, 30040, 7329109))  # 1 deg/s, 20 deg/s^2
    assert homed.talk(long(0x0453, "Hi", 1, round(5 * K10_PER_DEG)), wait_s=4.9) == b""
    assert homed.talk(wait_s=0.3)[:2] == h("6404")


def test_updates_come_ten_times_a_second_until_nobody_acknowledges(homed: Wire) -> None:
    homed.say(h("1100 00 00 50 01"))
    assert len(homed.talk(wait_s=1.05)) == 10 * 20
    homed.say(h("9204 00 00 50 01"))
    assert len(homed.talk(wait_s=10.0)) == 50 * 20
    homed.say(h("1100 00 00 50 01"), h("1200 00 00 50 01"))
    assert homed.talk(wait_s=1.0) == b""


def test_a_power_cycle_loses_the_zero_and_moves_nothing(homed: Wire, mount: K10CR1Twin, table: FakeBench) -> None:
    homed.talk(long(0x0453, "Hi", 1, round(30 * K10_PER_DEG)), wait_s=10.0)
    mount.reset_power()
    assert homed.say(h("8004 01 00 50 01")) == answer(0x0481, "HiII", 1, 0, 0, 0x80000000)
    assert table.knob("mount", "angle_deg").value(table.clock.now_ps()) == pytest.approx(30.0, abs=1e-4)
    homed.say(long(0x0410, "Hi", 1, 1234))
    assert homed.say(h("1104 01 00 50 01")) == answer(0x0412, "Hi", 1, 1234)


def test_a_gear_has_play_backwards_unless_the_controller_corrects_it(table: FakeBench) -> None:
    mount = K10CR1Twin.build("geared", table, {"repeatability_deg": 0.0, "backlash_deg": 0.05})
    wire, knob = mount.connect(), table.knob("geared", "angle_deg")

    def go(degrees: float) -> float:
        wire.receive(long(0x0453, "Hi", 1, round(degrees * K10_PER_DEG)))
        table.clock.sleep(60.0)
        wire.wake()
        return knob.value(table.clock.now_ps())

    wire.receive(h("4304 01 00 50 01"))
    table.clock.sleep(60.0)
    wire.wake()
    assert go(40.0) == pytest.approx(40.0, abs=1e-4)
    assert go(20.0) == pytest.approx(20.05, abs=1e-4)
    wire.receive(long(0x043A, "Hi", 1, 136533))
    assert go(40.0) == pytest.approx(40.0, abs=1e-4)
    assert go(20.0) == pytest.approx(20.0, abs=1e-4)


def test_a_dc_controller_answers_its_own_status_request(serial_port: Callable[..., Wire], table: FakeBench) -> None:
    wire = serial_port(KDC101Twin.build("kdc", table, {}))
    assert wire.say(h("9004 01 00 50 01")) == answer(0x0491, "HiHhI", 1, 0, 0, 0, 0x80000000)
    wire.talk(h("4304 01 00 50 01"), wait_s=60.0)
    counts = round(10 * 86384 / 45)
    assert wire.talk(long(0x0453, "Hi", 1, counts), wait_s=5.0)[:2] == h("6404")
    assert wire.say(h("9004 01 00 50 01")) == answer(0x0491, "HiHhI", 1, counts, 0, 0, IDLE)
    wire.say(long(0x0413, "Hiii", 1, 0, 366, 214708), long(0x0453, "Hi", 1, 0))  # 5 degrees a second
    wire.talk(wait_s=0.5)
    _, _, speed, current, bits = struct.unpack("<HiHhI", wire.say(h("9004 01 00 50 01"))[6:])
    assert speed == pytest.approx(5.0 * 86384 / 45, abs=1)  # as far as 16 bits go
    assert current > 0
    assert bits & 0x30


def test_paddles_are_a_bit_mask(serial_port: Callable[..., Wire], table: FakeBench) -> None:
    wire = serial_port(MPC320Twin.build("mpc", table, {"repeatability_deg": 0.0, "backlash_deg": 0.0}))
    for channel in (1, 2, 4):
        assert wire.talk(struct.pack("<HBBBB", 0x0443, channel, 0, 0x50, 1), wait_s=10.0)[:3] == h("4404") + bytes(
            [channel]
        )
    assert wire.talk(long(0x0453, "Hi", 4, 1370), wait_s=3.0)[:2] == h("6404")
    assert table.knob("mpc", "angle_deg.3").value(table.clock.now_ps()) == pytest.approx(170.0)
    wire.say(h("1002 05 01 50 01"))  # paddles 1 and 3: the mask replaces the last one
    assert wire.say(h("1102 02 00 50 01")) == h("1202 02 02 01 50")
    assert wire.talk(long(0x0453, "Hi", 2, 100), wait_s=3.0) == b""
    wire.say(long(0x0530, "HHHHHH", 0, 50, 685, 10, 10, 10))
    assert wire.say(h("3105 00 00 50 01")) == answer(0x0532, "HHHHHH", 0, 50, 685, 10, 10, 10)


SESSION = b"".join(
    [
        h("0500 00 00 50 01"),
        h("2904 01 00 50 01"),
        long(0x0410, "Hi", 1, 77),
        h("1104 01 00 50 01"),
        h("8004 01 00 50 01"),
    ]
)


def test_any_split_and_noise_before_a_message_give_the_same_bytes(
    wire: Wire, table: FakeBench, pieces: Callable[[bytes], list[bytes]]
) -> None:
    whole = K10CR1Twin.build("other", table, {}).connect().receive(SESSION)
    assert wire.say(*pieces(h("ff 01 02") + SESSION)) == whole


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(max_size=80))
def test_random_bytes_neither_crash_nor_wedge_it(bench: FakeBench, noise: bytes) -> None:
    twin = K10CR1Twin.build("mount", bench, {})
    conversation = twin.connect()
    conversation.receive(noise)
    conversation.receive(bytes(300))  # whatever a long message still waited for
    assert conversation.receive(h("0500 00 00 50 01"))[:2] == h("0600")


def test_parameters_are_told_as_delivered_and_survive_power_where_they_are_saved(
    wire: Wire, mount: K10CR1Twin, serial_port: Callable[..., Wire], table: FakeBench
) -> None:
    steep, fast = 20 * 1502, 10 * 7329109
    assert wire.say(h("1404 01 00 50 01")) == answer(0x0415, "Hiii", 1, 0, steep, fast)
    jog = answer(0x0418, "HHiiiiH", 1, 2, round(5 * K10_PER_DEG), 0, steep, fast, 2)
    assert wire.say(h("1704 01 00 50 01")) == jog
    assert wire.say(h("2404 01 00 50 01")) == answer(0x0425, "HHHiiH", 1, 1, 1, 0, 0, 1)
    assert wire.say(h("3B04 01 00 50 01")) == answer(0x043C, "Hi", 1, 0)
    assert wire.say(h("4104 01 00 50 01")) == answer(0x0442, "HHHii", 1, 2, 1, 5 * 7329109, 0)
    slow = 2 * 7329109
    wire.say(long(0x0413, "Hiii", 1, 0, steep, slow), long(0x043A, "Hi", 1, 99), long(0x04B9, "HH", 1, 0x0413))
    mount.reset_power()
    assert wire.say(h("1404 01 00 50 01")) == answer(0x0415, "Hiii", 1, 0, steep, slow)
    assert wire.say(h("3B04 01 00 50 01")) == answer(0x043C, "Hi", 1, 0)
    wire.say(long(0x0453, "Hi", 1, round(10 * K10_PER_DEG)))
    assert wire.talk(wait_s=4.9) == b""  # 10 degrees at 2 degrees a second
    assert wire.talk(wait_s=0.3)[:2] == h("6404")
    paddles = serial_port(MPC320Twin.build("paddles", table, {}))
    assert paddles.say(h("3105 01 00 50 01")) == answer(0x0532, "HHHHHH", 0, 100, 685, 81, 81, 81)


def test_a_jog_shows_its_bits_and_homing_its_offset(wire: Wire) -> None:
    wire.talk(long(0x0440, "HHHii", 1, 2, 1, 5 * 7329109, 1000), h("4304 01 00 50 01"), wait_s=60.0)
    assert wire.say(h("1104 01 00 50 01")) == answer(0x0412, "Hi", 1, 1000)
    wire.say(h("6A04 01 01 50 01"))
    assert wire.say(h("2904 01 00 50 01")) == answer(0x042A, "HI", 1, IDLE | 0x30 | 1 << 6)
    wire.talk(wait_s=5.0)
    wire.say(h("6A04 01 02 50 01"))
    assert wire.say(h("2904 01 00 50 01")) == answer(0x042A, "HI", 1, IDLE | 0x30 | 1 << 7)


def test_a_paddle_stops_at_the_ends_of_its_travel_and_jogs_by_its_own_step(
    serial_port: Callable[..., Wire], table: FakeBench
) -> None:
    paddles = serial_port(MPC320Twin.build("paddles", table, {"repeatability_deg": 0.0, "backlash_deg": 0.0}))
    paddles.talk(h("4304 02 00 50 01"), wait_s=10.0)
    paddles.talk(long(0x0453, "Hi", 2, 2000), wait_s=10.0)
    assert paddles.say(h("9004 02 00 50 01")) == answer(0x0491, "HiHhI", 2, 1370, 0, 0, IDLE | 1 << 0)
    paddles.talk(long(0x0453, "Hi", 2, -5), wait_s=10.0)
    assert paddles.say(h("9004 02 00 50 01")) == answer(0x0491, "HiHhI", 2, 0, 0, 0, IDLE | 1 << 1)
    paddles.talk(long(0x0530, "HHHHHH", 0, 50, 685, 10, 20, 30), h("6A04 02 01 50 01"), wait_s=10.0)
    assert paddles.say(h("9004 02 00 50 01")) == answer(0x0491, "HiHhI", 2, 20, 0, 0, IDLE)


def test_the_encoder_counter_is_set_and_read_like_the_position(homed: Wire) -> None:
    homed.say(long(0x0409, "Hi", 1, -77))
    assert homed.say(h("0A04 01 00 50 01")) == answer(0x040B, "Hi", 1, -77)
    assert homed.say(h("1104 01 00 50 01")) == answer(0x0412, "Hi", 1, -77)


def test_only_messages_for_the_generic_unit_are_heard_and_some_are_never_answered(homed: Wire) -> None:
    assert homed.say(h("1104 01 00 11 01"), h("1104 01 00 21 01")) == b""  # a rack's motherboard and its first bay
    assert homed.say(h("2302 01 00 50 01")) == b""  # the lamp flashes
    homed.talk(h("1100 0A 00 50 01"), wait_s=0.15)
    assert homed.say(h("0200 00 00 50 01")) == b""  # disconnect: nobody wants updates any more
    assert homed.talk(wait_s=1.0) == b""
    assert homed.say(h("1104 01 00 50 01")) == answer(0x0412, "Hi", 1, 0)


@pytest.mark.parametrize("how", [1, 2], ids=["immediate", "profiled"])
def test_both_ways_to_stop_are_answered_with_the_place(homed: Wire, how: int) -> None:
    homed.talk(long(0x0453, "Hi", 1, round(90 * K10_PER_DEG)), wait_s=2.0)
    reply = homed.say(struct.pack("<HBBBB", 0x0465, 1, how, 0x50, 1))
    assert reply[:6] == h("6604 0E00 81 50")
    channel, counts, velocity, current, bits = struct.unpack("<HiHHI", reply[6:])
    assert (channel, velocity, current, bits) == (1, 0, 0, IDLE)
    assert homed.say(h("1104 01 00 50 01")) == answer(0x0412, "Hi", 1, counts)


@pytest.mark.parametrize(
    ("fault", "bit"),
    [
        ("stuck_motor", 14),
        ("interlock", 16),
        ("over_temperature", 17),
        ("supply_voltage", 18),
        ("commutation", 19),
        ("overload", 24),
        ("encoder", 25),
        ("over_current", 26),
        ("current", 27),
    ],
)
def test_each_trouble_has_its_status_bit(homed: Wire, mount: K10CR1Twin, fault: str, bit: int) -> None:
    mount.device_fault(fault)
    homed.talk(long(0x0448, "Hi", 1, 5000), wait_s=10.0)
    assert homed.say(h("2904 01 00 50 01")) == answer(0x042A, "HI", 1, IDLE | 1 << bit | 1 << 30)
    mount.device_fault(fault, active=False)
    homed.talk(long(0x0448, "Hi", 1, 5000), wait_s=10.0)
    assert homed.say(h("2904 01 00 50 01")) == answer(0x042A, "HI", 1, IDLE)


def test_a_dc_motor_shows_the_way_it_goes(serial_port: Callable[..., Wire], table: FakeBench) -> None:
    wire = serial_port(KDC101Twin.build("kdc", table, {}))
    wire.talk(h("4304 01 00 50 01"), wait_s=60.0)
    wire.say(long(0x0448, "Hi", 1, 5000))
    assert wire.say(h("2904 01 00 50 01")) == answer(0x042A, "HI", 1, IDLE | 1 << 4)
    wire.talk(wait_s=10.0)
    wire.say(long(0x0448, "Hi", 1, -5000))
    assert wire.say(h("2904 01 00 50 01")) == answer(0x042A, "HI", 1, IDLE | 1 << 5)


def test_a_continuous_jog_goes_on_until_it_is_stopped(homed: Wire) -> None:
    homed.say(long(0x0416, "HHiiiiH", 1, 1, 25, 0, 1, 1, 2))
    assert homed.talk(h("6A04 01 01 50 01"), wait_s=100.0) == b""
    counts = struct.unpack_from("<i", homed.say(h("6504 01 01 50 01")), 8)[0]
    assert counts == pytest.approx(1000 * K10_PER_DEG, rel=0.01)  # 10 degrees a second


def test_the_counter_wraps_after_43_turns(homed: Wire, table: FakeBench) -> None:
    turn = 3 * 2**14 * 1000  # 409600 / 3 counts a degree, 360 degrees
    assert round(360 * K10_PER_DEG) == turn
    for _ in range(44):
        homed.talk(long(0x0448, "Hi", 1, turn), wait_s=40.0)
    assert homed.say(h("1104 01 00 50 01")) == answer(0x0412, "Hi", 1, 44 * turn - 2**32)
    assert table.knob("mount", "angle_deg").value(table.clock.now_ps()) == pytest.approx(44 * 360.0)
    assert homed.talk(long(0x0448, "Hi", 1, -turn), wait_s=40.0)[:2] == h("6404")
    assert homed.say(h("1104 01 00 50 01")) == answer(0x0412, "Hi", 1, 43 * turn)
    assert table.knob("mount", "angle_deg").value(table.clock.now_ps()) == pytest.approx(43 * 360.0)


def test_the_zero_is_looked_for_at_five_degrees_a_second_at_most(homed: Wire) -> None:
    homed.talk(long(0x0453, "Hi", 1, round(90 * K10_PER_DEG)), wait_s=20.0)
    homed.say(long(0x0440, "HHHii", 1, 2, 1, 20 * 7329109, 0))
    assert homed.talk(h("4304 01 00 50 01"), wait_s=18.0) == b""  # 90 degrees
    assert homed.talk(wait_s=1.0) == h("4404 01 00 01 50")


@pytest.mark.parametrize(("percent", "deg_per_s"), [(10, 40), (100, 400), (5, 40)])
def test_paddles_turn_at_a_share_of_400_degrees_a_second(
    serial_port: Callable[..., Wire], table: FakeBench, percent: int, deg_per_s: float
) -> None:
    wire = serial_port(MPC320Twin.build("mpc", table, {"repeatability_deg": 0.0, "backlash_deg": 0.0}))
    wire.talk(h("4304 01 00 50 01"), wait_s=10.0)
    wire.say(long(0x0530, "HHHHHH", 0, percent, 685, 10, 10, 10))
    seconds = 170.0 / deg_per_s
    assert wire.talk(long(0x0453, "Hi", 1, 1370), wait_s=0.99 * seconds) == b""
    assert wire.talk(wait_s=0.01 * seconds + 0.15)[:2] == h("6404")
    wire.say(h("1002 00 01 50 01"))  # an empty mask: all off
    assert [wire.say(struct.pack("<HBBBB", 0x0211, n, 0, 0x50, 1))[3] for n in (1, 2, 4)] == [2, 2, 2]


def test_a_prm1_turns_at_25_degrees_a_second_and_a_z825b_counts_34304_a_millimetre(
    serial_port: Callable[..., Wire], table: FakeBench
) -> None:
    wire = serial_port(KDC101Twin.build("kdc", table, {"repeatability_deg": 0.0, "backlash_deg": 0.0}))
    wire.talk(h("4304 01 00 50 01"), wait_s=60.0)
    assert wire.talk(long(0x0453, "Hi", 1, round(100 * 1919.644)), wait_s=4.9) == b""  # 4 s and 1 s of acceleration
    assert wire.talk(wait_s=0.2)[:2] == h("6404")
    assert table.knob("kdc", "angle_deg").value(table.clock.now_ps()) == pytest.approx(100.0, abs=1e-3)
    stage = serial_port(Z825BTwin.build("line", table, {"repeatability_mm": 0.0, "backlash_mm": 0.0}))
    stage.talk(h("4304 01 00 50 01"), wait_s=60.0)
    assert stage.talk(long(0x0453, "Hi", 1, 343040), wait_s=60.0)[:2] == h("6404")
    assert table.knob("line", "position_mm").value(table.clock.now_ps()) == pytest.approx(10.0, abs=1e-4)
