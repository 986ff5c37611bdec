"""Lab time: integer picoseconds since the lab's start; real, paced (wall times a speed) or stepped.

In *stepped* time the clock stands still while anybody computes and jumps to the earliest wake-up once everybody
waits.  Who computes says so with a `Hold`; a thread that has bound one gives it up for as long as it waits here.
Holds are handed over atomically (`Hold.suspend_until`), so that no wake-up slips in between a worker that finishes
and the run engine that waited for it: the order of events depends on lab time alone, never on the scheduler.

Real and paced clocks take the same calls; their holds do nothing.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
import time
from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, Protocol

from qlab.errors import ClockError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType
    from typing import Self

__all__ = ["PS_PER_S", "Clock", "Hold", "PacedClock", "Peer", "RealClock", "SteppedClock", "Timer"]

PS_PER_S = 1_000_000_000_000
STEPPED_WALL_S = 1.0
"""Wall seconds a blocking read may last in stepped time, where only an unheard-of byte is waited for."""


class Peer(Protocol):
    """What a twin's mount tells the link at the other end, so that stepped time never overtakes a reply.

    Counts are bytes over all connections since the mount began; a reply is in `emitted` before the bytes that
    caused it are in `received`, and `busy` is true from the first of these moments to the last.
    """

    @property
    def received(self) -> int:
        """Bytes taken from the link."""
        ...

    @property
    def emitted(self) -> int:
        """Bytes given to the link."""
        ...

    @property
    def begun(self) -> int:
        """Connections taken in so far; what the twin says of itself at the beginning of one is in `emitted` before."""
        ...

    @property
    def busy(self) -> bool:
        """Whether a reply may still be on its way."""
        ...


class Hold:
    """A promise that somebody is computing: stepped time stands still while one is active."""

    def __init__(self, clock: Clock, name: str = "") -> None:
        self.name = name
        self._clock = clock
        self.active = True
        self.released = False
        self.awaits: set[Hold] = set()
        self.waited_by: set[Hold] = set()

    def release(self) -> None:
        """End the promise for good; holds that were suspended until this moment become active in the same breath."""
        self._clock.release_hold(self)

    def suspend_until(self, holds: Iterable[Hold]) -> None:
        """Give the hold up until all of `holds` are released (or until `resume`)."""
        self._clock.suspend_hold(self, holds)

    def resume(self) -> None:
        """Make a suspended hold active again at once."""
        self._clock.resume_hold(self)

    def let_time_pass(self) -> None:
        """Say that the calling thread, which has no hold of its own, is about to wait for this one's release."""
        self._clock.hold().release()

    @contextmanager
    def bound(self) -> Iterator[Hold]:
        """Bind to the current thread, whose waits on the clock then let time pass; released at the end."""
        stack = self._clock.bound_holds()
        stack.append(self)
        try:
            yield self
        finally:
            stack.remove(self)
            self.release()


class Timer:
    """A callback due at a lab time; `cancel` is safe at any moment."""

    def __init__(self, t_ps: int, callback: Callable[[], None]) -> None:
        self.t_ps = t_ps
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        """Do not call back any more."""
        self.cancelled = True


class Clock(ABC):
    """The lab's one clock.  Drivers, twins and plans wait on it and on nothing else."""

    mode: Literal["real", "paced", "stepped"]

    def __init__(self) -> None:
        self.epoch_s = time.time()
        self._local = threading.local()
        self._closed = False

    @abstractmethod
    def now_ps(self) -> int:
        """Return lab time in ps; never blocks, never runs backwards."""

    @abstractmethod
    def wait_until(self, t_ps: int) -> None:
        """Block the calling thread until lab time is at least `t_ps`."""

    @abstractmethod
    def call_at(self, t_ps: int, callback: Callable[[], None]) -> Timer:
        """Call back once at `t_ps`, from a thread of the clock's choice; stepped time stands still meanwhile."""

    @abstractmethod
    def wall_s(self, lab_s: float) -> float:
        """Return the wall seconds that a blocking call worth `lab_s` may last."""

    @abstractmethod
    async def sleep_async(self, seconds: float, hold: Hold | None = None) -> None:
        """Wait without blocking the event loop; `hold` is given up meanwhile."""

    def now_s(self) -> float:
        """Return the Unix time stamp that documents carry: the lab's start plus lab time."""
        return self.epoch_s + self.now_ps() * 1e-12

    def sleep(self, seconds: float) -> None:
        """Wait `seconds` of lab time."""
        self.wait_until(self.now_ps() + round(seconds * PS_PER_S))

    def hold(self, name: str = "") -> Hold:
        """Begin a promise that somebody is computing."""
        return Hold(self, name)

    def close(self) -> None:
        """Stop timers and wake every waiter with a `ClockError`."""
        self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def bound_holds(self) -> list[Hold]:
        """Return the holds bound to the calling thread, innermost last."""
        stack: list[Hold] | None = getattr(self._local, "holds", None)
        if stack is None:
            stack = self._local.holds = []
        return stack

    def release_hold(self, hold: Hold) -> None:
        """Serve `Hold.release`."""
        hold.active, hold.released = False, True

    def suspend_hold(self, hold: Hold, holds: Iterable[Hold]) -> None:
        """Serve `Hold.suspend_until`; nothing to give up where time runs by itself."""
        del hold, holds

    def resume_hold(self, hold: Hold) -> None:
        """Serve `Hold.resume`; nothing to take back where time runs by itself."""
        del hold


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
