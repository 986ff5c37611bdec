"""The GPS clock."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from devices.timing.srs_fs740 import FS740
from qlab import roles

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.clock import SteppedClock
    from qlab.lab.build import Lab

GPS = "{class: devices.timing.srs_fs740.FS740, address: twin, settings: {gate_s: 0.1}}"


def test_it_says_how_far_its_time_is_from_gps(table: Callable[..., Lab]) -> None:
    gps = table(gps=GPS).devices["gps"]
    gps.trigger().wait(30)
    reading = gps.read()
    assert abs(reading["gps_interval_s"]["value"]) < 50e-9
    assert reading["gps_state"]["value"] == "LOCK"
    assert gps.locked
    assert isinstance(gps, roles.Clock)
    assert gps.offset_s == -gps.interval_s.get()
    assert gps.firmware == "4.10"


def test_hold_over_shows_in_the_health_and_passes(table: Callable[..., Lab]) -> None:
    lab = table(gps=GPS)
    gps = lab.devices["gps"]
    assert gps.refresh_health()
    lab.twins["gps"].device_fault("antenna_unplugged")
    lab.clock.sleep(3600.0)
    gps.trigger().wait(30)
    assert gps.holdover_s.get() == pytest.approx(3600, abs=1)
    assert not gps.health.ok.get()
    assert gps.health.reason.get() == "there are no satellites: it holds over"
    lab.twins["gps"].device_fault("antenna_unplugged", active=False)
    gps.wait_for_lock().wait(60)
    assert gps.refresh_health()


def test_an_input_without_a_signal_is_not_a_number(table: Callable[..., Lab]) -> None:
    gps = table(gps=GPS).devices["gps"]
    gps.count().wait(30)
    assert math.isnan(gps.frequency_hz.get())


def test_the_output_delay_is_set_again_after_a_power_cycle(table: Callable[..., Lab]) -> None:
    lab = table(gps=GPS)
    gps = lab.devices["gps"]
    gps.output_delay_s.put(2.5e-9)
    lab.mounts["gps"].power_cycle()
    assert not gps.refresh_health()
    assert gps.output_delay_s.fetch() == pytest.approx(2.5e-9)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("POW", "warms up"),
        ("SEAR", "searches for satellites"),
        ("STAB", "stabilises"),
        ("VTIM", "validates the time"),
        ("MAN", "by hand"),
        ("NGPS", "no satellites"),
        ("BGPS", "satellites are bad"),
        ("UNL", "not locked"),
    ],
)
def test_each_state_has_its_words(scripted: Callable, clock: SteppedClock, state: str, words: str) -> None:
    link, _ = scripted((b"TBAS:STAT?\n", state.encode() + b"\r\n"), terminator=b"\r\n", command_terminator=b"\n")
    (found,) = FS740(name="gps", link=link, clock=clock).check_health()
    assert words in found
