"""Several statuses as one, which begin at the same moment."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from devices.worker import WorkerStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qlab.clock import Clock

__all__ = ["AllStatus"]


class AllStatus(WorkerStatus):
    """Done when all of several are; fails with the first failure.

    Parameters
    ----------
    starts:
        Start the parts; stepped time stands still until all have begun, so that they begin at the same moment.
    """

    def __init__(self, clock: Clock, name: str, starts: Sequence[Callable[[], WorkerStatus]]) -> None:
        super().__init__(name, clock.hold(name))
        try:
            parts = [start() for start in starts]
        except BaseException:
            self.clock_hold.release()
            raise
        self._left = len(parts)
        self._failures: list[BaseException] = []
        self._count = threading.Lock()
        self.clock_hold.suspend_until([part.clock_hold for part in parts])
        for part in parts:
            part.add_callback(self._part_done)

    def _part_done(self, part: WorkerStatus) -> None:
        failure = part.exception()
        with self._count:
            if failure is not None:
                self._failures.append(failure)
            self._left -= 1
            if self._left:
                return
        self.clock_hold.release()
        self.finish(self._failures[0] if self._failures else None)
