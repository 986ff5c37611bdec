"""The delay generator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from qlab.errors import InstrumentError, LimitError

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.lab.build import Lab

DG = "{class: devices.sources.srs_dg645.DG645, address: twin, settings: {trigger_source: 0, trigger_rate_hz: 1.0e6}}"


def test_pulses_are_set_in_seconds(table: Callable[..., Lab]) -> None:
    lab = table(dg=DG)
    dg = lab.devices["dg"]
    dg.set_pulse("ab", 100e-9, 5e-9).wait(30)
    edges = lab.twins["dg"].peek()["edges_s"]
    assert edges[2:4] == pytest.approx([100e-9, 105e-9])
    assert dg.a_s.get() == pytest.approx(100e-9)
    dg.ab.amplitude_v.put(3.3)
    assert dg.ab.amplitude_v.get() == 3.3
    dg.gh.offset_v.put(-1.0)
    assert dg.read_configuration()["dg_gh_offset_v"]["value"] == -1.0
    assert dg.trigger_rate_hz.get() == 1e6
    with pytest.raises(LimitError, match="a_s"):
        dg.set_pulse("ab", 2001.0, 1e-9)


def test_errors_are_words(table: Callable[..., Lab]) -> None:
    dg = table(dg=DG).devices["dg"]
    with pytest.raises(InstrumentError, match=r"dg: the generator refused a command: not allowed now; command '\*TRG'"):
        dg.fire().wait(30)
    with pytest.raises(InstrumentError, match=r"leads back to itself"):
        dg.tell("LINK 2,2")
    dg.trigger_source.put(5)
    dg.fire().wait(30)


def test_missed_triggers_and_a_lost_reference_are_matters_of_health(table: Callable[..., Lab]) -> None:
    lab = table(dg=DG)
    dg = lab.devices["dg"]
    assert dg.refresh_health()
    dg.set_pulse("ef", 2e-6, 1e-7).wait(30)
    assert not dg.refresh_health()
    assert "are missed" in dg.health.reason.get()
    dg.trigger_rate_hz.put(1e5)
    dg.refresh_health()
    assert dg.refresh_health()
    lab.twins["dg"].device_fault("reference_lost")
    assert dg.check_health() == ["the 10 MHz reference is lost"]


def test_settings_come_back_after_a_power_cycle(table: Callable[..., Lab]) -> None:
    lab = table(dg=DG)
    dg = lab.devices["dg"]
    dg.set_pulse("cd", 1e-6, 1e-6).wait(30)
    lab.mounts["dg"].power_cycle()
    dg.trigger().wait(30)
    assert dg.trigger_rate_hz.get() == 1e6
    assert lab.twins["dg"].peek()["edges_s"][4:6] == pytest.approx([1e-6, 2e-6])


def test_after_a_power_cycle_there_are_no_pulses_until_they_are_asked_for(table: Callable[..., Lab]) -> None:
    lab = table(dg=DG)
    dg = lab.devices["dg"]
    assert lab.twins["dg"].peek()["rate_hz"] == 1e6
    lab.mounts["dg"].power_cycle()
    dg.trigger().wait(30)
    assert lab.twins["dg"].peek()["rate_hz"] == 0.0
    assert not dg.refresh_health()
    assert "set trigger_source to 0 again" in dg.health.reason.get()
    dg.trigger_source.put(0)
    assert dg.refresh_health()
    assert lab.twins["dg"].peek()["rate_hz"] == 1e6
