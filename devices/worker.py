"""Wire I/O in a thread, reported by a status that the run engine can wait for.

The hold is taken before the thread starts and given back before the status is done, so that in stepped time no wake-up
of somebody else slips in between (see `qlab.clock`).  A status has no time-out of its own, and so no timer thread: the
policy of the link bounds every operation.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from qlab.clock import Clock, Hold

__all__ = ["WorkerStatus", "done_status", "run_in_thread"]


class WorkerStatus:
    """A `bluesky.protocols.Status` that ends when its worker does.

    Attributes
    ----------
    clock_hold:
        The worker's hold on stepped time.
    """

    def __init__(self, name: str, clock_hold: Hold) -> None:
        self.name = name
        self.clock_hold = clock_hold
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[WorkerStatus], None]] = []
        self._exception: BaseException | None = None
        self._thread: threading.Thread | None = None

    @property
    def done(self) -> bool:
        """Whether the work has ended."""
        return self._event.is_set()

    @property
    def success(self) -> bool:
        """Whether it ended well."""
        return self.done and self._exception is None

    def exception(self, timeout: float | None = 0.0) -> BaseException | None:
        """Return what went wrong, None if nothing did; waits up to `timeout` wall seconds for the end."""
        if timeout != 0 and not self.done:
            self.clock_hold.let_time_pass()
        if not self._event.wait(timeout):
            msg = f"{self.name} is still at work"
            raise TimeoutError(msg)
        return self._exception

    def wait(self, timeout: float | None = None) -> None:
        """Wait for the end and raise what went wrong."""
        exception = self.exception(timeout)
        if exception is not None:
            raise exception

    def add_callback(self, callback: Callable[[WorkerStatus], None]) -> None:
        """Call back at the end, at once if it is over."""
        with self._lock:
            if not self.done:
                self._callbacks.append(callback)
                return
        callback(self)

    def finish(self, exception: BaseException | None = None) -> None:
        """End."""
        with self._lock:
            self._exception = exception
            self._event.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback(self)

    def start(self, work: Callable[[], None]) -> None:
        """Do `work`, which ends this status, in a thread of its own."""
        self._thread = threading.Thread(target=work, name=f"qlab-{self.name}", daemon=True)
        self._thread.start()

    def join(self, timeout: float | None = None) -> bool:
        """Wait until the worker's thread is gone, callbacks included; returns whether it is.  From itself: at once."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)
            return not self._thread.is_alive()
        return True

    def __repr__(self) -> str:
        # The run engine writes it into the stop document of a run that failed: a person reads why.
        return f"{self.name}: {self._exception or ('done' if self.done else 'at work')}"


class _Outcome:
    """Takes whatever ends a block, a programming error too: a status that never ends would hang the run engine."""

    def __init__(self) -> None:
        self.exception: BaseException | None = None

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> bool:
        self.exception = value
        return True


def run_in_thread(clock: Clock, name: str, work: Callable[[], object]) -> WorkerStatus:
    """Do `work` in a thread of its own and return its status."""
    status = WorkerStatus(name, clock.hold(name))
    outcome = _Outcome()

    def thread() -> None:
        with status.clock_hold.bound(), outcome:
            work()
        status.finish(outcome.exception)

    status.start(thread)
    return status


def done_status(clock: Clock, name: str) -> WorkerStatus:
    """Return the status of something that was over at once."""
    status = WorkerStatus(name, clock.hold(name))
    status.clock_hold.release()
    status.finish()
    return status
