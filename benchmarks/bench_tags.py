"""Speed of the tag engine beside its peers, with the bound that memory sets; counts are checked before anything is timed.

    make bench-tags                     # installs the peers that can be had into a folder of their own, then runs this
    python benchmarks/bench_tags.py [--tags 1e6 1e7 1e8] [--rows WORD ...] [--rounds N] [--cpu] [--long]

Contenders take turns; a rate is the median over the rounds, with the quartiles, and a ratio is the median of the ratios
within a round, so that a busy machine disturbs both sides alike.  Ratios are to the fastest peer whose counts are right by
its own definition.  `--cpu` takes processor time instead of the clock on the wall, for machines that are shared.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import resource
import tempfile
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

import bench_generator
import numpy as np
import tag_archives
import tag_peers
from tag_streams import DELAY_PS, RATE_HZ, chunks_of, four_channels, poisson, two_channels

from qlab.tags.accumulators.coincidences import CoincidenceCounter
from qlab.tags.accumulators.folds import FoldCounter
from qlab.tags.accumulators.histogram import DelayHistogram
from qlab.tags.accumulators.protocol import accumulate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from qlab.tags.accumulators.local import LocalAccumulator
    from qlab.tags.stream import TagBlock

ENGINES = ["numpy"] + ["numba"] * (find_spec("numba") is not None)
LO_PS, HI_PS, BIN_PS = -10_000, 10_000, 10
WINDOW_PS = 1000
FOUR_DELAYS = {2: DELAY_PS, 3: DELAY_PS}
BRUTE_TAGS = 4000
SLOW_S = 2.0
PAIRS = [(a, b) for b in range(4) for a in range(b)]


@dataclass
class Contender:
    """One way to do an operation, with what its runs took."""

    name: str
    run: Callable[[], Any]
    note: str = ""
    correct: bool = True
    seconds: list[float] = field(default_factory=list)


def equal(a: object, b: object, what: str) -> None:
    """Stop the benchmark where two counts differ."""
    if not np.array_equal(np.asarray(a), np.asarray(b)):
        msg = f"{what}: counts differ, so speed means nothing"
        raise SystemExit(msg)


def brute_pairs(block: TagBlock, delays_ps: dict[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return lanes of both tags and the difference for every ordered pair of different tags, n by n."""
    t = block.t - np.array([delays_ps.get(c, 0) for c in range(256)])[block.ch]
    i, j = np.nonzero(~np.eye(t.size, dtype=bool))
    return block.ch[i], block.ch[j], t[j] - t[i]


class Table:
    """The table that is printed, line by line."""

    def __init__(self, rounds: int, clock: Callable[[], float]) -> None:
        self.rounds, self.clock = rounds, clock

    def heading(self, title: str) -> None:
        """Print the title of a row and those of the columns."""
        print(f"\n{title}\n{'':42s}{'Mtags/s':>9s}{'quartiles':>16s}{'best':>8s}{'ratio':>8s}{'goal':>8s}  counts")

    def race(self, ours: list[Contender], peers: list[Contender], n: int, goals: dict[str, float]) -> None:
        """Time all in turns and print a line each."""
        everyone = [*ours, *peers]
        for _ in range(self.rounds):
            for one in everyone:
                if one.seconds and one.seconds[0] > SLOW_S:  # once is enough
                    one.seconds.append(one.seconds[0])
                    continue
                gc.collect()
                begin = self.clock()
                one.run()
                one.seconds.append(self.clock() - begin)
        right = [p for p in peers if p.correct]
        fastest = min(right, key=lambda p: median(p.seconds)) if right else None
        for one in everyone:
            ratio, goal = "", ""
            if fastest is not None:
                ratio = f"{median(f / s for f, s in zip(fastest.seconds, one.seconds, strict=True)):.2f}x"
            if one.name in goals:
                goal = f">={goals[one.name]:g}x"
            print(f"  {one.name:40s}{rate_text([n / s / 1e6 for s in one.seconds])}{ratio:>8s}{goal:>8s}  {one.note}")


def rate_text(values: list[float]) -> str:
    low, mid, high = quantiles(values, n=4) if len(values) > 1 else values * 3
    return f"{mid:9.1f}{f'{low:.1f} to {high:.1f}':>16s}{max(values):8.1f}"


def peers_of(table: list[tag_peers.Peer], n: int) -> Iterator[Contender]:
    for peer in table:
        if n <= peer.most_tags:
            correct, note = peer.check(peer.run())
            yield Contender(peer.name, peer.run, note, correct)


def by_engines(
    make: Callable[[str], LocalAccumulator[Any]], blocks: Callable[[], Iterable[TagBlock]]
) -> list[Contender]:
    """Both engines' ways, their counts compared."""
    ways = [Contender(f"qlab {e}", lambda e=e: accumulate(make(e), blocks()).counts, "equal") for e in ENGINES]
    counts = [way.run() for way in ways]
    for other in counts[1:]:
        equal(counts[0], other, "engines")
    return ways


def histogram(n: int, table: Table) -> None:
    def make(engine: str) -> DelayHistogram:
        return DelayHistogram([(0, 1)], LO_PS, HI_PS, BIN_PS, engine=engine)

    block = two_channels(n)
    table.heading(f"2-channel histogram, +-10 ns in bins of 10 ps, {block.n:.1e} tags at {RATE_HZ:.0e}/s")
    part = block.between(block.start_ps, int(block.t[BRUTE_TAGS]))
    a, b, dt = brute_pairs(part, {})
    brute = np.bincount((dt[(a == 0) & (b == 1) & (dt >= LO_PS) & (dt < HI_PS)] - LO_PS) // BIN_PS, minlength=2000)
    for engine in ENGINES:
        equal(accumulate(make(engine), [part]).counts[0], brute, f"histogram by {engine} and by brute force")
    ours = by_engines(make, lambda: [block])
    peers = tag_peers.histogram_peers(block, ours[0].run()[0], LO_PS, HI_PS, BIN_PS)
    table.race(ours, list(peers_of(peers, n)), block.n, {"qlab numpy": 1.3, "qlab numba": 3.0})


def coincidences(n: int, table: Table) -> None:
    def make(engine: str) -> CoincidenceCounter:
        return CoincidenceCounter([0, 1], WINDOW_PS, {1: DELAY_PS}, engine=engine)

    block = two_channels(n)
    table.heading(f"coincidences at a fixed delay, window 1 ns, {block.n:.1e} tags")
    part = block.between(block.start_ps, int(block.t[BRUTE_TAGS]))
    a, b, dt = brute_pairs(part, {1: DELAY_PS})
    brute = int(((a == 0) & (b == 1) & (np.abs(dt) <= WINDOW_PS // 2)).sum())
    for engine in ENGINES:
        equal(accumulate(make(engine), [part]).counts[0, 1], brute, f"coincidences by {engine} and by brute force")
    ours = by_engines(make, lambda: [block])
    peers = tag_peers.coincidence_peers(block, int(ours[0].run()[0, 1]), WINDOW_PS // 2)
    table.race(ours, list(peers_of(peers, n)), block.n, {"qlab numpy": 1.0, "qlab numba": 2.5})


def all_pairs(n: int, table: Table) -> None:
    def make(engine: str) -> CoincidenceCounter:
        return CoincidenceCounter(range(4), WINDOW_PS, FOUR_DELAYS, engine=engine)

    block = four_channels(n)
    table.heading(f"four channels, coincidences of all pairs, window 1 ns, {block.n:.1e} tags")
    part = block.between(block.start_ps, int(block.t[BRUTE_TAGS]))
    a, b, dt = brute_pairs(part, FOUR_DELAYS)
    near = np.abs(dt) <= WINDOW_PS // 2
    brute = [int((near & (a == i) & (b == j)).sum()) for i, j in PAIRS]
    for engine in ENGINES:
        counts = accumulate(make(engine), [part]).counts
        equal([counts[i, j] for i, j in PAIRS], brute, f"all pairs by {engine} and by brute force")
    ours = by_engines(make, lambda: [block])
    peers = tag_peers.all_pairs_peers(block, ours[0].run(), WINDOW_PS // 2, FOUR_DELAYS)
    table.race(ours, list(peers_of(peers, n)), block.n, {"qlab numba": 60.0})


def four_folds(n: int, table: Table) -> None:
    def make(engine: str) -> FoldCounter:
        return FoldCounter([(0, 1, 2, 3)], WINDOW_PS, FOUR_DELAYS, engine=engine)

    block = four_channels(n)
    table.heading(f"four-folds within 0.5 ns, {block.n:.1e} tags")
    part = block.between(block.start_ps, int(block.t[BRUTE_TAGS]))
    brute = brute_folds(part)
    for engine in ENGINES:
        equal(accumulate(make(engine), [part]).counts[0], brute, f"four-folds by {engine} and by brute force")
    ours = by_engines(make, lambda: [block])
    peers = tag_peers.four_fold_peers(block, WINDOW_PS // 2, FOUR_DELAYS)
    table.race(ours, list(peers_of(peers, n)), block.n, {"qlab numpy": 5.0, "qlab numba": 5.0})


def brute_folds(block: TagBlock) -> int:
    """Count four-folds by every choice of four tags, grown channel by channel."""
    of = [(block.t[block.ch == c] - FOUR_DELAYS.get(c, 0))[:, np.newaxis] for c in range(4)]
    events = of[0]
    for t in of[1:]:
        events = np.hstack([np.repeat(events, t.size, axis=0), np.tile(t, (events.shape[0], 1))])
        events = events[np.ptp(events, axis=1) <= WINDOW_PS // 2]
    return events.shape[0]


def streaming(n: int, table: Table, *, long: bool) -> None:
    size = min(10**6, n // 4)
    block = two_channels(n)
    print(
        f"\nstreaming histogram in chunks of {size:.0e}, {block.n:.1e} tags{'':19s}Mtags/s  of the rate in memory  goal"
    )
    for engine in ENGINES:

        def run(cut: int, engine: str = engine) -> tuple[Any, float]:
            pieces = list(chunks_of(block, cut))  # views; cutting is not what is timed
            begin = table.clock()
            counts = accumulate(DelayHistogram([(0, 1)], LO_PS, HI_PS, BIN_PS, engine=engine), pieces).counts
            return counts, table.clock() - begin

        equal(run(block.n)[0], run(size)[0], "streamed and in memory")
        whole, parts = [], []
        for _ in range(table.rounds):
            whole.append(run(block.n)[1])
            parts.append(run(size)[1])
        share = median(w / p for w, p in zip(whole, parts, strict=True))
        print(f"  qlab {engine:60s}{median(block.n / p / 1e6 for p in parts):8.1f}{share:22.0%}  >= 85%")
    memory(two_channels(10**6 if long else 10**4), ENGINES[-1])


def memory(chunk: TagBlock, engine: str) -> None:
    """Feed 1e4 chunks, each the first one moved on, and print what the process grew by."""
    accumulator = DelayHistogram([(0, 1)], LO_PS, HI_PS, BIN_PS, engine=engine)
    span, grown = chunk.stop_ps - chunk.start_ps, [0, 0]
    for k in range(10_000):
        accumulator.feed(chunk.moved(k * span))
        if k in (100, 9_999):
            grown[k > 100] = resident_bytes()
    total = accumulator.result().counts.sum()
    one = accumulate(DelayHistogram([(0, 1)], LO_PS, HI_PS, BIN_PS, engine=engine), [chunk]).counts.sum()
    equal(total, one * 10_000, "1e4 chunks and one of them")
    print(
        f"  memory from chunk 100 to chunk 10,000 of {chunk.n:.0e} tags: {(grown[1] - grown[0]) / 1e6:+.1f} MB at "
        f"{grown[1] / 1e6:.0f} MB; state of {len(accumulator.to_bytes())} bytes (goal: flat)"
    )


def resident_bytes() -> int:
    gc.collect()
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def generation(table: Table) -> None:
    name, (case, _) = next(iter(bench_generator.CASES.items()))
    print(f"\ngeneration: {name}, 2 x 2 detectors{'':18s}x real time       quartiles    best    goal")
    goals = {"numpy": 40.0, "numba": 60.0}
    seen: dict[str, list[float]] = {f"qlab {e}": [] for e in ENGINES}
    if find_spec("pytimetag"):
        seen["PyTimeTag (no pairs, no afterpulses)"] = []
    for _ in range(table.rounds):
        for engine in ENGINES:
            seen[f"qlab {engine}"].append(bench_generator.measure(case, engine, table.clock)[0])
        if find_spec("pytimetag"):
            seen["PyTimeTag (no pairs, no afterpulses)"].append(tag_peers.pytimetag_generation(table.clock))
    for who, values in seen.items():
        goal = goals.get(who.removeprefix("qlab "))
        print(f"  {who:76s}{rate_text(values)}{f'>={goal:g}x' if goal else '':>8s}")


def bandwidth(n: int, table: Table) -> None:
    """Print what reading and copying 9 bytes a tag would allow."""
    t, ch = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.uint8)
    t_out, ch_out = np.empty_like(t), np.empty_like(ch)
    reads, copies = [], []
    for _ in range(max(table.rounds, 5)):
        begin = table.clock()
        np.bitwise_or.reduce(t)
        np.bitwise_or.reduce(ch)
        middle = table.clock()
        np.copyto(t_out, t)
        np.copyto(ch_out, ch)
        reads.append(middle - begin)
        copies.append(table.clock() - middle)
    read, copy = median(reads), median(copies)
    print(
        f"  {n:.0e} tags: {n / read / 1e6:7.0f} Mtags/s reading ({9e-9 * n / read:.1f} GB/s), "
        f"{n / copy / 1e6:7.0f} copying ({18e-9 * n / copy:.1f} GB/s)"
    )


def available_bytes() -> float:
    meminfo = Path("/proc/meminfo")
    if not meminfo.exists():
        return float("inf")
    fields = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
    return int(fields["MemAvailable"].split()[0]) * 1024.0


def about() -> None:
    def installed(name: str) -> str:
        try:
            return f"{name} {version(name)}"
        except PackageNotFoundError:
            return f"{name} not installed"

    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        cpu = next((x.split(":")[1].strip() for x in info.read_text().splitlines() if x.startswith("model name")), cpu)
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    names = ["numpy", "numba", "h5py", "hdf5plugin", "PyTimeTag", "tttrlib", "pycorrelate", "tomtag"]
    print(f"{cpu}, {os.cpu_count()} processors{load}, Python {platform.python_version()}")
    print(", ".join(installed(name) for name in names))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--tags", type=float, nargs="+", help="lengths of the streams (default 1e6 1e7 and, with 12 GB, 1e8)"
    )
    parser.add_argument("--rows", nargs="+", default=[], help="only rows whose name contains one of these words")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cpu", action="store_true", help="processor time instead of wall time")
    parser.add_argument("--long", action="store_true", help="the memory test with chunks of 1e6 tags (minutes)")
    options = parser.parse_args()
    table = Table(options.rounds, process_time if options.cpu else perf_counter)
    sizes = [int(n) for n in options.tags or [1e6, 1e7, *([1e8] if available_bytes() > 12e9 else [])]]
    about()
    print(f"rates by {'processor' if options.cpu else 'wall'} time, medians of {options.rounds} rounds")
    print("bound: 9 bytes a tag through memory once, one thread")
    for n in sizes:
        bandwidth(n, table)
    sized: dict[str, Callable[[int], None]] = {
        "histogram": lambda n: histogram(n, table),
        "coincidences": lambda n: coincidences(n, table),
        "pairs": lambda n: all_pairs(n, table),
        "folds": lambda n: four_folds(n, table),
    }
    fixed: dict[str, Callable[[], object]] = {
        "streaming": lambda: streaming(sizes[-1], table, long=options.long),
        "generation": lambda: generation(table),
        "archive": lambda: [archive(n, table) for n in sizes if n >= 10**7 or n == sizes[-1]],
    }

    def wanted(name: str) -> bool:
        return not options.rows or any(word in name for word in options.rows)

    for name, row in sized.items():
        for n in sizes if wanted(name) else ():
            row(n)
    for name, once in fixed.items():
        if wanted(name):
            once()


def archive(n: int, table: Table) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tag_archives.archive(poisson(n), Path(folder), table.rounds, table.clock)


if __name__ == "__main__":
    main()
