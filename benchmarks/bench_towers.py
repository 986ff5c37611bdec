"""Ten towers around one source for a simulated day: how long it takes, and the service level.

python benchmarks/bench_towers.py [--hours H] [--report FOLDER]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from plans.towers import synchronise_towers
from qlab.lab.build import open_lab
from qlab.run.engine import Session
from qlab.run.journal import find_run, read_run
from qlab.run.options import RunOptions
from qlab.run.report import render_report


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--report", type=Path, help="write the run's report here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        begin, cpu = time.perf_counter(), time.process_time()
        with open_lab("towers", data_dir=data) as lab, Session(lab, RunOptions(data_dir=data)) as session:
            d = lab.devices
            towers = [d[f"tower_{k}"] for k in range(1, 11)]
            found = session.run(synchronise_towers(towers, d["switch"], d["pump"], hours=options.hours))
        spent, cpu = time.perf_counter() - begin, time.process_time() - cpu
        print(
            f"{options.hours:g} h, {len(found['exposures'])} exposures: {spent:.0f} s wall, {cpu:.0f} s of a processor"
        )
        print(found["text"])
        print("error found / foreseen, rms:", f"{found['pull_rms']:.2f}")
        for name, kept, at in zip(found["names"], found["tower_kept"], found["tower_at_promised_ps"], strict=True):
            print(f"  {name}: {kept:.2%} below the limit, {found['promised']:.0%} of the time below {at / 1e3:.2f} ns")
        if options.report:
            print(render_report(read_run(find_run(data / "runs", "-1")), options.report))


if __name__ == "__main__":
    main()
