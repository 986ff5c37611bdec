"""A slowly turning polarisation, followed from a few coincidences at a time.

For phi+ whose second photon was turned by a small rotation vector d (rad, about x, y, z), the correlations between different
axes are to first order E_zy = V d_x, E_zx = -V d_y, E_xy = -V d_z (T_ij = V D_i R_ij with D = (1, -1, 1), R = 1 + [d]x),
while those between equal axes fall only with the square of d.  A random walk that is seen through noise is followed best by a
Kalman filter (R. E. Kalman, J. Basic Eng. 82, 35 (1960)), one number for each axis here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["LEAST_STEERABLE", "PROBES", "TurnTracker", "control_step", "rotation", "steerable"]

LEAST_STEERABLE = 0.05
"""Below this `control_step` refuses: the turn about one axis takes twenty times the way of another."""

PROBES: tuple[tuple[int, int, float], ...] = ((2, 1, 1.0), (2, 0, -1.0), (0, 1, -1.0))
"""For d_x, d_y and d_z: Alice's axis, Bob's axis (x, y, z as 0, 1, 2), and the sign of E."""


class TurnTracker:
    """The turn of Bob's photons, how well it is known, and what the controls that undo it do.

    The state of each axis is its turn and, where there are controls, what a unit of each adds to it.  The turn walks; moving
    the controls carries turn and response along and makes both less certain; a probe corrects the turn and, by their
    covariance, the response too: controls that turn about other axes after a while, as paddles do, are learnt anew from what
    they do.

    Parameters
    ----------
    walk_rad_per_sqrt_s:
        Expected root-mean-square turn about each axis after one second.
    response, response_variance:
        Turn in rad about x, y, z that one unit of each control makes, and its variance; shape (3, controls).

    Attributes
    ----------
    turn, variance:
        In rad and rad^2 about x, y, z; shape (3,).
    response:
        As given, corrected since.
    """

    def __init__(
        self, walk_rad_per_sqrt_s: float, response: ArrayLike | None = None, response_variance: ArrayLike | None = None
    ) -> None:
        if not walk_rad_per_sqrt_s > 0:
            msg = f"turn tracker: walk_rad_per_sqrt_s = {walk_rad_per_sqrt_s:g}; expected above 0"
            raise BadRequestError(msg)
        self._walk = walk_rad_per_sqrt_s
        matrix = np.zeros((3, 0)) if response is None else np.asarray(response, dtype=np.float64)
        known = np.zeros(matrix.shape) if response_variance is None else np.asarray(response_variance, dtype=np.float64)
        if matrix.ndim != 2 or matrix.shape[0] != 3 or known.shape != matrix.shape:
            msg = (
                f"turn tracker: response, variance of shapes {matrix.shape}, {known.shape}; expected (3, controls) both"
            )
            raise BadRequestError(msg)
        self._state = np.hstack([np.zeros((3, 1)), matrix])
        self._covariance = np.zeros((3, matrix.shape[1] + 1, matrix.shape[1] + 1))
        self._covariance[:, 0, 0] = 1.0
        index = np.arange(1, matrix.shape[1] + 1)
        self._covariance[:, index, index] = known

    @property
    def turn(self) -> NDArray[np.float64]:
        """The turn in rad."""
        return np.array(self._state[:, 0])

    @property
    def variance(self) -> NDArray[np.float64]:
        """How uncertain the turn is, in rad^2."""
        return np.array(self._covariance[:, 0, 0])

    @property
    def response(self) -> NDArray[np.float64]:
        """What a unit of each control turns, as far as it is known now."""
        return np.array(self._state[:, 1:])

    @property
    def doubt(self) -> float:
        """How uncertain the response is, as a share of what it does about its weakest axis: at 1 that is lost in noise."""
        index = np.arange(1, self._state.shape[1])
        weakest = float(np.linalg.svd(self.response, compute_uv=False)[-1]) if index.size >= 3 else 0.0
        return math.sqrt(float(self._covariance[:, index, index].mean())) / weakest if weakest > 0 else math.inf

    def begin(self, variance: ArrayLike) -> None:
        """Begin at no turn, known with this variance in rad^2."""
        self._state[:, 0] = 0.0
        self._covariance[:, 0, :] = self._covariance[:, :, 0] = 0.0
        self._covariance[:, 0, 0] = variance

    def wait(self, seconds: float) -> None:
        """Let the walk go on unseen."""
        self._covariance[:, 0, 0] += self._walk**2 * max(seconds, 0.0)

    def see(self, axis: int, counts: ArrayLike, visibility: float) -> float:
        """Take a probe's coincidences; returns what it alone says of the turn about that axis, in rad.

        Parameters
        ----------
        axis:
            0, 1 or 2, measured as `PROBES` has it.
        counts:
            Shape (2, 2).
        visibility:
            Correlation between equal axes where nothing is turned, above 0.
        """
        table = np.asarray(counts, dtype=np.float64)
        total = float(table.sum())
        if table.shape != (2, 2) or axis not in range(3) or not visibility > 0:
            msg = f"turn: axis {axis}, counts {table.tolist()}, visibility {visibility:g}; expected 0 to 2, 2 x 2, above 0"
            raise BadRequestError(msg)
        if total == 0:
            return math.nan
        e = PROBES[axis][2] * float(table[0, 0] + table[1, 1] - table[0, 1] - table[1, 0]) / total
        seen = math.asin(max(-1.0, min(1.0, e / visibility)))
        noise = (1.0 - min(e * e, 0.99)) / total / visibility**2
        covariance = self._covariance[axis]
        gain = covariance[:, 0] / (covariance[0, 0] + noise)
        self._state[axis] += gain * (seen - self._state[axis, 0])
        self._covariance[axis] = covariance - np.outer(gain, covariance[0])
        return seen

    def turned_by(self, vector: ArrayLike) -> None:
        """Take a turn in rad that was made on purpose and exactly."""
        self._state[:, 0] += np.asarray(vector, dtype=np.float64)

    def moved_by(self, change: ArrayLike) -> NDArray[np.float64]:
        """Take a move of the controls, shape (controls,); returns the turn in rad that it is expected to make.

        The controls turn the axes of each other by as much as they turn the light, and their own while they move; so a turn
        of r rad in all lets each control's response change by up to r times its size, and leaves what they made uncertain by
        r^2/2.
        """
        moved = np.asarray(change, dtype=np.float64)
        sizes = np.linalg.norm(self.response, axis=0)
        made = np.asarray(self.response @ moved)
        r = float(sizes @ np.abs(moved))
        step = np.eye(moved.size + 1)
        step[0, 1:] = moved
        self._state = self._state @ step.T
        self._covariance = step @ self._covariance @ step.T
        index = np.arange(1, moved.size + 1)
        self._covariance[:, index, index] += (sizes * r) ** 2 / 3.0
        self._covariance[:, 0, 0] += r**4 / 12.0
        return made


def rotation(vector: ArrayLike) -> NDArray[np.float64]:
    """Return the rotation matrix of a rotation vector in rad, shape (3, 3) (Rodrigues' formula)."""
    x, y, z = np.asarray(vector, dtype=np.float64)
    angle = math.sqrt(x * x + y * y + z * z)
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    if angle < 1e-12:
        return np.asarray(np.eye(3) + cross)
    sine, cosine = math.sin(angle) / angle, (1.0 - math.cos(angle)) / angle**2
    return np.asarray(np.eye(3) + sine * cross + cosine * cross @ cross)


def steerable(response: ArrayLike) -> float:
    """Return how well controls of this response, shape (3, controls), turn about every axis: 1 if equally well, 0 if not."""
    matrix = np.asarray(response, dtype=np.float64)
    singular = np.linalg.svd(matrix, compute_uv=False)
    if matrix.shape[0] != 3 or singular.size < 3 or not singular[0] > 0:
        return 0.0
    return float(singular[2] / singular[0])


def control_step(response: ArrayLike, turn: ArrayLike, away: ArrayLike | None = None) -> NDArray[np.float64]:
    """Return how far to move each control so that the turn vanishes.

    Parameters
    ----------
    response:
        Turn in rad about x, y, z that one unit of each control makes, shape (3, controls).
    turn:
        In rad, shape (3,).
    away:
        How far each control is from where it is best, shape (controls,): what does not turn anything is moved back.

    Raises
    ------
    BadRequestError
        The controls turn about fewer than three axes: one of the response's singular values is below 5 % of the largest.
    """
    matrix = np.asarray(response, dtype=np.float64)
    if steerable(matrix) < LEAST_STEERABLE:
        values = ", ".join(f"{s:.3g}" for s in np.linalg.svd(matrix, compute_uv=False))
        msg = (
            f"controls of shape {matrix.shape} turn the polarisation about fewer than three axes where they stand (singular "
            f"values {values}); let them begin elsewhere"
        )
        raise BadRequestError(msg)
    inverse = np.linalg.pinv(matrix)
    step = -inverse @ np.asarray(turn, dtype=np.float64)
    if away is not None:
        step -= (np.eye(matrix.shape[1]) - inverse @ matrix) @ np.asarray(away, dtype=np.float64)
    return np.asarray(step)
