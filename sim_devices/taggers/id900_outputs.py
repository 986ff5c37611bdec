"""Command table of the ID900's histograms and raw tag outputs.  Written from protocol sheet 10."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sim_devices.taggers.id900_grammar import Node, choice, number, switch, time_ps
from sim_devices.taggers.id900_inputs import on_off

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.clock import Clock
    from sim_devices.taggers.id900_blocks import RawBlock
    from sim_devices.taggers.id900_players import Window
    from sim_devices.taggers.id900_signals import Signals

__all__ = ["Histogram", "histogram_rows", "raw_rows"]

MOST_BINS = 16384
FLUSHED_REPLY = "Flushed Histogram!"  # [V2]
FILTERS = ("RISI", "FALL", "ALL")
SCALE = "1"  # [INF] time stamps count single TB


class Histogram:
    """A start-stop histogram."""

    def __init__(self, now_ps: int) -> None:
        self.ref, self.stop, self.enable, self.filter = "STAR", "INPU1", "REC", "RISI"
        self.min_ps, self.width_ps, self.bins = 0, 100, 1000
        self.since_ps = now_ps

    def count(self, signals: Signals, windows: list[Window], now_ps: int) -> list[int]:
        """Return the bins; where both ends have the same link it is an autocorrelation."""
        counts = np.zeros(self.bins, np.int64)
        span = self.width_ps * self.bins
        for window in windows:
            stop = min(window.stop_ps, now_ps)
            ref = signals.events(self.ref, window.start_ps, stop)
            hits = signals.events(self.stop, window.start_ps, stop)
            first = np.searchsorted(hits, ref + self.min_ps)
            many = np.searchsorted(hits, ref + self.min_ps + span) - first
            index = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many) + np.repeat(first, many)
            difference = hits[index] - np.repeat(ref, many) - self.min_ps
            if self.ref == self.stop:
                difference = difference[difference + self.min_ps != 0]
            counts += np.bincount(difference // self.width_ps, minlength=self.bins)[: self.bins]
        bins: list[int] = counts.tolist()
        return bins


def histogram_rows(signals: Signals, histograms: dict[int, Histogram], clock: Clock) -> list[Node]:
    """Return the rows of the histograms."""
    numbers = range(1, 5)

    def row(pattern: str, attribute: str, read: Callable[[str], object]) -> Node:
        unit = "TB" if attribute.endswith("_ps") else ""

        def show(n: int) -> str:
            return f"{getattr(histograms[n], attribute)}{unit}"

        def store(n: int, text: str) -> str:
            setattr(histograms[n], attribute, read(text))
            return show(n)

        return Node(pattern, show, store, numbers)

    def width(text: str) -> int:
        """Read a bin width: 100 ps or more in LOWRES, the bin of HIRES there."""
        return time_ps(text, signals.resolution_ps)

    def data(n: int) -> str:
        now, since = clock.now_ps(), histograms[n].since_ps
        bins = histograms[n].count(signals, signals.players["REC"].windows(since, now), now)
        return "[" + ",".join(map(str, bins)) + "]"

    def flush(n: int, _: str) -> str:
        histograms[n].since_ps = clock.now_ps()
        return FLUSHED_REPLY

    def state(n: int) -> str:
        h = histograms[n]
        head = f"HIST{n}:INPORT"
        return (
            f"{head}:STOP:LINK {h.stop};:{head}:REF:LINK {h.ref};:{head}:ENAB:LINK {h.enable};"
            f":HIST{n}:MIN {h.min_ps}TB;BWID {h.width_ps}TB;BCOUNT {h.bins};"
        )

    return [
        row("HISTogram#:[INPOrt:]REF:LINK", "ref", signals.link),
        row("HISTogram#:[INPOrt:]STOP:LINK", "stop", signals.link),
        row("HISTogram#:[INPOrt:]ENABle:LINK", "enable", signals.link),
        row("HISTogram#:FILTer", "filter", lambda text: choice(text, FILTERS)),
        row("HISTogram#:MINimum", "min_ps", time_ps),
        row("HISTogram#:BWIDth", "width_ps", width),
        row("HISTogram#:BCOUnt", "bins", lambda text: round(number(text, 1, MOST_BINS))),
        Node("HISTogram#:DATA", data, None, numbers),
        Node("HISTogram#:FLUSh", None, flush, numbers),
        Node("HISTogram#:STATe", state, None, numbers),
    ]


def raw_rows(signals: Signals, clock: Clock) -> list[Node]:
    """Return the rows of the raw tag outputs."""
    numbers = range(1, 5)

    def block(n: int) -> RawBlock:
        return signals.raws[n]

    def ref(n: int, text: str) -> str:
        block(n).ref = signals.link(text)
        return block(n).ref

    def stop(n: int, text: str) -> str:
        block(n).stop = signals.link(text)
        return block(n).stop

    def send(n: int, text: str) -> str:
        block(n).switch(clock.now_ps(), on=switch(text))
        return on_off(block(n).sending)

    def clear(n: int, _: str) -> str:
        block(n).errors_since_ps = clock.now_ps()
        return "Cleared errors"  # [INF] the words

    return [
        Node("RAW#:[INPOrt:]REF:LINK", lambda n: block(n).ref, ref, numbers),
        Node("RAW#:[INPOrt:]STOP:LINK", lambda n: block(n).stop, stop, numbers),
        Node("RAW#:SEND", lambda n: on_off(block(n).sending), send, numbers),
        Node("RAW#:NUMErator", lambda _: SCALE, None, numbers),
        Node("RAW#:DENOminator", lambda _: SCALE, None, numbers),
        Node("RAW#:ERROrs", lambda n: str(signals.lost_since(block(n).errors_since_ps)), None, numbers),
        Node("RAW#:ERROrs:CLEAr", None, clear, numbers),
    ]
