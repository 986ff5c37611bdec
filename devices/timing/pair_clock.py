"""A node's clock against another's by photon pairs: two taggers, each on its own clock, as one clock that can be read.

The plan triggers the taggers; a trigger of this device then compares their last acquisitions.  Where a 1 pps of each node's
clock comes to an input of its tagger, times are those of the nodes' clocks; without, they are those of the taggers, whose
zero is only as good as the wires' latency, and only the frequency means something.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ophyd import Component as Cpt
from ophyd import Device

from devices.health import Health
from devices.signals import SoftSignal
from devices.worker import run_in_thread
from qlab.errors import BadRequestError
from qlab.timing.acquire import Search
from qlab.timing.follow import ClockFollower, ClockReport
from qlab.timing.kalman import ClockNoise
from qlab.timing.pps import on_pulses

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    from devices.worker import WorkerStatus
    from qlab.clock import Clock
    from qlab.tags.stream import TagBlock

    class Tagger(Protocol):
        """A tagger."""

        name: str
        last_block: TagBlock


__all__ = ["PairClock"]


class PairClock(Device):
    """The second node's clock against the first's; role `qlab.roles.PairClock`.

    Parameters
    ----------
    first, second:
        Their taggers.
    first_inputs, second_inputs:
        The inputs that share pairs, from 1.
    first_pps, second_pps:
        The input on which the 1 pps of the node's clock comes.
    delay_ps:
        How much later the light and the cables make the second's clicks than the first's; taken off the offset.
    search:
        What may be; its fields as `qlab.timing.acquire.Search` has them.
    noise:
        How restless the clocks are; as `qlab.timing.kalman.ClockNoise` has it.
    """

    offset_ps = Cpt(SoftSignal, initial=math.nan, units="ps", precision=1, kind="hinted")
    sigma_ps = Cpt(SoftSignal, initial=math.inf, units="ps", precision=1, kind="normal")
    frequency = Cpt(SoftSignal, initial=math.nan, kind="normal")
    sigma_frequency = Cpt(SoftSignal, initial=math.inf, kind="normal")
    lock = Cpt(SoftSignal, initial=0, kind="hinted")
    pair_rate_hz = Cpt(SoftSignal, initial=0.0, units="Hz", precision=1, kind="normal")
    error_ps = Cpt(SoftSignal, initial=math.nan, units="ps", precision=1, kind="normal")
    foreseen_sigma_ps = Cpt(SoftSignal, initial=math.inf, units="ps", precision=1, kind="normal")
    at_s = Cpt(SoftSignal, initial=0.0, units="s", precision=6, kind="normal")
    delay_ps = Cpt(SoftSignal, initial=0.0, units="ps", kind="config")
    health = Cpt(Health, kind="omitted")
    lock_timeout_s = 0.0

    def __init__(
        self,
        prefix: str = "",
        *,
        name: str,
        clock: Clock,
        first: Tagger,
        second: Tagger,
        first_inputs: Sequence[int],
        second_inputs: Sequence[int],
        first_pps: int | None = None,
        second_pps: int | None = None,
        delay_ps: float = 0.0,
        search: dict[str, Any] | None = None,
        noise: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self.clock = clock
        super().__init__(prefix, name=name, **kwargs)
        self.taggers = (first, second)
        self._inputs = (tuple(first_inputs), tuple(second_inputs))
        self._pps = (first_pps, second_pps)
        self.delay_ps.put(delay_ps)
        self._follower = ClockFollower(Search(**(search or {})), noise=ClockNoise(**(noise or {})))
        self.last_report: ClockReport | None = None

    @property
    def locked(self) -> bool:
        """Whether the last acquisitions had pairs that say how the clocks stand."""
        return bool(self.lock.get())

    @property
    def offset_s(self) -> float | None:
        """The second clock less the first, as last found; None where nothing is known."""
        offset_ps = float(self.offset_ps.get())
        return None if math.isnan(offset_ps) else offset_ps * 1e-12

    @property
    def jitter_ps(self) -> float:
        """Standard deviation of a pair's time difference, as the last search found it; NaN where nothing is known."""
        tracker = self._follower.tracker
        return math.nan if tracker is None else tracker.jitter_ps

    def trigger(self) -> WorkerStatus:
        """Compare the taggers' last acquisitions."""
        return run_in_thread(self.clock, f"{self.name} compare", self.compare)

    def compare(self) -> None:
        """Compare the taggers' last acquisitions; what is wrong with them is said by `health`."""
        try:
            blocks = [self._times(i) for i in (0, 1)]
        except BadRequestError as error:
            self.lock.remember(0)
            self.health.report([str(error)])
            return
        first, second = blocks
        start, stop = max(first.start_ps, second.start_ps), min(first.stop_ps, second.stop_ps)
        report = self._follower.add(first.t, second.t, start, stop)
        self.last_report = report
        known = report.status != "lost"
        self.offset_ps.remember(report.offset_ps - float(self.delay_ps.get()) if known else math.nan)
        self.sigma_ps.remember(report.sigma_ps if known else math.inf)
        self.frequency.remember(report.frequency if known else math.nan)
        self.sigma_frequency.remember(report.sigma_frequency if known else math.inf)
        self.pair_rate_hz.remember(report.pair_rate_hz)
        self.at_s.remember(report.t_ps * 1e-12)
        self.error_ps.remember(report.offset_ps - report.foreseen_ps if report.locked else math.nan)
        self.foreseen_sigma_ps.remember(report.foreseen_sigma_ps)
        self.lock.remember(int(report.locked))
        self.health.report([report.reason] if report.reason else [])

    def predict(self, at_s: float) -> tuple[float, float, float]:
        """Return offset and its standard error in ps, and frequency, at a later time of the first clock."""
        offset_ps, sigma_ps, frequency = self._follower.predict(round(at_s * 1e12))
        return offset_ps - float(self.delay_ps.get()), sigma_ps, frequency

    def note_steering(self, frequency: float) -> None:
        """Take note that the second clock's frequency was changed by a fraction just now."""
        self._follower.steer(frequency, self.clock.now_ps())

    def forget(self) -> None:
        """Forget what is known: the next comparison searches."""
        self._follower = self._follower.fresh()

    def _times(self, side: int) -> TagBlock:
        """Return the tags of one side's pair inputs on its node's clock."""
        block, pps = self.taggers[side].last_block, self._pps[side]
        if pps is not None:
            block = on_pulses(block, pps - 1, self.taggers[side].name)
        return block.select([n - 1 for n in self._inputs[side]])
