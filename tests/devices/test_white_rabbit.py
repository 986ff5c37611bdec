"""White Rabbit: the node behind its shell, the switch behind SNMP."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from devices.timing.white_rabbit_node import WhiteRabbitNode
from qlab import roles
from qlab.errors import BadRequestError, InstrumentError, LinkClosedError, LinkError
from qlab.links.factory import open_link
from qlab.twin.faults import WireFault

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.clock import SteppedClock
    from qlab.lab.build import Lab

NODE = "{class: devices.timing.white_rabbit_node.WhiteRabbitNode, address: twin}"
SWITCH = "{class: devices.timing.white_rabbit_switch.WhiteRabbitSwitch, address: twin}"
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
    assert isinstance(node, roles.Clock)


LINE = (
    b"lnk:1 rx:40 tx:10 lock:1 ptp:slave sv:1 ss:'TRACK_PHASE' aux0:0 sec:1763894400 nsec:000123456 mu:1234567 dms:612345 "
    b"dtxm:225000 drxm:226000 dtxs:225000 drxs:226000 asym:7000 crtt:1222222 cko:-3 setp:1234 ucnt:101 bslide:0 hd:1234 "
    b"md:56 ad:0 temp:40.1250 C\r\n"
)
"""The sheet's own."""


def test_the_sheets_line_is_understood(scripted: Callable, clock: SteppedClock) -> None:
    link, port = scripted(
        (b"stat on\r", b"stat on\r\n" + LINE + b"wrc# "),
        (b"stat off\r", b"stat off\r\nstatistics now off\r\nwrc# "),
        terminator=b"wrc# ",
        command_terminator=b"\r",
    )
    node = WhiteRabbitNode(name="node", link=link, clock=clock)
    node.measure()
    assert (node.link_up.get(), node.pll_locked.get(), node.state.get()) == (1, 1, "TRACK_PHASE")
    assert (node.offset_ps.get(), node.round_trip_ps.get(), node.cable_ps.get()) == (-3.0, 1234567.0, 1222222.0)
    assert (node.asymmetry_ps.get(), node.updates.get(), node.tai_s.get()) == (7000.0, 101, 1763894400)
    assert node.board_c.get() == 40.125
    assert node.offset_s == pytest.approx(-3e-12)
    assert port.script == []


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


def test_the_switch_is_read_in_one_datagram(table: Callable[..., Lab]) -> None:
    lab = table(switch=SWITCH)
    switch, mount = lab.devices["switch"], lab.mounts["switch"]
    sent: list[bytes] = []
    switch.link.on_bytes = lambda direction, data: sent.append(data) if direction == "write" else None
    switch.measure()
    assert len(sent) == 1
    assert mount.address.startswith("udp://127.0.0.1:")
    read = {key.removeprefix("switch_"): each["value"] for key, each in switch.read().items()}
    assert (read["status"], read["state"], read["tracking"], read["link_length_m"]) == (1, "TRACK_PHASE", 2, 5000)
    assert read["round_trip_ps"] == 49_882_000
    assert abs(read["offset_ps"]) < 20
    assert switch.locked
    assert isinstance(switch, roles.Clock)


def test_a_negative_offset_of_the_switch_is_negative(table: Callable[..., Lab]) -> None:
    lab = table(switch=SWITCH[:-1] + ", twin: {noise_ps: 0, step_ps: -9000}}")
    lab.twins["switch"].device_fault("offset_step")
    lab.clock.sleep(6.0)
    (found,) = lab.devices["switch"].check_health()
    assert found.startswith("the clock offset is -1")
    assert lab.devices["switch"].offset_s == pytest.approx(-9e-9 * math.exp(-2), rel=0.5)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("link_down", ["the servo does not track the phase: Uninitialized", "the network: warning"]),
        ("lock_lost", ["the servo does not track the phase: Uninitialized"]),
        ("track_lost", ["the servo does not track the phase: SYNC_PHASE"]),
        ("servo_frozen", ["the servo has not updated for 25 s"]),
        ("os_error", ["the operating system: error"]),
    ],
)
def test_faults_of_the_switch_are_named_and_the_lock_comes_back(
    table: Callable[..., Lab], fault: str, words: list[str]
) -> None:
    lab = table(switch=SWITCH)
    switch, twin = lab.devices["switch"], lab.twins["switch"]
    assert switch.check_health() == []
    twin.device_fault(fault)
    lab.clock.sleep(25.0)
    assert switch.check_health() == words
    twin.device_fault(fault, active=False)
    lab.clock.sleep(6.0)
    switch.wait_for_lock().wait(60)
    lab.clock.sleep(30.0)
    assert switch.check_health() == []


def test_a_switch_that_never_locks_says_why(table: Callable[..., Lab]) -> None:
    lab = table(switch=SWITCH)
    lab.twins["switch"].device_fault("track_lost")
    lab.clock.sleep(6.0)
    with pytest.raises(InstrumentError, match=r"does not track its master after 300 s; found .*SYNC_PHASE"):
        lab.devices["switch"].wait_for_lock().wait(60)


def test_walking_the_switch_returns_every_object_once(table: Callable[..., Lab]) -> None:
    found = table(switch=SWITCH).devices["switch"].walk()
    assert len(found) == 20
    assert found["1.3.6.1.4.1.96.100.7.5.1.6.1"] == "TRACK_PHASE"


def test_another_community_is_met_with_silence(table: Callable[..., Lab]) -> None:
    lab = table(switch=SWITCH[:-1] + ", settings: {community: private}}", connect=False)
    with pytest.raises(LinkClosedError, match="no complete reply"):
        lab.devices["switch"].connect()


def test_a_switch_without_power_refuses_and_comes_back(table: Callable[..., Lab]) -> None:
    lab = table(switch=SWITCH)
    switch, mount = lab.devices["switch"], lab.mounts["switch"]
    mount.power_off()
    with pytest.raises(LinkClosedError, match="cannot be reached at udp://"):
        switch.measure()
    mount.power_on()
    switch.wait_for_lock().wait(60)
    assert switch.refresh_health()


@pytest.mark.parametrize("fault", ["truncate", "garble", "duplicate", "late", "silent", "error", "noise_prefix"])
def test_after_a_spoilt_datagram_the_next_answer_is_right(table: Callable[..., Lab], fault: str) -> None:
    lab = table(switch=SWITCH[:-1] + ", twin: {noise_ps: 0}}")
    switch = lab.devices["switch"]
    lab.mounts["switch"].faults.arm(WireFault(fault, delay_s=2.5))
    try:
        switch.measure()
    except (LinkError, InstrumentError) as error:
        assert str(error).startswith("switch: ")  # noqa: PT017
    lab.clock.sleep(5.0)
    switch.measure()
    assert (switch.offset_ps.get(), switch.round_trip_ps.get()) == (0.0, 49_882_000)


@pytest.mark.parametrize("address", ["udp://nowhere", "udp://:161", "udp://host:99999", "udp://host:snmp"])
def test_an_address_that_is_no_udp_end_point_is_refused(clock: SteppedClock, address: str) -> None:
    with pytest.raises(BadRequestError, match="expected udp://HOST:PORT"):
        open_link(address, name="switch", clock=clock)
