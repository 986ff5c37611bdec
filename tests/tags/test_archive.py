"""Archives: the tags come back, however they were cut, and take hardly more room than their entropy."""

from __future__ import annotations

from importlib.util import find_spec
from math import e, log2
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest

from qlab.errors import BadRequestError, StorageError, TagFileError
from qlab.tags.convert import convert_tags
from qlab.tags.files import gapblocks
from qlab.tags.files.archive import ArchiveWriter
from qlab.tags.files.hdf5_reader import TagReader, read_tags
from qlab.tags.files.sniff import open_tags
from qlab.tags.stream import Gap, TagBlock
from tests.tags.streams import pieces_of

if TYPE_CHECKING:
    from pathlib import Path

CODECS = ["gzip", pytest.param("blosc2", marks=pytest.mark.skipif(not find_spec("hdf5plugin"), reason="hdf5plugin"))]


def poisson(n: int, mean_ps: int = 500_000) -> TagBlock:
    rng = np.random.default_rng(4)
    t = np.cumsum(rng.geometric(1 / mean_ps, n))
    return TagBlock(t, rng.integers(0, 4, n), 0, int(t[-1]) + 1)


@pytest.mark.parametrize(("codec", "over"), [("gzip", 0.09), *([("blosc2", 0.02)] if find_spec("hdf5plugin") else [])])
def test_an_archive_is_hardly_larger_than_the_entropy(codec: str, over: float, tmp_path: Path) -> None:
    """Gaps of a geometric distribution of mean m have log2(e m) bits to many digits; four channels have two."""
    block = poisson(6 * gapblocks.ROW)
    with ArchiveWriter(tmp_path / "a.h5", codec=codec) as writer:
        writer.append(block)
    floor = (log2(e * 500_000) + 2) / 8
    with TagReader(tmp_path / "a.h5") as reader:
        size = sum(reader._file[name].id.get_storage_size() for name in ("gap", "channel"))
    assert floor < size / block.n < floor * (1 + over)
    np.testing.assert_array_equal(read_tags(tmp_path / "a.h5").t, block.t)


@pytest.mark.parametrize("codec", CODECS)
def test_tags_gaps_and_intervals_come_back(codec: str, tmp_path: Path) -> None:
    t = np.array(
        [5, 5, 100, 2**32 + 99, 2**33 + 7, 2**33 + 8, 2**46]
    )  # ties, bridged silences, and one too long for that
    block = TagBlock(t, np.arange(7), 0, 2**46 + 50, (Gap(200, 300, 7),))
    far = TagBlock(t + 2**47, np.arange(7), 2**47, 2**47 + 2**46 + 9)
    with ArchiveWriter(tmp_path / "a.h5", codec=codec, metadata={"who": "us"}) as writer:
        for piece in [*pieces_of(block, [6, 250, 2**33 + 8]), far]:
            writer.append(piece)
    with TagReader(tmp_path / "a.h5") as reader:
        assert reader.metadata == {"who": "us"}
        assert [a[:2] for a in reader.acquisitions()] == [(0, block.stop_ps), (far.start_ps, far.stop_ps)]
    back = open_tags(tmp_path / "a.h5")
    np.testing.assert_array_equal(back.t, np.concatenate([block.t, far.t]))
    np.testing.assert_array_equal(back.ch, np.concatenate([block.ch, far.ch]))
    assert back.live_ps == block.live_ps + far.live_ps
    assert Gap(200, 300, 7) in back.gaps or sum(gap.missed for gap in back.gaps) >= 7


def test_pieces_of_any_size_give_the_same_archive(tmp_path: Path) -> None:
    block = poisson(40_000)
    for name, at in (("whole", []), ("cut", [10**9, 2 * 10**9, 2 * 10**9 + 1, 15 * 10**9])):
        with ArchiveWriter(tmp_path / f"{name}.h5") as writer:
            for piece in pieces_of(block, at):
                writer.append(piece)
        with TagReader(tmp_path / f"{name}.h5") as reader:
            assert reader.rows == 1
            np.testing.assert_array_equal(reader.read().t, block.t)


def test_many_rows_with_silences_come_back_whole_and_up_to_a_wrong_row(tmp_path: Path) -> None:
    """40 rows are read by two threads; rows with fillers and the last one are not full."""
    block = poisson(40 * gapblocks.ROW - 9, mean_ps=3)
    t = block.t.copy()
    for at in (5, 20 * gapblocks.ROW, 30 * gapblocks.ROW + 7):
        t[at:] += 3 * 2**32
    block = TagBlock(t, block.ch, 0, int(t[-1]) + 1)
    path = tmp_path / "a.h5"
    with ArchiveWriter(path, codec="gzip") as writer:
        for piece in pieces_of(block, [int(t[10**6]), int(t[10**6 + 1])]):
            writer.append(piece)
    back = open_tags(path)
    np.testing.assert_array_equal(back.t, t)
    np.testing.assert_array_equal(back.ch, block.ch)
    assert (back.start_ps, back.stop_ps, back.gaps) == (block.start_ps, block.stop_ps, ())
    with h5py.File(path, "r+") as file:
        file["check"][35] ^= np.uint64(1)
        sound = int(file["valid"][:35].sum()) - sum(
            int((row == gapblocks.FILLER).sum()) for row in file["channel"][:35]
        )
    with pytest.raises(TagFileError, match="row 35 has a wrong checksum; the 35 rows before are sound"):
        open_tags(path)
    np.testing.assert_array_equal(open_tags(path, salvage=True).t, t[:sound])


def test_a_disk_that_fills_up_is_told_at_the_latest_when_the_archive_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    writer = ArchiveWriter(tmp_path / "a.h5", codec="gzip")
    monkeypatch.setattr(writer._reserve, "need", full)
    writer.append(poisson(10))
    with pytest.raises(StorageError, match=r"cannot write tag archive .*No space left on device; check free space"):
        writer.close()
    writer.close()


def test_convert_makes_archives(tmp_path: Path) -> None:
    with ArchiveWriter(tmp_path / "empty.h5"):
        pass
    assert open_tags(tmp_path / "empty.h5").n == 0
    (tmp_path / "tags.txt").write_text("0 1000\n1 2500\n")
    done = convert_tags([tmp_path / "tags.txt"], tmp_path / "tags.archive.h5")
    assert (done.target, done.tags) == ("archive", 2)
    assert open_tags(tmp_path / "tags.archive.h5").t.tolist() == [1000, 2500]


def test_what_cannot_be_archived_or_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRequestError, match="no codec 'rar'; expected one of auto, blosc2, gzip"):
        ArchiveWriter(tmp_path / "a.h5", codec="rar")
    with pytest.raises(BadRequestError, match="what JSON can hold"):
        ArchiveWriter(tmp_path / "a.h5", metadata={"a": object()})
    writer = ArchiveWriter(tmp_path / "a.h5")
    with pytest.raises(StorageError, match="cannot create tag archive"):
        ArchiveWriter(tmp_path / "a.h5")
    writer.append(poisson(10))
    writer._file.close()  # a killed process
    with pytest.raises(TagFileError, match="was not finished"):
        open_tags(tmp_path / "a.h5")
    with pytest.raises(BadRequestError, match="marks the fillers"), ArchiveWriter(tmp_path / "b.h5") as other:
        other.append(TagBlock(np.array([1]), np.array([255]), 0, 2))
