"""Other people's files: records made by hand from their descriptions, real recordings, and files that are broken."""

from __future__ import annotations

import itertools
import struct
import tracemalloc
from contextlib import nullcontext
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlab.cli import main
from qlab.errors import BadRequestError, StorageError, TagFileError
from qlab.tags.convert import convert_tags
from qlab.tags.files.flat import FlatWriter, read_flat_metadata, stream_flat
from qlab.tags.files.id900 import stream_id900
from qlab.tags.files.merging import merge_streams
from qlab.tags.files.order import in_order
from qlab.tags.files.phu import read_phu
from qlab.tags.files.qutag import HEADER, stream_qutag
from qlab.tags.files.sfifteen import stream_sfifteen
from qlab.tags.files.sniff import open_tags, sniff, stream_tags
from qlab.tags.files.streaming import Piece, whole
from qlab.tags.files.swabian import SWABIAN, stream_swabian
from qlab.tags.stream import Gap, TagBlock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

QUTAG_MAGIC = bytes.fromhex("87b391fa8a502000")


def block(t: list[int], ch: list[int], start: int = 0, stop: int | None = None, gaps: tuple[Gap, ...] = ()) -> TagBlock:
    return TagBlock(
        np.array(t, np.int64), np.array(ch, np.uint8), start, (t[-1] + 1 if t else 0) if stop is None else stop, gaps
    )


def before_the_fault(blocks: Iterator[TagBlock], match: str) -> list[int]:
    """Return the times that came before the error which ends the blocks."""
    got: list[int] = []

    def take() -> None:
        for one in blocks:
            got.extend(one.t.tolist())

    with pytest.raises(TagFileError, match=match):
        take()
    return got


# -- S-Fifteen


def test_the_three_spellings_of_one_recording_are_the_same_events(recording: Callable[[str], Path]) -> None:
    """Of 1,000 events 862 are real and 138 dummy (data/README.md); some stand up to 97 us out of order."""
    found = [open_tags(recording(f"timestamp7_c14_rollover.{end}.ts")) for end in ("Aa0f", "Aa1fX", "Aa2f")]
    for one in found:
        assert one.counts(4).tolist() == [431, 0, 0, 431]
        assert (one.t == found[0].t).all()
        assert (one.ch == found[0].ch).all()
        assert one.gaps == ()
    assert np.diff(found[0].t).min() >= 0
    pairs = found[0].select([3]).t - found[0].select([0]).t
    assert np.abs(pairs - 139_100).max() < 400  # the second detector always clicks 35,6xx/256 ns after the first


def event(ticks: int, pattern: int, *, dummy: bool = False) -> int:
    return ticks << 10 | dummy << 4 | pattern


@pytest.mark.parametrize("chunk", [1, 2, 100])
@pytest.mark.parametrize("spelling", ["a0", "a1", "a1x", "a2"])
def test_events_of_several_detectors_wraps_and_dummies(tmp_path: Path, spelling: str, chunk: int) -> None:
    top = (1 << 54) - 256
    events = [event(top, 1), event(top + 128, 0b1010), event(256, 8, dummy=True), event(512, 4), event(384, 2)]
    path = tmp_path / "events"
    halves = [(e >> 32, e & 0xFFFF_FFFF) for e in events]
    if spelling == "a0":
        path.write_text("".join(f"{low:08x}\n{high:08x}\n" for high, low in halves))
    elif spelling == "a2":
        path.write_text("".join(f"{e:016x}\n" for e in events))
    else:
        path.write_bytes(
            b"".join(struct.pack("<II", *((low, high) if spelling == "a1" else (high, low))) for high, low in halves)
        )
    found = whole(stream_sfifteen(path, spelling, chunk))  # type: ignore[arg-type]
    zero = ((1 << 54) >> 8) * 1000
    assert (found.t - zero).tolist() == [-1000, -500, -500, 1500, 2000]
    assert found.ch.tolist() == [0, 1, 3, 1, 2]


def test_broken_events_end_in_an_error_behind_what_is_sound(tmp_path: Path) -> None:
    path = tmp_path / "events"
    lines = [f"{event(256 * n, 1):016x}" for n in range(1, 4)]
    path.write_text("\n".join([*lines, "spam", lines[0]]))
    assert before_the_fault(stream_sfifteen(path, "a2"), "line 4: found 'spam'; expected 16 .* the 3 events") == [
        1000,
        2000,
        3000,
    ]
    path.write_text("\n".join(f"{event(256 * n * 10**7, 1):016x}" for n in range(1, 4)) + "\nspam\n")
    assert before_the_fault(stream_sfifteen(path, "a2", 1), "line 4") == [10**10, 2 * 10**10, 3 * 10**10]
    path.write_text("4ce88f21\nedae1bd7\n4ce88f21\n")
    before_the_fault(stream_sfifteen(path, "a0"), "between the halves of event 2")
    path.write_bytes(struct.pack("<Q", event(256, 1)) + b"\x01")
    before_the_fault(stream_sfifteen(path, "a1"), "ends inside record 2; the 1 records")


# -- quTAG


def test_the_real_qutag_recording(recording: Callable[[str], Path]) -> None:
    path = recording("qutag_320MHz_hbt.qutag")
    found = open_tags(path)
    assert found.n == (path.stat().st_size - HEADER) // 10 == 211_773
    assert found.counts(6).tolist() == [0, 43_736, 62_437, 0, 0, 105_600]
    # A source of 320 MHz: differences of the two detectors sit on multiples of 3.125 ns.
    a, b = found.select([1]).t, found.select([2]).t
    near = b[np.searchsorted(b, a[:-1]).clip(max=b.size - 1)] - a[:-1]
    near = near[(near > 0) & (near < 200_000)]
    turn = np.exp(2j * np.pi * near / 3125.0).mean()
    assert abs(turn) > 0.5


def test_qutag_faults(tmp_path: Path) -> None:
    path = tmp_path / "tags"
    good = [struct.pack("<QH", t * 10**10, 3) for t in (1, 2, 3)]
    path.write_bytes(QUTAG_MAGIC + bytes(HEADER - 8) + b"".join(good))
    assert sniff(path) == "qutag"
    assert whole(stream_qutag(path, 2)).t.tolist() == [10**10, 2 * 10**10, 3 * 10**10]
    path.write_bytes(QUTAG_MAGIC + bytes(HEADER - 8) + b"".join(good) + struct.pack("<QH", 5, 700))
    assert before_the_fault(stream_qutag(path), "record 4 has channel 700") == [10**10, 2 * 10**10, 3 * 10**10]
    path.write_bytes(QUTAG_MAGIC + bytes(HEADER - 8) + b"".join(good)[:-1])
    before_the_fault(stream_qutag(path), "ends inside record 3; the 2 records")


# -- Swabian


def record(kind: int, channel: int, time: int, missed: int = 0) -> bytes:
    return struct.pack("<BBHiq", kind, 0, missed, channel, time)


@pytest.mark.parametrize("chunk", [1, 2, 100])
def test_overflows_are_gaps_that_know_what_was_missed(tmp_path: Path, chunk: int) -> None:
    path = tmp_path / "tags"
    path.write_bytes(
        record(0, 1, 100) + record(0, -2, 150) + record(2, 0, 200) + record(4, 1, 250, 7) + record(4, 2, 260, 5)
        + record(3, 0, 300) + record(0, 1, 400) + record(4, 1, 450, 3)
    )  # fmt: skip
    assert sniff(path) == "swabian"
    found = whole(stream_swabian(path, chunk))
    assert found.t.tolist() == [100, 150, 400]
    assert found.ch.tolist() == [1, 130, 1]
    assert found.gaps == (Gap(200, 300, 12), Gap(450, 450, 3))
    assert found.live_s == pytest.approx((450 - 100 - 100) * 1e-12)


def test_swabian_faults(tmp_path: Path) -> None:
    path = tmp_path / "tags"
    good = b"".join(record(0, 1, t * 10**10) for t in (1, 2, 3))
    for bad, text in (
        (record(9, 1, 5), "record 4 is type 9"),
        (record(1, 0, 5), "record 4 is an error of the instrument"),
        (record(0, 400, 5), "on channel 400"),
        (b"\x00\x00", "ends inside record 4"),
    ):
        path.write_bytes(good + bad)
        assert before_the_fault(stream_swabian(path, 2), text) == [10**10, 2 * 10**10, 3 * 10**10]
    path.write_bytes(record(0, 1, 100) + record(2, 0, 200) + record(4, 1, 250, 7))
    assert whole(stream_swabian(path)).gaps == (Gap(200, 250, 7),)  # an overflow that the file's end cut


# -- ID900


def test_id900_files_with_and_without_reference(tmp_path: Path) -> None:
    path = tmp_path / "C1.bin"
    times = np.cumsum(np.random.default_rng(5).integers(1, 10**9, 200))
    path.write_bytes(times.astype("<u8").tobytes())
    assert sniff(path) == "id900"  # an S-Fifteen event never ends in four zero bits; one of 16 times does
    assert (open_tags(path).t == times).all()
    path.write_bytes(struct.pack("<4Q", 10, 0, 30, 1))
    assert whole(stream_id900(path, channel=3, with_reference=True)).ch.tolist() == [3, 3]
    path.write_bytes(struct.pack("<3Q", 10, 20, 2**63))
    before_the_fault(stream_id900(path), "record 3 has time 9223372036854775808 ps; .* the 2 before")


# -- PHU


def phu(tmp_path: Path, bins: int, kept: int) -> Path:
    def whole_number(name: str, value: int, index: int = -1) -> bytes:
        return struct.pack("<32siIq", name.encode(), index, 0x10000008, value)

    def build(offset: int) -> bytes:
        return (
            b"PQHISTO\0" + b"1.0.00\0\0"
            + whole_number("HistoResult_NumberOfCurves", 1)
            + whole_number("HistResDscr_CurveIndex", 2, 0)
            + whole_number("HistResDscr_DataOffset", offset, 0)
            + whole_number("HistResDscr_HistogramBins", bins, 0)
            + struct.pack("<32siId", b"HistResDscr_MDescResolution", 0, 0x20000008, 3.2e-11)
            + struct.pack("<32siI8s", b"Header_End", -1, 0xFFFF0008, bytes(8))
        )  # fmt: skip

    path = tmp_path / "histogram.phu"
    path.write_bytes(build(len(build(0))) + np.arange(kept, dtype="<u4").tobytes())
    return path


def test_histograms_of_the_instrument(tmp_path: Path) -> None:
    (curve,) = read_phu(phu(tmp_path, 8, 8))
    assert (curve.index, curve.bin_ps, curve.counts.tolist()) == (2, 32.0, list(range(8)))
    with pytest.raises(TagFileError, match="histogram 0 promises 8 bins, 5 are there"):
        read_phu(phu(tmp_path, 8, 5))
    with pytest.raises(TagFileError, match="not a PHU file"):
        read_phu(phu(tmp_path, 8, 8).rename(tmp_path / "x")) if (tmp_path / "x").write_bytes(
            b"spam"
        ) is None else read_phu(tmp_path / "x")


# -- order and merging


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 3)), max_size=40), st.integers(1, 7), st.integers(0, 50))
def test_records_a_little_out_of_order_come_out_sorted(tags: list[tuple[int, int]], size: int, slack: int) -> None:
    """Each tag may stand late by as much as `slack` allows; the blocks adjoin and hold every tag once."""
    ordered = sorted(tags)
    late = sorted(range(len(ordered)), key=lambda i: ordered[i][0] + (i * 7919 % (slack + 1)))
    rows = [ordered[i] for i in late]
    pieces = [
        Piece(np.array([t for t, _ in part], np.int64), np.array([c for _, c in part], np.uint8))
        for part in (rows[i : i + size] for i in range(0, len(rows), size))
    ]
    blocks = list(in_order(pieces, "file", slack_ps=slack + 1, start_ps=0))
    assert [(t, c) for b in blocks for t, c in zip(b.t.tolist(), b.ch.tolist(), strict=True)] == ordered
    assert all(a.stop_ps == b.start_ps for a, b in itertools.pairwise(blocks))


def test_a_tag_too_far_out_of_order_is_named() -> None:
    pieces = [Piece(np.array([t]), np.array([0], np.uint8)) for t in (0, 10**10, 2 * 10**10, 5)]
    text = (
        "tag 4 stands 19999999995 ps too late; expected at most 1000000000 ps out of order; the 3 tags before are sound"
    )
    assert before_the_fault(in_order(pieces, "file"), text) == [0, 10**10, 2 * 10**10]


@pytest.mark.parametrize("size", [1, 2, 3, 9])
def test_a_tag_sent_far_ahead_is_named_and_not_the_one_behind_it(size: int) -> None:
    times = [0, 10**10, 2 * 10**10, 2**60, 3 * 10**10, 4 * 10**10]
    pieces = [
        Piece(np.array(times[k : k + size]), np.zeros(len(times[k : k + size]), np.uint8)) for k in range(0, 6, size)
    ]
    blocks = in_order(pieces, "file")
    got = before_the_fault(blocks, r"tag 4 stands \d+ ps too early; .* the 3 tags before are sound")
    assert got == [0, 10**10, 2 * 10**10]


@settings(max_examples=40)
@given(st.lists(st.lists(st.integers(0, 500), max_size=20), min_size=1, max_size=4), st.integers(1, 60))
def test_merging_streams_is_sorting_all_their_tags(streams: list[list[int]], length: int) -> None:
    def cut(times: list[int], channel: int) -> Iterator[TagBlock]:
        one = block(sorted(times), [channel] * len(times), 0, 501)
        for start in range(0, 501, length):
            yield one.between(start, min(start + length, 501))

    merged = list(merge_streams([cut(times, i) for i, times in enumerate(streams)]))
    got = [(t, c) for b in merged for t, c in zip(b.t.tolist(), b.ch.tolist(), strict=True)]
    assert got == sorted((t, i) for i, times in enumerate(streams) for t in times)
    assert (merged[0].start_ps, merged[-1].stop_ps) == (0, 501)


@settings(max_examples=40)
@given(
    st.lists(st.lists(st.integers(0, 500), max_size=20), min_size=2, max_size=4),
    st.lists(st.integers(1, 60), min_size=4, max_size=4),
    st.integers(1, 501),
)
def test_merging_goes_up_to_a_fault_in_one_of_the_streams(
    streams: list[list[int]], lengths: list[int], until: int
) -> None:
    def cut(times: list[int], channel: int) -> Iterator[TagBlock]:
        one = block(sorted(times), [channel] * len(times), 0, 501)
        for start in range(0, 501, lengths[channel]):
            if channel == 1 and start >= until:
                raise TagFileError("the second is broken")
            yield one.between(start, min(start + lengths[channel], 501))

    known = min(-(-until // lengths[1]) * lengths[1], 501)
    got: list[tuple[int, int]] = []
    with nullcontext() if known == 501 else pytest.raises(TagFileError, match="the second is broken"):
        for b in merge_streams([cut(times, i) for i, times in enumerate(streams)]):
            got += zip(b.t.tolist(), b.ch.tolist(), strict=True)
    assert got == sorted((t, i) for i, times in enumerate(streams) for t in times if t < known)


def test_merging_holds_no_more_than_a_block_of_each_stream() -> None:
    """Four streams of 5 MB each, cut differently, and at no time more than a few of their blocks."""

    def stream(channel: int, size: int) -> Iterator[TagBlock]:
        for k in range(0, 600_000, size):
            t = (np.arange(k, k + size) * 4 + channel) * 1000
            yield TagBlock(t, np.full(size, channel, np.uint8), k * 4000, (k + size) * 4000)

    tracemalloc.start()
    try:
        last, n = -1, 0
        for merged in merge_streams([stream(0, 10_000), stream(1, 50_000), stream(2, 12_500), stream(3, 40_000)]):
            assert last < merged.t[0]
            assert merged.start_ps == merged.t[0] // 4000 * 4000
            last, n = int(merged.t[-1]), n + merged.n
        assert n == 2_400_000
        assert tracemalloc.get_traced_memory()[1] < 5e6
    finally:
        tracemalloc.stop()


# -- the flat file


def test_a_flat_file_keeps_tags_intervals_and_gaps(tmp_path: Path) -> None:
    path = tmp_path / "run.qtags"
    first = block([5, 5, 2**40, 2**40 + 2**34], [0, 7, 254, 3], 0, 2**41, (Gap(100, 200, 4),))
    second = block([], [], 2**41, 2**42)
    with FlatWriter(path, {"instrument": "tagger"}) as writer:
        writer.append(first)
    with FlatWriter(path) as writer:  # and goes on
        writer.append(second)
    assert sniff(path) == "flat"
    assert read_flat_metadata(path) == {"instrument": "tagger"}
    found = open_tags(path)
    assert (found.t.tolist(), found.ch.tolist()) == (first.t.tolist(), first.ch.tolist())
    assert (found.start_ps, found.stop_ps, found.gaps) == (0, 2**42, (Gap(100, 200, 4),))


def test_a_flat_file_survives_a_kill_at_any_byte(tmp_path: Path) -> None:
    """Cut anywhere, what is whole is read, what is not is named, and the writer goes on behind what is whole."""
    path = tmp_path / "run.qtags"
    with FlatWriter(path) as writer:
        for k in range(3):
            writer.append(block([10 * k + 1, 10 * k + 2], [0, 1], 10 * k, 10 * k + 10))
    data = path.read_bytes()
    edges = {len(data) - n * 74 for n in range(4)}
    for size in range(min(edges), len(data) + 1):
        path.write_bytes(data[:size])
        whole_ones = (size - min(edges)) // 74
        wanted = [10 * k + n for k in range(whole_ones) for n in (1, 2)]
        if size in edges:
            assert whole(stream_flat(path)).t.tolist() == wanted
        else:
            assert before_the_fault(stream_flat(path), "block [0-9]+ is cut") == wanted
        assert whole(stream_flat(path, salvage=True)).t.tolist() == wanted
        with FlatWriter(path) as writer:
            writer.append(block([101], [5], 100, 110))
        assert whole(stream_flat(path)).t.tolist() == [*wanted, 101]


@settings(max_examples=60)
@given(st.data())
def test_a_flipped_bit_in_a_flat_file_never_passes(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("flat") / "run.qtags"
    with FlatWriter(path) as writer:
        for k in range(3):
            writer.append(block([10 * k + 1, 10 * k + 2], [0, 1], 10 * k, 10 * k + 10))
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(bytes(content))
    got = before_the_fault(stream_flat(path), "block [0-9]+ (is cut|has a)")
    assert got == [1, 2, 11, 12, 21, 22][: len(got)]


def test_the_flat_writer_does_not_touch_other_files(tmp_path: Path) -> None:
    path = tmp_path / "thesis.txt"
    path.write_text("x" * 500)
    with pytest.raises(StorageError, match="no flat tag file"):
        FlatWriter(path)
    assert path.read_text() == "x" * 500


# -- conversion


@pytest.mark.parametrize("name", ["new.h5", "new.qtags", "new.ttstruct", "new.txt", "new.csv"])
def test_a_conversion_keeps_every_tag(tmp_path: Path, name: str) -> None:
    source = tmp_path / "tags.txt"
    source.write_text("".join(f"{n % 4} {1000 * n * n}\n" for n in range(300)))
    done = convert_tags([source], tmp_path / name)
    assert (done.tags, done.fault) == (300, "")
    found = open_tags(tmp_path / name)
    assert (found.t == open_tags(source).t).all()
    assert (found.ch == open_tags(source).ch).all()


def test_two_recordings_become_one(tmp_path: Path) -> None:
    for name, times in (("a", (10, 30, 50)), ("b", (20, 30, 60))):
        (tmp_path / name).write_text("".join(f"{k % 2} {t * 1000}\n" for k, t in enumerate(times)))
    convert_tags([tmp_path / "a", tmp_path / "b"], tmp_path / "both.qtags", channel_step=8)
    found = open_tags(tmp_path / "both.qtags")
    assert (found.t // 1000).tolist() == [10, 20, 30, 30, 50, 60]
    assert found.ch.tolist() == [0, 8, 1, 9, 0, 8]


def test_parquet_and_photon_hdf5_hold_the_same_tags(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    import h5py

    source = tmp_path / "tags.txt"
    source.write_text("".join(f"{n % 4} {1000 * n * n}\n" for n in range(300)))
    convert_tags([source], tmp_path / "new.parquet")
    convert_tags([source], tmp_path / "new.photon.h5")
    table = parquet.read_table(tmp_path / "new.parquet")
    expected = open_tags(source)
    assert table["time_ps"].to_pylist() == expected.t.tolist()
    assert table["channel"].to_pylist() == expected.ch.tolist()
    encodings = parquet.ParquetFile(tmp_path / "new.parquet").metadata.row_group(0).column(0).encodings
    assert "DELTA_BINARY_PACKED" in encodings
    with h5py.File(tmp_path / "new.photon.h5") as file:
        assert (file["photon_data/timestamps"][:] == expected.t).all()
        assert (file["photon_data/detectors"][:] == expected.ch).all()
        assert file["photon_data/timestamps_specs/timestamps_unit"][()] == 1e-12
        assert file["acquisition_duration"][()] == pytest.approx(expected.live_s)


def test_convert_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "tags"
    source.write_bytes(b"".join(record(0, 1, t * 10**10) for t in (1, 2, 3)) + b"\x00")
    target = tmp_path / "new.txt"
    assert main(["tags", "convert", str(source), str(target)]) == 1
    shown = capsys.readouterr()
    assert "3 tags as text" in shown.out
    assert "ends inside record 4; the 3 records before are sound" in shown.err
    assert main(["tags", "convert", str(source), str(target)]) == 2
    assert "exists; choose another name" in capsys.readouterr().err
    assert main(["tags", "convert", str(source), str(tmp_path / "new.xyz")]) == 2
    assert "the suffix says no format" in capsys.readouterr().err


def test_a_wrong_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tags"
    path.write_bytes(record(0, 1, 100))
    with pytest.raises(BadRequestError, match="format 'spam'; expected one of qlab, flat, ptu"):
        stream_tags(path, format="spam")  # type: ignore[arg-type]
    with pytest.raises(BadRequestError, match="says or needs no bin_ps"):
        open_tags(path, bin_ps=4.0)
    assert SWABIAN.itemsize == 16
