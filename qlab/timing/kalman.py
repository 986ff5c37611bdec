"""A clock's time difference, frequency and drift as a Kalman filter holds them.

State x (ps), y (ps/s), z (ps/s^2) with white noise of frequency, random walks of frequency and of drift (the usual
three-state clock model: C. Zucca, P. Tavella, IEEE Trans. UFFC 52, 289 (2005)); in a step of h seconds

    x += h y + h^2 z / 2,   y += h z,   and the covariance grows by q1 h + q2 h^3/3 + q3 h^5/20 in x and so on.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["ClockNoise", "ClockState"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ClockNoise:
    """How restless the difference of two clocks is.

    Parameters
    ----------
    white_fm:
        Allan deviation at 1 s of white frequency noise.
    random_walk_fm:
        Random walk of the fractional frequency in a second.
    drift_walk:
        Random walk in a second of the drift, the change of the fractional frequency per second.
    """

    white_fm: float = 2e-11
    random_walk_fm: float = 1e-11
    drift_walk: float = 1e-10


@dataclass(frozen=True, slots=True)
class ClockState:
    """Estimate at one time.

    Parameters
    ----------
    mean:
        Time difference in ps, frequency difference in ps/s, drift in ps/s^2; shape (3,).
    covariance:
        Of these, shape (3, 3).
    """

    mean: Floats
    covariance: Floats

    @property
    def sigma_ps(self) -> float:
        """Standard error of the time difference."""
        return float(np.sqrt(self.covariance[0, 0]))

    def after(self, h: float, noise: ClockNoise) -> ClockState:
        """Return the state `h` seconds later."""
        step, grown = _transition(h, noise)
        return ClockState(step @ self.mean, step @ self.covariance @ step.T + grown)

    def measured(self, offset_ps: float, sigma_ps: float) -> ClockState:
        """Return the state after a measurement of the time difference (Joseph's form of the update)."""
        gain = self.covariance[:, 0] / (self.covariance[0, 0] + sigma_ps**2)
        keep = np.eye(3) - np.outer(gain, [1.0, 0.0, 0.0])
        covariance = keep @ self.covariance @ keep.T + np.outer(gain, gain) * sigma_ps**2
        return ClockState(self.mean + gain * (offset_ps - self.mean[0]), covariance)


@lru_cache(maxsize=64)
def _transition(h: float, noise: ClockNoise) -> tuple[Floats, Floats]:
    """Return what `h` seconds do to the state, and what they add to its covariance."""
    step = np.array([[1.0, h, h * h / 2.0], [0.0, 1.0, h], [0.0, 0.0, 1.0]])
    q1, q2, q3 = (q * q * 1e24 for q in (noise.white_fm, noise.random_walk_fm, noise.drift_walk))
    white = np.diag([q1 * h, 0.0, 0.0])
    walk = q2 * np.array([[h**3 / 3.0, h**2 / 2.0, 0.0], [h**2 / 2.0, h, 0.0], [0.0, 0.0, 0.0]])
    bend = q3 * np.array(
        [
            [h**5 / 20.0, h**4 / 8.0, h**3 / 6.0],
            [h**4 / 8.0, h**3 / 3.0, h**2 / 2.0],
            [h**3 / 6.0, h**2 / 2.0, h],
        ]
    )
    return step, white + walk + bend
