"""Files beyond 4 GiB: what a 32-bit offset or count would lose."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import sys
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np
import pytest

from qlab.tags.files.flat import _HEADER, _SEAL, _SIZE, _TAGS, FLAT_MAGIC, FlatWriter, _block
from qlab.tags.files.gapblocks import ROW, encode_rows
from qlab.tags.files.hdf5 import TagWriter
from qlab.tags.files.ptu import _Ptu
from qlab.tags.files.qutag import QUTAG
from qlab.tags.files.sfifteen import _WORD
from qlab.tags.files.streaming import read_records
from qlab.tags.files.swabian import SWABIAN
from qlab.tags.stream import TagBlock

from .test_damaged_files import ptu_bytes
from .test_ptu import hydra

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BORDER = 1 << 32
BEHIND = 5 << 30
ROWS = BORDER // (5 * ROW) + 150
PERIOD_PS = 1_000_000
LAG_PS = 700
SPAN_PS = ROW // 2 * PERIOD_PS
MOST_KIB = 600_000

CHILD = """
import resource, sys
from qlab.cli import main
code = main(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.parametrize("dtype", [QUTAG, SWABIAN, _WORD], ids=["qutag", "swabian", "words of 64 bits"])
def test_records_behind_five_gigabytes_are_read(tmp_path: Path, dtype: np.dtype[np.void]) -> None:
    """A sparse file: nothing of it is on the disk but its end."""
    path = tmp_path / "x"
    content = np.arange(3 * dtype.itemsize, dtype=np.uint8).tobytes()
    with path.open("wb") as file:
        file.seek(BEHIND)
        file.write(content)
    assert b"".join(records.tobytes() for records in read_records(path, dtype, BEHIND)) == content


def test_records_of_picoquant_behind_five_gigabytes_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.ptu"
    path.write_bytes(ptu_bytes([hydra(5, 0)]))
    with path.open("r+b") as file:
        file.seek(BEHIND)
        file.write(struct.pack("<2I", hydra(7, 1), hydra(9, 2)))
    ptu = _Ptu(path)
    assert ptu.found > BEHIND // 4 - 200
    ptu._offset, ptu.promised, ptu.found = BEHIND, 2, 2
    assert [(found.t.tolist(), found.ch.tolist()) for found in ptu.decoded(16)] == [([7, 9], [2, 3])]


def test_a_flat_block_behind_five_gigabytes_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.qtags"
    with FlatWriter(path, {"who": "us"}):
        pass
    content = path.read_bytes()
    with path.open("r+b") as file:
        file.seek(BEHIND)
        file.write(content)
        size = file.tell()
        file.seek(BEHIND)
        found = _block(file, file.read(_SIZE), size)
    assert not isinstance(found, str)
    assert json.loads(found[-1]) == {"who": "us"}


def unit() -> TagBlock:
    """Return a row of tags: channel 1 clicks `LAG_PS` after channel 0."""
    first = np.arange(ROW // 2) * PERIOD_PS
    t = np.stack([first, first + LAG_PS], axis=1).ravel()
    return TagBlock(t, np.tile(np.array([0, 1], np.uint8), ROW // 2), 0, SPAN_PS)


def write_flat(path: Path) -> None:
    """Write rows as the writer does, but for the content, which is always the same, and its checksum."""
    with FlatWriter(path):
        pass
    row = next(encode_rows(unit()))
    content = row.gap.astype("<u4").tobytes() + row.channel.tobytes()
    check = crc32(content)
    with path.open("ab") as file:
        for k in range(ROWS):
            start = k * SPAN_PS
            header = _HEADER.pack(FLAT_MAGIC, _TAGS, ROW, start, start, start + SPAN_PS, 1, check)
            file.write(header + _SEAL.pack(crc32(header)) + content)
    with FlatWriter(path) as writer:
        writer.append(last())


def write_live(path: Path) -> None:
    with TagWriter(path) as writer:
        for k in range(ROWS):
            writer.append(unit().moved(k * SPAN_PS))
        writer.append(last())


def last() -> TagBlock:
    """Return what comes behind the border: seven tags of a channel of their own."""
    return TagBlock(np.arange(7), np.full(7, 5), 0, 1000).moved(ROWS * SPAN_PS)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("write", [write_flat, write_live], ids=["flat", "live"])
def test_a_file_of_more_than_four_gigabytes_is_counted_to_its_end_in_constant_memory(
    write: Callable[[Path], None], tmp_path: Path
) -> None:
    if shutil.disk_usage(tmp_path).free < 3 * BORDER:
        pytest.skip("needs 12 GB on the disk")
    path = tmp_path / "big"
    try:
        write(path)
        assert path.stat().st_size > BORDER + 10 * ROW
        found, kib = run("info", str(path), "--json")
        info = json.loads(found)
        assert info["fault"] == ""
        assert info["n"] == ROWS * ROW + 7
        counts = {channel["channel"]: channel["count"] for channel in info["channels"]}
        assert counts == {0: ROWS * ROW // 2, 1: ROWS * ROW // 2, 5: 7}
        assert kib < MOST_KIB
        out = tmp_path / "h.npz"
        _, kib = run("histogram", str(path), "--pairs", "0-1,5-5", "--range-ns", "1", "--out", str(out))
        with np.load(out) as lags:
            pairs = lags["counts"].sum(axis=1).tolist()
        assert pairs == [ROWS * ROW // 2, 7 * 6 // 2]  # of a channel with itself, each pair once
        assert kib < MOST_KIB
    finally:
        path.unlink(missing_ok=True)


def run(*arguments: str) -> tuple[str, int]:
    """Run `qlab tags` in a process of its own; return what it printed, and the most memory it had, in KiB."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, "tags", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, int(done.stderr.split()[-1])
