"""Rotation mounts and paddles with APT controllers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from qlab import roles
from qlab.errors import BadRequestError, InstrumentError, LimitError

if TYPE_CHECKING:
    from collections.abc import Callable

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
