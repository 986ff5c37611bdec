"""White Rabbit: the node behind its shell."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from qlab.errors import InstrumentError
from qlab.twin.faults import WireFault

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.lab.build import Lab

NODE = "{class: devices.timing.white_rabbit_node.WhiteRabbitNode, address: twin}"
COMPLAINTS = [
    ("link_down", "the link is down: it holds over"),
    ("lock_lost", "the PLL is not locked to the link: it holds over"),
    ("track_lost", "the servo does not track the phase: SYNC_PHASE"),
    ("servo_frozen", "the servo has not updated for 20 s"),
    ("offset_step", "the clock offset is 1"),
]


def test_the_node_is_read_in_one_line(table: Callable[..., Lab]) -> None:
    node = table(node=NODE).devices["node"]
    node.trigger().wait(30)
    read = {key.removeprefix("node_"): each["value"] for key, each in node.read().items()}
    assert read["state"] == "TRACK_PHASE"
    assert abs(read["offset_ps"]) < 20
    assert read["round_trip_ps"] - read["cable_ps"] == 902_000
    assert read["asymmetry_ps"] == 7000
    assert read["board_c"] == pytest.approx(40.0, abs=3)
    assert node.locked
    assert node.offset_s == pytest.approx(read["offset_ps"] * 1e-12)
    assert node.firmware == "wrpc-v4.2"


@pytest.mark.parametrize(("fault", "words"), COMPLAINTS)
def test_faults_of_the_node_are_named_and_the_lock_comes_back(
    table: Callable[..., Lab], fault: str, words: str
) -> None:
    lab = table(node=NODE[:-1] + ", twin: {noise_ps: 0, step_ps: 2e6}}")
    node, twin = lab.devices["node"], lab.twins["node"]
    assert node.check_health() == []
    twin.device_fault(fault)
    lab.clock.sleep(20.0 if fault == "servo_frozen" else 1.5)
    (found,) = node.check_health()
    assert found.startswith(words)
    twin.device_fault(fault, active=False)
    node.wait_for_lock().wait(60)
    assert node.locked
    lab.clock.sleep(30.0)
    assert node.check_health() == []


def test_a_node_that_never_locks_says_why(table: Callable[..., Lab]) -> None:
    lab = table(node=NODE)
    lab.twins["node"].device_fault("link_down")
    with pytest.raises(InstrumentError, match="does not track its master after 300 s; found 'the link is down"):
        lab.devices["node"].wait_for_lock().wait(60)


def test_a_master_follows_nobody_and_is_well(table: Callable[..., Lab]) -> None:
    lab = table(node=NODE[:-1] + ", settings: {mode: master}}")
    node = lab.devices["node"]
    node.trigger().wait(30)
    assert node.mode.get() == "master"
    assert not node.locked
    assert node.offset_s is None
    assert math.isnan(node.offset_ps.get())
    assert node.check_health() == []
    lab.mounts["node"].power_cycle()
    node.trigger().wait(30)
    assert node.mode.fetch() == "master"  # restored


def test_statistics_that_somebody_left_on_do_not_disturb(table: Callable[..., Lab]) -> None:
    lab = table(node=NODE)
    node = lab.devices["node"]
    node.link.write(b"stat on\r")
    lab.clock.sleep(3.0)
    for _ in range(3):
        node.trigger().wait(30)
        lab.clock.sleep(2.5)
    assert node.health.ok.get(), node.health.reason.get()


def test_what_the_shell_does_not_take_is_an_error(table: Callable[..., Lab]) -> None:
    node = table(node=NODE).devices["node"]
    with pytest.raises(InstrumentError, match="refused a command; command 'ptp maybe'"):
        node.tell("ptp maybe")


def test_a_garbled_line_is_asked_for_again(table: Callable[..., Lab]) -> None:
    lab = table(node=NODE)
    node = lab.devices["node"]
    lab.mounts["node"].faults.arm(WireFault("garble", match="stat on"))
    node.trigger().wait(30)
    assert node.locked
