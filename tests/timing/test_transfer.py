"""Equations of time transfer, the watch of the way, the ensemble scale and service levels, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from qlab.errors import BadRequestError
from qlab.timing.ensemble import EnsembleScale
from qlab.timing.service_level import CoastRecord, service_level
from qlab.timing.transfer import WayWatch, one_way, two_way


def test_two_ways_take_the_delay_out_and_half_of_the_asymmetry_stays() -> None:
    x, out, home = 12_345.0, 50_000.0, 49_400.0
    blind = two_way((x + out, 3.0), (x - home, 4.0))
    assert (blind.offset_ps - x, blind.round_trip_ps) == (300.0, 99_400.0)
    assert (blind.sigma_ps, blind.round_trip_sigma_ps) == (2.5, 5.0)
    told = two_way((x + out, 3.0), (x - home, 4.0), 600.0, 40.0)
    assert told.offset_ps == x
    assert told.sigma_ps == pytest.approx((2.5**2 + 20.0**2) ** 0.5)
    assert one_way(x + out, 3.0, out, 4.0).offset_ps == x
    assert one_way(x + out, 3.0, out, 4.0).sigma_ps == 5.0


def test_the_watch_raises_as_many_false_alarms_as_it_says_and_sees_what_it_promises() -> None:
    draw = np.random.default_rng(7)
    false_alarm, n = 0.01, 20_000
    # Every second comparison is of two fresh values: independent trials.
    alarms = 0
    for value in draw.normal(0.0, 10.0, (n, 2)):
        watch = WayWatch(0.0, false_alarm=false_alarm)
        for t, trip in enumerate(value):
            seen = watch.see(float(t), two_way((trip, 6.0), (0.0, 8.0)))
        alarms += seen.alarm
    assert alarms / n == pytest.approx(false_alarm, abs=4.0 * (false_alarm / n) ** 0.5)
    watch = WayWatch(5.0, false_alarm=1e-6)
    assert not watch.see(0.0, two_way((0.0, 6.0), (0.0, 8.0))).alarm
    # 4.892 sigma of 10 sqrt(2) ps and 5 ps a second for 10 s
    assert watch.see(10.0, two_way((119.0, 6.0), (0.0, 8.0))).limit_ps == pytest.approx(69.18 + 50.0, abs=0.05)
    assert watch.see(20.0, two_way((239.0, 6.0), (0.0, 8.0))).alarm
    known = WayWatch(0.0, calibrated_ps=100.0, calibrated_sigma_ps=0.0)
    assert known.see(0.0, two_way((1100.0, 6.0), (0.0, 8.0))).alarm


def test_an_ensemble_of_equal_clocks_is_steadier_by_the_root_of_their_number() -> None:
    # White frequency noise of 1e-11 at 1 s, 16 clocks, updates every 100 s: sigma_y(100 s) = 1e-12, of the scale 1e-12 / 4.
    draw = np.random.default_rng(3)
    clocks, steps, tau = 16, 4000, 100.0
    x = np.cumsum(draw.normal(0.0, 1e-11 * tau**0.5 * 1e12, (steps, clocks)), axis=0)
    x += np.outer(np.arange(steps), draw.normal(0.0, 1e-11, clocks)) * tau * 1e12
    scale = EnsembleScale(clocks)
    path = []
    for k in range(steps):
        scale.update((k + 1) * tau, x[k] - x[k, 0])
        path.append(x[k, 0] - scale.offset_ps[0])  # the scale's own time error
    half = np.array(path[steps // 4 :]) * 1e-12
    y2 = np.diff(half, 2) / tau
    adev = float(np.sqrt(np.mean(y2**2) / 2.0))
    assert adev == pytest.approx(1e-12 / 4.0, rel=0.1)
    assert scale.weights.sum() == pytest.approx(1.0)
    assert scale.weights.max() < 0.2


def test_a_bad_clock_loses_its_weight_and_a_good_one_gets_no_more_than_the_limit() -> None:
    draw = np.random.default_rng(4)
    levels = np.array([1.0, 10.0, 10.0, 10.0, 300.0])
    x = np.cumsum(draw.normal(0.0, levels, (400, 5)), axis=0)
    scale = EnsembleScale(5, most_weight=0.5)
    for k in range(400):
        scale.update(float(k + 1), x[k] - x[k, 4])
    assert scale.weights[4] < 0.01
    assert scale.weights.max() <= 0.5 + 1e-9
    assert scale.weights.argmax() == 0
    with pytest.raises(BadRequestError, match="1 of them unknown"):
        scale.update(500.0, [0.0, 1.0, 2.0, np.nan, 0.0])
    with pytest.raises(BadRequestError, match="expected a later one"):
        scale.update(1.0, np.zeros(5))


def test_the_service_level_is_the_share_of_time_below_the_limit() -> None:
    record = CoastRecord()
    record.add(0.0, 100.0, float("inf"))  # before the first lock
    record.add(100.0, 400.0, 2_000.0)
    record.add(400.0, 1000.0, -8_000.0)  # below 4 ns for half of it
    found = service_level([record], 4_000.0, 0.5)
    assert found.kept == pytest.approx((300.0 + 300.0) / 1000.0)
    assert found.holds
    # below X for half of all time: 300 + 600 X / 8000 = 500
    assert found.at_promised_ps == pytest.approx(8_000.0 / 3.0)
    assert found.worst_ps == 8_000.0
    assert "below 2.67 ns, at worst 8 ns" in found.text()
    assert service_level([record], 4_000.0, 0.95).at_promised_ps == float("inf")
    with pytest.raises(BadRequestError, match="limit_ps = 0"):
        service_level([record], 0.0, 0.5)
    with pytest.raises(BadRequestError, match="no exposure"):
        service_level([CoastRecord()], 1.0, 0.5)
