"""Many recordings, counted serially, on threads and on a cluster: always the same counts, bit for bit."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import reduce
from operator import add
from typing import TYPE_CHECKING

import numpy as np
import pytest

from qlab.cli import main
from qlab.errors import BadRequestError, LinkClosedError
from qlab.tags.accumulators.storage import from_bytes
from qlab.tags.counting import feed_file
from qlab.tags.files.flat import FlatWriter
from qlab.tags.files.hdf5 import TagWriter
from qlab.tags.many import Recipe, count_many, count_part, parts_of, recordings_in
from qlab.tags.spread import on_cluster, on_threads
from qlab.tags.stream import Gap, TagBlock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RECIPE = Recipe(channels=(0, 1, 2), pairs=((0, 1), (1, 2)), delays_ps=((1, 350),))


def acquisition(n: int, seed: int, start_ps: int) -> TagBlock:
    rng = np.random.default_rng(seed)
    first = np.sort(rng.integers(start_ps, start_ps + 10**9, n))
    t, ch = np.concatenate([first, first + 350, rng.integers(start_ps, start_ps + 10**9, n)]), np.repeat([0, 1, 2], n)
    gap = Gap(start_ps + 3 * 10**8, start_ps + 6 * 10**8, 9)
    return TagBlock.from_unsorted(t, ch, start_ps, start_ps + 2 * 10**9, [gap])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of ours, one of them cut at a row with a flipped bit, a flat one and a file that is none."""
    root = tmp_path_factory.mktemp("runs")
    (root / "old").mkdir()
    with TagWriter(root / "a.h5") as writer:
        for k, n in enumerate((50_000, 100, 200, 30_000)):
            writer.append(acquisition(n, k, k * 3 * 10**9))
    with TagWriter(root / "b.h5") as writer:
        writer.append(acquisition(60_000, 8, 0))
    damaged = bytearray((root / "b.h5").read_bytes())
    import h5py

    with h5py.File(root / "b.h5") as file:
        damaged[file["gap"].id.get_chunk_info_by_coord((2, 0)).byte_offset + 999] ^= 4
    (root / "b.h5").write_bytes(damaged)
    with FlatWriter(root / "old" / "c.qtags") as flat:
        flat.append(acquisition(2000, 9, 0))
    (root / "notes.md").write_text("1 2\n")
    return root


@pytest.fixture(scope="module")
def serial(folder: Path) -> str:
    """What reading one file after another gives, without parts."""
    results = []
    for path in recordings_in(folder):
        accumulators = RECIPE.accumulators()
        feed_file(path, accumulators)
        results.append([accumulator.result() for accumulator in accumulators])
    coincidences, histogram = (reduce(add, each) for each in zip(*results, strict=True))
    return json.dumps(
        [
            coincidences.counts.tolist(),
            histogram.counts.tolist(),
            coincidences.exposure.singles.tolist(),
            [coincidences.exposure.live_ps, coincidences.exposure.gaps, coincidences.exposure.missed],
        ]
    )


def told(text: str) -> str:
    about = json.loads(text)
    lists = [about["coincidences"], [pair["counts"] for pair in about["pairs"]], about["singles"]]
    return json.dumps([*lists, [about["live_ps"], about["gaps"], about["missed"]]])


def test_parts_cut_anywhere_and_counted_on_threads_give_the_serial_counts(folder: Path, serial: str) -> None:
    pytest.importorskip("dask")
    paths = recordings_in(folder)
    assert [path.name for path in paths] == ["a.h5", "b.h5", "c.qtags"]
    whole = count_many(paths, RECIPE)
    assert told(whole.to_json()) == serial
    assert "row 2 has a wrong checksum; the 2 rows before are sound" in whole.faults[str(paths[1])]
    calls: list[tuple[int, int]] = []
    spread = count_many(paths, RECIPE, on_threads(2, lambda done, total: calls.append((done, total))), rows=16)
    assert spread.to_json() == whole.to_json()
    assert calls[-1] == (3, 3)
    (other,) = (count_many(paths[:1], RECIPE, rows=rows) for rows in (1,))
    assert len(parts_of(paths[0], 1)) == 7  # 3, 1, 1 and 2 rows: one acquisition after another, cut into rows
    assert other.coincidences.counts.tolist() == count_many(paths[:1], RECIPE).coincidences.counts.tolist()
    assert whole.coincidences.between([0], [1]).tolist()[0][0] > 100_000  # the pairs that were made


def test_a_part_is_what_its_rows_hold(folder: Path) -> None:
    parts = parts_of(folder / "a.h5", 2)
    counted = [count_part(RECIPE, part) for part in parts]
    assert [part.rows for part in parts] == [(0, 2), (2, 4), (4, 5), (5, 7)]
    singles = [from_bytes(each.states[0]).result().exposure.singles.sum() for each in counted]
    assert singles == [131_072, 150_000 - 131_072 + 300, 600, 90_000]


def test_the_command_counts_a_folder(folder: Path, serial: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["tags", "analyse", str(folder), "--pairs", "0-1,1-2", "--delays", "1=350", "--jobs", "1"]
    assert main([*words, "--json"]) == 1  # one recording is damaged
    shown = capsys.readouterr()
    assert told(shown.out) == serial
    assert "wrong checksum" in shown.err
    assert main(words) == 1
    table = capsys.readouterr().out.splitlines()
    assert table[0].startswith("3 recordings, ")
    assert table[2].split()[:2] == ["0", "1"]
    assert table[-1].startswith("INCOMPLETE: ")
    assert main([*words, "--scheduler", "tcp://127.0.0.1:1"]) == 2
    assert main(["tags", "analyse", str(folder / "none")]) == 2
    (folder / "empty").mkdir(exist_ok=True)
    assert main(["tags", "analyse", str(folder / "empty")]) == 2
    assert main([*words[:3], "--jobs", "0"]) == 2
    with pytest.raises(BadRequestError, match=r"no tags, nothing to histogram"):
        count_many([folder / "notes.md"], Recipe())


CLUSTER = """
import sys
from distributed import LocalCluster
with LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None, host="127.0.0.1",
                  protocol="tcp://", scheduler_port=0) as cluster:
    print(cluster.scheduler_address, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def scheduler() -> Iterator[str]:
    """Give the address of a scheduler with two workers, in a process of its own on a loopback port."""
    pytest.importorskip("distributed")
    with subprocess.Popen(
        [sys.executable, "-c", CLUSTER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.communicate("", timeout=60)


def test_a_cluster_gives_the_serial_counts(folder: Path, serial: str, scheduler: str) -> None:
    found = count_many(recordings_in(folder), RECIPE, on_cluster(scheduler), rows=16)
    assert told(found.to_json()) == serial
    assert found.to_json() == count_many(recordings_in(folder), RECIPE).to_json()


def test_a_scheduler_that_does_not_answer_is_named() -> None:
    pytest.importorskip("distributed")
    with pytest.raises(LinkClosedError, match=r"the Dask scheduler at tcp://127\.0\.0\.1:9 does not answer"):
        on_cluster("tcp://127.0.0.1:9")(str, [(1,)])
    with pytest.raises(LinkClosedError, match=r"nowhere does not answer.*expected an address such as tcp://host:8786"):
        on_cluster("nowhere")(str, [(1,)])
