"""The supply on its twin, by the fixture that qlab's pytest plugin brings."""

from pathlib import Path

import pytest

LAB = str(Path(__file__).parents[1] / "lab.yaml")


def test_the_supply_reaches_its_voltage_and_goes_off_when_told(twin_lab):
    bias = twin_lab(LAB).devices["bias"]
    bias.output.set(1).wait(5)
    bias.voltage_v.set(5.0).wait(5)
    bias.trigger().wait(5)
    assert bias.measured_v.get() == pytest.approx(5.0, abs=0.05)  # e^-5 of the step is left after 1 s
    bias.make_safe()
    assert bias.output.get() == 0


def test_an_overload_shows_in_its_health(twin_lab):
    lab = twin_lab(LAB)
    lab.twins["bias"].device_fault("overload")
    lab.clock.sleep(lab.devices["bias"].health_interval_s)  # so often a reading asks for it
    lab.devices["bias"].trigger().wait(5)
    assert lab.devices["bias"].health.ok.get() == 0
    assert "current limit" in lab.devices["bias"].health.reason.get()
