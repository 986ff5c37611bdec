"""The clock that stands still while anybody computes and jumps to the earliest wake-up once everybody waits."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
from typing import TYPE_CHECKING

from qlab.clock.base import PS_PER_S, Clock, Hold, Timer
from qlab.errors import ClockError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["SteppedClock"]

STEPPED_WALL_S = 1.0
"""Wall seconds a blocking read may last in stepped time, where only an unheard-of byte is waited for."""


class _Waiter:
    """A blocked thread or coroutine, and the hold that it gave up."""

    def __init__(self, hold: Hold | None, notify: Callable[[], None]) -> None:
        self.hold = hold
        self.notify = notify
        self.cancelled = False


class SteppedClock(Clock):
    """Time that moves only when everybody waits; for rehearsals, tests and CI.

    Parameters
    ----------
    start_ps:
        Lab time at the start.
    """

    mode = "stepped"
    runs = False

    def __init__(self, start_ps: int = 0) -> None:
        super().__init__()
        self._now_ps = start_ps
        self._lock = threading.Lock()
        self._active = 0
        self._heap: list[tuple[int, int, int, Timer | _Waiter]] = []
        self._order = itertools.count()

    def now_ps(self) -> int:
        """Return lab time in ps."""
        return self._now_ps

    def wall_s(self, lab_s: float) -> float:
        """Return the short wall time that a lost byte may cost; lab time-outs are served by stepping."""
        return STEPPED_WALL_S

    def hold(self, name: str = "") -> Hold:
        """Begin a promise that somebody is computing; time stands still until its release."""
        hold = Hold(self, name)
        with self._lock:
            self._active += 1
        return hold

    def call_at(self, t_ps: int, callback: Callable[[], None]) -> Timer:
        """Call back once at `t_ps`, in the thread that advances the time, before any waiter of that moment."""
        timer = Timer(t_ps, callback)
        with self._lock:
            heapq.heappush(self._heap, (max(t_ps, self._now_ps), 0, next(self._order), timer))
        return timer

    def wait_until(self, t_ps: int) -> None:
        """Block the calling thread until lab time is at least `t_ps`; its bound hold lets time pass meanwhile."""
        if t_ps <= self._now_ps:
            return
        stack = self.bound_holds()
        done = threading.Event()
        with self._lock:
            self._push(t_ps, stack[-1] if stack else None, done.set)
        self._advance()
        done.wait()
        if self._closed:
            msg = "the lab's clock was closed while somebody waited on it"
            raise ClockError(msg)

    async def sleep_async(self, seconds: float, hold: Hold | None = None) -> None:
        """Wait without blocking the event loop; `hold` is active again before the time can move on."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def finish() -> None:
            if not done.done():
                done.set_result(None)

        def notify() -> None:
            loop.call_soon_threadsafe(finish)

        with self._lock:
            waiter = self._push(self._now_ps + round(seconds * PS_PER_S), hold, notify)
        await loop.run_in_executor(None, self._advance)
        try:
            await done
        except asyncio.CancelledError:
            with self._lock:
                waiter.cancelled = True
                if hold is not None:
                    self._activate(hold)
            raise

    def close(self) -> None:
        """Wake every waiter with a `ClockError`."""
        with self._lock:
            super().close()
            waiters = [entry[3] for entry in self._heap]
            self._heap.clear()
        for waiter in waiters:
            if isinstance(waiter, _Waiter):
                waiter.notify()

    def _push(self, t_ps: int, hold: Hold | None, notify: Callable[[], None]) -> _Waiter:
        waiter = _Waiter(hold if hold is not None and hold.active else None, notify)
        heapq.heappush(self._heap, (max(t_ps, self._now_ps), 1, next(self._order), waiter))
        if waiter.hold is not None:
            waiter.hold.active = False
            self._active -= 1
        return waiter

    def _activate(self, hold: Hold) -> None:
        for other in hold.awaits:
            other.waited_by.discard(hold)
        hold.awaits.clear()
        if not hold.active and not hold.released:
            hold.active = True
            self._active += 1

    def release_hold(self, hold: Hold) -> None:
        """Serve `Hold.release`: hand over and let time move if nobody computes any more."""
        with self._lock:
            if hold.released:
                return
            for waiting in list(hold.waited_by):
                waiting.awaits.discard(hold)
                if not waiting.awaits:
                    self._activate(waiting)
            hold.waited_by.clear()
            hold.released = True
            if hold.active:
                hold.active = False
                self._active -= 1
        self._advance()

    def suspend_hold(self, hold: Hold, holds: Iterable[Hold]) -> None:
        """Serve `Hold.suspend_until`."""
        with self._lock:
            pending = {other for other in holds if not other.released}
            if hold.released or not hold.active or not pending:
                return
            hold.awaits = pending
            for other in pending:
                other.waited_by.add(hold)
            hold.active = False
            self._active -= 1
        self._advance()

    def resume_hold(self, hold: Hold) -> None:
        """Serve `Hold.resume`."""
        with self._lock:
            self._activate(hold)

    def _advance(self) -> None:
        """Move to the earliest wake-up, again and again, for as long as nobody computes."""
        while True:
            with self._lock:
                if self._active or not self._heap:
                    return
                t_ps, _, _, entry = heapq.heappop(self._heap)
                if entry.cancelled:
                    continue
                self._now_ps = t_ps
                if isinstance(entry, _Waiter):
                    if entry.hold is not None:
                        self._activate(entry.hold)
                    entry.notify()
                    if entry.hold is None:
                        return  # a thread without a hold: let it run before the time moves on
                    continue
                self._active += 1  # the callback computes
            try:
                entry.callback()
            finally:
                with self._lock:
                    self._active -= 1
