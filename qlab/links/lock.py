"""A lock for dialogues that last in lab time.

With a plain lock, stepped time would stand still for ever where one thread waits on the lab's clock inside and another,
which holds the time, waits at the door.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from qlab.clock import Clock, Hold

__all__ = ["ClockLock"]


class ClockLock:
    """A re-entrant lock; who waits for it gives the hold bound to its thread up until it is released.

    Parameters
    ----------
    clock:
        The lab's clock.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._free = threading.Condition()
        self._owner: int | None = None
        self._depth = 0
        self._turn = 0
        self._door: tuple[Hold, Hold] | None = None

    def __enter__(self) -> Self:
        me = threading.get_ident()
        while True:
            with self._free:
                if self._owner in (None, me):
                    self._owner = me
                    self._depth += 1
                    return self
                turn = self._turn
                holds = self._clock.bound_holds()
                door = self._door_hold() if holds else None
            if door is not None:
                holds[-1].suspend_until([door])
            with self._free:
                while self._turn == turn:  # at the next turn, look again: somebody else may have been quicker
                    self._free.wait()

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        with self._free:
            self._depth -= 1
            if self._depth:
                return
            self._owner = None
            self._turn += 1
            door, self._door = self._door, None
        for hold in door or ():
            hold.release()  # who waited at the door holds the time again before we go on
        with self._free:
            self._free.notify_all()

    def _door_hold(self) -> Hold:
        """Return a hold that is never active and ends with the owner's turn: two that wait for each other."""
        if self._door is None:
            this, that = self._clock.hold("door"), self._clock.hold("door")
            this.suspend_until([that])
            that.suspend_until([this])
            self._door = (this, that)
        return self._door[0]
