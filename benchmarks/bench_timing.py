"""Errors of the clock search against the truth and against the bound of Cramer and Rao, and whether noise ever locks.

    python benchmarks/bench_timing.py [--seeds N] [--noise N] [--shape small,full] [--case NAME] [--results FILE] [--show]

Every acquisition is one line of the results file, written when it is done: a run that is stopped goes on where it was, and
`--show` only prints what there is.  Lines of another version of the search are left out.  Noise is 100 kcps a side of
unrelated tags, and the same with 0.1 % of pairs, which are too few to be found: a lock on either counts.  `full` searches
the whole default range, `small` +-2 ms at one step of the frequency in 1 s, which takes a fortieth of the time and as often
asks whether chance looks like a lock; both at the default threshold.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import sys
import time
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clock_cases import CASES, Case, cramer_rao

from qlab.timing.acquire import ClockLock, Search, acquire
from tests.timing.pairs import Times, TwoClocks, tags_of_pairs

if TYPE_CHECKING:
    from collections.abc import Callable

Record = dict[str, Any]
GOAL_PS, GOAL_FREQUENCY = 100.0, 1e-10
FULL = Search()
SMALL = Search(max_offset_ps=2 * 10**9, span_s=1.0, frequency_steps=(1e-5,), candidates=4)
SHAPES = {"small": SMALL, "full": FULL}
NOISE_PAIRS = {"none": 0.0, "0.1 %": 0.001}
NOISE_CLOCKS = TwoClocks(10**8, 1e-6)
SOURCES = ("acquire.py", "search.py", "zoom.py", "fit.py", "near.py")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=2, help="acquisitions of each case")
    parser.add_argument("--noise", type=int, default=20, help="acquisitions of each kind of noise")
    parser.add_argument("--shape", default="small", help="how the noise is searched: small, full, or both with a comma")
    parser.add_argument("--case", help="only cases with this text in their name")
    parser.add_argument("--results", type=Path, help="file of lines to go on with; none is kept without")
    parser.add_argument("--show", action="store_true", help="print what the results file has, and measure nothing")
    options = parser.parse_args()
    cases = [case for case in CASES if options.case is None or options.case in case.name]
    kept = Results(options.results, write=not options.show)
    for seed in range(0 if options.show else options.seeds):
        for case in cases:
            key = json.dumps(asdict(case), default=str)
            kept.measure({"case": case.name, "seed": seed}, key, lambda c=case, s=seed: _error(c, s))
    for shape in options.shape.split(","):
        for seed in range(0 if options.show else options.noise):
            for pairs in NOISE_PAIRS:
                kept.measure(
                    {"noise": pairs, "shape": shape, "seed": seed},
                    json.dumps(asdict(SHAPES[shape])),
                    lambda p=pairs, h=shape, s=seed: _noise(NOISE_PAIRS[p], SHAPES[h], s),
                )
    _print_errors(cases, kept)
    _print_noise(kept)


class Results:
    """Lines of JSON, one an acquisition; what a line was measured with is in its `code`.

    Parameters
    ----------
    path:
        File; nothing is kept without one.
    write:
        Whether to add to it.
    """

    def __init__(self, path: Path | None, *, write: bool) -> None:
        self._path = path if write else None
        self.records: list[Record] = []
        if path is not None and path.exists():
            # A line that was cut off when the run was stopped has no end.
            lines = path.read_text().splitlines(keepends=True)
            self.records = [json.loads(line) for line in lines if line.endswith("\n")]
            if self._path is not None and lines and not lines[-1].endswith("\n"):
                self._path.write_text("".join(lines[:-1]))
        self._code = _code()
        self._known = {self._identity(record) for record in self.records}

    def measure(self, what: Record, key: str, run: Callable[[], Record]) -> None:
        """Do it, unless the file has it."""
        record = what | {"code": f"{self._code} {hashlib.sha256(key.encode()).hexdigest()[:8]}"}
        if self._identity(record) in self._known:
            return
        record |= run()
        self.records.append(record)
        self._known.add(self._identity(record))
        if self._path is not None:
            with self._path.open("a") as file:
                file.write(json.dumps(record) + "\n")

    def those(self, **fields: object) -> list[Record]:
        """Return the records of this version of the search with these fields."""
        ours = [r for r in self.records if str(r["code"]).startswith(self._code)]
        return [r for r in ours if all(r.get(key) == value for key, value in fields.items())]

    @staticmethod
    def _identity(record: Record) -> tuple[object, ...]:
        return tuple(record.get(key) for key in ("case", "noise", "shape", "seed", "code"))


def _code() -> str:
    """Return a mark of the sources that decide what is found."""
    here = Path(__file__).resolve().parents[1]
    files = [*(here / "qlab" / "timing" / name for name in SOURCES), here / "tests" / "timing" / "pairs.py"]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


def _timed(a: Times, b: Times, search: Search) -> tuple[Record, object]:
    wall, cpu = time.perf_counter(), time.process_time()
    found = acquire(a, b, search)
    spent = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    # of the process since it began, with imports and the making of the tags
    return spent | {"peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6}, found


def _error(case: Case, seed: int) -> Record:
    a, b = case.tags(1000 + seed, FULL.span_s + 0.45)
    spent, lock = _timed(a, b, FULL)
    if not isinstance(lock, ClockLock):
        return spent | {"locked": False}
    c, at_s = case.clocks, lock.reference_ps * 1e-12
    return spent | {
        "locked": True,
        "offset_ps": lock.offset_ps - float(c.difference_ps(lock.reference_ps)),
        "frequency": lock.frequency - c.frequency - c.drift_per_s * at_s,
        "drift_per_s": lock.drift_per_s - c.drift_per_s,
        "sigmas": [float(s) for s in np.sqrt(np.diag(lock.covariance))],
    }


def _noise(pairs: float, search: Search, seed: int) -> Record:
    duration_s = search.span_s + 2e-12 * search.max_offset_ps + 0.05
    a, b = tags_of_pairs(NOISE_CLOCKS, seed=10_000 + seed, pairs=pairs, duration_s=duration_s)
    spent, found = _timed(a, b, search)
    return spent | {"locked": isinstance(found, ClockLock), "false_lock": getattr(found, "false_lock", 1.0)}


def _print_errors(cases: list[Case], kept: Results) -> None:
    print(f"errors against the truth in mid-span, {FULL.span_s:g} s used; rms and its ratio to the bound; largest")
    print(
        f"{'case':26} locks    cpu s (most)  wall    GB   offset ps (bound) ratio  largest   frequency (bound) ratio "
        "largest   drift ratio  within 2 sigma"
    )
    missed = 0
    for case in cases:
        records = kept.those(case=case.name)
        good = [r for r in records if r["locked"]]
        if not good:
            continue
        missed += len(records) - len(good)
        error = np.array([[r["offset_ps"], r["frequency"], r["drift_per_s"]] for r in good])
        sigma = np.array([r["sigmas"] for r in good])
        rms, most = np.sqrt(np.mean(error**2, axis=0)), np.abs(error).max(axis=0)
        bound = np.array(cramer_rao(case, FULL.span_s))
        over = int(((np.abs(error[:, 0]) > GOAL_PS) | (np.abs(error[:, 1]) > GOAL_FREQUENCY)).sum())
        missed += over
        within = np.mean(np.abs(error / sigma) < 2.0, axis=0)
        print(
            f"{case.name:26} {len(good):3}/{len(records):<4} {median(r['cpu_s'] for r in good):5.2f} "
            f"({max(r['cpu_s'] for r in good):4.1f}) {median(r['wall_s'] for r in good):6.2f} "
            f"{max(r['peak_gb'] for r in good):5.2f}   {rms[0]:6.2f} ({bound[0]:5.2f}) {rms[0] / bound[0]:5.2f} "
            f"{most[0]:8.1f}   {rms[1]:7.1e} ({bound[1]:7.1e}) {rms[1] / bound[1]:5.2f} {most[1]:7.1e}   "
            f"{rms[2] / bound[2]:5.2f}        {within[0]:.0%} {within[1]:.0%} {within[2]:.0%}",
            flush=True,
        )
    print(f"{missed} acquisitions without a lock, or off by more than {GOAL_PS:g} ps or {GOAL_FREQUENCY:g}")


def _print_noise(kept: Results) -> None:
    print(
        f"\nlocks on noise at a threshold of {FULL.false_lock:g}, and the 95 % bound of their probability (rule of three)"
    )
    for shape in SHAPES:
        for pairs in NOISE_PAIRS:
            records = kept.those(noise=pairs, shape=shape)
            if not records:
                continue
            locks, n = sum(r["locked"] for r in records), len(records)
            bound = f"below {3.0 / n:.1e}" if not locks else "has locks"
            print(
                f"{shape:6} pairs {pairs:6} {locks}/{n} locks: {bound}; {median(r['cpu_s'] for r in records):.2f} s, "
                f"least probability by chance seen {min(r['false_lock'] for r in records):.1e}"
            )


if __name__ == "__main__":
    main()
