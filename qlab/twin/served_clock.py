"""The time of a world that another process serves, for the drivers of this one: they wait on it as on any clock."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Literal

from qlab.clock import PS_PER_S
from qlab.clock.base import Clock, Timer
from qlab.errors import ClockError
from qlab.twin.control_client import ControlClient

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.clock.base import Hold

__all__ = ["ServedClock"]

REPLY_S = 10.0
"""Wall seconds that a twin in another process may take for a reply, while its time stands still."""
GRID_PS = PS_PER_S // 4
"""Meetings begin at multiples of this: how often somebody asked whether the last one was over makes no difference."""


class ServedClock(Clock):
    """Stepped time, moved through the control channel.

    On its own a wait steps the time.  Between `join` and `part` it passes only while all parties wait (`qlab.twin.meeting`).

    Parameters
    ----------
    port:
        Of the control channel on this machine.
    name, parties:
        Whose waits these are; how many parties there are.
    timeout_s:
        Wall seconds that a wait may last.
    """

    mode: Literal["real", "paced", "stepped"] = "real"  # for this process the instruments are real
    runs = False

    def __init__(self, port: int, name: str, parties: int = 2, timeout_s: float = 300.0) -> None:
        super().__init__()
        self._name, self._parties = name, parties
        self._asking, self._waiting = threading.Lock(), threading.Lock()
        self._ask = ControlClient("127.0.0.1", port, timeout_s=timeout_s)
        self._wait = ControlClient("127.0.0.1", port, timeout_s=timeout_s)
        self._together = False

    def now_ps(self) -> int:
        """Return the served lab's time in ps."""
        with self._asking:
            found = self._ask.call("now")
        return int(found)  # type: ignore[call-overload, no-any-return]

    def wait_until(self, t_ps: int) -> None:
        """Step the time to `t_ps`, or meet the others there."""
        with self._waiting:
            while (left_ps := t_ps - self.now_ps()) > 0:
                if self._closed:
                    msg = "the lab's clock was closed while somebody waited on it"
                    raise ClockError(msg)
                if self._together:
                    self._wait.call("meet", name=self._name, parties=self._parties, until_ps=t_ps)
                else:
                    self._wait.step(left_ps / PS_PER_S)

    def join(self) -> None:
        """Take part in a meeting from the next moment of a coarse grid on."""
        self.wait_until(-(-self.now_ps() // GRID_PS) * GRID_PS)
        self._together = True

    def part(self) -> None:
        """Take part no longer; may be called again."""
        with self._waiting:
            self._together = False
            self._wait.call("part", name=self._name)

    def call_at(self, t_ps: int, callback: Callable[[], None]) -> Timer:
        """Refuse: timers belong to the process that serves the world."""
        del callback
        msg = f"a timer at {t_ps} ps on the time of a world that another process serves: expected none"
        raise ClockError(msg)

    def wall_s(self, lab_s: float) -> float:
        """Return how long a reply may take: its time stands still meanwhile."""
        del lab_s
        return REPLY_S

    async def sleep_async(self, seconds: float, hold: Hold | None = None) -> None:
        """Refuse: only drivers wait here, in threads of theirs."""
        del hold
        msg = f"{seconds:g} s are waited for in an event loop, on the time of a world that another process serves"
        raise ClockError(msg)

    def close(self) -> None:
        """Hang up."""
        super().close()
        self._ask.close()
        self._wait.close()
