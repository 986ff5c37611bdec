"""Detectors and what keeps them well; taggers, counters, power meters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ophyd import Signal
    from ophyd.status import Status

    from qlab.roles.wellness import Wellness
    from qlab.tags.stream import TagBlock

__all__ = [
    "BiasedDetector",
    "Counter",
    "Cryostat",
    "Detector",
    "NanowireSystem",
    "PowerMeter",
    "TagRecorder",
    "TimeTagger",
]


class TagRecorder(Protocol):
    """Where a tagger's tags go; announces them to the run engine as stream documents."""

    name: str


@runtime_checkable
class TimeTagger(Protocol):
    """Records detection times on numbered inputs.

    One `trigger` is one acquisition of `acquisition_s` (a settable signal) on all enabled inputs and lasts that long
    plus the download.  `last_block` then has the tags (channels count from 0: input n is channel n - 1).  Tags that were
    lost are gaps of the block, no failure; `StorageError` where the disk is full: what was recorded before is kept.
    """

    name: str
    recorder: TagRecorder
    last_block: TagBlock

    def trigger(self) -> Status:
        """Take one acquisition."""


@runtime_checkable
class PowerMeter(Protocol):
    """Measures optical power in watts, a signal; `trigger` takes one averaged sample, in milliseconds to a second."""

    name: str
    power_w: Signal

    def trigger(self) -> Status:
        """Take one sample; fails with `InstrumentError` when over range."""


@runtime_checkable
class Detector(Protocol):
    """An instrument with single-photon detectors, whose clicks others count.

    `trigger` fetches its state, in some tenths of a second: what is wrong is no failure, `health` says it.
    """

    name: str
    health: Wellness

    @property
    def detector_channels(self) -> Sequence[str]:
        """Its detectors, as the lab file calls them behind the dot; "" where it is one itself."""

    def trigger(self) -> Status:
        """Fetch what there is to see."""

    def make_safe(self) -> None:
        """Bring it into a state in which nothing is harmed; detectors stay biased."""


@runtime_checkable
class Counter(Protocol):
    """Counts events on its inputs by itself: a detector module, a frequency counter, a tagger.

    `count` lasts its gate and some wire round trips, a download beside them for taggers.  Dead time and afterpulses are
    counted as they come.
    """

    name: str

    @property
    def rates_hz(self) -> Mapping[str, float]:
        """Events a second by input, "1", "2", ..., as counted last; empty before."""

    def count(self, gate_s: float) -> Status:
        """Count all inputs for a time."""


class BiasedDetector(Protocol):
    """One superconducting detector and its bias current in uA, a signal `bias_ua`.

    `recover` takes some tenths of a second and fails with `InstrumentError` where the bias did not come back.
    """

    name: str

    @property
    def latched(self) -> bool | None:
        """Whether it was seen to be normal; None where the instrument cannot tell."""

    def set(self, bias_ua: float) -> Status:
        """Set the bias."""

    def recover(self) -> Status:
        """Clear a latch: bias to zero and back."""


@runtime_checkable
class NanowireSystem(Protocol):
    """Detectors that share one bias instrument; `trigger` fetches biases and voltages."""

    name: str

    @property
    def detectors(self) -> Mapping[str, BiasedDetector]:
        """Detectors by channel, as the lab file calls them behind the dot."""

    def trigger(self) -> Status:
        """Fetch what there is to see."""


@runtime_checkable
class Cryostat(Protocol):
    """A cold stage that is watched and can be warmed; settling takes minutes to hours.

    `set` raises `LimitError` at once; its status fails with `InstrumentError` where a heater goes off by itself.
    """

    name: str

    def trigger(self) -> Status:
        """Fetch all temperatures."""

    def set(self, kelvin: float) -> Status:
        """Regulate the first stage to a temperature."""

    def switch_heaters_off(self) -> Status:
        """Let all stages cool down."""
