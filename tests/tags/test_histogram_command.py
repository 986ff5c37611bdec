"""`qlab tags info`, `histogram` and `plot`: against brute force, over files that are whole and files that are not."""

from __future__ import annotations

import io
import json
import struct
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlab.cli import main
from qlab.commands.bar import Bar
from qlab.errors import BadRequestError
from qlab.tags.accumulators.census import Census
from qlab.tags.files.flat import FlatWriter
from qlab.tags.files.tick import tick_text
from qlab.tags.histograms import tags_histogram
from qlab.tags.stream import Gap, TagBlock
from qlab.tags.ticks import ps_to_ticks, tick_of, ticks_to_ps

from .streams import block_of, cuts, pieces_of, tags

if TYPE_CHECKING:
    from pathlib import Path

PNG = b"\x89PNG\r\n\x1a\n"


def made(path: Path, n: int = 400) -> Path:
    """Write tags of four channels over 2 ms; channel 1 clicks 700 ps after channel 0, and 0.2 ms are blind."""
    rng = np.random.default_rng(3)
    first = np.sort(rng.integers(0, 2 * 10**9, n))
    t = np.concatenate([first, first + 700, rng.integers(0, 2 * 10**9, 2 * n)])
    ch = np.repeat([0, 1, 2, 3], n)
    block = TagBlock.from_unsorted(t, ch, 0, 2 * 10**9 + 700)
    keep = (block.t < 10**9) | (block.t >= 12 * 10**8)
    with FlatWriter(path, {"tick_ps": "3.90625"}) as writer:
        gap = Gap(10**9, 12 * 10**8, 55)
        writer.append(TagBlock(block.t[keep], block.ch[keep], block.start_ps, block.stop_ps, (gap,)))
    return path


def brute(block: TagBlock, a: int, b: int, half: int, width: int) -> list[int]:
    counts = [0] * (2 * half // width)
    for t in block.t[block.ch == a].tolist():
        for u in block.t[block.ch == b].tolist():
            if -half <= u - t < half:
                counts[(u - t + half) // width] += 1
    return counts


def test_histogram_of_a_file_is_that_of_all_pairs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = made(tmp_path / "run.qtags", 300)
    assert main(["tags", "histogram", str(path), "--range-ns", "500", "--json", "--out", str(tmp_path / "h.csv")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["bin_ps"] == 125  # of ticks of 3.90625 ps: whole ticks and whole ps
    from qlab.tags.files.sniff import open_tags

    block = open_tags(path)
    assert [(p["a"], p["b"]) for p in found["pairs"]] == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    for pair in (found["pairs"][0], found["pairs"][4]):
        assert pair["counts"] == brute(block, pair["a"], pair["b"], 500_000, 125)
    assert (found["missed"], found["live_ps"]) == (55, 18 * 10**8 + 700)
    lines = (tmp_path / "h.csv").read_text().splitlines()
    assert lines[0] == "lo_ps,0-1,0-2,0-3,1-2,1-3,2-3"
    assert lines[1].startswith("-500000,")
    assert [int(line.split(",")[1]) for line in lines[1:]] == found["pairs"][0]["counts"]
    assert (
        main(["tags", "histogram", str(path), "--pairs", "1-0", "--delays", "1=700", "--out", str(tmp_path / "h.npz")])
        == 0
    )
    with np.load(tmp_path / "h.npz") as counts:
        assert int(counts["lo_ps"][counts["counts"][0].argmax()]) == 0
        assert counts["pairs"].tolist() == [[1, 0]]


def test_a_picture_of_a_file_that_is_cut(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    path = made(tmp_path / "run.qtags")
    with FlatWriter(path) as writer:
        writer.append(TagBlock(np.array([3 * 10**9]), np.array([0]), 3 * 10**9, 4 * 10**9))
    path.write_bytes(path.read_bytes()[:-3])
    assert main(["tags", "plot", str(path), "--pairs", "0-1,2-3"]) == 1
    shown = capsys.readouterr()
    assert "INCOMPLETE" in shown.out
    assert "block 4 is cut; the 3 blocks before are sound" in shown.err
    picture = (tmp_path / "run.qtags.png").read_bytes()
    assert picture.startswith(PNG)
    width, height = struct.unpack(">II", picture[16:24])
    assert (width, height) == (1170, round((3.2 + 2.4) * 130))  # a row of rates and one of delays
    assert main(["tags", "plot", str(path), "--out", str(tmp_path / "x.what")]) == 2
    assert main(["tags", "plot", str(path), "--out", str(tmp_path / "no" / "x.png")]) == 2
    assert "x.png: expected a file in a folder that exists" in capsys.readouterr().err


def test_bad_requests_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = made(tmp_path / "run.qtags", 10)
    for option, value, text in (
        ("--pairs", "0:1", "expected pairs of channels"),
        ("--pairs", "0-1,1-0", "none twice or the other way round"),
        ("--delays", "4", "expected channels and whole ps"),
        ("--range-ns", "0", "both positive"),
        ("--width-ps", "0", "both positive"),
        ("--out", "x.docx", "written as .csv or .npz"),
    ):
        assert main(["tags", "histogram", str(path), option, value]) == 2
        assert text in capsys.readouterr().err
    with FlatWriter(tmp_path / "empty") as writer:
        writer.append(TagBlock(np.empty(0, np.int64), np.empty(0, np.uint8), 0, 5))
    with pytest.raises(BadRequestError, match="no tags, nothing to histogram"):
        tags_histogram(tmp_path / "empty")
    with FlatWriter(tmp_path / "many") as writer:
        writer.append(TagBlock(np.arange(20), np.arange(20), 0, 50))
    with pytest.raises(BadRequestError, match=r"20 channels make 190 pairs; .* say which pairs"):
        tags_histogram(tmp_path / "many")


@settings(max_examples=60)
@given(tags, cuts, st.sampled_from([0, -(2**40), 2**60]), st.sampled_from([1, 97, 10**12]))
def test_a_census_is_the_same_however_the_stream_is_cut(
    items: list[tuple[int, int]], at: list[int], offset: int, stretch: int
) -> None:
    """Counts, shortest gaps and rates over time against plain loops; times are stretched so that bins must double."""
    block = block_of([(t * stretch, c) for t, c in items], offset)
    block = TagBlock(block.t, block.ch, offset, offset + 4000 * stretch, (Gap(offset + 100, offset + 150, 3),))
    census = Census()
    for piece in pieces_of(block, [cut * stretch for cut in at]):
        census.feed(piece)
    found = census.result()
    by_channel = {c: block.t[block.ch == c].tolist() for c in sorted(set(block.ch.tolist()))}
    assert found.channels == tuple(by_channel)
    assert found.counts.tolist() == [len(t) for t in by_channel.values()]
    expected = [min((b - a for a, b in pairwise(t)), default=-1) for t in by_channel.values()]
    assert found.shortest_ps.tolist() == expected
    assert (found.live_ps, found.missed) == (4000 * stretch - 50, 3)
    assert int(found.live_trace.sum()) == found.live_ps
    assert found.trace.shape[1] <= 512
    bins = [[(t - found.first_ps) // found.bin_ps for t in times] for times in by_channel.values()]
    assert found.trace.tolist() == [[row.count(k) for k in range(found.trace.shape[1])] for row in bins]


@given(
    st.lists(st.integers(-(2**50), 2**50), min_size=1, max_size=20),
    st.sampled_from([1, 156.25, 80.955, 13.02083, 1000, "125/32", "1000/3", 12499.9876543210]),
)
def test_ticks_are_found_back_exactly(ticks: list[int], bin_ps: float | str) -> None:
    length = tick_of(bin_ps)
    given_ticks = np.array(ticks, np.int64)
    times = ticks_to_ps(given_ticks, length)
    assert all(abs(t - k * length) <= Fraction(1, 2) for t, k in zip(times.tolist(), ticks, strict=True))
    assert ps_to_ticks(times, length).tolist() == ticks
    assert Fraction(tick_text(length)) == length


def test_what_is_no_tick_is_refused() -> None:
    with pytest.raises(BadRequestError, match="several share one picosecond"):
        ps_to_ticks(np.array([4]), 0.5)
    with pytest.raises(BadRequestError, match="time 7 ps of tag 2 is no multiple of 4 ps"):
        ps_to_ticks(np.array([8, 7]), 4)
    for wrong in ("ten", "1/0", -3):
        with pytest.raises(BadRequestError, match="expected a positive length"):
            tick_of(wrong)


def test_the_bar_shows_how_far_it_is_and_goes_away() -> None:
    out, now = io.StringIO(), [0.0]
    with Bar(out, shown=True, now_s=lambda: now[0]) as bar:
        bar(1, 100)  # too early to be of use
        assert out.getvalue() == ""
        now[0] = 2.0
        bar(50, 100)
        assert out.getvalue() == f"\r[{'#' * 15}{'.' * 15}]  50 %, 2 s left "
        now[0] = 2.05
        bar(60, 100)
        assert "60 %" not in out.getvalue()
    assert out.getvalue().endswith("\r" + " " * 60 + "\r")
    hidden = io.StringIO()
    silent = Bar(hidden, now_s=lambda: now[0])
    now[0] = 9.0
    silent(1, 2)
    assert hidden.getvalue() == ""
