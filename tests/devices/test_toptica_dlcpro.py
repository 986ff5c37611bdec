"""The DLC pro's driver: exact bytes on a scripted wire, and its behaviour on its twin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from devices.sources.toptica_dlcpro import DLCpro
from qlab import roles
from qlab.errors import BadReplyError, BadRequestError, InstrumentError, InterlockError, LimitError

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.clock import SteppedClock
    from qlab.lab.build import Lab

LASER = (
    "{class: devices.sources.toptica_dlcpro.DLCpro, address: twin, settings: {current_ma: 110.0, temperature_c: 22.0}}"
)
FIXED = "{class: devices.sources.toptica_dlcpro.DLCpro, address: twin, twin: {ctl: false}}"
END = b"\n> "


def test_the_light_is_switched_on_only_when_asked_and_off_again(table: Callable[..., Lab]) -> None:
    lab = table(laser=LASER)
    laser, power = lab.devices["laser"], lab.bench.knob("laser", "power_w")
    assert isinstance(laser, roles.PhotonSource)
    assert laser.check_health() == []
    assert power.value(lab.clock.now_ps()) == 0.0
    laser.switch_on().wait(60)
    assert power.value(lab.clock.now_ps()) == pytest.approx(0.8 * (110 - 40) * 1e-3, rel=0.01)
    laser.trigger().wait(30)
    assert laser.measured_current_ma.get() == pytest.approx(110.0, abs=0.01)
    laser.switch_off().wait(30)
    assert power.value(lab.clock.now_ps()) == 0.0


def test_it_tunes_a_motorised_head_and_says_where_it_may_go(table: Callable[..., Lab]) -> None:
    lab = table(laser=LASER)
    laser = lab.devices["laser"]
    laser.set(770.0).wait(60)
    assert lab.bench.knob("laser", "wavelength_nm").value(lab.clock.now_ps()) == pytest.approx(770.0, abs=0.01)
    with pytest.raises(LimitError, match="765 to 781 nm"):
        laser.set(790.0)


def test_a_head_without_motor_has_no_wavelength_to_set(table: Callable[..., Lab]) -> None:
    laser = table(laser=FIXED).devices["laser"]
    laser.trigger().wait(30)
    assert "laser_measured_nm" not in laser.read()
    with pytest.raises(BadRequestError, match="has no motor; tune it by temperature_c"):
        laser.set(770.0)


@pytest.mark.parametrize(
    ("fault", "words"),
    [("interlock", "the interlock is open"), ("key", "the key switch is locked"), ("tc_fault", "temperature control")],
)
def test_what_keeps_it_dark_is_an_interlock_error(table: Callable[..., Lab], fault: str, words: str) -> None:
    lab = table(laser=LASER)
    laser = lab.devices["laser"]
    laser.switch_on().wait(60)
    lab.twins["laser"].device_fault(fault)
    with pytest.raises(InterlockError, match=words):
        laser.trigger().wait(30)
    assert any(words in reason for reason in laser.check_health())
    with pytest.raises(InterlockError, match=words):
        laser.switch_on().wait(30)


def test_a_lost_lock_is_a_matter_of_health(table: Callable[..., Lab]) -> None:
    lab = table(laser=LASER)
    laser = lab.devices["laser"]
    laser.switch_on().wait(60)
    laser.lock_enabled.set(1).wait(30)
    lab.clock.sleep(1.0)
    laser.trigger().wait(30)
    assert laser.health.ok.get()
    lab.twins["laser"].device_fault("lock_lost")
    laser.trigger().wait(30)
    assert "the lock is lost" in laser.health.reason.get()


def test_a_current_above_the_clip_is_refused_with_the_status(table: Callable[..., Lab]) -> None:
    laser = table(laser=LASER).devices["laser"]
    with pytest.raises(InstrumentError, match=r"expected 0.*found -23|-23"):
        laser.current_ma.set(190.0).wait(30)


def test_after_a_power_cycle_the_settings_return_and_the_light_does_not(table: Callable[..., Lab]) -> None:
    lab = table(laser=LASER)
    laser, power = lab.devices["laser"], lab.bench.knob("laser", "power_w")
    laser.current_ma.set(100.0).wait(30)
    laser.switch_on().wait(60)
    lab.mounts["laser"].power_cycle(boot_s=2.0)
    with pytest.raises(InterlockError, match="stays dark"):
        laser.trigger().wait(120)
    assert laser.current_ma.fetch() == pytest.approx(100.0)
    assert power.value(lab.clock.now_ps()) == 0.0


def test_an_answer_of_the_wrong_type_is_a_bad_reply(scripted: Callable[..., object], clock: SteppedClock) -> None:
    link, _ = scripted(
        (b"(param-ref 'laser1:dl:tc:fault)\n", b"3" + END),
        (b"(param-ref 'laser1:dl:tc:fault)\n", b"#f" + END),
        terminator=END,
        command_terminator=b"\n",
    )
    laser = DLCpro(name="laser", link=link, clock=clock)
    with pytest.raises(BadReplyError, match="parameter's type"):
        laser.switch("laser1:dl:tc:fault")
    link.suspect = False
    assert laser.switch("laser1:dl:tc:fault") is False


CALL = "(param-ref 'laser1:dl:cc:current-act)"


@pytest.fixture
def quiet(scripted: Callable[..., tuple], clock: SteppedClock) -> Callable[..., DLCpro]:
    def make(sent: str, answer: bytes) -> DLCpro:
        link, _ = scripted((sent.encode() + b"\n", answer), terminator=END, command_terminator=b"\n")
        return DLCpro(name="laser", link=link, clock=clock)

    return make


@pytest.mark.parametrize("answer", [b"119.9\n> ", b"119.9\r\n> "])
def test_a_prompt_may_stand_behind_a_carriage_return(quiet: Callable[..., DLCpro], answer: bytes) -> None:
    assert quiet(CALL, answer).number("laser1:dl:cc:current-act") == 119.9


@pytest.mark.parametrize(
    "answer",
    [b"Error: -20 unavailable on your system\n> ", CALL.encode() + b"\r\nError: -20 unavailable on your system\r\n> "],
)
def test_an_error_stands_in_the_first_or_in_the_last_line(quiet: Callable[..., DLCpro], answer: bytes) -> None:
    with pytest.raises(InstrumentError, match=r"refused a question.*Error: -20"):
        quiet(CALL, answer).ask(CALL)


@pytest.mark.parametrize("before", [b"", b"(param-set! 'echo #f)\r\n", b"a line\nanother\n"])
def test_only_the_last_line_of_a_set_counts(quiet: Callable[..., DLCpro], before: bytes) -> None:
    quiet("(param-set! 'echo #f)", before + b"0\n> ").put_parameter("echo", "#f")
    with pytest.raises(InstrumentError, match=r"did not take a value.*-23"):
        quiet("(param-set! 'echo #f)", before + b"-23\n> ").put_parameter("echo", "#f")


def test_the_welcome_is_passed_over_up_to_the_prompt(table: Callable[..., Lab]) -> None:
    laser = table(laser=LASER).devices["laser"]
    assert laser.link.greeting == END
    assert laser.identity_text == "DLC pro, DLC PRO_012345, 3.3.3"  # not the welcome
