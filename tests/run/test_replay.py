"""Recorded photons through the wire: the taggers' twins play a file, and the same numbers come out as from the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from qlab.cli import main
from qlab.tags.commands import tags_coincidences
from qlab.tags.files.hdf5 import TagWriter
from qlab.tags.stream import TagBlock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

START_PS, LENGTH_PS = 5_000, 3 * 10**11


def eight_channels(path: Path) -> Path:
    """Write 6,000 pairs on eight channels with delays, 3 % of them wrong, and dark clicks."""
    rng = np.random.default_rng(3)
    born = np.sort(rng.integers(START_PS, LENGTH_PS, 6_000))
    a = rng.integers(0, 4, born.size)
    wrong = rng.random(born.size) < 0.03
    same_basis = rng.random(born.size) < 0.5
    b = np.where(same_basis, np.where(wrong, a ^ 1, a), (a + 2) % 4)
    delays = np.array([0, 3_000, -2_000, 8_000, 12_000, 500, -7_000, 4_000])
    t = np.concatenate([born + delays[a], born + delays[4 + b], rng.integers(START_PS, LENGTH_PS, 2_000)])
    ch = np.concatenate([a, 4 + b, rng.integers(0, 8, 2_000)])
    inside = (t >= 0) & (t < LENGTH_PS)
    with TagWriter(path) as writer:
        writer.append(TagBlock.from_unsorted(t[inside], ch[inside], 0, LENGTH_PS))
    return path


def replay(path: Path, data_dir: Path, *more: str) -> int:
    command = ["run", "measure_error_rates", "--lab", "replay", "--set", f"world.replay.file={path}"]
    return main([*command, *more, "--data-dir", str(data_dir), "--catalogue", "none"])


def table(text: str) -> str:
    """Return what is printed from the matrix's head on: delays and names of the file stand before."""
    return text[text.index("delays/ns") :]


def test_the_replayed_taggers_give_the_numbers_of_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = eight_channels(tmp_path / "recording.h5")
    assert main(["tags", "coincidences", str(path)]) == 0
    from_file = capsys.readouterr().out

    assert replay(path, tmp_path / "data", "duration_s=1.5") == 0

    from_wire = capsys.readouterr().out
    direct = tags_coincidences(path)
    assert direct.total > 5_000
    # the file's own interval is a little longer than from its first tag to its last: only the accidentals may differ
    without = [line for line in table(from_wire).splitlines() if not line.startswith("accidentals")]
    assert without == [line for line in table(from_file).splitlines() if not line.startswith("accidentals")]
    # 3 % of the pairs in equal bases are wrong; 3,000 of them: sigma 0.3 %
    for basis in direct.bases:
        assert basis.error_rate == pytest.approx(0.03, abs=0.0125)


def test_the_kwiat_recording_gives_the_same_through_the_wire(
    recording: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = recording("kwiat_bbm92_alice_bob.txt")
    assert main(["tags", "coincidences", str(path), "--bin-ps", "156.25"]) == 0
    from_file = capsys.readouterr().out

    more = ("--set", "world.replay.bin_ps=156.25", "bin_ps=156.25", "duration_s=2")
    assert replay(path, tmp_path, *more) == 0

    from_wire = capsys.readouterr().out
    assert table(from_wire) == table(from_file)
    # an independent analysis: 16,913 pairs, 4.97 % and 1.09 %, with its own choice of delays
    assert "every tag used at most once: 17001 coincidences" in from_wire
    assert "error rate in HV, one to one: 5.01 %" in from_wire
    assert "error rate in AD, one to one: 1.11 %" in from_wire


def test_without_a_recording_the_message_says_how_to_name_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert replay(tmp_path / "nothing.h5", tmp_path) == 1
    text = capsys.readouterr().err
    assert "world.replay.file" in text
    assert "--set world.replay.file=FILE" in text
