"""Health: one group of signals that every instrument has, for suspenders, service levels and tired people.

`ok` is 1 while nothing is known to be wrong, `reason` says what is, `since` when it became so (lab time, as documents have
it).  A job that fails for the instrument's or the link's sake reports it at once.  A trigger that succeeds asks the
instrument again where something was wrong, and otherwise every `Instrument.health_interval_s` lab seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ophyd import Component as Cpt
from ophyd import Device

from devices.signals import SoftSignal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qlab.clock import Clock

__all__ = ["Health"]


class Health(Device):
    """Whether an instrument is well; `read` gives the three signals without asking the instrument."""

    ok = Cpt(SoftSignal, initial=1, kind="hinted")
    reason = Cpt(SoftSignal, initial="", kind="normal")
    since = Cpt(SoftSignal, units="s", precision=3, kind="normal")

    @property
    def clock(self) -> Clock:
        """The lab's clock."""
        clock: Clock = self.parent.clock
        return clock

    def report(self, reasons: Sequence[str]) -> None:
        """Take what is wrong, empty when nothing is; `ok` changes last, so that who watches it finds the reason."""
        text = "; ".join(reasons)
        if text == self.reason.get():
            return
        if not text or not self.reason.get() or not self.since.get():
            self.since.remember(self.clock.now_s())
        self.reason.remember(text)
        self.ok.remember(int(not text))
