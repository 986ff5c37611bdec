"""Clocks: those that say how they stand, those of photon pairs, those that are steered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from ophyd import Signal
    from ophyd.status import Status

    from qlab.roles.detection import TimeTagger
    from qlab.roles.wellness import Wellness

__all__ = ["Clock", "HoldingClock", "PairClock", "SteeredClock"]


@runtime_checkable
class Clock(Protocol):
    """A node's source of time and frequency, as a rule following a better one.

    `trigger` fetches lock and offset, and the health at times; it takes some wire time-outs at most, and fails with
    `LinkError` where nobody answers.  To have lost the lock is no failure: `health` and `locked` say so.

    Attributes
    ----------
    lock_timeout_s:
        Lab seconds that `wait_for_lock` takes at most: warming up, finding the reference, settling.
    """

    name: str
    health: Wellness
    lock_timeout_s: float

    @property
    def locked(self) -> bool:
        """Whether it followed its reference when it was asked last."""

    @property
    def offset_s(self) -> float | None:
        """Its time minus its reference's in seconds, as last fetched; None where it has none or cannot tell."""

    def trigger(self) -> Status:
        """Fetch lock and offset."""

    def wait_for_lock(self) -> Status:
        """Wait for the lock; fails with `InstrumentError`, which says what is in the way, after `lock_timeout_s`."""


@runtime_checkable
class PairClock(Protocol):
    """A node's clock against another's by photon pairs, two taggers in one; the second less the first.

    `trigger` compares the taggers' last acquisitions, which the plan has triggered, within seconds of computing and no lab
    time; to find no pairs is no failure: `lock`, `health` and `sigma_ps` say so.

    Attributes
    ----------
    offset_ps, sigma_ps, frequency, sigma_frequency, lock, at_s, pair_rate_hz:
        What is known, as signals; NaN and infinite where nothing is.  `at_s` is on the first clock.
    error_ps, foreseen_sigma_ps:
        How far the last comparison found the clock from what had been foreseen of it, and how well that was thought known.
    """

    name: str
    health: Wellness
    taggers: tuple[TimeTagger, TimeTagger]
    offset_ps: Signal
    sigma_ps: Signal
    frequency: Signal
    sigma_frequency: Signal
    lock: Signal
    error_ps: Signal
    foreseen_sigma_ps: Signal
    at_s: Signal
    pair_rate_hz: Signal

    def trigger(self) -> Status:
        """Compare the taggers' last acquisitions."""

    @property
    def jitter_ps(self) -> float:
        """Standard deviation of a pair's time difference; NaN where nothing is known."""

    def predict(self, at_s: float) -> tuple[float, float, float]:
        """Return offset and its standard error in ps, and frequency, at a later time of the first clock."""

    def note_steering(self, frequency: float) -> None:
        """Take note that the second clock's frequency was just changed by a fraction."""

    def forget(self) -> None:
        """Forget what is known, so that the next comparison searches."""


@runtime_checkable
class HoldingClock(Clock, Protocol):
    """A clock whose reference can be taken from it, to see what it does without."""

    def hold_over(self, *, on: bool = True) -> Status:
        """Let it run free, or follow its reference again; `wait_for_lock` then waits until it does."""


@runtime_checkable
class SteeredClock(Protocol):
    """An oscillator whose frequency can be set, as a fraction off its own; a wire's round trip.

    Attributes
    ----------
    steering_step:
        Smallest change of the frequency.
    """

    name: str
    steering_step: float

    @property
    def steering(self) -> float:
        """What it was set to last."""

    @property
    def steering_limits(self) -> tuple[float, float]:
        """What it can be set to."""

    def steer(self, fraction: float) -> Status:
        """Set the frequency; raises `LimitError` at once outside the limits."""
