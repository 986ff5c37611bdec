"""The rubidium oscillator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from qlab import roles
from qlab.errors import InstrumentError, LimitError

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.lab.build import Lab

RB = "{class: devices.timing.srs_prs10.PRS10, address: twin, settings: {frequency_offset_1e12: 25}}"


def test_it_is_read_and_steered(table: Callable[..., Lab]) -> None:
    lab = table(rb=RB)
    rb = lab.devices["rb"]
    rb.trigger().wait(30)
    assert rb.read()["rb_lock"]["value"] == 1
    assert rb.locked
    assert isinstance(rb, roles.Clock)
    assert rb.read()["rb_case_c"]["value"] == pytest.approx(72.8)
    knob = lab.bench.knob("rb", "frequency")
    assert knob.value(lab.clock.now_ps()) == pytest.approx(25e-12)
    rb.set(-40).wait(30)
    assert knob.value(lab.clock.now_ps()) == pytest.approx(-40e-12)
    with pytest.raises(LimitError, match="frequency_offset_1e12"):
        rb.set(2001)
    assert rb.firmware == "3.24"


def test_what_it_does_not_take_is_an_error_although_it_says_nothing(table: Callable[..., Lab]) -> None:
    rb = table(rb=RB).devices["rb"]
    with pytest.raises(InstrumentError, match="a parameter is out of range; command 'GA99'"):
        rb.tell("GA99")
    with pytest.raises(InstrumentError, match="does not know a command"):
        rb.tell("QQ1")


def test_a_cold_oscillator_is_not_well_until_it_has_locked(table: Callable[..., Lab]) -> None:
    lab = table(rb=RB)
    rb = lab.devices["rb"]
    lab.mounts["rb"].power_cycle()
    assert not rb.refresh_health()
    assert "the frequency is not locked" in rb.health.reason.get()
    rb.wait_for_lock().wait(60)
    assert rb.refresh_health()
    assert rb.frequency_offset_1e12.fetch() == 25  # restored


@pytest.mark.parametrize(
    ("fault", "words"), [("lamp_failing", "the lamp is too dark"), ("case_too_hot", "the case is too hot")]
)
def test_faults_are_named(table: Callable[..., Lab], fault: str, words: str) -> None:
    lab = table(rb=RB)
    lab.twins["rb"].device_fault(fault)
    assert words in lab.devices["rb"].check_health()


def test_a_1_pps_that_is_followed_and_missing_is_named(table: Callable[..., Lab]) -> None:
    rb = table(rb=RB).devices["rb"]
    rb.follow_pps.put(1)
    assert rb.check_health() == ["there is no 1 pps"]
