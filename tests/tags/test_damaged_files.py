"""Every reader on files that are cut, have flipped bits, or are noise: an error of ours, and everything before the fault.

The rule is checked against a reader of the sound file: what a damaged file gives is a beginning of what the sound one gives,
up to the record that was damaged; behind that, where a format has no checksum, it may read what the bytes now say.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qlab.cli import main
from qlab.errors import QlabError, TagFileError
from qlab.tags.files.flat import FlatWriter
from qlab.tags.files.hdf5 import TagWriter
from qlab.tags.files.qutag import HEADER, QUTAG
from qlab.tags.files.sniff import FORMATS, TagFormat, open_tags, sniff, stream_tags
from qlab.tags.files.streaming import read_records
from qlab.tags.files.superblock import lookup3
from qlab.tags.files.tick import tick_of_file
from qlab.tags.info import tags_info
from qlab.tags.stream import Gap, TagBlock

from .test_ptu import hydra, integer, tag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

N = 40
STARTS = [b"", b"PQTTTR\0\0", b"qlabtags", b"\x89HDF\r\n\x1a\n"]
STEP_PS = 3 * 10**9
"""Further apart than records may be out of order."""


def ptu_bytes(records: list[int]) -> bytes:
    head = (
        b"PQTTTR\0\0" + b"1.0.00\0\0"
        + tag("File_Comment", 0x4001FFFF, struct.pack("<q", 8)) + b"by hand\0"
        + integer("TTResultFormat_TTTRRecType", 0x00010207)
        + tag("MeasDesc_GlobalResolution", 0x20000008, struct.pack("<d", 1e-12))
        + integer("TTResult_NumberOfRecords", len(records))
        + tag("Header_End", 0xFFFF0008, bytes(8))
    )  # fmt: skip
    return head + np.array(records, "<u4").tobytes()


def sfifteen_events() -> list[int]:
    return [((k + 7) * STEP_PS * 256 // 1000) << 10 | 1 << k % 4 for k in range(N)]


def sound_bytes(kind: TagFormat, folder: Path) -> bytes:
    """Return a sound file of some format: tags `STEP_PS` apart on channels that change."""
    times = [(k + 7) * STEP_PS for k in range(N)]
    if kind == "ptu":
        return ptu_bytes([record for k in range(N) for record in (hydra(90, 63, 1), hydra(1000 + k, k % 3))])
    if kind == "qutag":
        head = bytes.fromhex("87b391fa8a502000") + bytes(HEADER - 8)
        return head + b"".join(struct.pack("<QH", t, k % 5) for k, t in enumerate(times))
    if kind == "swabian":
        return b"".join(struct.pack("<BBHiq", 4 if k == 9 else 0, 0, k == 9, k % 4 + 1, t) for k, t in enumerate(times))
    if kind == "id900":
        return struct.pack(f"<{N}Q", *times)
    if kind == "text":
        return "".join(f"{k % 4} {t}\n" for k, t in enumerate(times)).encode()
    if kind in ("a0", "a1", "a1x", "a2"):
        events = sfifteen_events()
        if kind == "a2":
            return "".join(f"{e:016x}\n" for e in events).encode()
        if kind == "a0":
            return "".join(f"{e & 0xFFFFFFFF:08x}\n{e >> 32:08x}\n" for e in events).encode()
        order = "<II" if kind == "a1" else ">II"
        return b"".join(
            struct.pack("<II", *((e & 0xFFFFFFFF, e >> 32) if order == "<II" else (e >> 32, e & 0xFFFFFFFF)))
            for e in events
        )
    path = folder / f"sound.{kind}"
    path.unlink(missing_ok=True)
    with TagWriter(path) if kind == "qlab" else FlatWriter(path) as writer:
        for k in range(0, N, 10):
            t = np.array(times[k : k + 10])
            writer.append(
                TagBlock(t, np.arange(10) % 4, times[k] - 1, times[k + 9] + 1, (Gap(times[k], times[k] + 1, 2),))
            )
    return path.read_bytes()


def read(path: Path, kind: TagFormat) -> tuple[list[tuple[int, int]], str]:
    """Return all tags that come, and the error that ends them; any other exception fails the test."""
    tags: list[tuple[int, int]] = []

    def take(blocks: Iterator[TagBlock]) -> None:
        before = None
        for block in blocks:
            assert before is None or block.start_ps >= before
            before = block.stop_ps
            tags.extend(zip(block.t.tolist(), block.ch.tolist(), strict=True))

    try:
        take(stream_tags(path, format=kind))
    except TagFileError as error:
        return tags, str(error)
    return tags, ""


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Callable[[TagFormat], tuple[Path, bytes, list[tuple[int, int]]]]:
    folder = tmp_path_factory.mktemp("damaged")
    known: dict[TagFormat, tuple[bytes, list[tuple[int, int]]]] = {}

    def make(kind: TagFormat) -> tuple[Path, bytes, list[tuple[int, int]]]:
        path = folder / kind
        if kind not in known:
            content = sound_bytes(kind, folder)
            path.write_bytes(content)
            tags, fault = read(path, kind)
            assert fault == ""
            assert len(tags) in (N, N - 1)
            known[kind] = content, tags
        return path, *known[kind]

    return make


@pytest.mark.parametrize("kind", FORMATS)
def test_sound_files_are_told_by_their_contents(
    kind: TagFormat, sound: Callable[[TagFormat], tuple[Path, bytes, list[tuple[int, int]]]]
) -> None:
    path, content, tags = sound(kind)
    path.write_bytes(content)
    assert sniff(path) == kind
    assert [(t, c) for t, c in zip(*(x.tolist() for x in (open_tags(path).t, open_tags(path).ch)), strict=True)] == tags


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind != "qlab"])
def test_a_file_cut_at_any_byte_gives_a_beginning_of_its_tags(
    kind: TagFormat, sound: Callable[[TagFormat], tuple[Path, bytes, list[tuple[int, int]]]]
) -> None:
    path, content, tags = sound(kind)
    record = {"ptu": 4, "qutag": 10, "swabian": 16, "id900": 8, "a1": 8, "a1x": 8}.get(kind)
    grown = 0
    for size in (*range(60), *range(60, len(content), 3)):
        path.write_bytes(content[:size])
        found, fault = read(path, kind)
        # A line of text may be cut inside a number, and is one still: only a newline could tell.
        assert found == tags[: len(found)] or (kind == "text" and len(set(found) - set(tags)) <= 1)
        assert len(found) >= grown or kind == "text"
        grown = max(grown, len(found))
        if record is not None and size:
            body = size - (HEADER if kind == "qutag" else 0)
            whole = kind != "ptu" and body >= 0 and body % record == 0
            assert (fault == "") == whole, (size, fault)
            if fault and kind != "ptu" and body >= 0:
                assert f"ends inside record {body // record + 1}" in fault
    assert grown >= len(tags) - (10 if kind == "flat" else 1)


@pytest.mark.parametrize("kind", FORMATS)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_flipped_bits_are_an_error_of_ours_or_other_tags_but_never_spoil_what_is_before(
    kind: TagFormat, sound: Callable[[TagFormat], tuple[Path, bytes, list[tuple[int, int]]]], data: st.DataObject
) -> None:
    path, content, tags = sound(kind)
    head = {"ptu": len(content) - 8 * N, "qutag": HEADER, "qlab": len(content), "flat": len(content)}.get(kind, 0)
    damaged = bytearray(content)
    places = data.draw(st.lists(st.integers(0, 8 * len(content) - 1), min_size=1, max_size=3, unique=True))
    for place in places:
        damaged[place // 8] ^= 1 << place % 8
    path.write_bytes(damaged)
    found, fault = read(path, kind)
    first = min(places) // 8
    if first >= head:  # in the records: all before the damaged one are there
        before = (first - head) * len(tags) // (len(content) - head) - 1
        before = max(before, 0)
        assert found[:before] == tags[:before], fault
    if kind == "flat":
        assert fault != ""
        assert found == tags[: len(found)]
    if kind == "qlab":
        assert found == tags[: len(found)] or fault == ""
    assert main(["tags", "info", str(path), "--format", kind]) in (0, 1, 2)


@pytest.mark.parametrize("kind", FORMATS)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_bytes_lost_repeated_or_overwritten_never_spoil_what_is_before(
    kind: TagFormat, sound: Callable[[TagFormat], tuple[Path, bytes, list[tuple[int, int]]]], data: st.DataObject
) -> None:
    path, content, tags = sound(kind)
    at = data.draw(st.integers(0, len(content) - 1) | st.integers(0, min(len(content), 600) - 1))
    n = data.draw(st.sampled_from([1, 2, 4, 8, 48, 512, 4096]))
    lost = content[at : at + n]
    instead = {"lost": b"", "zeros": bytes(len(lost)), "ones": b"\xff" * len(lost), "twice": 2 * lost}
    path.write_bytes(content[:at] + instead[data.draw(st.sampled_from(sorted(instead)))] + content[at + n :])
    found, fault = read(path, kind)
    if kind == "flat":
        assert found == tags[: len(found)]
        assert fault != "" or found == tags
    elif kind != "qlab":  # whose checksums may not see bytes that move inside a row
        head = {"ptu": len(content) - 8 * N, "qutag": HEADER}.get(kind, 0)
        before = tags[: max((at - head) * len(tags) // (len(content) - head) - 1, 0)]
        assert set(before) <= set(found) if kind == "text" else found[: len(before)] == before, (
            fault
        )  # a text is sorted
    assert main(["tags", "info", str(path), "--format", kind]) in (0, 1, 2)


def test_metadata_that_lie_are_an_error_of_ours(tmp_path: Path) -> None:
    """The HDF5 library has no checksum for texts, and a sound text may still be no tick."""
    for number, (text, match) in enumerate(
        [
            ("{", "metadata cannot be read as JSON"),
            ("[1]", "metadata cannot be read as JSON"),
            ('{"tick_ps": "no"}', "give 'no' as tick_ps; expected a positive number or a fraction"),
            ('{"tick_ps": "1/0"}', "give '1/0' as tick_ps"),
        ]
    ):
        path = tmp_path / f"{number}.h5"
        with TagWriter(path) as writer:
            writer.append(TagBlock(np.arange(3), np.arange(3), 0, 3))
        with h5py.File(path, "r+") as file:
            file.attrs["metadata"] = text
        with pytest.raises(TagFileError, match=match):
            tick_of_file(path, "qlab")
        info = tags_info(path)
        assert (info.n, info.tick_ps) == (3, "?")
        assert match in info.fault
        assert main(["tags", "info", str(path)]) == 1


@settings(max_examples=60, deadline=None)
@given(
    st.binary(max_size=400),
    st.sampled_from(FORMATS),
    st.sampled_from(STARTS),
)
def test_noise_is_an_error_of_ours(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, kind: TagFormat, start: bytes
) -> None:
    path = tmp_path_factory.mktemp("noise") / "x"
    path.write_bytes(start + noise)
    read(path, kind)
    try:
        sniff(path)
        open_tags(path, format=kind, salvage=True)
    except QlabError:
        return


def test_an_hdf5_file_that_falsely_says_it_is_open_is_refused_at_once(
    sound: Callable[[TagFormat], tuple[Path, bytes, list[tuple[int, int]]]],
) -> None:
    """Else the library would wait for a writer to repair the checksum; which function it is, its author's examples show."""
    path, content, _ = sound("qlab")
    for bit in (1, 4):
        path.write_bytes(content[:11] + bytes([content[11] ^ bit]) + content[12:])
        with pytest.raises(TagFileError, match="the checksum of its first 44 bytes is wrong"):
            open_tags(path)
    assert lookup3(b"Four score and seven years ago") == 0x17770551
    assert (lookup3(content[:44]), lookup3(b"")) == (struct.unpack("<I", content[44:48])[0], 0xDEADBEEF)


def test_records_beyond_four_gigabytes_are_read(tmp_path: Path) -> None:
    """A sparse file: nothing of it is on the disk but its end."""
    path = tmp_path / "x"
    with path.open("wb") as file:
        file.seek(5 << 30)
        file.write(struct.pack("<QHQH", 7, 1, 8, 2) + b"\0")
    records = read_records(path, QUTAG, 5 << 30)
    assert next(records).tolist() == [(7, 1), (8, 2)]
    with pytest.raises(TagFileError, match="ends inside record 3; the 2 records before are sound"):
        next(records)


def test_overflow_and_order_that_lie_are_named(tmp_path: Path) -> None:
    """Overflows that end before they began, tags that go back by seconds, and times beyond what a clock can be."""
    path = tmp_path / "x"

    def swabian(*records: tuple[int, int]) -> None:
        path.write_bytes(b"".join(struct.pack("<BBHiq", kind, 0, 0, 1, t) for kind, t in records))

    swabian((0, 10), (2, 50 * STEP_PS), (3, 20 * STEP_PS), (0, 60 * STEP_PS))
    _, fault = read(path, "swabian")
    assert "too late" in fault or fault == ""
    swabian((0, STEP_PS), (0, 9 * STEP_PS), (0, 2 * STEP_PS), (0, 3 * STEP_PS))
    tags, fault = read(path, "swabian")
    assert [t for t, _ in tags] == [STEP_PS]
    assert "tag 2 stands" in fault
    assert "too early" in fault
    swabian((0, 10), (0, 2**62))
    tags, fault = read(path, "swabian")
    assert [t for t, _ in tags] == [10]
    assert f"at {2**62} ps" in fault
    records = [hydra(0x1FF_FFFF, 63, 1)] * 5000 + [hydra(7, 0)]
    path.write_bytes(ptu_bytes([hydra(5, 0), *records]))
    tags, fault = read(path, "ptu")
    assert tags == [(5, 1)]
    assert "record 4098 lies beyond 53 days; the 4097 records before are sound" in fault
