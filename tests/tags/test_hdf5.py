"""The tag file: what was appended is readable, beside the writer, after a kill, and on a full disk."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlab.cli import main
from qlab.errors import BadRequestError, StorageError, TagFileError
from qlab.tags.files.gapblocks import ROW, decode_rows, encode_rows
from qlab.tags.files.hdf5 import TagWriter
from qlab.tags.files.hdf5_reader import TagReader, iterate_tags, left_open, read_tags
from qlab.tags.stream import Gap, TagBlock

if TYPE_CHECKING:
    from pathlib import Path

LONGEST = 2**32 - 1


def random_block(n: int, start_ps: int = 0, length_ps: int = 10**12, seed: int = 1) -> TagBlock:
    rng = np.random.default_rng(seed)
    t = np.sort(rng.integers(start_ps, start_ps + length_ps, n))
    return TagBlock.from_unsorted(t, rng.integers(0, 8, n), start_ps, start_ps + length_ps)


def same(one: TagBlock, two: TagBlock) -> bool:
    return (
        np.array_equal(one.t, two.t)
        and np.array_equal(one.ch, two.ch)
        and (one.start_ps, one.stop_ps, one.gaps) == (two.start_ps, two.stop_ps, two.gaps)
    )


@settings(max_examples=100)
@given(
    st.lists(st.sampled_from([0, 1, 5, LONGEST - 1, LONGEST, LONGEST + 1, 3 * LONGEST, 5000 * LONGEST]), max_size=12),
    st.integers(-(2**50), 2**50),
)
def test_rows_give_back_any_gaps(gaps: list[int], first: int) -> None:
    t = first + np.concatenate([[0], np.cumsum(np.array(gaps, dtype=np.int64))])
    block = TagBlock(t, (np.arange(t.size) % 7).astype(np.uint8), first, int(t[-1]) + 1)
    times, channels = [], []
    for row in encode_rows(block):
        assert 0 < row.gap.size <= ROW
        gap = np.zeros((1, ROW), np.uint32)
        channel = np.zeros((1, ROW), np.uint8)
        gap[0, : row.gap.size], channel[0, : row.gap.size] = row.gap, row.channel
        found = decode_rows(np.array([row.t0_ps]), gap, channel, np.array([row.gap.size], np.uint32))
        times.append(found[0])
        channels.append(found[1])
    np.testing.assert_array_equal(np.concatenate(times), block.t)
    np.testing.assert_array_equal(np.concatenate(channels), block.ch)


def test_acquisitions_come_back_with_live_time_gaps_and_metadata(tmp_path: Path) -> None:
    path = tmp_path / "tags.h5"
    first = random_block(150_000)
    blind = Gap(2_000_000_000_100, 2_000_000_000_900, 17)
    moved = random_block(70_000, seed=2).moved(2 * 10**12)
    second = TagBlock(moved.t, moved.ch, moved.start_ps, moved.stop_ps, (blind,))
    empty = TagBlock(np.empty(0, np.int64), np.empty(0, np.uint8), 4 * 10**12, 5 * 10**12)
    with TagWriter(path, resolution_ps=13, metadata={"channels": ["H", "V"]}) as writer:
        rows = [writer.append(block) for block in (first, second, empty)]
        assert writer.rows_written == 6
    assert rows == [(0, 3), (3, 5), (5, 6)]  # 150,000 tags fill 2.3 rows; every acquisition starts a new one
    for block, (start, stop) in zip((first, second, empty), rows, strict=True):
        assert same(read_tags(path, start, stop), block)
    whole = read_tags(path)
    assert whole.n == 220_000
    assert whole.gaps == (Gap(10**12, 2 * 10**12), blind, Gap(3 * 10**12, 4 * 10**12))
    assert whole.live_s == pytest.approx(3.0 - 800e-12)
    with TagReader(path) as reader:
        assert reader.resolution_ps == 13
        assert reader.metadata == {"channels": ["H", "V"]}
        assert reader.acquisitions()[1] == (2 * 10**12, 3 * 10**12, 3, 5, 17)


def test_pieces_of_a_file_join_without_a_seam(tmp_path: Path) -> None:
    path = tmp_path / "tags.h5"
    block = random_block(200_000)
    with TagWriter(path) as writer:
        writer.append(block)
    pieces = list(iterate_tags(path, rows=1))
    assert [p.n for p in pieces] == [ROW, ROW, ROW, 200_000 - 3 * ROW]
    assert [p.start_ps for p in pieces[1:]] == [p.stop_ps for p in pieces[:-1]]
    assert (pieces[0].start_ps, pieces[-1].stop_ps) == (block.start_ps, block.stop_ps)
    np.testing.assert_array_equal(np.concatenate([p.t for p in pieces]), block.t)


def test_layout_is_the_one_that_stream_documents_describe(tmp_path: Path) -> None:
    path = tmp_path / "tags.h5"
    with TagWriter(path) as writer:
        writer.append(random_block(ROW + 1))
    with h5py.File(path) as file:
        assert (file["gap"].dtype, file["gap"].shape, file["gap"].chunks) == (np.uint32, (2, ROW), (1, ROW))
        assert (file["channel"].dtype, file["channel"].chunks) == (np.uint8, (1, ROW))
        assert file["gap"].compression is None
        assert (file["block_t0"].dtype, file["valid"].dtype) == (np.int64, np.uint32)
        assert file["valid"][:].tolist() == [ROW, 1]


def test_reader_in_the_same_process_follows_a_live_writer(tmp_path: Path) -> None:
    path = tmp_path / "tags.h5"
    with TagWriter(path) as writer:
        writer.append(random_block(10))
        with TagReader(path) as reader:
            assert reader.rows == 1
            writer.append(random_block(10).moved(10**12))
            assert reader.refresh() == 2
            assert reader.read(1, 2).n == 10


def test_reader_in_another_process_follows_a_live_writer(tmp_path: Path) -> None:
    path = tmp_path / "tags.h5"
    script = (
        "import sys; from qlab.tags.files.hdf5_reader import TagReader\n"
        "with TagReader(sys.argv[1]) as reader:\n"
        "    print(reader.rows, flush=True); sys.stdin.readline()\n"
        "    print(reader.refresh(), reader.read().n, flush=True)\n"
    )
    with TagWriter(path) as writer:
        writer.append(random_block(100))
        with subprocess.Popen(
            [sys.executable, "-c", script, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "1\n"
            writer.append(random_block(100).moved(10**12))
            output, _ = child.communicate("go\n")
        assert output == "2 200\n"


WRITE_UNTIL_IT_ENDS = """
import json, os, resource, signal, sys
import numpy as np
from qlab.errors import StorageError
from qlab.tags.files.hdf5 import TagWriter
from qlab.tags.stream import TagBlock
path, how = sys.argv[1:]
if how == "full disk":
    resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000))
writer = TagWriter(path)
for k in range(12):
    t = np.arange(65536, dtype=np.int64) + k * 10**9
    if how == "kill" and k == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    try:
        writer.append(TagBlock(t, np.full(65536, k, np.uint8), k * 10**9, (k + 1) * 10**9))
    except StorageError as error:
        print(json.dumps([k, str(error)]))
        break
try:
    writer.append(TagBlock(t, np.zeros(65536, np.uint8), 10**12, 2 * 10**12))
except StorageError as error:
    print(json.dumps(str(error)))
writer.close()
"""


def test_killed_writer_leaves_what_it_had_appended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "tags.h5"
    done = subprocess.run([sys.executable, "-c", WRITE_UNTIL_IT_ENDS, path, "kill"], check=False)
    assert done.returncode == -signal.SIGKILL
    block = read_tags(path)
    assert block.counts(6).tolist() == [ROW] * 5 + [0]
    assert (block.start_ps, block.stop_ps) == (0, 5 * 10**9)
    assert main(["tags", "info", str(path)]) == 1
    shown = capsys.readouterr()
    assert f"{5 * ROW} tags" in shown.out
    assert "INCOMPLETE" in shown.out
    assert "its writer was killed before it closed the file; what it wrote is sound: 5 rows" in shown.err


KILL_ONE_AFTER_ANOTHER = """
import os, signal, sys, time
import numpy as np
from pathlib import Path
from qlab.tags.files.hdf5 import TagWriter
from qlab.tags.stream import TagBlock
for k in range(int(sys.argv[2])):
    read, write = os.pipe()
    child = os.fork()
    if not child:
        rng = np.random.default_rng(k)
        writer = TagWriter(Path(sys.argv[1]) / f"{k}.h5")
        for n in range(100_000):
            t = np.sort(rng.integers(n * 10**9, (n + 1) * 10**9, 70_000))
            writer.append(TagBlock(t, (t % 5).astype(np.uint8), n * 10**9, (n + 1) * 10**9))
            os.write(write, b".")
    os.close(write)
    os.read(read, 1)
    time.sleep(0.0011 * k)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    said = 1
    while data := os.read(read, 65536):
        said += len(data)
    os.close(read)
    print(said, flush=True)
"""


def test_a_kill_at_any_moment_loses_at_most_the_block_being_written(tmp_path: Path) -> None:
    """Eleven writers, each killed at another moment of its loop: all that `append` had returned for is read, bit for bit."""
    done = subprocess.run(
        [sys.executable, "-c", KILL_ONE_AFTER_ANOTHER, tmp_path, "11"], check=True, capture_output=True, text=True
    )
    said = [int(line) for line in done.stdout.split()]
    assert len(said) == 11
    for k, appended in enumerate(said):
        path = tmp_path / f"{k}.h5"
        with TagReader(path) as reader:
            acquisitions, rows = reader.acquisitions(), reader.rows
            whole = reader.read(0, acquisitions[-1][3])
        assert appended <= len(acquisitions) <= appended + 1
        assert 2 * len(acquisitions) <= rows <= 2 * len(acquisitions) + 2
        rng = np.random.default_rng(k)
        t = [np.sort(rng.integers(n * 10**9, (n + 1) * 10**9, 70_000)) for n in range(len(acquisitions))]
        np.testing.assert_array_equal(whole.t, np.concatenate(t))
        np.testing.assert_array_equal(whole.ch, whole.t % 5)
        end = "of an acquisition without an end" if rows > 2 * len(acquisitions) else f"{rows} rows"
        assert left_open(path).endswith(end)


def test_a_file_that_is_being_written_or_was_closed_is_no_dead_one(tmp_path: Path) -> None:
    path = tmp_path / "tags.h5"
    with TagWriter(path) as writer:
        writer.append(random_block(10))
        assert left_open(path) == ""
    assert left_open(path) == ""


def test_a_flipped_bit_in_a_row_is_found_and_the_rows_before_it_come_out(tmp_path: Path) -> None:
    path = tmp_path / "tags.h5"
    block = random_block(3 * ROW)
    with TagWriter(path) as writer:
        writer.append(block)
    sound = path.read_bytes()
    rng = np.random.default_rng(4)
    with h5py.File(path) as file:
        places = [
            (file[name].id.get_chunk_info_by_coord((row, 0)).byte_offset, row, width)
            for name, width in (("gap", 4 * ROW), ("channel", ROW))
            for row in range(3)
        ]
    for begin, row, width in places:
        damaged = bytearray(sound)
        damaged[begin + int(rng.integers(width))] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        got: list[TagBlock] = []
        with pytest.raises(TagFileError, match=f"row {row} has a wrong checksum; the {row} rows before are sound"):
            got.extend(iterate_tags(path))
        times = np.concatenate([np.empty(0, np.int64), *(one.t for one in got)])
        np.testing.assert_array_equal(times, block.t[: row * ROW])


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are of Unix")
def test_full_disk_is_an_error_and_what_was_written_stays_readable(tmp_path: Path) -> None:
    path = tmp_path / "tags.h5"
    done = subprocess.run(
        [sys.executable, "-c", WRITE_UNTIL_IT_ENDS, path, "full disk"], check=True, capture_output=True, text=True
    )
    (failed_at, message), again = (json.loads(line) for line in done.stdout.splitlines())
    assert failed_at >= 5  # 3 MB hold 9 rows of 5 * 65536 bytes, less what is kept in reserve for the tables
    assert f"cannot write tag file {path}: File too large" in message
    assert f"its first {failed_at} rows are sound" in message
    assert "closed or has failed before" in again
    assert done.stderr == ""  # the HDF5 library never met the full disk
    assert read_tags(path).counts(12).tolist() == [ROW] * failed_at + [0] * (12 - failed_at)
    assert path.stat().st_size <= 3_000_000


def test_rows_of_an_unfinished_acquisition_are_readable(tmp_path: Path) -> None:
    path = tmp_path / "tags.h5"
    block = random_block(2 * ROW)
    writer = TagWriter(path)
    for row in encode_rows(block):
        writer._write_row(row)  # as if killed before the acquisition's entry
    writer.close()
    found = read_tags(path)
    np.testing.assert_array_equal(found.t, block.t)
    assert (found.start_ps, found.stop_ps) == (int(block.t[0]), int(block.t[-1]) + 1)


def test_reserved_space_is_given_back(tmp_path: Path) -> None:
    path = tmp_path / "tags.h5"
    with TagWriter(path) as writer:
        writer.append(random_block(1000))
        assert path.stat().st_size > 4 << 20
    assert path.stat().st_size < 2 << 20
    assert read_tags(path).n == 1000


def test_writer_refuses_what_it_cannot_store(tmp_path: Path) -> None:
    path = tmp_path / "tags.h5"
    with TagWriter(path) as writer:
        with pytest.raises(BadRequestError, match="channel 255"):
            writer.append(TagBlock(np.array([1]), np.array([255]), 0, 2))
        with pytest.raises(BadRequestError, match="tag 2 lies 4 ps before"):
            writer.append(TagBlock(np.array([1, 7, 3]), np.array([0, 0, 0]), 0, 9))
        assert writer.append(random_block(3)) == (0, 1)
    with pytest.raises(StorageError, match="cannot create"):
        TagWriter(path)
    with pytest.raises(StorageError, match="closed"):
        writer.append(random_block(3))
    with pytest.raises(BadRequestError, match="JSON"):
        TagWriter(tmp_path / "other.h5", metadata={"x": object()})


def test_reader_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(TagFileError, match="cannot be opened"):
        read_tags(tmp_path / "none.h5")
    foreign = tmp_path / "foreign.h5"
    with h5py.File(foreign, "w") as file:
        file["x"] = 1
    with pytest.raises(TagFileError, match="not of qlab's tags"):
        read_tags(foreign)
    path = tmp_path / "tags.h5"
    with TagWriter(path) as writer:
        writer.append(random_block(10).moved(10**12))
        writer.append(random_block(10))
    with pytest.raises(TagFileError, match="not in order of time"):
        read_tags(path)
    assert read_tags(path, 1, 2).n == 10
    with pytest.raises(BadRequestError, match="rows 0 to 2"):
        read_tags(path, 0, 3)
    with h5py.File(path, "r+") as file:
        file["valid"][1] = ROW + 1
    with pytest.raises(TagFileError, match="row 1 has a wrong checksum; the 1 rows before are sound"):
        read_tags(path, 1, 2)
