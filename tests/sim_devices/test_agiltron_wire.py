"""The Agiltron FF twin against protocol sheet 16: pyserial on a pty, frames written by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from qlab.errors import TwinError
from sim_devices.routing.agiltron_ff import AgiltronFFTwin

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import FakeBench, Wire


@pytest.fixture
def switch(table: FakeBench) -> AgiltronFFTwin:
    return AgiltronFFTwin.build("ff", table, {})


@pytest.fixture
def wire(serial_port: Callable[..., Wire], switch: AgiltronFFTwin) -> Wire:
    return serial_port(switch)


def h(text: str) -> bytes:
    return bytes.fromhex(text)


@pytest.mark.parametrize("channel", [1, 2, 3, 4])
def test_a_switch_command_is_echoed_and_the_channel_told(wire: Wire, channel: int) -> None:
    command = h("011200") + bytes([channel])
    assert wire.say(command) == command
    assert wire.say(h("01110000")) == h("011100") + bytes([channel])


def test_what_is_no_channel_is_not_echoed(wire: Wire) -> None:
    assert wire.say(h("01120005"), h("01120000"), h("01130001")) == b""
    assert wire.say(h("01110000")) == h("01110001")


def test_eight_outputs(serial_port: Callable[..., Wire], table: FakeBench) -> None:
    wire = serial_port(AgiltronFFTwin.build("ff8", table, {"channels": 8}))
    for channel in range(1, 9):
        assert wire.say(h("011200") + bytes([channel])) == h("011200") + bytes([channel])
    assert wire.say(h("01120009")) == b""


def test_the_light_is_dark_while_it_switches(wire: Wire, table: FakeBench) -> None:
    route = table.knob("ff", "route.1")
    assert route.value(table.clock.now_ps()) == 1.0
    wire.say(h("01120003"))
    assert route.value(table.clock.now_ps()) == 0.0
    wire.talk(wait_s=0.01)
    assert route.value(table.clock.now_ps()) == 3.0


def test_a_stuck_switch_echoes_and_stays(wire: Wire, switch: AgiltronFFTwin) -> None:
    switch.device_fault("stuck")
    assert wire.say(h("01120002"), h("01110000")) == h("01120002 01110001")
    switch.device_fault("stuck", active=False)
    assert wire.say(h("01120002"), h("01110000")) == h("01120002 01110002")
    switch.reset_power()
    assert switch.peek() == {"channel": 1}
    with pytest.raises(TwinError, match="stuck"):
        switch.device_fault("no such thing")


def test_it_finds_its_way_back_to_a_frame_and_takes_any_split(
    wire: Wire, pieces: Callable[[bytes], list[bytes]]
) -> None:
    assert wire.say(*pieces(h("ff00 01120003 99 01110000 01120001"))) == h("01120003 01110003 01120001")
