"""The power meter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from devices.power.thorlabs_pm100d import PM100D
from qlab import roles
from qlab.errors import InstrumentError, LimitError

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.clock import SteppedClock
    from qlab.lab.build import Lab

NO_ERROR = (b"SYST:ERR?\n", b'+0,"No error"\n')


def test_a_sample_is_read_in_watts(scripted: Callable, clock: SteppedClock) -> None:
    link, _ = scripted((b"MEAS:POW?\n", b"1.234567E-06\n"))  # the sheet's own example
    meter = PM100D(name="meter", link=link, clock=clock)

    meter.trigger().wait(10)

    assert isinstance(meter, roles.PowerMeter)
    assert meter.read()["meter_power_w"]["value"] == 1.234567e-06
    assert meter.describe()["meter_power_w"]["units"] == "W"


def test_an_over_range_sample_is_an_error_that_says_what_to_do(scripted: Callable, clock: SteppedClock) -> None:
    link, _ = scripted((b"MEAS:POW?\n", b"9.91E+37\n"))
    meter = PM100D(name="meter", link=link, clock=clock)

    with pytest.raises(InstrumentError, match=r"meter: the light is above.*auto_range"):
        meter.trigger().wait(10)


def test_zeroing_waits_for_its_end(scripted: Callable, clock: SteppedClock) -> None:
    busy = (b"SENS:CORR:COLL:ZERO:STAT?\n", b"1\n")
    link, port = scripted(
        (b"SENS:CORR:COLL:ZERO\n", b""), NO_ERROR, busy, busy, (b"SENS:CORR:COLL:ZERO:STAT?\n", b"0\n")
    )
    meter = PM100D(name="meter", link=link, clock=clock)

    meter.zero().wait(10)

    assert port.script == []
    assert clock.now_ps() == 200_000_000_000


def test_the_sensors_wavelengths_are_the_limits(table: Callable[..., Lab]) -> None:
    meter = table("meter").devices["meter"]

    low, high = meter.wavelength_nm.limits
    assert low < 405.0 < high
    meter.wavelength_nm.set(810.0).wait(10)
    assert meter.wavelength_nm.get() == 810.0
    with pytest.raises(LimitError, match="meter: wavelength_nm"):
        meter.wavelength_nm.set(high + 1)


def test_the_twin_measures_averages_and_misses_its_sensor(table: Callable[..., Lab]) -> None:
    lab = table("meter")
    meter = lab.devices["meter"]

    meter.averages.set(100).wait(10)
    meter.auto_range.set(0).wait(10)
    meter.trigger().wait(10)
    assert abs(meter.power_w.get()) < 1e-3
    assert meter.check_health() == []

    lab.twins["meter"].device_fault("sensor_unplugged")
    assert meter.check_health() == ["no sensor is connected"]
