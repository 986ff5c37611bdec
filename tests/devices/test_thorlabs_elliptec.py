"""Rotation mounts on one bus: everybody's words reach whom they belong to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from devices.all_status import AllStatus
from devices.polarisation.elliptec_bus import ElliptecBus
from devices.polarisation.thorlabs_elliptec import ELL14
from qlab import roles
from qlab.errors import BadReplyError, BadRequestError, InstrumentError, LinkError, WrongIdentityError
from qlab.twin.faults import WireFault

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.clock import SteppedClock
    from qlab.lab.build import Lab
    from qlab.links.link import Link

HELLO = (b"0in", b"0IN0E1140005120231701016800023000\r\n")  # sheet 13: serial 11400051, firmware 0x17, 143360 pulses
SPEED = (b"0gv", b"0GV64\r\n")
READY = (b"0gs", b"0GS00\r\n")


@pytest.fixture
def mount(scripted: Callable, clock: SteppedClock) -> Callable:
    def make(*lines: tuple[bytes, bytes], home: bool = False, offset_deg: float = 0.0) -> tuple:
        first = (HELLO, SPEED, (b"0gp", b"0PO00000000\r\n"))
        link, port = scripted(*first, *lines, terminator=b"\r\n", command_terminator=b"")
        settings = {"home": home, "offset_deg": offset_deg}
        device = ELL14(name="hwp", link=link, clock=clock, unit="0", settings=settings)
        device.connect()
        return device, port

    return make


def test_identity_gives_firmware_and_pulses_a_turn(mount: Callable) -> None:
    device, port = mount()

    assert isinstance(device, roles.Rotator)
    assert device.identity_text.startswith("0IN0E11400051")
    assert device.firmware == "17"
    assert port.script == []


def test_a_move_sends_the_pulses_of_the_sheets_example_and_lasts_the_way(mount: Callable, clock: SteppedClock) -> None:
    # 45 degrees of 143360 pulses a turn are 17920 = 0x4600, the sheet's own example
    device, port = mount(READY, (b"0ma00004600", b"0PO00004600\r\n"))

    device.set(45.0).wait(10)

    assert port.script == []
    assert device.read()["hwp_angle_deg"]["value"] == 45.0
    assert clock.now_ps() == pytest.approx((45.0 / 430.0 + 0.1) * 1e12, abs=1)


def test_the_offset_is_where_the_fast_axis_is_horizontal(mount: Callable) -> None:
    device, port = mount(READY, (b"0ma00004600", b"0PO00004600\r\n"), offset_deg=5.0)

    device.set(40.0).wait(10)

    assert port.script == []
    assert device.angle_deg.get() == pytest.approx(40.0)


def test_the_way_over_zero_is_taken_where_it_is_shorter(mount: Callable) -> None:
    # -10 degrees are -3982 pulses: 0xFFFFF072
    device, port = mount(READY, (b"0mrFFFFF072", b"0POFFFFF072\r\n"))

    device.set(350.0).wait(10)

    assert port.script == []
    assert device.angle_deg.get() == pytest.approx(350.0, abs=0.003)


def test_an_interim_busy_status_is_not_the_end_of_a_move(mount: Callable) -> None:
    device, _ = mount(READY, (b"0ma00004600", b"0GS09\r\n0PO00004600\r\n"))

    device.set(45.0).wait(10)

    assert device.angle_deg.get() == 45.0


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("01", "communication time-out"),
        ("02", "mechanical time-out.*stuck"),
        ("03", "does not know the command"),
        ("04", "value is out of range"),
        ("05", "is isolated"),
        ("06", "out of isolation"),
        ("07", "initialisation"),
        ("08", "thermal"),
        ("0A", "sensor"),
        ("0B", "motor"),
        ("0C", "out of range"),
        ("0D", "over-current"),
    ],
)
def test_an_error_status_ends_the_move_in_words(mount: Callable, code: str, words: str) -> None:
    device, _ = mount(READY, (b"0ma00004600", f"0GS{code}\r\n".encode()))

    with pytest.raises(InstrumentError, match=f"hwp: .*{words}.*0GS{code}"):
        device.set(45.0).wait(10)


def test_a_mount_that_stops_elsewhere_is_an_error(mount: Callable) -> None:
    device, _ = mount(READY, (b"0ma00004600", b"0PO00004000\r\n"))

    with pytest.raises(InstrumentError, match=r"hwp: the mount stopped 3\.86 deg away"):
        device.set(45.0).wait(10)


@pytest.mark.parametrize("button", [b"0BS10", b"0BO00000000"])
def test_buttons_and_other_modules_do_not_answer_for_this_one(mount: Callable, button: bytes) -> None:
    device, _ = mount((b"0gp", button + b"\r\n3PO00000001\r\n0PO00004600\r\n"))

    device.trigger().wait(10)

    assert device.angle_deg.get() == 45.0


def test_garbage_on_the_bus_is_a_bad_reply(mount: Callable) -> None:
    device, _ = mount((b"0gp", b"0P\xff000\r\n"))

    with pytest.raises(BadReplyError, match="garbage on the bus"):
        device.trigger().wait(10)


def test_another_module_at_the_address_is_refused(scripted: Callable, clock: SteppedClock) -> None:
    link, _ = scripted((b"0in", b"0IN091140005120231701016800023000\r\n"), terminator=b"\r\n", command_terminator=b"")

    with pytest.raises(WrongIdentityError, match="hwp"):
        ELL14(name="hwp", link=link, clock=clock).connect()


def test_requests_that_make_no_sense_send_nothing(scripted: Callable, clock: SteppedClock) -> None:
    link, _ = scripted(terminator=b"\r\n", command_terminator=b"")

    with pytest.raises(BadRequestError, match="finite"):
        ELL14(name="hwp", link=link, clock=clock).set(float("nan"))
    with pytest.raises(BadRequestError, match="from '0' to 'F'"):
        ELL14(name="hwp", link=link, clock=clock, unit="G")


def test_two_mounts_turn_at_once_on_one_bus(table: Callable[..., Lab]) -> None:
    lab = table("hwp", "qwp")
    hwp, qwp = lab.devices["hwp"], lab.devices["qwp"]
    assert hwp.homed
    begin_ps = lab.clock.now_ps()

    AllStatus(lab.clock, "both", [lambda: hwp.set(100.0), lambda: qwp.set(60.0)]).wait(30)

    assert hwp.angle_deg.get() == pytest.approx(100.0, abs=0.2)  # repeatability, sheet 13
    assert qwp.angle_deg.get() == pytest.approx(60.0, abs=0.2)
    alone_s = 100.0 / 430.0 + 0.1
    assert (lab.clock.now_ps() - begin_ps) * 1e-12 < 1.5 * alone_s  # not one after the other: 0.6 s


def test_crossing_zero_on_the_twin_ends_where_it_should(table: Callable[..., Lab]) -> None:
    hwp = table("hwp").devices["hwp"]

    for angle_deg in (350.0, 10.0, 190.0, 359.0, 0.5, -90.0, 450.0):
        hwp.set(angle_deg).wait(30)
        away = (hwp.angle_deg.get() - angle_deg + 180.0) % 360.0 - 180.0
        assert abs(away) < 0.2


@pytest.mark.parametrize("kind", ["silent", "late", "garble", "truncate", "split", "duplicate", "noise_prefix", "drop"])
@pytest.mark.parametrize("match", ["0gp", "0ma", "0gs"])
def test_one_wire_fault_on_a_busy_bus_ends_in_the_right_place_or_in_an_error(
    table: Callable[..., Lab], kind: str, match: str
) -> None:
    lab = table("hwp", "qwp")
    hwp, qwp = lab.devices["hwp"], lab.devices["qwp"]
    lab.mounts["hwp"].faults.arm(WireFault(kind, count=1, match=match, delay_s=3.0 if kind == "late" else None))

    both = AllStatus(lab.clock, "both", [lambda: hwp.set(30.0), lambda: qwp.set(60.0)])
    failure = both.exception(30)

    assert failure is None or isinstance(failure, (LinkError, InstrumentError))
    hwp.set(30.0).wait(30)
    qwp.set(60.0).wait(30)
    hwp.trigger().wait(30)
    assert hwp.angle_deg.get() == pytest.approx(30.0, abs=0.2)
    assert qwp.angle_deg.get() == pytest.approx(60.0, abs=0.2)


def test_a_stalled_mount_says_so_and_its_neighbour_turns(table: Callable[..., Lab]) -> None:
    lab = table("hwp", "qwp")
    hwp, qwp = lab.devices["hwp"], lab.devices["qwp"]
    lab.twins["hwp"].device_fault("stall", active=True)

    stuck = hwp.set(90.0)
    qwp.set(60.0).wait(30)

    with pytest.raises(InstrumentError, match=r"hwp: .*(stuck|away)"):
        stuck.wait(30)


def test_after_a_power_cycle_the_mount_finds_its_zero_before_it_moves(table: Callable[..., Lab]) -> None:
    lab = table("hwp")
    hwp = lab.devices["hwp"]
    hwp.set(75.0).wait(30)

    lab.mounts["hwp"].power_cycle()
    hwp.set(30.0).wait(30)

    stands_deg = float(str(lab.twins["hwp"].peek()["angle_deg"])) % 360.0  # in the world, not by its own count
    assert stands_deg == pytest.approx(30.0, abs=0.3)


def test_a_stopped_move_stands_where_it_is_and_the_next_is_right(table: Callable[..., Lab]) -> None:
    lab = table("hwp")
    hwp = lab.devices["hwp"]
    lab.clock.call_at(lab.clock.now_ps() + 200_000_000_000, lambda: hwp.stop())

    with pytest.raises(InstrumentError, match=r"stopped .* away"):
        hwp.set(170.0).wait(30)
    hwp.set(20.0).wait(30)

    assert hwp.angle_deg.get() == pytest.approx(20.0, abs=0.2)


def test_the_end_of_somebody_elses_move_is_no_identity(scripted: Callable[..., tuple[Link, object]]) -> None:
    identity = b"0IN0E1140051720231701016800023000"
    link, _ = scripted((b"0in", b"0POFFFFFFFF\r\n" + identity + b"\r\n"), terminator=b"\r\n")
    assert ElliptecBus(link).exchange("0", "in") == identity.decode()


def test_the_serial_line_and_the_pulses_a_turn_are_the_modules(scripted: Callable, clock: SteppedClock) -> None:
    assert ELL14.link_options == {"baud": 9600, "terminator": b"\r\n", "command_terminator": b""}
    script = [
        (b"Ain", b"AIN0E1140005120231701016800010000\r\n"),  # 0x10000 pulses a turn
        (b"Agv", b"AGV32\r\n"),  # half of 430 degrees a second
        (b"Agp", b"APO00004000\r\n"),
        (b"Ags", b"AGS00\r\n"),
        (b"Ama00008000", b"APO00008000\r\n"),
    ]
    link, port = scripted(*script, terminator=b"\r\n", command_terminator=b"")
    device = ELL14(name="hwp", link=link, clock=clock, unit="a", settings={"home": False})
    device.connect()
    assert device.angle_deg.get() == 90.0
    device.set(180.0).wait(10)
    assert port.script == []
    assert clock.now_ps() == pytest.approx((90.0 / 215.0 + 0.1) * 1e12, abs=1)
