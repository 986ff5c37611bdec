"""The relation of two clocks from one acquisition after the other: searched, followed, searched anew when it was lost.

Between acquisitions the clocks coast: what is not known of their frequency lets the uncertainty grow, and with it the width
in which the next acquisition's pairs are looked for.  What an acquisition finds must be no chance among all places there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from qlab.timing.acquire import NoLock, Search, acquire
from qlab.timing.kalman import ClockNoise
from qlab.timing.track import ClockTracker

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["ClockFollower", "ClockReport"]

PS_PER_S = 10**12
FAR_PS = 1e9
"""Uncertainty of what nobody knows."""


@dataclass(frozen=True, slots=True)
class ClockReport:
    """What is known of two clocks after an acquisition.

    Parameters
    ----------
    t_ps:
        When, on the first clock.
    offset_ps, sigma_ps:
        Time difference (second less first) and its standard error.
    frequency, sigma_frequency:
        Fractional frequency difference and its standard error.
    status:
        `tracking`: this acquisition's pairs say so; `faded`: it had none, and the clocks coast; `lost`: nothing is known.
    pair_rate_hz:
        Pairs a second beyond chance.
    foreseen_ps, foreseen_sigma_ps:
        What had been foreseen of the time difference at this time before the acquisition, and its standard error; NaN and
        infinite where nothing was known.
    reason:
        Why it is not tracking; empty if it is.
    """

    t_ps: int
    offset_ps: float
    sigma_ps: float
    frequency: float
    sigma_frequency: float
    status: Literal["tracking", "faded", "lost"]
    pair_rate_hz: float
    foreseen_ps: float = math.nan
    foreseen_sigma_ps: float = math.inf
    reason: str = ""

    @property
    def locked(self) -> bool:
        """Whether the figures come from pairs."""
        return self.status == "tracking"


class ClockFollower:
    """Follows two clocks through acquisitions with or without gaps between them.

    Parameters
    ----------
    search:
        What may be: used where nothing is known yet, or any more.
    noise:
        How restless the difference of the clocks is.
    step_s:
        A measurement is made every so often within an acquisition.
    max_half_ps:
        When the prediction is less certain than this, the lock is lost.
    """

    def __init__(
        self,
        search: Search | None = None,
        *,
        noise: ClockNoise | None = None,
        step_s: float = 0.1,
        max_half_ps: float = 1e7,
    ) -> None:
        self._search = search or Search()
        self._noise = noise or ClockNoise()
        self._step_s, self._max_half_ps = step_s, max_half_ps
        self._tracker: ClockTracker | None = None

    @property
    def tracker(self) -> ClockTracker | None:
        """What follows now; None where nothing is known."""
        return self._tracker

    def add(self, t_a: NDArray[np.int64], t_b: NDArray[np.int64], start_ps: int, stop_ps: int) -> ClockReport:
        """Take an acquisition.

        Parameters
        ----------
        t_a, t_b:
            Sorted times of either tagger on its own clock, int64 ps, of the channels that share pairs.
        start_ps, stop_ps:
            What both taggers listened to, each on its own clock.
        """
        report: ClockReport | None
        if self._tracker is not None:
            report = self._follow(self._tracker, t_a, t_b, start_ps, stop_ps)
            if report.status == "tracking":
                return report
            if report.status == "lost":
                self._tracker = None
        else:
            report = None
        # Also in a fade: there may be pairs elsewhere, because a clock or the way has stepped.
        found = acquire(t_a, t_b, self._search)
        if isinstance(found, NoLock):
            if report is not None and report.status == "faded":
                return report
            return ClockReport(stop_ps, 0.0, FAR_PS, 0.0, self._search.max_frequency, "lost", 0.0, reason=found.reason)
        self._tracker = ClockTracker(
            found, noise=self._noise, step_s=self._step_s, max_half_ps=self._max_half_ps
        )  # fmt: skip
        self._tracker.expect_drift(self._search.max_drift_per_s)
        # The search's estimate holds in the middle of the acquisition; the rest is followed.
        self._tracker.feed(t_a, t_b, stop_ps)
        report_now = self._report(self._tracker, found.pair_rate_hz)
        if report is None or report.status == "lost":
            return report_now
        return replace(report_now, foreseen_ps=report.foreseen_ps, foreseen_sigma_ps=report.foreseen_sigma_ps)

    def predict(self, at_ps: int) -> tuple[float, float, float]:
        """Return time difference, its standard error (ps) and the frequency difference at a later time of the first clock.

        Where nothing is known the errors are those of the search.
        """
        if self._tracker is None:
            return 0.0, FAR_PS, 0.0
        state = self._tracker.state.after(max(at_ps - self._tracker.at_ps, 0) / PS_PER_S, self._noise)
        return float(state.mean[0]), state.sigma_ps, float(state.mean[1]) / PS_PER_S

    def fresh(self) -> ClockFollower:
        """Return one that may find the same and knows nothing yet."""
        return ClockFollower(self._search, noise=self._noise, step_s=self._step_s, max_half_ps=self._max_half_ps)

    def steer(self, frequency: float, at_ps: int) -> None:
        """Take note that the second clock's frequency was changed by a fraction at a time."""
        if self._tracker is not None:
            self._tracker.coast(at_ps)
            self._tracker.steer(frequency)

    def _follow(
        self,
        tracker: ClockTracker,
        t_a: NDArray[np.int64],
        t_b: NDArray[np.int64],
        start_ps: int,
        stop_ps: int,
    ) -> ClockReport:
        before, before_ps = tracker.state, tracker.at_ps
        tracker.coast(start_ps)
        points = tracker.feed(t_a, t_b, stop_ps)
        pairs = sum(point.pairs for point in points if point.status == "tracking")
        report = self._report(tracker, pairs / (len(points) * self._step_s) if points else 0.0)
        foreseen = before.after((report.t_ps - before_ps) / PS_PER_S, self._noise)
        return replace(report, foreseen_ps=float(foreseen.mean[0]), foreseen_sigma_ps=foreseen.sigma_ps)

    def _report(self, tracker: ClockTracker, pair_rate_hz: float) -> ClockReport:
        state = tracker.state
        reasons = {"tracking": "", "faded": "no pairs: the clocks coast", "lost": "too uncertain after a fade"}
        return ClockReport(
            tracker.at_ps,
            float(state.mean[0]),
            state.sigma_ps,
            float(state.mean[1]) / PS_PER_S,
            float(state.covariance[1, 1]) ** 0.5 / PS_PER_S,
            tracker.status,
            pair_rate_hz,
            reason=reasons[tracker.status],
        )
