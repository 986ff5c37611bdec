"""Hold the relation of two clocks as tags stream in: one measurement a step, through fades, in bounded memory.

In each step the pairs near the prediction are looked at.  If there are significantly more than chance brings, their mean
updates a Kalman filter; if not, the filter coasts and its uncertainty, and with it the width looked at, grows.  What a step
finds after a fade must be significant among all places it looked at, so that a fade is reported and never a wrong lock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from qlab.errors import BadRequestError
from qlab.tags.clock_relation import ClockRelation
from qlab.timing.kalman import ClockNoise, ClockState
from qlab.timing.near import NearPairs, near_pairs

if TYPE_CHECKING:
    from qlab.timing.acquire import ClockLock

__all__ = ["ClockTracker", "TrackPoint"]

Floats = NDArray[np.float64]
Times = NDArray[np.int64]
PS_PER_S = 10**12
GATE_SIGMAS = 5.0
INNER_SIGMAS = 2.5
"""A peak is counted within this of its middle, where 98.8 % of it is."""
Status = Literal["tracking", "faded", "lost"]


@dataclass(frozen=True, slots=True)
class TrackPoint:
    """What is known after a step.

    Parameters
    ----------
    t_ps:
        End of the step, on the first clock.
    offset_ps, sigma_ps:
        Time difference (second less first) and its standard error.
    frequency:
        Fractional frequency difference.
    pairs:
        Pairs of the step beyond chance.
    status:
        `tracking`; `faded`, coasting without pairs; `lost`, the uncertainty has outgrown what is looked at.
    """

    t_ps: int
    offset_ps: float
    sigma_ps: float
    frequency: float
    pairs: float
    status: Status


class ClockTracker:
    """Follow two clocks from a lock on.

    Parameters
    ----------
    lock:
        Where to begin.
    noise:
        How restless the clocks are.
    step_s:
        A measurement is made every so often.
    false_lock:
        Probability, at most, that a step takes chance for pairs.
    max_half_ps:
        When the prediction is less certain than this, the lock is lost: search anew.
    """

    def __init__(
        self,
        lock: ClockLock,
        *,
        noise: ClockNoise | None = None,
        step_s: float = 0.1,
        false_lock: float = 1e-9,
        max_half_ps: float = 1e7,
    ) -> None:
        if step_s <= 0 or max_half_ps <= 0:
            msg = f"clock tracker: step_s {step_s} and max_half_ps {max_half_ps}; expected more than 0"
            raise BadRequestError(msg)
        scale = np.diag([1.0, PS_PER_S, PS_PER_S])
        mean = np.array([lock.offset_ps, lock.frequency * PS_PER_S, lock.drift_per_s * PS_PER_S])
        self.state = ClockState(mean, scale @ lock.covariance @ scale)
        self.jitter_ps = lock.jitter_ps
        self.status: Status = "tracking"
        self._noise = noise or ClockNoise()
        self._step_ps = round(step_s * PS_PER_S)
        self._false_lock, self._max_half_ps = false_lock, max_half_ps
        self._at_ps = lock.reference_ps
        self._a: Times = np.empty(0, np.int64)
        self._b: Times = np.empty(0, np.int64)

    def feed(self, t_a: Times, t_b: Times, until_ps: int) -> list[TrackPoint]:
        """Take the next tags and return a point for each step that they complete.

        Parameters
        ----------
        t_a, t_b:
            Sorted times of either tagger, int64 ps, each behind those fed before.  Those before the lock are passed over.
        until_ps:
            All tags of both taggers before this time (on their own clocks) were fed.
        """
        self._a, self._b = np.concatenate([self._a, t_a]), np.concatenate([self._b, t_b])
        points = []
        while self.status != "lost":
            stop = self._at_ps + self._step_ps
            ahead = self.state.after(self._step_ps / PS_PER_S, self._noise)
            behind = float(max(ahead.mean[0], self.state.mean[0])) + self._half_ps(ahead)
            if stop + max(behind, 0.0) > until_ps:
                break
            points.append(self._step(stop))
        return points

    @property
    def at_ps(self) -> int:
        """The time, on the first clock, at which `state` holds."""
        return self._at_ps

    @property
    def relation(self) -> ClockRelation:
        """How the second clock stands against the first now."""
        x, y, z = (float(value) for value in self.state.mean)
        units = np.array([1.0, 1.0 / PS_PER_S, 1.0 / PS_PER_S])
        covariance = self.state.covariance * np.outer(units, units)
        return ClockRelation(self._at_ps, x, y / PS_PER_S, z / PS_PER_S, covariance)

    def expect_drift(self, sigma_per_s: float) -> None:
        """Take note that the drift is 0 within a standard deviation, in fractional frequency a second."""
        variance = (sigma_per_s * PS_PER_S) ** 2
        mean, covariance = self.state.mean, self.state.covariance
        gain = covariance[:, 2] / (covariance[2, 2] + variance)
        kept = covariance - np.outer(gain, covariance[2, :])
        self.state = ClockState(mean - gain * mean[2], (kept + kept.T) / 2.0)

    def coast(self, t_ps: int) -> None:
        """Go to a later time of the first clock without tags: a gap between acquisitions; tags that wait are dropped."""
        if t_ps > self._at_ps:
            self.state = self.state.after((t_ps - self._at_ps) / PS_PER_S, self._noise)
            self._at_ps = t_ps
            self._a = self._b = np.empty(0, np.int64)
            self.status = "lost" if self._half_ps(self.state) > self._max_half_ps else self.status

    def steer(self, frequency: float) -> None:
        """Take note that the second clock's frequency was changed by a fraction."""
        self.state = ClockState(self.state.mean + np.array([0.0, frequency * PS_PER_S, 0.0]), self.state.covariance)

    def _half_ps(self, state: ClockState) -> float:
        return GATE_SIGMAS * math.hypot(state.sigma_ps, self.jitter_ps)

    def _step(self, stop_ps: int) -> TrackPoint:
        half_s = self._step_ps / PS_PER_S / 2.0
        middle = self.state.after(half_s, self._noise)
        half = self._half_ps(middle)
        cut = int(np.searchsorted(self._a, stop_ps))
        begin = int(np.searchsorted(self._a[:cut], self._at_ps))
        middle_ps = self._at_ps + self._step_ps // 2
        x, y, z = middle.mean

        def predict(s: Floats) -> Floats:
            predicted: Floats = x + s * (y + s * (z / 2.0))
            return predicted

        # Background is judged on ground beside the gate, three times as wide as the gate.
        near = near_pairs(self._a[begin:cut], self._b, middle_ps, predict, 4.0 * half)
        excess, found = self._measure(near, half)
        if found is not None:
            middle = middle.measured(x + found[0], found[1])
        self.status = "tracking" if found is not None else "faded"
        self.state = middle.after(half_s, self._noise)
        if self._half_ps(self.state) > self._max_half_ps:
            self.status = "lost"
        self._at_ps = stop_ps
        self._forget(cut)
        return TrackPoint(
            stop_ps,
            float(self.state.mean[0]),
            self.state.sigma_ps,
            float(self.state.mean[1]) / PS_PER_S,
            excess,
            self.status,
        )

    def _measure(self, near: NearPairs, half: float) -> tuple[float, tuple[float, float] | None]:
        """Return the pairs beyond chance, and offset and standard error of the peak if it is significant."""
        inside = np.abs(near.residual_ps) <= half
        rate = (near.s.size - int(inside.sum())) / (6.0 * half)  # by chance, for each ps
        r = np.sort(near.residual_ps[inside])
        inner = INNER_SIGMAS * self.jitter_ps
        if not r.size:
            return 0.0, None
        # The fullest window of the peak's width, one beginning at each pair.
        held = np.searchsorted(r, r + 2.0 * inner, "right") - np.arange(r.size)
        k = int(np.argmax(held))
        count, chance = int(held[k]), max(rate * 2.0 * inner, 1e-9)
        if _tail(count, chance) * max(half / inner, 1.0) * r.size > self._false_lock:
            return float(count - chance), None
        return self._centre(r, float(r[k] + inner), chance / (2.0 * inner))

    def _centre(self, r: Floats, guess: float, rate: float) -> tuple[float, tuple[float, float] | None]:
        """Fit the middle of a Gaussian peak of known width on a known flat ground, by maximum likelihood."""
        sigma = self.jitter_ps
        pairs = max(float(np.sum(np.abs(r - guess) < 3.0 * sigma)) - rate * 6.0 * sigma, 1.0)
        at, belongs = guess, np.ones_like(r)
        for _ in range(50):
            bell = pairs / (sigma * math.sqrt(2.0 * math.pi)) * np.exp(-0.5 * ((r - at) / sigma) ** 2)
            belongs = bell / (bell + rate + 1e-300)
            pairs = max(float(belongs.sum()), 1.0)
            moved = float((belongs * r).sum() / pairs)
            still, at = abs(moved - at) < 1e-3 * sigma, moved
            if still:
                break
        information = float(((belongs * (r - at)) ** 2).sum()) / sigma**4
        return pairs, (at, 1.0 / math.sqrt(max(information, 1e-30)))

    def _forget(self, cut: int) -> None:
        """Drop tags that no later step can need."""
        self._a = self._a[cut:]
        ahead = self.state.after(self._step_ps / PS_PER_S, self._noise)
        earliest = self._at_ps + min(self.state.mean[0], ahead.mean[0]) - 4.0 * self._half_ps(ahead)
        self._b = self._b[int(np.searchsorted(self._b, int(earliest) - 1)) :]


def _tail(count: int, mean: float) -> float:
    """Bound the probability of `count` or more by chance, by the Poisson tail's geometric series."""
    if count <= mean:
        return 1.0
    log = count * math.log(mean) - mean - math.lgamma(count + 1) - math.log1p(-mean / (count + 1))
    return math.exp(min(log, 0.0))
