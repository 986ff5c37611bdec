"""PTU files: records made by hand from PicoQuant's tables, and a real recording against ETA's histograms."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest

from qlab.errors import TagFileError
from qlab.tags.coincidence import differences
from qlab.tags.files.ptu import read_ptu

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
    with pytest.raises(TagFileError, match="T3 records"):
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


def test_real_recording_agrees_with_eta_but_for_the_pairs_that_eta_loses(recording: Callable[[str], Path]) -> None:
    """ETA's two histograms are +lags and -lags of inputs 1 and 2 in 10,000 bins of 16 ps.

    Its recipe is known to lose about 1 % of all pairs; none of our bins may hold fewer than its own.
    """
    found = read_ptu(recording("hydraharp_t2_320MHz_hbt.ptu"))
    assert found.record_type == "HydraHarp 2 T2"
    assert found.block.counts(3).tolist() == [0, 159_298, 224_721]
    assert found.block.live_s == pytest.approx(1.0)
    reference = np.load(recording("hydraharp_t2_320MHz_hbt_g2.npz"))
    for name, a, b in (("hist1", 1, 2), ("hist2", 2, 1)):
        lags = differences(found.block, a, b, 160_000)
        ours = np.bincount(lags[(lags >= 0) & (lags < 160_000)] // 16, minlength=10_000)
        lost = ours - reference[name]
        assert (lost >= 0).all()
        assert lost.sum() < 0.01 * ours.sum()
        assert lost.max() <= 3
