"""One group of health signals for every instrument: ok, reason, since."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from qlab.errors import InstrumentError, LimitError, LinkError
from qlab.twin.faults import WireFault

if TYPE_CHECKING:
    from collections.abc import Callable

    from bluesky import RunEngine

    from qlab.lab.build import Lab


def state(device: Any) -> tuple[int, str]:
    return device.health.ok.get(), device.health.reason.get()


def test_a_connected_instrument_is_well(table: Callable[..., Lab]) -> None:
    oven = table("oven").devices["oven"]
    assert state(oven) == (1, "")
    assert oven.refresh_health()


def test_health_is_read_without_asking_the_instrument(table: Callable[..., Lab]) -> None:
    lab = table("oven")
    oven = lab.devices["oven"]
    before = lab.mounts["oven"].received
    reading = oven.health.read()
    assert set(reading) == {"oven_health_ok", "oven_health_reason", "oven_health_since"}
    assert oven.health.describe()["oven_health_reason"]["dtype"] == "string"
    assert lab.mounts["oven"].received == before


def test_what_is_wrong_is_seen_within_the_interval_and_since_when_is_kept(table: Callable[..., Lab]) -> None:
    lab = table("oven")
    oven = lab.devices["oven"]
    lab.twins["oven"].device_fault("sensor_unplugged")

    oven.trigger().wait(10)
    assert state(oven) == (1, "")  # nobody has asked yet
    lab.clock.sleep(oven.health_interval_s)
    oven.trigger().wait(10)
    assert state(oven) == (0, "the temperature sensor is not connected")
    since = oven.health.since.get()
    assert since == pytest.approx(lab.clock.now_s(), abs=0.1)

    lab.clock.sleep(5.0)
    oven.trigger().wait(10)
    assert oven.health.since.get() == since
    lab.twins["oven"].device_fault("sensor_unplugged", active=False)
    oven.switch_heater(on=True)
    oven.trigger().wait(10)  # where something was wrong, every trigger asks
    assert state(oven) == (1, "")
    assert oven.health.since.get() > since + 4.9


def test_a_failing_job_reports_itself_and_a_lost_link_too(table: Callable[..., Lab]) -> None:
    lab = table("meter")
    meter = lab.devices["meter"]
    lab.mounts["meter"].faults.arm(WireFault("silent", count=None))
    with pytest.raises(LinkError):
        meter.trigger().wait(60)
    ok, reason = state(meter)
    assert not ok
    assert "meter" in reason
    assert not meter.refresh_health()
    lab.mounts["meter"].faults.clear()
    meter.trigger().wait(60)
    assert state(meter) == (1, "")


def test_a_persons_mistake_and_an_interruption_are_no_matter_of_health(table: Callable[..., Lab]) -> None:
    oven = table("oven").devices["oven"]
    with pytest.raises(LimitError):
        oven.set(300.0)
    status = oven.set(60.0)
    oven.interrupt_jobs()
    with pytest.raises(InstrumentError, match="interrupted"):
        status.wait(30)
    assert state(oven) == (1, "")


def test_a_suspender_watches_the_health_and_the_run_goes_on_when_all_is_well(
    table: Callable[..., Lab], engine: RunEngine
) -> None:
    from bluesky import plan_stubs as bps
    from bluesky.suspenders import SuspendBoolLow

    lab = table("oven")
    oven = lab.devices["oven"]
    engine.install_suspender(SuspendBoolLow(oven.health.ok))
    seen: list[str] = []

    def plan() -> Any:
        seen.append("before")
        yield from bps.null()
        oven.health.report(["too warm"])
        engine.loop.call_later(0.3, lambda: (seen.append("well again"), oven.health.report([])))
        yield from bps.checkpoint()
        yield from bps.sleep(0.1)
        seen.append("after")
        yield from bps.sleep(0.1)

    engine(plan())
    assert seen == ["before", "well again", "after"]
