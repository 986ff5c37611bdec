"""The LDC501: emission only when asked, and why not when refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from devices.sources.srs_ldc501 import LDC501
from qlab import roles
from qlab.errors import InstrumentError, InterlockError, LimitError

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.clock import SteppedClock
    from qlab.lab.build import Lab

PUMP = """{class: devices.sources.srs_ldc501.LDC501, address: twin,
    settings: {current_limit_ma: 100.0, current_ma: 80.0, temperature_c: 25.0}}"""


def test_it_is_dark_at_connection_and_shines_when_asked(table: Callable[..., Lab]) -> None:
    lab = table(pump=PUMP)
    pump, power = lab.devices["pump"], lab.bench.pump_power("pump")
    assert isinstance(pump, roles.PhotonSource)
    assert pump.emission.fetch() == 0
    assert power.value(lab.clock.now_ps()) == 0.0
    pump.switch_on().wait(60)
    pump.trigger().wait(30)
    assert pump.measured_current_ma.get() == 80.0
    assert power.value(lab.clock.now_ps()) == pytest.approx(0.045 * (1 - 0.2 * 0.045), rel=1e-3)
    pump.switch_off().wait(60)
    assert power.value(lab.clock.now_ps()) == 0.0


def test_the_current_keeps_below_its_limit(table: Callable[..., Lab]) -> None:
    pump = table(pump=PUMP).devices["pump"]
    with pytest.raises(LimitError, match="0 to 100 mA"):
        pump.current_ma.set(101.0)


@pytest.mark.parametrize(
    ("fault", "words"),
    [("interlock", "the interlock is open"), ("sensor_unplugged", "the temperature sensor has failed")],
)
def test_what_keeps_it_dark_is_named(table: Callable[..., Lab], fault: str, words: str) -> None:
    lab = table(pump=PUMP)
    pump = lab.devices["pump"]
    pump.switch_on().wait(60)
    lab.twins["pump"].device_fault(fault)
    with pytest.raises(InterlockError, match=words):
        pump.trigger().wait(30)
    assert words in pump.check_health()
    assert not pump.health.ok.get()


def test_a_refused_set_has_its_error_numbers(table: Callable[..., Lab]) -> None:
    pump = table(pump=PUMP).devices["pump"]
    with pytest.raises(InstrumentError, match=r"command 'SILD 499'; found 'execution error 1"):
        pump.tell("SILD 499")
    with pytest.raises(InstrumentError, match=r"command error 2"):
        pump.tell("NOPE")


def test_a_power_cycle_leaves_it_dark_with_its_settings(table: Callable[..., Lab]) -> None:
    lab = table(pump=PUMP)
    pump = lab.devices["pump"]
    pump.switch_on().wait(60)
    lab.mounts["pump"].power_cycle(boot_s=1.0)
    lab.clock.sleep(2.0)
    with pytest.raises((InterlockError, InstrumentError)):
        pump.trigger().wait(60)
    assert lab.twins["pump"].peek()["laser_on"] is False
    assert pump.current_limit_ma.fetch() == 100.0
    assert pump.current_ma.fetch() == 80.0


def test_it_unlocks_the_interface_behind_an_empty_line(scripted: Callable, clock: SteppedClock) -> None:
    link, port = scripted(
        (b"*IDN?\n", b"Stanford Research Systems,LDC501,s/n1,ver2.00\n"),
        (b"\n", b""),
        (b"ULOC 1\n", b""),
        (b"TOKN OFF\n", b""),
        (b"*CLS\n", b""),
        (b"LEXE?;LCME?\n", b"0;0\n"),
    )
    link.open()
    pump = LDC501(name="pump", link=link, clock=clock)
    pump.check_identity(link)
    pump.prepare()
    assert port.script == []


def test_it_waits_15_ms_before_it_asks_for_errors(scripted: Callable, clock: SteppedClock) -> None:
    link, _ = scripted((b"SILM 100.000\n", b""), (b"LEXE?;LCME?\n", b"0;0\n"))
    link.open()
    begun_s = clock.now_s()
    LDC501(name="pump", link=link, clock=clock).tell("SILM 100.000")
    assert clock.now_s() - begun_s >= 0.015


@pytest.mark.parametrize(("model", "most_ma"), [("LDC500", 100.0), ("LDC501", 500.0), ("LDC502", 2000.0)])
def test_the_current_goes_as_far_as_the_model(table: Callable[..., Lab], model: str, most_ma: float) -> None:
    pump = table(pump=f"{{class: devices.sources.srs_ldc501.LDC501, address: twin, twin: {{model: {model}}}}}").devices[
        "pump"
    ]
    pump.current_limit_ma.set(most_ma).wait(10)
    pump.current_ma.set(most_ma).wait(10)
    assert pump.current_ma.fetch() == most_ma
    with pytest.raises(LimitError, match=f"0 to {most_ma:g} mA"):
        pump.current_limit_ma.set(most_ma + 1)
