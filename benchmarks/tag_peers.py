"""What others have for the operations of `bench_tags.py`, each with a check of its counts against its own definition.

Peers run where they are installed (`make bench-tags` puts them into a folder of their own) and are only called, never copied.
ETA (etabackend 0.9.9) is left out: it pins numpy < 2, and its recipe lost 1 % of the counts in the reference measurements.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from tag_streams import DELAY_PS

from qlab.tags.one_to_one import one_to_one_pairs

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from qlab.tags.stream import TagBlock

    Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Peer:
    """Another program's way: `check` says how its counts stand to ours, and whether they count as correct."""

    name: str
    run: Callable[[], Any]
    check: Callable[[Any], tuple[bool, str]]
    most_tags: float = float("inf")


def split(block: TagBlock, delays_ps: dict[int, int]) -> list[Ints]:
    """Return each channel's times, delays taken off: what most peers want, made beforehand and not timed."""
    return [block.t[block.ch == c] - delays_ps.get(c, 0) for c in range(int(block.ch.max()) + 1)]


def histogram_peers(block: TagBlock, ours: Ints, lo_ps: int, hi_ps: int, bin_ps: int) -> list[Peer]:
    """Histogram of t1 - t0 in [lo, hi)."""
    t0, t1 = split(block, {})
    bins = (hi_ps - lo_ps) // bin_ps

    def exact(counts: Any) -> tuple[bool, str]:
        same = np.array_equal(np.asarray(counts), ours)
        return same, "equal" if same else "NOT equal"

    def searchsorted() -> Ints:
        counts = np.zeros(bins, dtype=np.int64)
        for at in range(0, t0.size, 65536):
            start = t0[at : at + 65536]
            low, high = np.searchsorted(t1, start + lo_ps), np.searchsorted(t1, start + hi_ps)
            many = high - low
            which = np.repeat(np.arange(start.size), many)
            nth = np.arange(which.size) - np.repeat(np.cumsum(many) - many, many)
            lags = t1[low[which] + nth] - start[which]
            counts += np.bincount((lags - lo_ps) // bin_ps, minlength=bins)
        return counts

    peers = [Peer("NumPy searchsorted (the usual recipe)", searchsorted, exact)]
    if find_spec("pytimetag"):
        pytimetag = import_module("pytimetag")
        data = pytimetag.DataBlock.create([t0, t1], 0, block.start_ps, block.stop_ps)
        analyser = pytimetag.HistogramAnalyser(2)
        analyser.turnOn({"Sync": 0, "Signals": [1], "ViewStart": lo_ps, "ViewStop": hi_ps, "BinCount": bins})
        edge = int((np.searchsorted(t1, t0 + hi_ps, "right") - np.searchsorted(t1, t0 + hi_ps, "left")).sum())

        def last_bin(counts: Any) -> tuple[bool, str]:
            mine = ours.copy()
            mine[-1] += edge
            same = np.array_equal(np.asarray(counts), mine)
            return same, f"equal, but for {edge} at the upper edge in its last bin" if same else "NOT equal"

        peers.append(Peer("PyTimeTag", lambda: analyser.dataIncome(data)["Histograms"][0], last_bin))
    if find_spec("tttrlib"):
        peers += _tttrlib(t0, t1, ours, lo_ps, hi_ps, bin_ps)
    if find_spec("pycorrelate"):
        pcorrelate = import_module("pycorrelate").pcorrelate
        edges = np.arange(lo_ps, hi_ps + 1, bin_ps)
        peers.append(Peer("pycorrelate", lambda: np.rint(pcorrelate(t0, t1, edges) * bin_ps), exact, most_tags=1e6))
    return peers


def _tttrlib(t0: Ints, t1: Ints, ours: Ints, lo_ps: int, hi_ps: int, bin_ps: int) -> list[Peer]:
    """Return its two quick methods: lags >= 0 only, times in units of the bin; half of the work, compared by the sum."""
    tttrlib = import_module("tttrlib")
    first = min(int(t0[0]), int(t1[0]))
    times = [((t - first) // bin_ps).astype(np.uint64) for t in (t0, t1)]
    weights = [np.ones(t.size) for t in (t0, t1)]
    expected = int(ours[-lo_ps // bin_ps :].sum())

    def check(counts: Any) -> tuple[bool, str]:
        off = float(np.asarray(counts).sum()) / expected - 1.0
        return abs(off) < 5e-3, f"lags >= 0 only; sum off by {off:+.1e}"

    def run(method: str) -> Any:
        correlator = tttrlib.Correlator(
            macro_times=tuple(times), weights=tuple(weights), method=method, n_bins=hi_ps // bin_ps, n_casc=1
        )
        return np.array(correlator.get_corr())

    return [Peer(f"tttrlib {m}", lambda m=m: run(m), check) for m in ("wahl", "felekyan")]


def coincidence_peers(block: TagBlock, ours: int, half_ps: int) -> list[Peer]:
    """Coincidences of 0 and 1 at the known delay."""
    t0, t1 = split(block, {1: DELAY_PS})

    def exact(count: Any) -> tuple[bool, str]:
        return int(count) == ours, "equal" if int(count) == ours else "NOT equal"

    def searchsorted() -> int:
        return int((np.searchsorted(t1, t0 + half_ps, "right") - np.searchsorted(t1, t0 - half_ps, "left")).sum())

    peers = [Peer("NumPy searchsorted (the usual recipe)", searchsorted, exact)]
    if find_spec("tomtag"):
        tomtag = import_module("tomtag")
        greedy = one_to_one_pairs(t0, t1, half_ps)[0].size

        def one_to_one(count: Any) -> tuple[bool, str]:
            same = int(count) == greedy
            return same, f"equal to {greedy} one-to-one pairs; delays taken off before" if same else "NOT equal"

        peers.append(Peer("tomtag", lambda: tomtag.count_twofolds(t0, t1, t0.size, t1.size, half_ps), one_to_one))
    return peers


def all_pairs_peers(block: TagBlock, ours: Ints, half_ps: int, delays_ps: dict[int, int]) -> list[Peer]:
    """Coincidences of every two of four channels."""
    times = split(block, delays_ps)
    pairs = [(a, b) for a in range(4) for b in range(a)]

    def searchsorted() -> list[int]:
        return [
            int(
                (
                    np.searchsorted(times[b], times[a] + half_ps, "right")
                    - np.searchsorted(times[b], times[a] - half_ps, "left")
                ).sum()
            )
            for a, b in pairs
        ]

    def check(counts: Any) -> tuple[bool, str]:
        same = counts == [int(ours[a, b]) for a, b in pairs]
        return same, "equal; delays taken off before" if same else "NOT equal"

    return [Peer("NumPy searchsorted, six times", searchsorted, check)]


def four_fold_peers(block: TagBlock, span_ps: int, delays_ps: dict[int, int]) -> list[Peer]:
    """Events with a tag on each of four channels."""
    if not find_spec("tomtag"):
        return []
    tomtag = import_module("tomtag")
    times = split(block, delays_ps)
    sizes = [t.size for t in times]

    def check(found: Any) -> tuple[bool, str]:
        events = np.array(found)
        mine = _greedy_four_folds(times, span_ps)
        same = bool((np.ptp(events, axis=0) <= span_ps).all()) and events.shape[1] == mine
        return same, f"equal to {mine} one-to-one events; delays taken off before" if same else "NOT equal"

    return [Peer("tomtag", lambda: tomtag.get_fourfold_tags(*times, *sizes, span_ps), check)]


def _greedy_four_folds(times: list[Ints], span_ps: int) -> int:
    """Count as tomtag says it does: take the four foremost tags, or drop the earliest of them; only near candidates."""
    t = np.concatenate(times)
    ch = np.repeat(np.arange(4), [x.size for x in times])
    order = np.argsort(t, kind="stable")
    t, ch = t[order], ch[order]
    # Tags that have no three others within the span on one side cannot matter, nor can they spoil an event.
    near = np.zeros(t.size, dtype=bool)
    for back in range(4):
        first = np.arange(t.size - 3)[t[3:] - t[:-3] <= span_ps]
        near[first + back] = True
    queues = [t[near & (ch == c)].tolist() for c in range(4)]
    at, events = [0, 0, 0, 0], 0
    while all(at[c] < len(queues[c]) for c in range(4)):
        now = [queues[c][at[c]] for c in range(4)]
        if max(now) - min(now) <= span_ps:
            events += 1
            at = [k + 1 for k in at]
        else:
            at[now.index(min(now))] += 1
    return events


def pytimetag_generation(clock: Callable[[], float], seconds: int = 2) -> float:
    """Return the multiple of real time at which PyTimeTag's simulator makes as many tags: 4 x 100 kcps, 50 ns dead."""
    simulator = import_module("pytimetag.device.Simulator").TimeTagSimulator(
        lambda words: None, 4, seed=1, update_interval_range_s=0.0687, realtime_pacing=False
    )
    for channel in range(4):
        simulator.set_channel(channel, mode="Random", random_count=100_000, dead_time_s=50e-9)
    begin = clock()
    for _ in range(round(seconds / 0.0687)):
        simulator.step()
    return seconds / (clock() - begin)
