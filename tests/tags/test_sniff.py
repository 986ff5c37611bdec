"""One function opens every format; contents decide, not names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from qlab.errors import BadRequestError, TagFileError
from qlab.tags.files.hdf5 import TagWriter
from qlab.tags.files.sniff import open_tags, sniff
from qlab.tags.stream import TagBlock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_contents_decide_not_names(tmp_path: Path) -> None:
    text = tmp_path / "misleading.ptu"
    text.write_text("3 1000\n4 1500\n")
    hdf5 = tmp_path / "misleading.txt"
    with TagWriter(hdf5) as writer:
        writer.append(TagBlock(np.array([3, 4]), np.array([1, 2]), 0, 10))
    assert (sniff(text), sniff(hdf5)) == ("text", "qlab")
    assert open_tags(text, bin_ps=2).t.tolist() == [2000, 3000]
    assert open_tags(hdf5, rows=(0, 1)).ch.tolist() == [1, 2]


def test_unknown_files_are_refused_by_their_first_bytes(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"\x00\x01\x02")
    with pytest.raises(TagFileError, match="starts with 00 01 02: no known format"):
        sniff(path)
    path.write_bytes(b"")
    with pytest.raises(TagFileError, match="is empty"):
        sniff(path)
    with pytest.raises(TagFileError, match="cannot be read"):
        sniff(tmp_path / "none")


def test_options_of_another_format_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "tags.h5"
    with TagWriter(path) as writer:
        writer.append(TagBlock(np.array([3]), np.array([1]), 0, 10))
    with pytest.raises(BadRequestError, match="format qlab, which says or needs no bin_ps"):
        open_tags(path, bin_ps=156.25)


def test_real_recordings_are_recognised(recording: Callable[[str], Path]) -> None:
    assert sniff(recording("hydraharp_t2_320MHz_hbt.ptu")) == "ptu"
    assert open_tags(recording("hydraharp_t2_320MHz_hbt.ptu")).n == 384_019
    assert sniff(recording("kwiat_bbm92_alice_bob.txt")) == "text"
    assert sniff(recording("qutag_320MHz_hbt.qutag")) == "qutag"
    assert [sniff(recording(f"timestamp7_c14_rollover.{end}.ts")) for end in ("Aa0f", "Aa1fX", "Aa2f")] == [
        "a0",
        "a1x",
        "a2",
    ]
