"""The detector module: silent sets, and counts that take their time."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from devices.detectors.sfifteen_spd import SPD
from qlab import roles
from qlab.errors import InstrumentError, LinkError, WrongIdentityError
from qlab.twin.faults import WireFault

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.clock import SteppedClock
    from qlab.lab.build import Lab


def test_a_refused_set_is_found_by_reading_back(scripted: Callable, clock: SteppedClock) -> None:
    link, _ = scripted(
        (b"hvolt 200\n", b""), (b"hvolt?\n", b"180.00\r\n"), terminator=b"\r\n", command_terminator=b"\n"
    )
    spd = SPD(name="spd", link=link, clock=clock)

    with pytest.raises(InstrumentError, match=r"spd: the instrument did not take a value.*hvolt 200.*180"):
        spd.bias_v.set(200.0).wait(10)


def test_a_pair_source_of_the_same_maker_is_not_a_detector(scripted: Callable, clock: SteppedClock) -> None:
    link, _ = scripted((b"*idn?\n", b"SPDCSDR, S-Fifteen\r\n"), terminator=b"\r\n", command_terminator=b"\n")

    with pytest.raises(WrongIdentityError, match="SPDCSDR"):
        SPD(name="spd", link=link, clock=clock).connect()


def test_counting_lasts_the_counting_time_and_no_dark_count_is_lost(table: Callable[..., Lab]) -> None:
    lab = table("spd")
    spd = lab.devices["spd"]
    assert isinstance(spd, roles.Detector)
    assert isinstance(spd, roles.Counter)
    begin_ps = lab.clock.now_ps()

    spd.trigger().wait(30)

    lasted_s = (lab.clock.now_ps() - begin_ps) * 1e-12
    assert 0.199 < lasted_s < 0.3  # counting_time_ms of the table
    assert spd.counts.get() >= 0
    assert spd.check_health() == []


def test_a_new_counting_time_is_waited_for(table: Callable[..., Lab]) -> None:
    lab = table("spd")
    spd = lab.devices["spd"]

    spd.counting_time_ms.set(5000).wait(30)
    begin_ps = lab.clock.now_ps()
    spd.trigger().wait(30)

    assert 5.0 <= (lab.clock.now_ps() - begin_ps) * 1e-12 <= 5.1


def test_an_open_temperature_loop_is_a_matter_of_health(table: Callable[..., Lab]) -> None:
    spd = table("spd").devices["spd"]

    spd.loop.set(0).wait(10)

    assert spd.check_health() == ["the temperature loop is open"]


def test_a_late_count_never_answers_the_next_question(table: Callable[..., Lab]) -> None:
    lab = table("spd")
    spd = lab.devices["spd"]
    lab.mounts["spd"].faults.arm(WireFault("late", count=1, match="counts", delay_s=10.0))

    with contextlib.suppress(LinkError):  # what follows waits behind it, the identity too
        spd.trigger().wait(60)
    lab.clock.sleep(10.0)

    assert spd.temperature_c.fetch() == pytest.approx(-20.0)
    assert spd.bias_v.fetch() == pytest.approx(spd.bias_v.get())


def test_a_bound_of_more_than_100_ms_is_left_for_the_count(table: Callable[..., Lab]) -> None:
    spd = table("spd").devices["spd"]
    assert spd.link.policy.timeout_s > 0.1  # behind the counting time, which the driver adds
    spd.counting_time_ms.set(65535).wait(30)
    spd.trigger().wait(120)
