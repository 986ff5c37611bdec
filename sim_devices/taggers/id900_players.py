"""Players of the ID900: the record window and the pattern generators share armed, waiting and playing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["FOREVER", "Play", "Player", "Window"]

FOREVER: Final = 1 << 40  # INF as a number of repetitions
PLAYS_KEPT: Final = 64


@dataclass(frozen=True, slots=True)
class Window:
    """One record or pulse: its running number and [start, stop) in lab time."""

    index: int
    start_ps: int
    stop_ps: int


@dataclass(slots=True)
class Play:
    """One PLAY: `count` windows of `width_ps`, one every `period_ps`, cut off at `end_ps`."""

    start_ps: int
    period_ps: int
    width_ps: int
    count: int
    first_index: int
    end_ps: int

    def windows(self, start_ps: int, stop_ps: int) -> list[Window]:
        """Return the windows that touch [start, stop), whole."""
        stop_ps = min(stop_ps, self.end_ps)
        first = max(0, (start_ps - self.start_ps - self.width_ps) // self.period_ps)
        out = []
        for k in range(first, self.count):
            begin = self.start_ps + k * self.period_ps
            if begin >= stop_ps:
                break
            end = min(begin + self.width_ps, self.end_ps)
            if end > start_ps:
                out.append(Window(self.first_index + k, begin, end))
        return out


@dataclass(slots=True)
class Player:
    """RECord or one GENerator."""

    enabled: bool = True
    period_ps: int = 1_000_000_000_000
    width_ps: int = 1_000_000_000_000
    count: int = 1
    arm_mode: str = "MANUAL"
    trigger_link: str = "NONE"
    trigger_delay_ps: int = 0
    armed_ps: int | None = None
    plays: list[Play] = field(default_factory=list)

    def play(self, now_ps: int) -> None:
        """Arm; without a trigger link this starts at once. Nothing happens while the player is not enabled."""
        if self.enabled:
            self.stop(now_ps)
            self.armed_ps = now_ps
            self._start_if_free()

    def stop(self, now_ps: int) -> None:
        """Disarm and cut off what plays."""
        self.armed_ps = None
        if self.plays:
            self.plays[-1].end_ps = min(self.plays[-1].end_ps, now_ps)

    def advance(self, now_ps: int, events: Callable[[str, int, int], NDArray[np.int64]]) -> None:
        """Look for the trigger event, and arm again in AUTO mode."""
        for _ in range(PLAYS_KEPT):
            if self.armed_ps is not None:
                if self.trigger_link == "NONE":
                    return
                hits = events(self.trigger_link, self.armed_ps, now_ps)
                if not hits.size:
                    self.armed_ps = max(self.armed_ps, now_ps)
                    return
                self._start(int(hits[0]) + self.trigger_delay_ps)
            elif self.arm_mode == "AUTO" and self.enabled and self.plays and self.plays[-1].end_ps <= now_ps:
                self.armed_ps = self.plays[-1].end_ps
                self._start_if_free()
            else:
                return

    def stage(self, now_ps: int) -> str:
        """Return IDLE, ARMED, WAITING or PLAYING."""
        if self.armed_ps is not None:
            return "ARMED"
        if not self.plays or now_ps >= self.plays[-1].end_ps:
            return "IDLE"
        return "WAITING" if now_ps < self.plays[-1].start_ps else "PLAYING"

    def windows(self, start_ps: int, stop_ps: int) -> list[Window]:
        """Return the windows that touch [start, stop), whole, in order."""
        return [window for play in self.plays for window in play.windows(start_ps, stop_ps)]

    def starts(self, start_ps: int, stop_ps: int) -> NDArray[np.int64]:
        """Return when windows began in [start, stop): the player as a source of events."""
        out: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
        for play in self.plays:
            low = max(0, -(-(start_ps - play.start_ps) // play.period_ps))
            high = min(play.count, -(-(min(stop_ps, play.end_ps) - play.start_ps) // play.period_ps))
            out.append(play.start_ps + play.period_ps * np.arange(low, max(low, high), dtype=np.int64))
        return np.concatenate(out)

    def _start_if_free(self) -> None:
        if self.trigger_link == "NONE" and self.armed_ps is not None:
            self._start(self.armed_ps + self.trigger_delay_ps)

    def _start(self, start_ps: int) -> None:
        self.armed_ps = None
        period_ps = max(self.period_ps, self.width_ps, 1)
        count = FOREVER if self.arm_mode == "AUTO" and self.trigger_link == "NONE" else self.count
        end_ps = start_ps + (count - 1) * period_ps + self.width_ps
        index = self.plays[-1].first_index + len(self.plays[-1].windows(0, 1 << 62)) if self._short_last() else 0
        self.plays = [*self.plays[-PLAYS_KEPT:], Play(start_ps, period_ps, self.width_ps, count, index, end_ps)]

    def _short_last(self) -> bool:
        return bool(self.plays) and self.plays[-1].count < 1_000_000
