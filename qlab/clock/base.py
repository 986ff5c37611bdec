"""What every clock of a lab has: the time, waits, timers, and holds that stepped time counts."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType
    from typing import Self

__all__ = ["PS_PER_S", "Clock", "Hold", "Peer", "Timer"]

PS_PER_S = 1_000_000_000_000


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
    runs = True
    """Whether lab time passes by itself."""

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
