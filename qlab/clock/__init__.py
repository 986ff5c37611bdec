"""Lab time: integer picoseconds since the lab's start; real, paced (wall times a speed) or stepped.

In *stepped* time the clock stands still while anybody computes and jumps to the earliest wake-up once everybody
waits.  Who computes says so with a `Hold`; a thread that has bound one gives it up for as long as it waits here.
Holds are handed over atomically (`Hold.suspend_until`), so that no wake-up slips in between a worker that finishes
and the run engine that waited for it: the order of events depends on lab time alone, never on the scheduler.

Real and paced clocks take the same calls; their holds do nothing.
"""

from __future__ import annotations

from qlab.clock.base import PS_PER_S, Clock, Hold, Peer, Timer
from qlab.clock.paced import PacedClock, RealClock
from qlab.clock.stepped import SteppedClock

__all__ = ["PS_PER_S", "Clock", "Hold", "PacedClock", "Peer", "RealClock", "SteppedClock", "Timer"]
