"""The nanowire against the laws that its module cites."""

from __future__ import annotations

import math

import pytest

from qlab.physics.nanowire import BiasedNanowire, Nanowire

WIRE = Nanowire()


def test_the_switching_current_follows_bardeens_law() -> None:
    """Bardeen 1962: I(T)/I(0) = (1 - (T/Tc)^2)^(3/2)."""
    at_zero = WIRE.switching_at(0.0)
    for kelvin in (1.0, 2.5, 4.0, 8.0):
        assert WIRE.switching_at(kelvin) / at_zero == pytest.approx((1 - (kelvin / 9.0) ** 2) ** 1.5)
    assert WIRE.switching_at(2.5) == pytest.approx(20.0)
    assert WIRE.switching_at(9.0) == WIRE.switching_at(300.0) == 0.0


def test_efficiency_is_a_sigmoid_of_the_bias() -> None:
    assert WIRE.efficiency_at(12.0, 2.5) == pytest.approx(0.85 / 2)  # half at 0.6 of 20 uA
    assert WIRE.efficiency_at(13.6, 2.5) == pytest.approx(0.85 * 0.841345, rel=1e-5)  # one sigma above
    assert WIRE.efficiency_at(19.5, 2.5) == pytest.approx(0.85, rel=1e-3)  # the plateau
    assert WIRE.efficiency_at(0.0, 2.5) < 1e-12


def test_darks_grow_exponentially_towards_the_switching_current() -> None:
    intrinsic = [WIRE.darks_at(bias, 2.5) - 10.0 * WIRE.efficiency_at(bias, 2.5) / 0.85 for bias in (18.8, 19.4, 20.0)]
    assert intrinsic[1] / intrinsic[0] == pytest.approx(math.e)  # 0.6 uA is 3 % of 20 uA
    assert intrinsic[2] == pytest.approx(1000.0)
    assert WIRE.darks_at(0.0, 2.5) == pytest.approx(0.0, abs=1e-10)


def test_jitter_falls_as_the_bias_grows() -> None:
    assert WIRE.jitter_scale_at(20.0) == 1.0
    assert WIRE.jitter_scale_at(10.0) == 2.0


def test_a_wire_latches_above_its_switching_current_and_only_zero_bias_clears_it() -> None:
    biased = BiasedNanowire(WIRE)
    biased.set_bias(18.0)
    assert not biased.latched
    assert biased.voltage_mv == 0.0
    biased.set_bias(20.5)
    assert biased.latched
    assert (biased.efficiency, biased.dark_rate_hz) == (0.0, 0.0)
    assert biased.voltage_mv == pytest.approx(205.0)
    biased.set_bias(18.0)
    assert biased.latched  # lower is not enough
    assert biased.voltage_mv == pytest.approx(180.0)
    biased.set_bias(0.0)
    biased.set_bias(18.0)
    assert not biased.latched
    assert biased.efficiency > 0.8


def test_a_warm_wire_latches_and_does_not_recover_before_it_is_cold() -> None:
    biased = BiasedNanowire(WIRE)
    biased.set_bias(18.0)
    biased.set_temperature(5.0)
    assert biased.latched
    biased.set_bias(0.0)
    biased.set_bias(18.0)
    assert biased.latched
    biased.set_temperature(2.5)
    assert biased.latched
    biased.set_bias(0.0)
    biased.set_bias(18.0)
    assert not biased.latched
    biased.set_temperature(20.0)
    assert biased.voltage_mv == pytest.approx(180.0)
    biased.set_bias(0.0)
    assert biased.efficiency == 0.0


def test_a_burst_latches_a_biased_wire_alone() -> None:
    biased = BiasedNanowire(WIRE)
    biased.latch()
    assert not biased.latched
    biased.set_bias(18.0)
    biased.latch()
    assert biased.latched
