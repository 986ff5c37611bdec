"""A pump that hops to its next mode moves the crystal's phase matching, and the pair rate with it."""

from __future__ import annotations

import itertools
import math

import pytest

from qlab.physics.knob import CELL_PS, Following, Knob, Ramp, Relaxation
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


def test_a_course_of_two_is_looked_at_as_often_as_each_of_them_asks_for() -> None:
    slow, fast = Relaxation(0, 20.0, 30.0, CELL_PS), Ramp(5, 0.0, 3 * Ramp.step_ps, 1.0)
    alone, other, both = Knob(0.0), Knob(0.0), Knob(0.0)
    alone.set(slow, 0)
    other.set(fast, 0)
    both.set(Following(lambda share, celsius: share * celsius, fast, slow), 0)
    stop = 20 * CELL_PS
    assert both.breaks(-1, stop) == sorted({*alone.breaks(-1, stop), *other.breaks(-1, stop)})
    assert len(both.breaks(-1, stop)) > 17  # cells of the slow one, and the fast one's grid
    for t_ps in (0, Ramp.step_ps, 4 * Ramp.step_ps, 15 * CELL_PS, 17 * CELL_PS):
        assert both.horizon(t_ps) == min(alone.horizon(t_ps), other.horizon(t_ps))
        assert both.value(t_ps) == fast.value(t_ps) * slow.value(t_ps)


def test_threshold_and_slope_follow_the_temperature() -> None:
    """I_th = I_0 exp(T/T0) and a slope that falls as exp(-T/T1): Coldren, Corzine & Masanovic, 2nd edition, chapter 2."""
    diode = LaserDiode(threshold_a=0.03, slope_w_per_a=0.6, t0_k=60.0, t1_k=150.0)
    for celsius in (5.0, 25.0, 45.0, 70.0):
        threshold = 0.03 * math.exp((celsius - 25.0) / 60.0)
        assert diode.power_w(threshold * 0.999, celsius) == 0.0
        slope = (diode.power_w(0.2, celsius) - diode.power_w(0.1, celsius)) / 0.1
        assert slope == pytest.approx(0.6 * math.exp(-(celsius - 25.0) / 150.0), rel=1e-12)
