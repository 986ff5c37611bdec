"""Several processes that step one served world: time passes only while all of them wait for it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qlab.clock import Clock

__all__ = ["Meeting"]


class Meeting:
    """Lets stepped time pass while all who take part wait, and no further than the first of them waits for.

    Who has met once takes part until it parts; the first ones wait until there are enough.  So it makes no difference which
    process is faster: whatever each does between two waits happens at the same lab time in every rehearsal.

    Parameters
    ----------
    clock:
        The served lab's.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until_ps: dict[str, int | None] = {}
        self._changed = asyncio.Condition()
        self._begun = self._moving = False

    async def wait(self, name: str, parties: int, until_ps: int) -> None:
        """Wait until lab time is `until_ps`, with at least so many taking part when it begins."""
        async with self._changed:
            self._until_ps[name] = until_ps
            self._begun = self._begun or len(self._until_ps) >= parties
            self._changed.notify_all()
            while self._clock.now_ps() < until_ps:
                targets = [target for target in self._until_ps.values() if target is not None]
                if self._moving or not self._begun or len(targets) < len(self._until_ps):
                    await self._changed.wait()
                    continue
                self._moving = True
                try:
                    await self._clock.sleep_async((min(targets) - self._clock.now_ps()) * 1e-12)
                finally:
                    self._moving = False
                    self._arrived()
            self._until_ps[name] = None

    async def part(self, name: str) -> None:
        """Take part no longer; the others need not wait for it.  When all have parted the meeting is over."""
        async with self._changed:
            self._until_ps.pop(name, None)
            self._begun = self._begun and bool(self._until_ps)
            self._changed.notify_all()

    def _arrived(self) -> None:
        """Those whose time has come compute now: time stands still until they wait again."""
        now_ps = self._clock.now_ps()
        for name, target in self._until_ps.items():
            if target is not None and target <= now_ps:
                self._until_ps[name] = None
        self._changed.notify_all()
