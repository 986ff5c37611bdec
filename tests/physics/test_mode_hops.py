"""A pump that hops to its next mode moves the crystal's phase matching, and the pair rate with it."""

from __future__ import annotations

import itertools
import math

import pytest

from qlab.physics.knob import Knob
from qlab.physics.source import LaserDiode, PairSource
from qlab.physics.states import bell_state

SINC2_HALF = 1.391557  # sin(x)/x = 1/sqrt(2)


def test_the_pair_rate_follows_the_pumps_modes() -> None:
    diode = LaserDiode(threshold_a=0.03)
    colour = Knob(diode.wavelength_nm)
    source = PairSource(
        1e6,
        bell_state("phi+"),
        Knob(1e-3),
        Knob(40.0),
        phase_match_c=40.0,
        phase_match_fwhm_c=2.0,
        pump_colour=colour,
        pump_nm=405.0,
        phase_match_c_per_nm=20.0,
    )
    assert colour in source.knobs
    assert source.rate_hz(0) == pytest.approx(1e3)
    rates = []
    for step, current_a in enumerate((0.030, 0.035, 0.040, 0.045, 0.050), 1):
        wavelength = diode.wavelength_at(current_a)
        colour.set(wavelength, step)
        x = SINC2_HALF * 20.0 * (wavelength - 405.0) / 1.0  # half of the full width is 1 K
        expected = 1e3 * ((math.sin(x) / x) ** 2 if x else 1.0)
        rates.append(source.rate_hz(step))
        assert rates[-1] == pytest.approx(expected, rel=1e-5)
    # 5 mA heat by 0.3 K: the mode follows by 4.5 pm, and a hop of 30 pm comes on top now and then
    assert min(rates) < 0.9 * max(rates)
    drops = [a - b for a, b in itertools.pairwise(rates)]
    assert max(drops) > 3.0 * sorted(drops)[1]


def test_without_a_wavelength_for_its_pump_a_crystal_does_not_care() -> None:
    source = PairSource(1e6, bell_state("phi+"), Knob(1e-3), Knob(40.0), phase_match_c=40.0)
    assert source.knobs == (source.pump_power_w, source.temperature_c)
    assert source.rate_hz(0) == pytest.approx(1e3)
