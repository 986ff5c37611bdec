"""The ELL14 twin against protocol sheet 13."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qlab.errors import TwinError
from sim_devices.polarisation.thorlabs_elliptec import ELL14Twin, ElliptecBusTwin

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import FakeBench, HandClock

    from sim_devices.polarisation.elliptec_bus import BusConversation

PULSES = 143_360


def make(bench: FakeBench, **parameters: object) -> ELL14Twin:
    return ELL14Twin.build("plate", bench, {"encoder_noise_pulses": 0, "repeatability_deg": 0.0, **parameters})


def end_of_motion(wire: BusConversation, clock: HandClock) -> bytes:
    due = wire.due_ps()
    assert due is not None
    clock.t_ps = due
    return wire.wake()


@pytest.mark.parametrize(
    ("sent", "reply"),
    [
        (b"0in", b"0IN0E1140005120231701016800023000\r\n"),
        (b"0gs", b"0GS00\r\n"),
        (b"0gp", b"0PO00000000\r\n"),
        (b"0st", b"0PO00000000\r\n"),
        (b"0sj00001000", b"0GS00\r\n"),
        (b"0sj000010000gj", b"0GS00\r\n0GJ00001000\r\n"),
        (b"0soFFFFFF000go", b"0GS00\r\n0HOFFFFFF00\r\n"),
        (b"0gv", b"0GV64\r\n"),
        (b"0sv320gv", b"0GS00\r\n0GV32\r\n"),
        (b"0f10093", b"0GS00\r\n"),
        (b"0b180A0", b"0GS00\r\n"),
        (b"0us", b"0GS00\r\n"),
        (b"0ca3", b"3GS00\r\n"),
        (b"0ga3", b"3GS00\r\n"),
        (b"0s1", b"0GS09\r\n"),
        (b"0s2", b"0GS09\r\n"),
        (b"0c1", b"0GS03\r\n"),
        (b"0zz", b"0GS03\r\n"),
        (b"0sv65", b"0GS04\r\n"),
        (b"0maXXXXXXXX", b"0GS04\r\n"),
        (b"0ma7FFFFFFF", b"0GS04\r\n"),
        (b"1gs", b""),
        (b"Fin", b""),
    ],
)
def test_each_command_of_the_sheet_gets_its_reply(bench: FakeBench, sent: bytes, reply: bytes) -> None:
    assert make(bench).connect().receive(sent) == reply


def test_motor_information_has_22_characters_after_the_letters(bench: FakeBench) -> None:
    wire = make(bench).connect()
    wire.receive(b"0f100A0")
    reply = wire.receive(b"0i1")
    assert reply.startswith(b"0I1")
    assert reply.endswith(b"\r\n")
    data = reply[3:-2]
    assert len(data) == 22
    assert int(data[2:6], 16) / 1866 == pytest.approx(0.4, abs=1e-3)
    assert data[14:18] == b"00A0"
    assert len(wire.receive(b"0i2")) == 27


def test_move_replies_with_the_position_when_it_ends(bench: FakeBench, clock: HandClock) -> None:
    wire = make(bench, settle_s=0.0).connect()
    assert wire.receive(b"0ma00004600") == b""
    clock.t_ps = (wire.due_ps() or 0) - 1
    assert wire.wake() == b""
    assert end_of_motion(wire, clock) == b"0PO00004600\r\n"
    # 0x4600 pulses of 143360 a turn are 45 deg; 430 deg/s (sheet 13)
    assert clock.t_ps == pytest.approx(45 / 430 * 1e12, rel=1e-9)
    assert bench.plate_angle("plate").value(clock.t_ps) == pytest.approx(45.0)
    assert wire.due_ps() is None


def test_the_plate_turns_while_it_moves(bench: FakeBench, clock: HandClock) -> None:
    wire = make(bench, settle_s=0.0).connect()
    wire.receive(b"0ma00004600")
    half = (wire.due_ps() or 0) // 2
    assert bench.plate_angle("plate").value(half) == pytest.approx(22.5, rel=1e-6)


def test_every_command_but_stop_is_busy_during_motion(bench: FakeBench, clock: HandClock) -> None:
    wire = make(bench, settle_s=0.0).connect()
    wire.receive(b"0ma00004600")
    clock.t_ps = (wire.due_ps() or 0) // 2
    assert wire.receive(b"0gs0gp0in0ma00000000") == b"0GS09\r\n" * 4
    stopped = wire.receive(b"0st")
    assert int(stopped[3:11], 16) == pytest.approx(0x2300, abs=1)
    assert wire.due_ps() is None
    clock.step(1.0)
    assert wire.receive(b"0gp") == stopped
    assert bench.plate_angle("plate").value(clock.t_ps) == pytest.approx(22.5, abs=0.01)


def test_interim_busy_reply_is_a_firmware_option(bench: FakeBench, clock: HandClock) -> None:
    wire = make(bench, interim_busy=True).connect()
    assert wire.receive(b"0ma00004600") == b"0GS09\r\n"
    assert end_of_motion(wire, clock) == b"0PO00004600\r\n"


def test_relative_moves_and_jogs_wrap_after_a_turn(bench: FakeBench, clock: HandClock) -> None:
    wire = make(bench).connect()
    wire.receive(b"0ma00020000")
    end_of_motion(wire, clock)
    wire.receive(b"0mr00010000")
    assert end_of_motion(wire, clock) == f"0PO{0x30000 - PULSES:08X}\r\n".encode()
    wire.receive(b"0sjFFFFF000")
    wire.receive(b"0fw")
    assert end_of_motion(wire, clock) == f"0PO{0x30000 - PULSES - 0x1000:08X}\r\n".encode()
    wire.receive(b"0bw")
    assert end_of_motion(wire, clock) == f"0PO{0x30000 - PULSES:08X}\r\n".encode()


def test_homing_finds_the_mark_wherever_the_counter_started(bench: FakeBench, clock: HandClock) -> None:
    twin = make(bench, start_angle_deg=30.0)
    wire = twin.connect()
    wire.receive(b"0ma00004600")
    end_of_motion(wire, clock)
    assert bench.plate_angle("plate").value(clock.t_ps) == pytest.approx(75.0)
    wire.receive(b"0ho1")
    assert end_of_motion(wire, clock) == b"0PO00000000\r\n"
    assert bench.plate_angle("plate").value(clock.t_ps) % 360 == pytest.approx(0.0, abs=1e-9)
    wire.receive(b"0ma00004600")
    end_of_motion(wire, clock)
    wire.receive(b"0ho0")
    end_of_motion(wire, clock)
    assert bench.plate_angle("plate").value(clock.t_ps) == pytest.approx(360.0)


def test_half_a_command_is_dropped_after_two_seconds_and_latches_the_time_out(
    bench: FakeBench, clock: HandClock
) -> None:
    wire = make(bench).connect()
    wire.receive(b"0ma0000")
    clock.step(2.0)
    assert wire.receive(b"0gs") == b"0GS01\r\n"
    assert wire.receive(b"0gs") == b"0GS00\r\n"


def test_half_a_command_waits_for_the_rest_within_two_seconds(bench: FakeBench, clock: HandClock) -> None:
    wire = make(bench).connect()
    wire.receive(b"0g")
    clock.step(1.9)
    assert wire.receive(b"s") == b"0GS00\r\n"


def test_stall_ends_in_a_mechanical_time_out(bench: FakeBench, clock: HandClock) -> None:
    twin = make(bench)
    wire = twin.connect()
    twin.device_fault("stall")
    wire.receive(b"0ma00004600")
    assert end_of_motion(wire, clock) == b"0GS02\r\n"
    assert wire.receive(b"0gs0gp") == b"0GS00\r\n0PO00000000\r\n"
    assert bench.plate_angle("plate").value(clock.t_ps) == 0.0
    twin.device_fault("stall", active=False)
    wire.receive(b"0ma00004600")
    assert end_of_motion(wire, clock) == b"0PO00004600\r\n"


def test_a_stall_that_nobody_saw_waits_for_the_next_reply(bench: FakeBench, clock: HandClock) -> None:
    twin = make(bench)
    first = twin.connect()
    twin.device_fault("stall")
    first.receive(b"0ma00004600")
    first.close()
    clock.step(10.0)
    assert twin.connect().receive(b"0gp0gp") == b"0GS02\r\n0PO00000000\r\n"


def test_frequency_search_cures_a_drifted_resonance(bench: FakeBench, clock: HandClock) -> None:
    twin = make(bench)
    wire = twin.connect()
    twin.device_fault("resonance_drift", drive=0.1)
    wire.receive(b"0ma00004600")
    assert end_of_motion(wire, clock) == b"0GS02\r\n"
    assert wire.receive(b"0s1") == b"0GS09\r\n"
    assert end_of_motion(wire, clock) == b"0GS00\r\n"
    wire.receive(b"0ma00004600")
    assert end_of_motion(wire, clock) == b"0PO00004600\r\n"


def test_latched_status_is_read_once(bench: FakeBench) -> None:
    twin = make(bench)
    twin.device_fault("status", code=12)
    assert twin.connect().receive(b"0gp0gp") == b"0GS0C\r\n0PO00000000\r\n"
    with pytest.raises(TwinError, match="stall"):
        twin.device_fault("no such thing")


def test_saved_settings_survive_a_power_cycle_and_others_do_not(bench: FakeBench, clock: HandClock) -> None:
    twin = make(bench)
    wire = twin.connect()
    wire.receive(b"0sv320us0sv0A0ma00004600")
    end_of_motion(wire, clock)
    twin.reset_power()
    # the counter starts anew, the plate stays where it is
    assert twin.connect().receive(b"0gv0gp") == b"0GV32\r\n0PO00000000\r\n"
    assert bench.plate_angle("plate").value(clock.t_ps) == pytest.approx(45.0)


def test_repeatability_depends_on_the_move_and_not_on_the_asking(make_bench: Callable[[], FakeBench]) -> None:
    def angle(polls: int) -> float:
        bench = make_bench()
        wire = ELL14Twin.build("plate", bench, {}).connect()
        for _ in range(polls):
            wire.receive(b"0gp")
        wire.receive(b"0ma00004600")
        end_of_motion(wire, bench.clock)
        return bench.plate_angle("plate").value(bench.clock.t_ps)

    assert angle(0) == angle(7) != 45.0
    assert angle(0) == pytest.approx(45.0, abs=0.5)


def test_modules_on_one_bus_answer_only_to_their_address(bench: FakeBench, clock: HandClock) -> None:
    bus = ELL14Twin.combine({"0": ELL14Twin.build("a", bench, {}), "B": ELL14Twin.build("b", bench, {})})
    wire = bus.connect()
    assert wire.receive(b"0gs") == b"0GS00\r\n"
    assert wire.receive(b"Bgs") == b"BGS00\r\n"
    assert wire.receive(b"1gs2gs") == b""
    wire.receive(b"0ma00004600")
    clock.step(0.01)
    wire.receive(b"Bma00000100")
    clock.step(5.0)
    assert sorted(line[:3] for line in wire.wake().splitlines()) == [b"0PO", b"BPO"]
    assert set(bus.peek()) == {"0", "B"}
    bus.device_fault("status", address="B", code=8)
    assert wire.receive(b"Bgs") == b"BGS08\r\n"
    bus.reset_power()
    with pytest.raises(TwinError):
        ElliptecBusTwin({})
    with pytest.raises(TwinError, match="taken"):
        ElliptecBusTwin({"Q": ELL14Twin.build("c", bench, {})})


def test_group_address_holds_for_one_command(bench: FakeBench) -> None:
    bus = ELL14Twin.combine({"0": ELL14Twin.build("a", bench, {}), "1": ELL14Twin.build("b", bench, {})})
    wire = bus.connect()
    assert wire.receive(b"1ga0") == b"0GS00\r\n"
    assert sorted(wire.receive(b"0gs").splitlines()) == [b"0GS00", b"1GS00"]
    assert wire.receive(b"0gs") == b"0GS00\r\n"


SESSION = b"0in\r\n0gs1gs0sv320gv\r0gp0zz0sj000010000gj\n0i1"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, len(SESSION))))
def test_any_split_of_the_bytes_gives_the_same_replies(
    bench: FakeBench, split_at: Callable[[bytes, list[int]], list[bytes]], cuts: list[int]
) -> None:
    whole = make(bench).connect().receive(SESSION)
    wire = make(bench).connect()
    assert b"".join(wire.receive(part) for part in split_at(SESSION, cuts)) == whole


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(noise=st.binary(max_size=60) | st.text("0123456789ABCDEFabcdefgimnoprstuv\r", max_size=80).map(str.encode))
def test_random_bytes_neither_crash_nor_wedge_the_module(bench: FakeBench, clock: HandClock, noise: bytes) -> None:
    wire = make(bench).connect()
    wire.receive(noise)
    clock.step(10.0)  # past any partial command and any motion
    wire.wake()
    for address in b"0123456789ABCDEF":  # noise may have changed the address
        wire.receive(bytes([address]) + b"gs")
    replies = [wire.receive(bytes([address]) + b"gs") for address in b"0123456789ABCDEF"]
    assert sum(reply.endswith(b"GS00\r\n") for reply in replies) == 1


def test_carriage_returns_and_line_feeds_of_a_host_are_swallowed(bench: FakeBench) -> None:
    assert make(bench).connect().receive(b"\r\n0gs\r\n0g\rv\n") == b"0GS00\r\n0GV64\r\n"


@pytest.mark.parametrize("code", range(14))
def test_each_status_is_told_by_the_next_reply_and_then_cleared(bench: FakeBench, code: int) -> None:
    twin = make(bench)
    twin.device_fault("status", code=code)
    assert twin.connect().receive(b"0gs0gs") == b"0GS%02X\r\n0GS00\r\n" % code


def test_sixteen_modules_fit_on_one_bus(bench: FakeBench) -> None:
    addresses = "0123456789ABCDEF"
    wire = ELL14Twin.combine({a: ELL14Twin.build(a, bench, {"serial": f"1140000{int(a, 16) % 10}"}) for a in addresses})
    replies = wire.connect().receive("".join(f"{a}gs" for a in addresses).encode())
    assert replies == "".join(f"{a}GS00\r\n" for a in addresses).encode()


def test_motor_information_has_the_fields_of_the_sheet(bench: FakeBench) -> None:
    wire = make(bench, hardware=0x81).connect()
    assert wire.receive(b"0in") == b"0IN0E1140005120231781016800023000\r\n"  # bit 7: an imperial thread
    wire.receive(b"0f200A0" + b"0b20123" + b"0b10111")
    # loop and motor on, 0.4 A of 1866 an ampere, no ramps, 14.74 MHz / 100 kHz
    assert wire.receive(b"0i1") == b"0I11102EAFFFFFFFF00930111\r\n"
    assert wire.receive(b"0i2") == b"0I21102EAFFFFFFFF00A00123\r\n"
    assert pytest.approx(100e3, rel=0.01) == 14_740_000 / 0x93


def test_jogs_go_forwards_and_backwards_and_answer_at_their_end(bench: FakeBench, clock: HandClock) -> None:
    wire = make(bench).connect()
    assert wire.receive(b"0sj000010000fw") == b"0GS00\r\n"
    assert end_of_motion(wire, clock) == b"0PO00001000\r\n"
    wire.receive(b"0bw")
    assert end_of_motion(wire, clock) == b"0PO00000000\r\n"
    wire.receive(b"0bw")
    assert end_of_motion(wire, clock) == b"0POFFFFF000\r\n"  # two's complement


def test_home_is_found_clockwise_or_not_and_lies_at_its_offset(bench: FakeBench, clock: HandClock) -> None:
    wire = make(bench, start_angle_deg=90.0).connect()
    wire.receive(b"0so00004600")
    wire.receive(b"0ho1")  # 45 degrees of offset, 45 degrees back
    assert end_of_motion(wire, clock) == b"0PO00000000\r\n"
    assert bench.plate_angle("plate").value(clock.t_ps) == pytest.approx(45.0)


def test_a_slower_drive_takes_longer(bench: FakeBench, clock: HandClock) -> None:
    wire = make(bench, settle_s=0.0).connect()
    wire.receive(b"0sv32")
    wire.receive(b"0ma00004600")
    assert wire.due_ps() == pytest.approx(45 / 215 * 1e12, rel=1e-9)  # half of 430 degrees a second


def test_a_new_address_answers_at_once_and_the_old_one_is_silent(bench: FakeBench) -> None:
    wire = make(bench).connect()
    assert wire.receive(b"0ca3" + b"0gs" + b"3gs") == b"3GS00\r\n3GS00\r\n"
    twin = make(bench)
    twin.connect().receive(b"0ca3" + b"3us")
    twin.reset_power()
    assert twin.connect().receive(b"3gs0gs") == b"3GS00\r\n"
