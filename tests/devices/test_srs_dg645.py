"""The delay generator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from devices.sources.srs_dg645 import DG645
from qlab.errors import InstrumentError, LimitError

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.clock import SteppedClock
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
    with pytest.raises(
        InstrumentError,
        match=r"dg: the generator refused a command: not in this mode: .*; command '\*TRG'",
    ):
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


CODES = {
    10: "illegal value",
    11: "mode",
    12: "illegal delay",
    13: "link",
    14: "stored",
    15: "not allowed",
    16: "self test",
}
CODES |= {17: "calibration", 30: "lost", 32: "listened", 40: "self test 40", 71: "self test 71", 80: "calibration 80"}
CODES |= {
    91: "calibration 91",
    110: "illegal command",
    111: "unknown command",
    112: "only be set",
    113: "only be asked",
}
CODES |= {
    114: "empty",
    115: "too many parameters",
    116: "missing",
    117: "too long",
    118: "not a number",
    120: "whole number",
}
CODES |= {121: "too large", 122: "hexadecimal", 126: "syntax", 170: "garbled", 171: "too fast", 254: "too many errors"}


@pytest.mark.parametrize(("code", "words"), CODES.items())
def test_each_error_number_is_told_in_words(scripted: Callable, clock: SteppedClock, code: int, words: str) -> None:
    link, _ = scripted(
        (b"BURM 1\n", b""), (b"LERR?\n", f"{code}\r\n".encode()), terminator=b"\r\n", command_terminator=b"\n"
    )
    link.open()
    with pytest.raises(InstrumentError, match=rf"refused a command: .*{words}.*error {code}'"):
        DG645(name="dg", link=link, clock=clock).tell("BURM 1")


def test_the_longest_period_of_a_burst_is_10_ns_less_than_2000_s(table: Callable[..., Lab]) -> None:
    dg = table(dg=DG).devices["dg"]
    dg.burst_period_s.put(2000.0 - 1e-8)
    with pytest.raises(LimitError):
        dg.burst_period_s.put(2000.0)


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
