"""The 33500B driver on its twin."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from qlab.errors import BadRequestError, InstrumentError, LimitError

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.lab.build import Lab

AWG = "{class: devices.sources.keysight_33500b.Keysight33500B, address: twin}"
SMALL = AWG[:-1] + ", twin: {model: 33509B}}"


def test_it_sets_an_output_and_switches_it_off_at_the_end(table: Callable[..., Lab]) -> None:
    lab = table(awg=AWG)
    awg = lab.devices["awg"]
    out = awg.output_1
    out.load_ohm.set(math.inf).wait(30)
    out.amplitude_vpp.set(6.0).wait(30)
    out.set(80e6).wait(30)
    out.output.set(1).wait(30)
    assert lab.bench.knob("awg", "frequency_hz.1").value(lab.clock.now_ps()) == 80e6
    awg.trigger().wait(30)
    assert awg.read()["awg_output_1_output"]["value"] == 1
    awg.unstage().wait(30)
    assert lab.bench.knob("awg", "frequency_hz.1").value(lab.clock.now_ps()) == 0.0


def test_limits_go_with_the_function(table: Callable[..., Lab]) -> None:
    out = table(awg=AWG).devices["awg"].output_2
    out.frequency_hz.check_value(100e6)
    out.function.set("RAMP").wait(30)
    with pytest.raises(LimitError, match="1e-06 to 800000 Hz"):
        out.set(1e6)
    out.function.set("SIN").wait(30)
    out.set(1e6).wait(30)
    with pytest.raises(BadRequestError, match="none of SIN"):
        out.function.set("SAW")
    out.load_ohm.check_value(math.inf)
    with pytest.raises(LimitError, match="Ohm"):
        out.load_ohm.set(0.5)


def test_what_the_instrument_changes_is_an_error(table: Callable[..., Lab]) -> None:
    out = table(awg=AWG).devices["awg"].output_1
    out.amplitude_vpp.set(8.0).wait(30)
    with pytest.raises(InstrumentError, match="offset changed due to amplitude"):
        out.offset_v.set(4.0).wait(30)


def test_a_waveform_is_played_and_comes_back_after_a_power_cycle(table: Callable[..., Lab]) -> None:
    lab = table(awg=AWG)
    awg, twin = lab.devices["awg"], lab.twins["awg"]
    points = np.sin(np.linspace(0.0, 2 * np.pi, 30_000, endpoint=False))  # a block longer than 64 KiB
    awg.output_1.play("wave", points, 1e6).wait(60)
    awg.output_1.amplitude_vpp.set(2.0).wait(30)
    awg.output_1.output.set(1).wait(30)
    assert twin.voltage_v(1, 30 * 10**9 + 7500 * 10**6) == pytest.approx(1.0, abs=1e-6)
    lab.mounts["awg"].power_cycle(boot_s=1.0)
    lab.clock.sleep(5.0)
    awg.trigger().wait(60)
    assert twin.memory[1].find("wave")[1].size == 30_000
    assert awg.output_1.function.fetch() == "ARB"
    assert not twin.output_on[1]
    with pytest.raises(BadRequestError, match="8 points"):
        awg.output_1.play("short", [0, 1], 1e6)


def test_fire_waits_for_the_burst(table: Callable[..., Lab]) -> None:
    lab = table(awg=AWG)
    awg = lab.devices["awg"]
    for signal, value in (("trigger_source", "BUS"), ("burst_cycles", 2000), ("burst", 1)):
        getattr(awg.output_1, signal).set(value).wait(30)
    begun = lab.clock.now_s()
    awg.fire().wait(60)
    assert lab.clock.now_s() - begun == pytest.approx(2.0, abs=0.1)  # 2000 periods of 1 ms


def test_a_model_with_one_output_has_one(table: Callable[..., Lab]) -> None:
    awg = table(awg=SMALL).devices["awg"]
    awg.trigger().wait(30)
    assert len(awg.outputs) == 1
    assert not any(key.startswith("awg_output_2") for key in awg.read())


def test_an_overload_is_told_by_the_health(table: Callable[..., Lab]) -> None:
    lab = table(awg=AWG)
    awg = lab.devices["awg"]
    lab.twins["awg"].device_fault("overload")
    assert awg.check_health() == ["an output is overloaded and was switched off"]
    with pytest.raises(InstrumentError, match="output overloaded"):
        awg.output_1.output.set(1).wait(30)
