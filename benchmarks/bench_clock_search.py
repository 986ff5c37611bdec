"""Relation of two clocks from photon pairs: the search beside fpfind, if it is installed, and the speed of tracking.

    python benchmarks/bench_clock_search.py [--seeds N] [--fpfind PATH]

The cases are those of a table measured with fpfind 3.3.6: 100 kcps a side, 12 s, jitter 0.35 ns a side.  Errors are those
against the truth; `bound` is the Cramer-Rao bound of the pairs in the 4 s that were used.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from qlab.timing.acquire import ClockLock, Search, acquire
from qlab.timing.track import ClockTracker
from tests.timing.pairs import Times, TwoClocks, tags_of_pairs

JITTER_PS = 350.0
CASES = [
    (0.05, TwoClocks(10**9)),
    (0.05, TwoClocks(10**9, 1e-7)),
    (0.05, TwoClocks(10**9, 1e-5)),
    (0.10, TwoClocks(10**9, 1e-5)),
    (0.02, TwoClocks(10**9, 1e-5)),
    (0.01, TwoClocks(37 * 10**9, 1e-5)),
    (0.01, TwoClocks(-190 * 10**9, -9.5e-5)),
    (0.05, TwoClocks(10**9, 1e-5, 2e-8)),
    (0.02, TwoClocks(10**9, 1e-5, 2e-8)),
]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--fpfind", default=shutil.which("fpfind"), help="its command, run beside ours")
    options = parser.parse_args()
    print("pairs  frequency  drift/s  | median s (spread)  locks  rms ps (bound)  rms frequency (bound)", end="")
    print("  | fpfind" if options.fpfind else "  (fpfind is not installed)")
    for pairs, clocks in CASES:
        seconds, offsets, frequencies, locks = [], [], [], 0
        peer = ""
        for seed in range(options.seeds):
            a, b = tags_of_pairs(clocks, seed=seed, pairs=pairs, duration_s=12.0, jitter_ps=JITTER_PS)
            begin = time.perf_counter()
            lock = acquire(a, b)
            seconds.append(time.perf_counter() - begin)
            if isinstance(lock, ClockLock):
                locks += 1
                offsets.append(lock.offset_ps - float(clocks.difference_ps(lock.reference_ps)))
                frequencies.append(lock.frequency - clocks.frequency - clocks.drift_per_s * lock.reference_ps * 1e-12)
            if options.fpfind and not seed:
                peer = run_fpfind(options.fpfind, a, b)
        n = pairs * 1e5 * Search().span_s
        sigma = JITTER_PS * 2**0.5
        print(
            f"{pairs:5.0%} {clocks.frequency:10.1e} {clocks.drift_per_s:8.1e} | {statistics.median(seconds):8.2f} "
            f"({min(seconds):.2f}..{max(seconds):.2f})  {locks}/{options.seeds}  {rms(offsets):6.1f} "
            f"({sigma * (9 / 4 / n) ** 0.5:.1f})  {rms(frequencies):8.1e} "
            f"({sigma * 1e-12 * (12 / n) ** 0.5 / Search().span_s:.1e})  {peer}"
        )
    tracking()


def rms(values: list[float]) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if values else float("nan")


def tracking() -> None:
    clocks = TwoClocks(10**9, 1e-5, 2e-8)
    for pairs in (0.05, 0.01):
        a, b = tags_of_pairs(clocks, seed=1, pairs=pairs, duration_s=30.0)
        lock = acquire(a, b, Search(max_offset_ps=2 * 10**9))
        assert isinstance(lock, ClockLock)  # noqa: S101
        speeds, errors = [], np.empty(0)
        for _ in range(5):
            tracker, points = ClockTracker(lock), []
            begin = time.perf_counter()
            for second in range(30):
                ends = [second * 10**12, (second + 1) * 10**12]
                mine, other = (t[slice(*np.searchsorted(t, ends))] for t in (a, b))
                points += tracker.feed(mine, other, ends[1])
            speeds.append(30.0 / (time.perf_counter() - begin))
            errors = np.array([p.offset_ps - float(clocks.difference_ps(p.t_ps)) for p in points])
        print(
            f"tracking {pairs:.0%} pairs, drift 2e-8/s: {statistics.median(speeds):.0f} times real time "
            f"({min(speeds):.0f}..{max(speeds):.0f}), rms error {rms(list(errors)):.1f} ps"
        )


def run_fpfind(command: str, a: Times, b: Times) -> str:
    """Run fpfind with its defaults on the same tags, as S-Fifteen a1 records of 1/256 ns."""
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for name, t in (("a", a), ("b", b)):
            units = (np.maximum(t, 0).astype(np.uint64) * np.uint64(256)) // np.uint64(1000)
            paths.append(str(Path(folder) / f"{name}.ts"))
            ((units << np.uint64(10)) | np.uint64(1)).astype("<u8").tofile(paths[-1])
        begin = time.perf_counter()
        found = subprocess.run(
            [command, "-T", paths[0], "-t", paths[1]], capture_output=True, text=True, timeout=600, check=False
        )
        seconds = time.perf_counter() - begin
    answer = (found.stdout.strip() or found.stderr.strip()).splitlines()
    return f"| {seconds:.1f} s: {answer[-1] if answer else 'no answer'}"


if __name__ == "__main__":
    main()
