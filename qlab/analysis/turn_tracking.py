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

__all__ = ["PROBES", "TurnTracker", "control_step", "rotation"]

PROBES: tuple[tuple[int, int, float], ...] = ((2, 1, 1.0), (2, 0, -1.0), (0, 1, -1.0))
"""For d_x, d_y and d_z: Alice's axis, Bob's axis (x, y, z as 0, 1, 2), and the sign of E."""


class TurnTracker:
    """The turn of Bob's photons, and how well it is known.

    Parameters
    ----------
    walk_rad_per_sqrt_s:
        Expected root-mean-square turn about each axis after one second.

    Attributes
    ----------
    turn, variance:
        In rad and rad^2 about x, y, z; shape (3,).
    """

    def __init__(self, walk_rad_per_sqrt_s: float) -> None:
        if not walk_rad_per_sqrt_s > 0:
            msg = f"turn tracker: walk_rad_per_sqrt_s = {walk_rad_per_sqrt_s:g}; expected above 0"
            raise BadRequestError(msg)
        self._walk = walk_rad_per_sqrt_s
        self.turn = np.zeros(3)
        self.variance = np.full(3, 1.0)

    def wait(self, seconds: float) -> None:
        """Let the walk go on unseen."""
        self.variance = self.variance + self._walk**2 * max(seconds, 0.0)

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
        gain = self.variance[axis] / (self.variance[axis] + noise)
        self.turn[axis] += gain * (seen - self.turn[axis])
        self.variance[axis] *= 1.0 - gain
        return seen

    def turned_by(self, vector: ArrayLike, share_known: float = 1.0) -> None:
        """Take a turn that was made on purpose; what is not known of it (1 - share) adds to the uncertainty."""
        made = np.asarray(vector, dtype=np.float64)
        self.turn = self.turn + made
        self.variance = self.variance + ((1.0 - share_known) * made) ** 2


def rotation(vector: ArrayLike) -> NDArray[np.float64]:
    """Return the rotation matrix of a rotation vector in rad, shape (3, 3) (Rodrigues' formula)."""
    x, y, z = np.asarray(vector, dtype=np.float64)
    angle = math.sqrt(x * x + y * y + z * z)
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    if angle < 1e-12:
        return np.asarray(np.eye(3) + cross)
    sine, cosine = math.sin(angle) / angle, (1.0 - math.cos(angle)) / angle**2
    return np.asarray(np.eye(3) + sine * cross + cosine * cross @ cross)


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
    singular = np.linalg.svd(matrix, compute_uv=False)
    if matrix.ndim != 2 or matrix.shape[0] != 3 or singular.size < 3 or singular[2] < 0.05 * singular[0]:
        values = ", ".join(f"{s:.3g}" for s in singular)
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
