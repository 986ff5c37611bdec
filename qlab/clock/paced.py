"""Clocks that follow the wall: paced (wall time times a speed) and real."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
import time
from typing import TYPE_CHECKING, Literal

from qlab.clock.base import PS_PER_S, Clock, Timer
from qlab.errors import ClockError

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.clock.base import Hold

__all__ = ["PacedClock", "RealClock"]


class PacedClock(Clock):
    """Wall time multiplied by a speed.

    Parameters
    ----------
    speed:
        Lab seconds per wall second.
    catch_up_s:
        The most lab seconds by which one look at the clock may advance it.  After a longer absence (a laptop lid, an
        idle prompt) lab time slips instead of making the world compute hours that nobody watched.
    """

    mode: Literal["real", "paced", "stepped"] = "paced"

    def __init__(self, speed: float = 1.0, catch_up_s: float = 60.0) -> None:
        if not speed > 0:
            msg = f"clock speed {speed!r}: expected a positive number of lab seconds per wall second"
            raise ClockError(msg)
        super().__init__()
        self.speed = speed
        self._limit_ps = round(catch_up_s * PS_PER_S)
        self._wake = threading.Condition()
        self._lab_ps = 0
        self._wall_ns = time.monotonic_ns()
        self._look = threading.Lock()
        self._timers: list[tuple[int, int, Timer]] = []
        self._order = itertools.count()
        self._thread: threading.Thread | None = None

    def now_ps(self) -> int:
        """Return lab time in ps; advances by at most `catch_up_s` a look."""
        with self._look:
            wall_ns = time.monotonic_ns()
            step_ps = round((wall_ns - self._wall_ns) * 1000 * self.speed)
            self._wall_ns = wall_ns
            self._lab_ps += min(step_ps, self._limit_ps)
            return self._lab_ps

    def wall_s(self, lab_s: float) -> float:
        """Return `lab_s` in wall seconds, but not less than 50 ms: a twin's thread needs its turn."""
        return max(lab_s / self.speed, 0.05)

    def _wall_wait_s(self, t_ps: int) -> float:
        # Long waits are cut so that the catch-up bound never eats time in which somebody did wait.
        left_ps = min(t_ps - self.now_ps(), self._limit_ps // 2)
        return max(left_ps * 1e-12 / self.speed, 0.0)

    def wait_until(self, t_ps: int) -> None:
        """Block the calling thread until lab time is at least `t_ps`."""
        with self._wake:
            while self.now_ps() < t_ps:
                if self._closed:
                    msg = "the lab's clock was closed while somebody waited on it"
                    raise ClockError(msg)
                self._wake.wait(self._wall_wait_s(t_ps))

    async def sleep_async(self, seconds: float, hold: Hold | None = None) -> None:
        """Wait without blocking the event loop."""
        t_ps = self.now_ps() + round(seconds * PS_PER_S)
        while self.now_ps() < t_ps:
            await asyncio.sleep(self._wall_wait_s(t_ps))

    def call_at(self, t_ps: int, callback: Callable[[], None]) -> Timer:
        """Call back once at `t_ps` from the clock's timer thread."""
        timer = Timer(t_ps, callback)
        with self._wake:
            if self._closed:
                return timer
            heapq.heappush(self._timers, (t_ps, next(self._order), timer))
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="qlab-clock", daemon=True)
                self._thread.start()
            self._wake.notify_all()
        return timer

    def _serve(self) -> None:
        while True:
            with self._wake:
                while not self._closed and (not self._timers or self._timers[0][0] > self.now_ps()):
                    self._wake.wait(self._wall_wait_s(self._timers[0][0]) if self._timers else None)
                if self._closed:
                    return
                timer = heapq.heappop(self._timers)[2]
            if not timer.cancelled:
                timer.callback()

    def close(self) -> None:
        """Stop the timer thread and wake every waiter."""
        with self._wake:
            super().close()
            self._wake.notify_all()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()


class RealClock(PacedClock):
    """Wall time as it is, for hardware."""

    mode = "real"

    def __init__(self) -> None:
        super().__init__(1.0, catch_up_s=10 * 365.25 * 86400.0)
