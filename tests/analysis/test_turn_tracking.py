"""Small turns of a photon's polarisation are told with their sign, and followed as well as a random walk can be."""

from __future__ import annotations

import math

import numpy as np
import pytest

from qlab.analysis.correlation import BELL_CORRELATIONS, align_frames
from qlab.analysis.turn_tracking import PROBES, TurnTracker, control_step, rotation, steerable
from qlab.errors import BadRequestError
from qlab.physics.jones import wave_plate


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


SIGMA = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
QHQ_RAD = (math.pi / 2, math.pi, math.pi / 2)


def bloch(angles_deg: np.ndarray) -> np.ndarray:
    """Return what three paddles, a quarter, half and quarter wave, do to the Bloch sphere (x, y, z), shape (3, 3)."""
    u = np.eye(2)
    for retardance, angle in zip(QHQ_RAD, np.radians(angles_deg), strict=True):
        u = wave_plate(retardance, float(angle)) @ u
    return np.einsum("iab,bc,jcd,ad->ij", SIGMA, u, SIGMA, u.conj()).real / 2


def vector(r: np.ndarray) -> np.ndarray:
    """Return the rotation vector of a rotation by less than pi."""
    angle = math.acos(min(1.0, (np.trace(r) - 1) / 2))
    odd = np.array([r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]])
    return odd / 2 if angle < 1e-6 else odd * angle / (2 * math.sin(angle))


def slopes(angles_deg: np.ndarray) -> np.ndarray:
    """Return the turn that a degree of each paddle makes, in the frame that they gave there: rad about x, y, z."""
    here = bloch(angles_deg)
    ways = [vector(bloch(angles_deg + s) @ bloch(angles_deg - s).T) for s in np.eye(3) / 2]
    return -here.T @ np.transpose(ways)


def test_paddles_in_a_row_turn_about_two_axes_and_well_set_ones_about_three() -> None:
    # det is the sine of 4 b - 2 a - 2 c: nothing where all stand alike, whatever their offset.
    assert steerable(slopes(np.full(3, 85.0))) < 1e-3
    # Columns (1, 1, 0), (2, 0, 0), (1, 0, 1) times 2 rad a radian, up to signs: sqrt((7 - sqrt 33) / (7 + sqrt 33)) = 0.3139
    assert steerable(slopes(np.array([62.5, 85.0, 62.5]))) == pytest.approx(0.3139, abs=1e-3)


@pytest.mark.parametrize("learns", [True, False])
def test_paddles_are_followed_on_their_way_through_the_changing_of_their_axes(learns: bool) -> None:
    # Bob's photons meet the fibre F, then the paddles P: T = V D R with R = (P F)^T P_0, P_0 what the frame was made for.
    rng = np.random.default_rng(3)
    begin = np.array([62.5, 85.0, 62.5])
    first = slopes(begin)
    tracker = TurnTracker(0.02, first, np.full((3, 3), 1e-6))
    tracker.begin(1e-4)
    angles, fibre, left, anew = begin.copy(), np.eye(3), [], 0
    for k in range(150):
        if learns and tracker.doubt > 1.0:
            ways = [vector(bloch(angles + s) @ bloch(angles - s).T) for s in np.eye(3) / 2]
            turn, anew = tracker.turn, anew + 1
            tracker = TurnTracker(0.02, -bloch(begin).T @ np.transpose(ways), np.full((3, 3), 1e-6))
            tracker.begin(1e-3)
            tracker.turned_by(turn)
        step = control_step(tracker.response, tracker.turn)
        if learns:
            tracker.moved_by(step)
        else:
            tracker.turned_by(first @ step)
        angles = angles + step
        fibre = rotation([0.01, 0.002, -0.01]) @ fibre
        r = (bloch(angles) @ fibre).T @ bloch(begin)
        left.append(float(np.linalg.norm(vector(r))))
        a, b, _ = PROBES[k % 3]
        tracker.wait(1.0)
        agree = rng.binomial(2000, (1 + 0.97 * BELL_CORRELATIONS["phi+"][a] * r[a, b]) / 2)
        tracker.see(k % 3, [[agree, 2000 - agree], [0, 0]], 0.97)
    assert (max(left) < 0.15) == learns  # else more than a radian
    assert anew < 10
    assert np.abs(angles - begin).max() > 40.0


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(BadRequestError, match="fewer than three axes"):
        control_step([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]], [0.1, 0.1, 0.1])
    with pytest.raises(BadRequestError, match="axis 3"):
        TurnTracker(0.1).see(3, [[1, 1], [1, 1]], 1.0)
    with pytest.raises(BadRequestError, match="walk_rad_per_sqrt_s = 0"):
        TurnTracker(0.0)
    assert math.isnan(TurnTracker(0.1).see(0, [[0, 0], [0, 0]], 1.0))
