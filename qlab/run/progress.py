"""What a person sees of a run while it goes on: a live table of its points, and a bar with an estimate of the end."""

from __future__ import annotations

import sys
from time import perf_counter
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from qlab.clock import PS_PER_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.clock import Clock

__all__ = ["Progress"]

BAR = 30
WIDEST = 18


class Progress:
    """A document callback that prints.

    Parameters
    ----------
    clock:
        The lab's clock: documents are stamped by bluesky with the wall's time.
    out:
        Takes the table, one row a point.
    terminal:
        Takes the bar; None where nobody looks.
    now_s:
        Wall time in s, for the estimate.
    """

    def __init__(
        self,
        clock: Clock,
        out: TextIO | None = None,
        terminal: TextIO | None = None,
        now_s: Callable[[], float] = perf_counter,
    ) -> None:
        self._out = out or sys.stdout
        self._terminal = terminal if terminal is not None or not sys.stderr.isatty() else sys.stderr
        self._now_s = now_s
        self._begin_s = 0.0
        self._clock = clock
        self._begin_ps = 0
        self._points = 0
        self._total = 0
        self._estimated_s = 0.0
        self._estimated_points = 0
        self._columns: dict[str, list[str]] = {}

    def __call__(self, name: str, doc: dict[str, Any]) -> None:
        """Take one document."""
        if name == "start":
            self._begin_s, self._begin_ps, self._points = self._now_s(), self._clock.now_ps(), 0
            self._total = int(doc.get("num_points", 0))
            self._estimated_s = float(doc.get("estimated_s", 0.0))
            self._estimated_points = int(doc.get("estimated_points", 0))
            self._columns = {}
            self._print(f"run {doc['uid'][:8]} (scan {doc.get('scan_id', '?')}): {doc.get('plan_name', 'run')}")
        elif name == "descriptor" and doc.get("name") == "primary":
            self._head(doc)
        elif name == "event" and doc["descriptor"] in self._columns:
            self._points += 1
            self._row(doc)
            self._bar()
        elif name == "stop":
            self._clear()
            if doc.get("exit_status") != "success":
                self._print(f"the run ended with {doc.get('exit_status')}: {doc.get('reason') or 'no reason given'}")

    def _head(self, doc: dict[str, Any]) -> None:
        hinted = [field for hints in doc.get("hints", {}).values() for field in hints.get("fields", ())]
        columns = [
            key for key in hinted if doc["data_keys"].get(key, {}).get("dtype") in ("number", "integer", "array")
        ]
        self._columns[doc["uid"]] = columns
        named = [(key, str(doc["data_keys"][key].get("units") or "")) for key in columns]
        if columns:
            titles = [key if key.endswith(f"_{unit}") or not unit else f"{key} ({unit})" for key, unit in named]
            cells = [f"{title:>{WIDEST}s}" for title in titles]
            self._print("  ".join([f"{'point':>5s}", f"{'lab time/s':>11s}", *cells]))

    def _row(self, doc: dict[str, Any]) -> None:
        values = [_text(doc["data"][key]) for key in self._columns[doc["descriptor"]]]
        self._clear()
        seconds = (self._clock.now_ps() - self._begin_ps) / PS_PER_S
        self._print("  ".join([f"{self._points:5d}", f"{seconds:11.3f}", *(f"{value:>{WIDEST}s}" for value in values)]))

    def _bar(self) -> None:
        if self._terminal is None:
            return
        spent_s = self._now_s() - self._begin_s
        text = f"{self._points} points in {_duration(spent_s)}"
        lab_s = (self._clock.now_ps() - self._begin_ps) / PS_PER_S
        if self._estimated_s:  # a dry run told how much lab time it is
            done = min(lab_s / self._estimated_s, 1.0)
            text = f"[{_filled(done)}] {self._points} of about {self._estimated_points} points in {_duration(spent_s)}"
            if done > 0:
                text += f", about {_duration(spent_s * (1.0 - done) / done)} left"
        elif self._total:
            left = max(self._total - self._points, 0)
            bar = _filled(min(self._points / self._total, 1.0))
            text = f"[{bar}] {self._points} of at most {self._total} points in {_duration(spent_s)}"
            text += f", at most {_duration(spent_s / self._points * left)} left"
        self._terminal.write(f"\r{text}")
        self._terminal.flush()

    def _clear(self) -> None:
        if self._terminal is not None:
            self._terminal.write("\r\x1b[K")
            self._terminal.flush()

    def _print(self, text: str) -> None:
        print(text, file=self._out, flush=True)


def _text(value: Any) -> str:
    """Return a number; of an array its sum, as with the counts of a tagger's inputs."""
    array = np.asarray(value)
    if array.ndim:
        return f"sum {array.sum():g}"
    return f"{float(array):.5g}"


def _filled(done: float) -> str:
    filled = round(done * BAR)
    return "#" * filled + "-" * (BAR - filled)


def _duration(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
