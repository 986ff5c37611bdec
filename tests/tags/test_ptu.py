"""PTU files: records made by hand from PicoQuant's tables, and a real recording against ETA's histograms."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest

from qlab.errors import TagFileError
from qlab.tags.files.ptu import _Ptu, read_ptu, stream_ptu
from qlab.tags.files.streaming import whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def tag(name: str, kind: int, value: bytes, index: int = -1) -> bytes:
    return struct.pack("<32siI8s", name.encode(), index, kind, value)


def integer(name: str, value: int, index: int = -1) -> bytes:
    return tag(name, 0x10000008, struct.pack("<q", value), index)


def ptu(
    tmp_path: Path,
    kind: int,
    records: list[int],
    *,
    promised: int | None = None,
    unit_s: float = 1e-12,
    more: bytes = b"",
) -> Path:
    comment = b"made by hand\0\0\0\0"
    data = (
        b"PQTTTR\0\0" + b"1.0.00\0\0"
        + tag("File_Comment", 0x4001FFFF, struct.pack("<q", len(comment))) + comment
        + integer("HWInpChan_Offset", 7, 1)
        + integer("TTResultFormat_TTTRRecType", kind)
        + tag("MeasDesc_GlobalResolution", 0x20000008, struct.pack("<d", unit_s))
        + integer("TTResult_NumberOfRecords", len(records) if promised is None else promised)
        + more
        + tag("Header_End", 0xFFFF0008, bytes(8))
        + np.array(records, dtype="<u4").tobytes()
    )  # fmt: skip
    path = tmp_path / "recording.ptu"
    path.write_bytes(data)
    return path


def hydra(time: int, channel: int, special: int = 0) -> int:
    return special << 31 | channel << 25 | time


@pytest.mark.parametrize(
    ("kind", "unit_s", "unit_ps"), [(0x01010204, 1e-12, 1), (0x00010207, 4e-12, 4), (0x00010205, 2.5e-10, 250)]
)
def test_hydraharp_2_and_generic_records(tmp_path: Path, kind: int, unit_s: float, unit_ps: int) -> None:
    records = [
        hydra(10, 0),  # input 1
        hydra(10, 0, 1),  # sync at the same time: sorted before
        hydra(0, 63, 1),  # overflow counted 0 is one overflow
        hydra(20, 5),  # input 6
        hydra(3, 63, 1),  # three overflows at once
        hydra(30, 2, 1),  # marker 2
        hydra(31, 1),
    ]
    found = read_ptu(ptu(tmp_path, kind, records, unit_s=unit_s))
    wrap = 2**25
    assert found.block.t.tolist() == [unit_ps * t for t in (10, 10, wrap + 20, 4 * wrap + 31)]
    assert found.block.ch.tolist() == [0, 1, 6, 2]
    assert found.marker_t.tolist() == [unit_ps * (4 * wrap + 30)]
    assert found.marker_bits.tolist() == [2]
    assert found.header["File_Comment"] == "made by hand"
    assert found.header["HWInpChan_Offset[1]"] == 7


def test_hydraharp_1_overflows_are_shorter_and_never_counted(tmp_path: Path) -> None:
    found = read_ptu(ptu(tmp_path, 0x00010204, [hydra(9, 63, 1), hydra(5, 0), hydra(0, 63, 1), hydra(5, 1)]))
    assert found.block.t.tolist() == [33_552_000 + 5, 2 * 33_552_000 + 5]
    assert found.record_type == "HydraHarp T2"


def test_picoharp_records(tmp_path: Path) -> None:
    records = [0 << 28 | 100, 15 << 28, 4 << 28 | 7, 15 << 28 | 0x120 | 0b0101, 1 << 28 | 400]
    found = read_ptu(ptu(tmp_path, 0x00010203, records, unit_s=4e-12))
    wrap = 210_698_240
    assert found.block.t.tolist() == [4 * 100, 4 * (wrap + 7), 4 * (wrap + 400)]
    assert found.block.ch.tolist() == [0, 4, 1]
    assert (found.marker_t.tolist(), found.marker_bits.tolist()) == ([4 * (wrap + 0x120)], [5])


def t3(pulse: int, delay: int, channel: int, special: int = 0) -> int:
    return special << 31 | channel << 25 | delay << 10 | pulse


def test_t3_records_count_pulses_and_delays_after_them(tmp_path: Path) -> None:
    """Sync pulses of 12.5 ns, delays in units of 4 ps; an overflow is 1024 pulses, times its count."""
    resolution = tag("MeasDesc_Resolution", 0x20000008, struct.pack("<d", 4e-12))
    records = [t3(3, 100, 0), t3(0, 0, 63, 1), t3(7, 9, 1), t3(2, 0, 63, 1), t3(1, 5, 4, 1), t3(1, 0, 0)]
    found = read_ptu(ptu(tmp_path, 0x00010307, records, unit_s=1.25e-8, more=resolution))
    assert found.record_type == "Generic T3"
    assert found.block.t.tolist() == [3 * 12500 + 400, (1024 + 7) * 12500 + 36, (3 * 1024 + 1) * 12500]
    assert found.block.ch.tolist() == [1, 2, 1]
    assert (found.marker_t.tolist(), found.marker_bits.tolist()) == ([(3 * 1024 + 1) * 12500], [4])
    once = read_ptu(ptu(tmp_path, 0x00010304, [t3(9, 0, 63, 1), t3(5, 0, 0)], unit_s=1.25e-8, more=resolution))
    assert once.block.t.tolist() == [(1024 + 5) * 12500]  # HydraHarp 1 never counts them


def test_picoharp_t3_records(tmp_path: Path) -> None:
    resolution = tag("MeasDesc_Resolution", 0x20000008, struct.pack("<d", 4e-12))
    records = [1 << 28 | 10 << 16 | 6, 15 << 28, 2 << 28 | 3 << 16 | 8, 15 << 28 | 2 << 16 | 9]
    found = read_ptu(ptu(tmp_path, 0x00010303, records, unit_s=1.25e-8, more=resolution))
    assert found.block.t.tolist() == [6 * 12500 + 40, (65_536 + 8) * 12500 + 12]
    assert found.block.ch.tolist() == [1, 2]
    assert (found.marker_t.tolist(), found.marker_bits.tolist()) == ([(65_536 + 9) * 12500], [2])


@pytest.mark.parametrize("chunk", [1, 2, 3, 1000])
def test_a_recording_streams_as_it_is_read_whole(tmp_path: Path, chunk: int) -> None:
    rng = np.random.default_rng(8)
    times = np.sort(rng.integers(0, 2**25, 60))
    records = []
    for turn in range(5):
        records += [hydra(int(t), int(rng.integers(0, 4))) for t in times[turn * 12 : turn * 12 + 12]]
        records.append(hydra(turn % 3, 63, 1))
    path = ptu(tmp_path, 0x01010204, records)
    block = whole(stream_ptu(path, chunk=chunk))
    read = read_ptu(path).block
    assert (block.t == read.t).all()
    assert (block.ch == read.ch).all()
    assert (block.start_ps, block.stop_ps, block.gaps) == (read.start_ps, read.stop_ps, ())


def test_a_cut_recording_streams_what_there_is_and_then_complains(tmp_path: Path) -> None:
    path = ptu(tmp_path, 0x01010204, [hydra(5, 0), hydra(6, 1)], promised=5)
    blocks = stream_ptu(path)
    assert next(blocks).t.tolist() == [5, 6]
    with pytest.raises(TagFileError, match="promises 5 records, the file holds 2"):
        next(blocks)
    assert whole(stream_ptu(path, salvage=True)).n == 2


def test_a_file_of_more_than_four_gigabytes_is_read_beyond_them(tmp_path: Path) -> None:
    """A sparse file: zeros are photons of channel 1 at time 0 of their overflow period, and cost nothing on the disk."""
    path = ptu(tmp_path, 0x01010204, [], promised=(5 << 30) // 4 + 1)
    with path.open("r+b") as file:
        begin = file.seek(0, 2)
        file.truncate(begin + (5 << 30))
        file.seek(0, 2)
        file.write(struct.pack("<I", hydra(77, 2)))
    opened = _Ptu(path)
    assert opened.found == opened.promised
    with path.open("rb") as file:
        file.seek(begin + (5 << 30))
        assert np.fromfile(file, "<u4").tolist() == [hydra(77, 2)]
    assert opened.sound == (5 << 30) // 4 + 1


def test_live_interval_reaches_to_the_last_overflow_or_to_the_stated_end(tmp_path: Path) -> None:
    records = [hydra(5, 0), hydra(2, 63, 1)]
    assert read_ptu(ptu(tmp_path, 0x01010204, records)).block.stop_ps == 2 * 2**25 + 1
    path = ptu(tmp_path, 0x01010204, records, more=integer("TTResult_StopAfter", 3000))
    assert read_ptu(path).block.live_s == 3.0


@pytest.mark.parametrize(("promised", "sound"), [(5, 2), (0, 2), (1, 1)])
def test_header_that_lies_about_the_length_is_caught(tmp_path: Path, promised: int, sound: int) -> None:
    path = ptu(tmp_path, 0x01010204, [hydra(5, 0), hydra(6, 1)], promised=promised)
    with pytest.raises(TagFileError, match=f"promises {promised} records, the file holds 2; the first {sound} are"):
        read_ptu(path)
    assert read_ptu(path, salvage=True).block.n == sound


def test_other_lies_of_the_header_are_caught(tmp_path: Path) -> None:
    with pytest.raises(TagFileError, match="gives None as MeasDesc_Resolution"):
        read_ptu(ptu(tmp_path, 0x00010307, []))
    with pytest.raises(TagFileError, match="unknown records"):
        read_ptu(ptu(tmp_path, 0x00990307, []))
    with pytest.raises(TagFileError, match="MeasDesc_GlobalResolution"):
        read_ptu(ptu(tmp_path, 0x01010204, [], unit_s=0.0))
    with pytest.raises(TagFileError, match="NumberOfRecords"):
        read_ptu(ptu(tmp_path, 0x01010204, [], promised=-4))
    lying = tag("File_Comment", 0x4001FFFF, struct.pack("<q", 2**40))
    with pytest.raises(TagFileError, match="claims 1099511627776 bytes, 48 are left"):
        read_ptu(ptu(tmp_path, 0x01010204, [], more=lying))


def test_every_truncation_is_an_error_of_ours(tmp_path: Path) -> None:
    data = ptu(tmp_path, 0x01010204, [hydra(5, 0), hydra(6, 1)]).read_bytes()
    path = tmp_path / "cut.ptu"
    for size in range(len(data)):
        path.write_bytes(data[:size])
        with pytest.raises(TagFileError):
            read_ptu(path)


def test_the_real_recording_has_the_tags_its_header_gives_rates_of(recording: Callable[[str], Path]) -> None:
    found = read_ptu(recording("hydraharp_t2_320MHz_hbt.ptu"))
    assert found.record_type == "HydraHarp 2 T2"
    assert found.block.counts(3).tolist() == [0, 159_298, 224_721]
    assert found.block.counts(3)[1:].tolist() == pytest.approx([153_080, 217_680], rel=0.05)  # TTResult_InputRate
    assert found.block.live_s == pytest.approx(1.0)
