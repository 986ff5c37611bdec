"""Deviations against the NIST test set and closed forms; masks."""

from __future__ import annotations

import numpy as np
import pytest

from qlab.errors import BadRequestError
from qlab.timing.masks import MASKS, judge
from qlab.timing.stability import DEVIATIONS, StabilityKind, stability


def nist_phase() -> np.ndarray:
    """Return the 1000-point test suite of NIST SP 1065, section 12.4, as phase: frequencies by a linear congruence."""
    n, frequency = 1234567890, []
    for _ in range(1000):
        frequency.append(n / 2147483647)
        n = 16807 * n % 2147483647
    return np.concatenate([[0.0], np.cumsum(np.array(frequency) - np.mean(frequency))])


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        # NIST SP 1065, table 31 (averaging factors 1, 10, 100)
        ("adev", [2.922319e-01, 9.965736e-02, 3.897804e-02]),
        ("oadev", [2.922319e-01, 9.159953e-02, 3.241343e-02]),
        ("mdev", [2.922319e-01, 6.172376e-02, 2.170921e-02]),
        ("tdev", [1.687202e-01, 3.563623e-01, 1.253382e00]),
        ("hdev", [2.943883e-01, 1.052754e-01, 3.910860e-02]),
        ("ohdev", [2.943883e-01, 9.581083e-02, 3.237638e-02]),
    ],
)
def test_the_nist_suite_comes_out_to_its_digits(kind: StabilityKind, expected: list[float]) -> None:
    found = stability(nist_phase(), 1.0, kind, [1, 10, 100])
    assert found.deviation == pytest.approx(expected, rel=5e-7)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    # White frequency noise of unit Allan deviation at 1 s: adev = tau^(-1/2).
    inside = []
    for seed in range(200):
        x = np.cumsum(np.random.default_rng(seed).normal(size=512))
        found = stability(x, 1.0, "oadev", [1, 4, 16])
        truth = found.tau_s**-0.5
        inside.append((found.low <= truth) & (truth <= found.high))
    # three binomial standard deviations of 200 at 68.3 %
    assert np.mean(inside, axis=0) == pytest.approx([0.683] * 3, abs=0.1)


def test_mtie_is_the_largest_swing_in_any_window() -> None:
    x = np.random.default_rng(2).normal(size=300) * 1e-9
    found = stability(x, 0.5, "mtie", [2.0, 10.0])
    for tau, value in zip(found.tau_s, found.deviation, strict=True):
        n = round(tau / 0.5) + 1
        assert value == max(np.ptp(x[i : i + n]) for i in range(x.size - n + 1))


def test_masks_judge_and_say_where_it_is_worst() -> None:
    x = np.random.default_rng(3).normal(size=4000) * 1e-9
    quiet = judge(stability(x, 1.0, "tdev"), "G.8272 TDEV")
    assert quiet.holds
    assert quiet.worst_tau_s == 1.0  # white phase noise falls as tau^(-1/2)
    assert quiet.worst_share == pytest.approx(1.0 / 3.0, rel=0.05)
    assert not judge(stability(10.0 * x, 1.0, "tdev"), "G.8272 TDEV").holds
    # Class B: 1 ns to 100 s, then 0.01 tau, 5 ns from 500 s on; MTIE 25 + 0.275 tau, 40 ns from 54.5 s on.
    assert judge(stability(x, 1.0, "tdev"), "G.8272 B TDEV").worst_share == pytest.approx(1.0, rel=0.05)
    assert MASKS["G.8272 B TDEV"].limit_ns(np.array([99.0, 300.0, 600.0])) == pytest.approx([1.0, 3.0, 5.0])
    assert MASKS["G.8272 B MTIE"].limit_ns(np.array([10.0, 100.0])) == pytest.approx([27.75, 40.0])
    # G.8273.2 at constant temperature: 40 and 4 ns for classes A and B, 10 and 2 ns for C, up to 1000 s.
    limits = [
        MASKS[f"G.8273.2{name}"].limit_ns(np.array([1.0, 1000.0, 1001.0]))
        for name in (" MTIE", " C MTIE", " TDEV", " C TDEV")
    ]
    assert [limit[0] for limit in limits] == [limit[1] for limit in limits] == [40.0, 10.0, 4.0, 2.0]
    assert all(np.isnan(limit[2]) for limit in limits)
    drifting = judge(stability(np.arange(4000.0) * 1e-9, 1.0, "mtie", [1, 10, 100, 200]), "G.8262 MTIE")
    assert not drifting.holds
    assert drifting.worst_tau_s == 200.0  # 200 ns against 25.25 * 200^0.2 = 72.9 ns
    assert drifting.worst_share == pytest.approx(200.0 / (25.25 * 200.0**0.2), rel=1e-6)


def test_bad_series_and_names_are_refused() -> None:
    with pytest.raises(BadRequestError, match="stability of 3 time errors"):
        stability([0.0, 1.0, 2.0], 1.0)
    with pytest.raises(BadRequestError, match="1 of them no numbers"):
        stability([0.0] * 20 + [float("nan")], 1.0)
    with pytest.raises(BadRequestError, match="no deviation 'sdev'"):
        stability(np.zeros(20), 1.0, "sdev")  # type: ignore[arg-type]
    flat = stability(np.zeros(64), 1.0, "mtie")
    with pytest.raises(BadRequestError, match="limits the tdev, not the mtie"):
        judge(flat, "G.8272 TDEV")
    with pytest.raises(BadRequestError, match="there is no mask 'G1'"):
        judge(flat, "G1")


def test_white_phase_noise_has_intervals_at_the_longest_times_too() -> None:
    # allantools has no degrees of freedom for it there
    noise = np.random.default_rng(3).normal(0.0, 1e-10, 64)
    for kind in DEVIATIONS:
        found = stability(noise, 1.0, kind)
        assert (found.low < found.deviation).all()
        assert (found.deviation < found.high).all()
