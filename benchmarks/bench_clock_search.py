"""Relation of two clocks from photon pairs: the search beside fpfind, and the speed of tracking.

    python benchmarks/bench_clock_search.py [--seeds N] [--fpfind PATH] [--only side,tracking] [--case NAME]

Side by side, both programs read the same two files of 12 s of S-Fifteen a1 records in processes of their own: wall time,
processor time and peak memory include start-up and reading.  fpfind's errors are those at the time that it refers to, the
common start; ours those in the middle of the 4 s used.  Errors over many seeds are those of `bench_timing.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clock_cases import CASES, Case

from qlab.timing.acquire import ClockLock, Search, acquire
from qlab.timing.track import ClockTracker
from tests.timing.pairs import Times, TwoClocks, tags_of_pairs


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--fpfind", default=shutil.which("fpfind"), help="its command, run beside ours")
    parser.add_argument("--only", default="side,tracking")
    parser.add_argument("--case", help="only cases with this text in their name")
    options = parser.parse_args()
    cases = [case for case in CASES if options.case is None or options.case in case.name]
    if "side" in options.only:
        side_by_side(cases, options.fpfind)
    if "tracking" in options.only:
        tracking(options.seeds)


def side_by_side(cases: list[Case], fpfind: str | None) -> None:
    if not fpfind:
        print("fpfind is not installed: qlab alone")
    print(f"{'case':26} {'program':44} {'wall s':>7} {'cpu s':>7} {'GB':>5}  error of offset, of frequency")
    for case in cases:
        with tempfile.TemporaryDirectory() as folder:
            a, b = case.tags(0, 12.0)
            files = [_write_a1(Path(folder) / f"{name}.ts", t) for name, t in (("a", a), ("b", b))]
            for name, command in _commands(case, files, fpfind):
                seconds, cpu_s, gigabytes, said = _measure(command)
                found = _read_qlab(said, case, a, b) if name == "qlab" else _read_fpfind(said, case, a, b)
                print(f"{case.name:26} {name:44} {seconds:7.1f} {cpu_s:7.1f} {gigabytes:5.2f}  {found}", flush=True)


def _commands(case: Case, files: list[str], fpfind: str | None) -> list[tuple[str, list[str]]]:
    mine = [sys.executable, "-m", "qlab.cli", "tags", "clocks", *files, "--json"]
    peers = [
        (f"fpfind {o}".strip(), [fpfind, "-pp", *o.split(), "-t", files[0], "-T", files[1]])
        for o in case.peers
        if fpfind
    ]
    return [("qlab", mine), *peers]


def _write_a1(path: Path, t: Times) -> str:
    """Write S-Fifteen a1 records: 1/256 ns in the upper 54 bits; all times are 10 s later, so that none is negative."""
    units = ((t + 10 * 10**12).astype(np.uint64) * np.uint64(32)) // np.uint64(125)
    ((units << np.uint64(10)) | np.uint64(1)).astype("<u8").tofile(path)
    return str(path)


def _measure(command: list[str]) -> tuple[float, float, float, str]:
    """Return wall and processor seconds, peak memory in GB, and what it printed."""
    begin = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as child:
        assert child.stdout is not None  # noqa: S101
        said = child.stdout.read()
        _, _, usage = os.wait4(child.pid, 0)
        child.returncode = 0
    return time.perf_counter() - begin, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e6, said


def _read_qlab(said: str, case: Case, a: Times, b: Times) -> str:
    del a, b
    found = json.loads(said)
    if not found["lock"]:
        return f"no lock: {found['reason']}"
    # In the files all times are 10 s later; b = a + x(a) stays.
    at = found["reference_ps"] - 10 * 10**12
    return _errors(case, found["offset_ps"], found["frequency"], at)


def _read_fpfind(said: str, case: Case, a: Times, b: Times) -> str:
    try:
        frequency, dt_ns = (float(word) for word in said.strip().splitlines()[-1].split()[:2])
    except (IndexError, ValueError):
        return f"fails: {(said.strip().splitlines() or ['no answer'])[-1][:60]}"
    return _errors(case, dt_ns * 1e3, frequency, int(max(a[0], b[0])))


def _errors(case: Case, offset_ps: float, frequency: float, at_ps: int) -> str:
    off = offset_ps - float(case.clocks.difference_ps(at_ps))
    of = frequency - case.clocks.frequency - case.clocks.drift_per_s * at_ps * 1e-12
    verdict = "" if abs(off) < 1e5 and abs(of) < 1e-6 else "  WRONG"
    return f"{off / 1e3:10.3f} ns {of:10.1e}{verdict}"


def tracking(seeds: int) -> None:
    print("\ntracking 30 s, drift 2e-8/s, no pairs from 12 to 14 s")
    print("pairs  times real time (processor), all seeds  rms ps  within 3 sigma  faded of 20  lost")
    clocks = TwoClocks(10**9, 1e-5, 2e-8)
    for pairs in (0.05, 0.02, 0.01):
        speeds, off, pulls, faded, lost = [], [], [], [], 0
        for seed in range(seeds):
            a, b = tags_of_pairs(clocks, seed=seed, pairs=pairs, duration_s=30.0, fade_s=(12.0, 14.0))
            lock = acquire(a, b, Search(max_offset_ps=2 * 10**9))
            assert isinstance(lock, ClockLock)  # noqa: S101
            tracker, points = ClockTracker(lock), []
            begin = time.process_time()
            for second in range(30):
                ends = [second * 10**12, (second + 1) * 10**12]
                mine, other = (t[slice(*np.searchsorted(t, ends))] for t in (a, b))
                points += tracker.feed(mine, other, ends[1])
            speeds.append((points[-1].t_ps - lock.reference_ps) * 1e-12 / (time.process_time() - begin))
            error = np.array([p.offset_ps - float(clocks.difference_ps(p.t_ps)) for p in points])
            good = np.array([p.status == "tracking" for p in points])
            off += list(error[good])
            pulls += list(error / np.array([p.sigma_ps for p in points]))
            faded.append(int((~good).sum()))
            lost += tracker.status == "lost"
        print(
            f"{pairs:4.0%}   {statistics.median(speeds):5.0f} ({min(speeds):.0f}..{max(speeds):.0f})  "
            f"{np.sqrt(np.mean(np.square(off))):8.1f}  {np.mean(np.abs(pulls) < 3.0):8.2%}  "
            f"{statistics.mean(faded):5.1f}  {lost}",
            flush=True,
        )


if __name__ == "__main__":
    main()
