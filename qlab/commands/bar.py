"""A bar on the terminal while a long file is read."""

from __future__ import annotations

import sys
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

__all__ = ["Bar"]


class Bar:
    """A bar on a terminal that shows how much of a file has been read; silent for the first half second, and elsewhere.

    Parameters
    ----------
    out:
        Where it is drawn.
    shown:
        Whether anybody looks; by default whether `out` is a terminal.
    now_s:
        Wall time in s.
    """

    def __init__(
        self, out: TextIO | None = None, *, shown: bool | None = None, now_s: Callable[[], float] = perf_counter
    ) -> None:
        self._out = out or sys.stderr
        self._shown = self._out.isatty() if shown is None else shown
        self._now_s = now_s
        self._begin_s = now_s()
        self._drawn_s = self._begin_s + 0.4
        self._any = False

    def __call__(self, done: int, total: int) -> None:
        """Draw, at most ten times a second."""
        now_s = self._now_s()
        if not self._shown or now_s < self._drawn_s + 0.1 or total <= 0:
            return
        part = min(done / total, 1.0)
        left_s = (now_s - self._begin_s) * (1.0 - part) / part if part > 0 else 0.0
        filled = round(30 * part)
        print(
            f"\r[{'#' * filled}{'.' * (30 - filled)}] {100 * part:3.0f} %, {left_s:.0f} s left ", end="", file=self._out
        )
        self._out.flush()
        self._drawn_s, self._any = now_s, True

    def clear(self) -> None:
        """Take the bar away."""
        if self._any:
            print("\r" + " " * 60, end="\r", file=self._out)
            self._any = False

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()
