"""What all time taggers share: the signals of an acquisition, the tag file, and the way of a block into both."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from ophyd import Component as Cpt

from devices.base import Instrument
from devices.signals import SoftSignal
from devices.taggers.recorder import TagRecorder
from qlab.tags.stream import TagBlock

if TYPE_CHECKING:
    from collections.abc import Mapping

    from devices.worker import WorkerStatus

__all__ = ["TaggingInstrument"]

LONGEST_S = 3600.0


class TaggingInstrument(Instrument):
    """A tagger; roles `qlab.roles.TimeTagger` and `Counter`.

    Attributes
    ----------
    recorder:
        The tag file.
    last_block:
        The last acquisition, on lab time as well as the link's latency is known.
    """

    channels: ClassVar[int] = 4
    connectors: ClassVar[int] = 4
    """At how many a cable may end: the inputs, and what else has a connector and a channel of its own behind them."""
    rates_hz: Mapping[str, float] = {}

    acquisition_s = Cpt(SoftSignal, initial=1.0, units="s", limits=(1e-9, LONGEST_S), kind="config")
    counts = Cpt(SoftSignal, initial=np.zeros(4, np.int64), kind="hinted")
    live_s = Cpt(SoftSignal, initial=0.0, units="s", kind="normal")
    row_start = Cpt(SoftSignal, initial=0, kind="normal")
    row_stop = Cpt(SoftSignal, initial=0, kind="normal")
    epoch_ps = Cpt(SoftSignal, initial=0, units="ps", kind="normal")

    def __init__(self, prefix: str = "", **kwargs: Any) -> None:
        super().__init__(prefix, **kwargs)
        self.recorder = TagRecorder(f"{self.name}_tags")
        self.last_block = TagBlock(np.empty(0, np.int64), np.empty(0, np.uint8), 0, 0)

    @abstractmethod
    def record(self, seconds: float) -> TagBlock:
        """Take one acquisition; blocks for its time and the download."""

    def count(self, gate_s: float) -> WorkerStatus:
        """Count the tags of one acquisition, which is not kept; `rates_hz` then has them by input."""
        self.acquisition_s.check_value(gate_s)

        def work() -> None:
            block = self.record(gate_s)
            counted = block.counts(self.channels)
            self.rates_hz = {str(n + 1): float(counted[n]) / block.live_s for n in range(self.channels)}

        return self.in_thread("count", work)

    def disconnect(self) -> None:
        """Stop what records, close the link and the tag file."""
        try:
            super().disconnect()
        finally:
            self.recorder.close()

    def stage(self) -> list[object]:
        """Begin a tag file."""
        self.recorder.begin()
        return list(super().stage())

    def unstage(self) -> WorkerStatus:
        """Stop and close the tag file."""
        status = super().unstage()
        status.add_callback(lambda _: self.recorder.close())
        return status

    def measure(self) -> None:
        """Record one acquisition and append it to the tag file."""
        block = self.record(float(self.acquisition_s.get()))
        self.last_block = block
        if self.recorder.is_open:
            row_start, row_stop = self.recorder.append(block)
            self.row_start.put(row_start)
            self.row_stop.put(row_stop)
        self.counts.put(block.counts(self.channels))
        self.live_s.put(block.live_s)
        self.epoch_ps.put(block.start_ps)
