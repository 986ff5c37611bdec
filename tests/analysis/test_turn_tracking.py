"""Small turns of a photon's polarisation are told with their sign, and followed as well as a random walk can be."""

from __future__ import annotations

import math

import numpy as np
import pytest

from qlab.analysis.correlation import BELL_CORRELATIONS, align_frames
from qlab.analysis.turn_tracking import PROBES, TurnTracker, control_step, rotation
from qlab.errors import BadRequestError


def table(e: float, n: float) -> list[list[float]]:
    return [[n * (1 + e) / 4, n * (1 - e) / 4], [n * (1 - e) / 4, n * (1 + e) / 4]]


def test_probes_tell_the_turn_that_alignment_would_undo() -> None:
    turn = np.array([0.03, -0.05, 0.04])
    t = 0.97 * np.diag(BELL_CORRELATIONS["phi+"]) @ rotation(turn)
    assert align_frames(t) == pytest.approx(rotation(turn), abs=1e-9)  # by quite another way
    tracker = TurnTracker(0.01)
    for axis, (a, b, _) in enumerate(PROBES):
        tracker.see(axis, table(t[a, b], 1e9), 0.97)
    assert tracker.turn == pytest.approx(turn, abs=0.002)  # second order: 0.05^2 / 2


def test_a_rotation_is_one() -> None:
    r = rotation([0.3, -1.2, 0.7])
    assert r @ r.T == pytest.approx(np.eye(3), abs=1e-12)
    assert np.trace(r) == pytest.approx(1 + 2 * math.cos(math.sqrt(0.09 + 1.44 + 0.49)))
    assert rotation([0.0, 0.0, 0.2]) @ [1, 0, 0] == pytest.approx([math.cos(0.2), math.sin(0.2), 0])


def test_the_tracking_error_is_that_of_the_steady_kalman_filter() -> None:
    # P- = (q + sqrt(q^2 + 4 q r)) / 2 before a measurement of variance r, q the walk's variance between two (Riccati).
    walk, n, v = 0.02, 400, 0.95
    rng = np.random.default_rng(1)
    q, r = walk**2 * 1.0, 1.0 / n / v**2
    expected = (q + math.sqrt(q * q + 4 * q * r)) / 2
    tracker = TurnTracker(walk)
    truth, errors = 0.0, []
    for k in range(6000):
        truth += rng.normal(0.0, walk)
        tracker.wait(1.0)
        if k > 100:
            errors.append(tracker.turn[0] - truth)
            assert tracker.variance[0] == pytest.approx(expected, rel=0.05)
        agree = rng.binomial(n, (1 + v * math.sin(truth)) / 2)
        tracker.see(0, [[agree, n - agree], [0, 0]], v)
        made = -tracker.turn.copy()  # held near zero, as by a compensator
        tracker.turned_by(made)
        truth += made[0]
    # about 6000 / 3 independent errors: 3 % for a standard deviation
    assert np.std(errors) == pytest.approx(math.sqrt(expected), rel=0.09)


def test_controls_undo_a_turn_and_the_rest_goes_home() -> None:
    rng = np.random.default_rng(2)
    response, turn, away = rng.normal(size=(3, 4)), np.array([0.1, -0.2, 0.05]), np.array([5.0, 1.0, -2.0, 0.0])
    step = control_step(response, turn)
    assert response @ step == pytest.approx(-turn)
    home = control_step(response, turn, away)
    assert response @ home == pytest.approx(-turn)
    assert np.linalg.norm(away + home) < np.linalg.norm(away + step)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(BadRequestError, match="fewer than three axes"):
        control_step([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]], [0.1, 0.1, 0.1])
    with pytest.raises(BadRequestError, match="axis 3"):
        TurnTracker(0.1).see(3, [[1, 1], [1, 1]], 1.0)
    with pytest.raises(BadRequestError, match="walk_rad_per_sqrt_s = 0"):
        TurnTracker(0.0)
    assert math.isnan(TurnTracker(0.1).see(0, [[0, 0], [0, 0]], 1.0))
