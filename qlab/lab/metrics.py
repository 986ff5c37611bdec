"""What a lab's nodes know of their clocks, and how its devices are, for Prometheus.

Nothing here asks an instrument: a scrape gets what was fetched last, whoever fetched it.  Samples of what nobody knows are
left out, so that an alert on their absence works; lock and health are always there.  Names and units follow
prometheus.io/docs/practices/naming.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from qlab import roles

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from qlab.lab.build import Lab

__all__ = ["LabCollector"]

CLOCK = ("lab", "clock", "node", "against")
DEVICE = ("lab", "device", "node")
FAMILIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "qlab_lab_time_seconds": ("Lab time since the lab was opened.", ("lab",)),
    "qlab_clock_locked": ("1 while the clock follows its reference, or its pairs tell how it stands.", CLOCK),
    "qlab_clock_offset_seconds": ("Time of the clock less that of what it is compared with.", CLOCK),
    "qlab_clock_offset_uncertainty_seconds": ("Standard error of the offset.", CLOCK),
    "qlab_clock_frequency_ratio": ("Fractional frequency against what it is compared with.", CLOCK),
    "qlab_clock_frequency_uncertainty_ratio": ("Standard error of the fractional frequency.", CLOCK),
    "qlab_clock_pair_rate_hertz": ("Photon pairs a second that tell how the clock stands.", CLOCK),
    "qlab_clock_compared_seconds": ("Lab time of the last comparison by photon pairs.", CLOCK),
    "qlab_clock_steering_ratio": ("Fractional frequency that the oscillator is set off by.", DEVICE),
    "qlab_device_healthy": ("1 while nothing is known to be wrong with the device.", DEVICE),
}
"""What is published: the help, and the labels."""


class LabCollector(Collector):
    """Collects the samples of one lab.

    Parameters
    ----------
    lab:
        An open lab.
    """

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Return all families with their samples."""
        families = {name: GaugeMetricFamily(name, text, labels=keys) for name, (text, keys) in FAMILIES.items()}
        for name, labels, value in self._samples():
            if math.isfinite(value):
                families[name].add_metric((self._lab.file.name, *labels), value)
        return families.values()

    def _samples(self) -> Iterator[tuple[str, tuple[str, ...], float]]:
        lab = self._lab
        yield "qlab_lab_time_seconds", (), lab.clock.now_ps() * 1e-12
        for name, device in lab.devices.items():
            if isinstance(device, roles.PairClock):
                yield from _pair_clock(device, (name, *self._nodes(name)))
            elif isinstance(device, roles.Clock):
                yield from _clock(device, (name, self._node(name), "reference"))
            if isinstance(device, roles.SteeredClock):
                yield "qlab_clock_steering_ratio", (name, self._node(name)), device.steering
            if hasattr(device, "health"):
                yield "qlab_device_healthy", (name, self._node(name)), float(device.health.ok.get())

    def _node(self, name: str) -> str:
        """Return where a device stands; a pair clock is at the node whose clock it tells."""
        if name in self._lab.file.pair_clocks:
            return self._nodes(name)[0]
        instrument = self._lab.file.instruments.get(name)
        return (instrument.node if instrument is not None else None) or ""

    def _nodes(self, name: str) -> tuple[str, str]:
        pair = self._lab.file.pair_clocks[name]
        return self._node(pair.second), self._node(pair.first)


def _pair_clock(clock: roles.PairClock, labels: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...], float]]:
    yield "qlab_clock_locked", labels, float(clock.lock.get())
    yield "qlab_clock_offset_seconds", labels, float(clock.offset_ps.get()) * 1e-12
    yield "qlab_clock_offset_uncertainty_seconds", labels, float(clock.sigma_ps.get()) * 1e-12
    yield "qlab_clock_frequency_ratio", labels, float(clock.frequency.get())
    yield "qlab_clock_frequency_uncertainty_ratio", labels, float(clock.sigma_frequency.get())
    yield "qlab_clock_pair_rate_hertz", labels, float(clock.pair_rate_hz.get())
    yield "qlab_clock_compared_seconds", labels, float(clock.at_s.get()) or math.nan


def _clock(clock: roles.Clock, labels: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...], float]]:
    yield "qlab_clock_locked", labels, float(clock.locked)
    offset_s = clock.offset_s
    yield "qlab_clock_offset_seconds", labels, math.nan if offset_s is None else offset_s
