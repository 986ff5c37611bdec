"""Text in several layouts; an error names the line and what was sound before it."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlab.errors import BadRequestError, TagFileError
from qlab.tags.files.text import read_text
from qlab.tags.ticks import ticks_to_ps

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "tags.txt"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "text",
    [
        "4 0\n5 1541\n5 6485\n",
        "0 4\n1541 5\n6485 5\n",
        "4\t0\r\n5\t1541\r\n5\t6485\r\n",
        "channel,time\n4,0\n5,1541\n5,6485\n",
        "# recorded on Monday\n\nchannel;timetag\n4; 0\n# pause\n5; 1541\n5; 6485",
        "5 6485\n4 0\n5 1541\n",
    ],
    ids=["channel-time", "time-channel", "tabs", "csv", "comments", "unsorted"],
)
def test_layouts_are_told_apart(tmp_path: Path, text: str) -> None:
    block = read_text(write(tmp_path, text), bin_ps=156.25)
    # 1541 and 6485 bins of 156.25 ps are 240781.25 and 1013281.25 ps
    assert block.t.tolist() == [0, 240781, 1013281]
    assert block.ch.tolist() == [4, 5, 5]
    assert (block.start_ps, block.stop_ps) == (0, 1013282)


def test_times_alone_are_channel_zero(tmp_path: Path) -> None:
    block = read_text(write(tmp_path, "5\n-2\n1000\n"))
    assert (block.t.tolist(), block.ch.tolist(), block.start_ps) == ([-2, 5, 1000], [0, 0, 0], -2)


def test_empty_table_is_an_empty_block(tmp_path: Path) -> None:
    assert read_text(write(tmp_path, "# nothing came\nchannel time\n")).n == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("4 0\n5 1541\n5 6x85\n", r"line 3: '6x85' is not a whole number; the 2 tags before are sound"),
        ("# c\n4 0\n5\n", r"line 3: 1 columns where the lines before have 2; the 1 tags before are sound"),
        ("4 0\n5 1.5\n", r"line 2: '1.5' is not a whole number"),
        (f"4 0\n5 {2**63}\n", r"line 2: 9223372036854775808 does not fit into 64 bits"),
        ("1 2 3\n1 2 3\n", r"3 columns; expected channel and time tag"),
        ("300 1000\n4 70000\n", r"neither column stays within"),
        ("1 2\n3 4\n", r"either column could be the channel; say columns="),
    ],
)
def test_error_says_where_and_what_was_sound(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(TagFileError, match=message):
        read_text(write(tmp_path, text))


def test_stated_columns_are_believed_and_checked(tmp_path: Path) -> None:
    path = write(tmp_path, "1 2\n3 4\n")
    assert read_text(path, columns="channel time").t.tolist() == [2, 4]
    assert read_text(path, columns="time channel").t.tolist() == [1, 3]
    path = write(tmp_path, "1 2000\n300 4000\n")
    with pytest.raises(TagFileError, match="channel 300 of tag 2: expected 0 to 255; the 1 tags before"):
        read_text(path, columns="channel time")


def test_binary_and_missing_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"1 2\n\xff")
    with pytest.raises(TagFileError, match="byte 0xff at position 4"):
        read_text(path)
    with pytest.raises(TagFileError, match="cannot be read"):
        read_text(tmp_path / "none")


@given(st.integers(-(2**52), 2**52), st.sampled_from([1, 156.25, 80.955, 0.5, 13.02083, 1000, 5e-1]))
def test_bins_become_picoseconds_exactly(ticks: int, bin_ps: float) -> None:
    exact = ticks * Fraction(str(bin_ps))
    found = int(ticks_to_ps(np.array([ticks], dtype=np.int64), bin_ps)[0])
    assert abs(found - exact) <= Fraction(1, 2)


def test_impossible_bins_are_refused() -> None:
    with pytest.raises(BadRequestError, match="positive"):
        ticks_to_ps(np.array([1]), 0)
    with pytest.raises(BadRequestError, match="53 days"):
        ticks_to_ps(np.array([2**60]), 100)


def test_kwiat_recording_has_the_rows_its_description_gives(recording: Callable[[str], Path]) -> None:
    block = read_text(recording("kwiat_bbm92_alice_bob.txt"), bin_ps=156.25)
    assert block.n == 273_418
    assert block.live_s == pytest.approx(0.1967, abs=1e-4)
    assert block.counts(9).tolist() == [54474, 27489, 18019, 13188, 52969, 58542, 27245, 21492, 0]
