"""Rotation mounts and paddles with APT controllers."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from devices.polarisation.apt_link import AptDialogue
from devices.polarisation.apt_status import STATUS_BITS, describe, troubles
from devices.polarisation.thorlabs_k10cr1 import K10CR1
from qlab import roles
from qlab.errors import BadRequestError, InstrumentError, LimitError

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.clock import SteppedClock
    from qlab.lab.build import Lab

K10 = "{class: devices.polarisation.thorlabs_k10cr1.K10CR1, address: twin, settings: {offset_deg: 12.5}}"
KDC = "{class: devices.polarisation.thorlabs_k10cr1.KDC101, address: twin}"
MPC = "{class: devices.polarisation.thorlabs_mpc320.MPC320, address: twin}"


@pytest.mark.parametrize(("line", "offset"), [(K10, 12.5), (KDC, 0.0)], ids=["K10CR1", "KDC101"])
def test_a_mount_homes_at_connection_and_turns_the_plate(table: Callable[..., Lab], line: str, offset: float) -> None:
    lab = table(mount=line)
    mount = lab.devices["mount"]
    assert isinstance(mount, roles.Rotator)
    assert mount.check_health() == []
    knob = lab.bench.knob("mount", "angle_deg")
    for angle in (22.5, 350.0, 10.0, -45.0):
        mount.set(angle).wait(120)
        assert mount.angle_deg.get() == pytest.approx(angle % 360, abs=0.01)
        true = (knob.value(lab.clock.now_ps()) - offset) % 360
        assert abs((true - angle + 180) % 360 - 180) < 0.15  # play and repeatability
    with pytest.raises(BadRequestError, match="finite"):
        mount.set(float("nan"))


def test_the_shorter_way_is_taken(table: Callable[..., Lab]) -> None:
    lab = table(mount=KDC)
    mount = lab.devices["mount"]
    mount.set(350.0).wait(120)
    before = lab.clock.now_s()
    mount.set(10.0).wait(120)
    assert lab.clock.now_s() - before < 3.0  # 20 degrees at 25 deg/s; the other way would take 14 s


def test_a_stalled_motor_is_an_error_that_says_so(table: Callable[..., Lab]) -> None:
    lab = table(mount=K10)
    mount = lab.devices["mount"]
    lab.twins["mount"].device_fault("stuck_motor")
    with pytest.raises(InstrumentError, match=r"mount: a motor is stalled.*blocks it"):
        mount.set(90.0).wait(120)
    assert "a motor is stalled" in mount.check_health()
    assert not mount.health.ok.get()


def test_a_move_can_be_interrupted(table: Callable[..., Lab]) -> None:
    lab = table(mount=K10)
    mount = lab.devices["mount"]
    status = mount.set(170.0)
    mount.stop(success=False).wait(60)
    with pytest.raises(InstrumentError, match=r"interrupted"):
        status.wait(60)
    lab.clock.sleep(30.0)
    assert not lab.twins["mount"].axes[1].moving


def test_after_a_power_cycle_a_mount_says_that_its_zero_is_lost_and_homes_before_it_moves(
    table: Callable[..., Lab],
) -> None:
    lab = table(mount=K10)
    mount = lab.devices["mount"]
    mount.set(45.0).wait(120)
    lab.mounts["mount"].power_cycle(boot_s=1.0)
    lab.clock.sleep(2.0)
    assert not mount.refresh_health()
    assert mount.health.reason.get() == "the mount does not know its zero; home it"
    mount.set(45.0).wait(240)
    assert lab.bench.knob("mount", "angle_deg").value(lab.clock.now_ps()) == pytest.approx(57.5, abs=0.1)
    assert mount.refresh_health()


def test_paddles_turn_to_three_angles(table: Callable[..., Lab]) -> None:
    lab = table(mpc=MPC)
    mpc = lab.devices["mpc"]
    mpc.set([10.0, 85.0, 170.0]).wait(120)
    assert [p.get() for p in mpc.controls] == pytest.approx([10.0, 85.0, 170.0], abs=0.1)
    true = [lab.bench.knob("mpc", f"angle_deg.{n}").value(lab.clock.now_ps()) for n in (1, 2, 3)]
    assert true == pytest.approx([10.0, 85.0, 170.0], abs=0.15)
    with pytest.raises(LimitError, match="paddle_3_deg"):
        mpc.set([0.0, 0.0, 171.0])


def test_before_the_counter_wraps_the_mount_goes_the_other_way_round(table: Callable[..., Lab]) -> None:
    lab = table(mount=K10)
    mount, axis = lab.devices["mount"], lab.twins["mount"].axes[1]
    turn = 409600 * 120
    axis.set_counts(43 * turn + axis.counts())  # where many turns have left it
    for angle in (150.0, 300.0, 90.0):  # the second would be 43.87 turns, and 2^31 counts are 43.69
        mount.set(angle).wait(600)
        assert mount.angle_deg.get() == pytest.approx(angle, abs=0.01)
        true = (lab.bench.knob("mount", "angle_deg").value(lab.clock.now_ps()) - 12.5) % 360
        assert true == pytest.approx(angle, abs=0.15)


REQUEST = bytes.fromhex("1104 01 00 50 01")
COUNTER = bytes.fromhex("1204 0600 81 50 0100 4e61bc00")
RICH = bytes.fromhex("8100 4400 81 50 1104 0300") + b"no such channel".ljust(64, b"\0")


def test_words_that_nobody_asked_for_are_passed_over(scripted: Callable) -> None:
    """A completed move in the short form, one in the long form, and a status update."""
    unasked = bytes.fromhex("6404 01 00 01 50") + bytes.fromhex("6404 0e00 81 50") + bytes(14)
    unasked += bytes.fromhex("9104 0e00 81 50") + bytes(14)
    link, _ = scripted((REQUEST, unasked + COUNTER), terminator=b"")
    assert AptDialogue(link, "mount").ask(0x0411, 1, size=6) == bytes.fromhex("0100 4e61bc00")


@pytest.mark.parametrize(
    ("said", "words"), [(RICH, "no such channel"), (bytes.fromhex("8000 00 00 01 50"), "reports an error")]
)
def test_an_error_of_the_controller_is_told_in_its_words(scripted: Callable, said: bytes, words: str) -> None:
    link, _ = scripted((REQUEST, said), terminator=b"")
    with pytest.raises(InstrumentError, match=f"mount: .*{words}"):
        AptDialogue(link, "mount").ask(0x0411, 1, size=6)


SHEET_BITS = """
0 forward limit, 1 reverse limit, 2 soft limit, 3 soft limit, 4 moving f, 5 moving in r, 6 jogging f, 7
jogging in r, 8 connected, 9 homing, 10 homed, 11 initialising, 12 tracking, 13 settled, 14 stalled, 15
instruction, 16 interlock, 17 hot, 18 supply voltage, 19 commutation, 20 digital input 1, 21 digital input 2,
22 digital input 3, 23 digital input 4, 24 overload, 25 encoder, 26 current, 27 current, 28 power is good, 29
active, 30 error, 31 enabled
"""


def test_every_status_bit_has_its_word_and_some_are_trouble() -> None:
    sheet = dict(line.strip().split(" ", 1) for line in SHEET_BITS.replace("\n", " ").split(","))
    assert {str(bit) for bit in STATUS_BITS} == set(sheet)
    assert all(word in describe(1 << int(bit)) for bit, word in sheet.items())
    assert describe(0x80000400) == "status 80000400 (homed, enabled)"
    assert [bit for bit in range(32) if troubles(1 << bit)] == [14, 16, 17, 18, 19, 24, 25, 26, 27]


def test_at_connection_all_paddles_are_enabled_by_one_mask(table: Callable[..., Lab]) -> None:
    lab = table(mpc=MPC, connect=False)
    for axis in lab.twins["mpc"].axes.values():
        axis.enabled = False
    lab.devices["mpc"].connect()
    assert [axis.enabled for axis in lab.twins["mpc"].axes.values()] == [True, True, True]
    lab.devices["mpc"].set([20.0, 30.0, 40.0]).wait(60)
    assert [p.get() for p in lab.devices["mpc"].controls] == pytest.approx([20.0, 30.0, 40.0], abs=0.1)


def test_what_stands_on_the_line_at_opening_is_dropped(scripted: Callable, clock: SteppedClock) -> None:
    """Half a message of the controller's."""
    info = bytes.fromhex("0600 5400 81 50") + struct.pack(
        "<i8sH4B60sHHH", 55000123, b"K10CR1", 16, 3, 0, 2, 0, b"", 1, 0, 1
    )
    link, port = scripted((b"", b""), (bytes.fromhex("0500 00 00 50 01"), info), terminator=b"")

    def plug() -> None:
        port.waiting = b"\x81\x04\x0e\x00\x81"

    port.plug = plug
    mount = K10CR1(name="mount", link=link, clock=clock)
    link.identify = mount.check_identity
    link.open()
    assert mount.identity_text == "K10CR1 55000123"
    assert mount.firmware == "2.0.3"


def test_the_line_rests_for_50_ms_after_it_was_opened(table: Callable[..., Lab]) -> None:
    lab = table(mount=K10, connect=False)
    link = lab.devices["mount"].link
    written_ps: list[int] = []
    link.on_bytes = lambda way, data: written_ps.append(lab.clock.now_ps()) if way == "write" and data else None
    began_ps = lab.clock.now_ps()
    lab.devices["mount"].connect()
    assert written_ps[0] - began_ps >= 50 * 10**9
