"""What will be over when: a repeater module's twin does everything at its own picosecond, whenever somebody looks."""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sim_devices.repeaters.qrm_slots import FOREVER

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.clock import Clock

__all__ = ["Agenda"]


@dataclass(order=True, slots=True)
class _Job:
    due_ps: int
    turn: int
    do: Callable[[int], None] = field(compare=False)


class Agenda:
    """Jobs in the order of lab time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._jobs: list[_Job] = []
        self._turns = itertools.count()
        self._at_ps: int | None = None

    def now_ps(self) -> int:
        """Return the lab's time, with everything done that was over before it."""
        now_ps = self._clock.now_ps()
        self.advance(now_ps)
        return now_ps

    def present_ps(self) -> int:
        """Return the time of what is being done: now, or when it was over."""
        return self._clock.now_ps() if self._at_ps is None else self._at_ps

    def schedule(self, due_ps: int, do: Callable[[int], None]) -> None:
        """Do something at a lab time."""
        heapq.heappush(self._jobs, _Job(due_ps, next(self._turns), do))

    def advance(self, now_ps: int) -> None:
        """Do what is over."""
        while True:
            self.collect(now_ps)
            due_ps, act = self.expiry()
            first = self._jobs[0].due_ps if self._jobs else FOREVER
            if min(first, due_ps) > now_ps:
                return
            if first <= due_ps:
                job = heapq.heappop(self._jobs)
                due_ps, act = job.due_ps, job.do
            self._at_ps = due_ps
            act(due_ps)
            self._at_ps = None

    def due_ps(self) -> int | None:
        """Return when something will be over."""
        first = self._jobs[0].due_ps if self._jobs else FOREVER
        due = min(first, self.expiry()[0], self.awaited_ps(self._clock.now_ps()))
        return due if due < FOREVER else None

    def forget_all(self) -> None:
        """Drop all jobs."""
        self._jobs.clear()

    def collect(self, now_ps: int) -> None:
        """Schedule what is known by now from outside."""
        raise NotImplementedError

    def awaited_ps(self, now_ps: int) -> int:
        """Return when there may be news from outside."""
        raise NotImplementedError

    def expiry(self) -> tuple[int, Callable[[int], None]]:
        """Return what ends by itself first, and when."""
        raise NotImplementedError
