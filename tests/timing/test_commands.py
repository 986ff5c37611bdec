"""`qlab tags clocks` on files made here, and on the Kwiat recording with one party's clock changed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from qlab.cli import main
from qlab.tags.files.sniff import open_tags
from tests.timing.pairs import Times, TwoClocks, tags_of_pairs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def write(path: Path, times: Times, channel: int) -> str:
    path.write_text("".join(f"{channel} {t}\n" for t in times.tolist()))
    return str(path)


def test_two_files_on_two_clocks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clocks = TwoClocks(1_500_000_000, 4e-6)
    a, b = tags_of_pairs(clocks, seed=8, pairs=0.1, duration_s=0.3)
    files = [write(tmp_path / "a.txt", a, 0), write(tmp_path / "b.txt", b, 3)]
    limits = ["--max-offset-ms", "2", "--max-ppm", "20", "--bin-ps", "1"]
    assert main(["tags", "clocks", *files, *limits, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    sigma = np.sqrt(found["covariance"][0][0])
    assert sigma < 50.0
    assert found["offset_ps"] == pytest.approx(float(clocks.difference_ps(found["reference_ps"])), abs=5.0 * sigma)
    assert main(["tags", "clocks", *files, *limits]) == 0
    assert "offset      1500" in capsys.readouterr().out


def test_no_lock_is_said_and_exits_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = tags_of_pairs(TwoClocks(), seed=9, pairs=0.0, duration_s=0.1, rate_hz=2e4)
    files = [write(tmp_path / "a.txt", a, 0), write(tmp_path / "b.txt", b, 1)]
    assert main(["tags", "clocks", *files, "--max-offset-ms", "1", "--max-ppm", "1", "--bin-ps", "1"]) == 1
    assert "no lock between" in capsys.readouterr().out


def test_channels_that_are_not_there_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, _ = tags_of_pairs(TwoClocks(), seed=9, pairs=0.0, duration_s=0.01)
    file = write(tmp_path / "a.txt", a, 2)
    assert main(["tags", "clocks", file, file, "--bob", "5", "--bin-ps", "1"]) != 0
    assert "no tags on channels 5; it has tags on 2" in capsys.readouterr().err


def test_the_parties_of_the_kwiat_recording_are_aligned_on_any_clock(recording: Callable[[str], Path]) -> None:
    from qlab.timing.acquire import ClockLock, Search, acquire

    block = open_tags(recording("kwiat_bbm92_alice_bob.txt"), bin_ps=156.25)
    alice, bob = block.select([0, 1, 2, 3]).t, block.select([4, 5, 6, 7]).t
    search = Search(max_offset_ps=10**9, max_frequency=1e-5, max_drift_per_s=1e-6)
    one = acquire(alice, bob, search)
    assert isinstance(one, ClockLock)
    # Delays of the detectors differ by some 80 bins of 156.25 ps, and so do the lags that make up this peak.
    assert abs(one.offset_ps) < 80 * 156.25
    clocks = TwoClocks(37_000_000, 3e-6)
    other = acquire(alice, bob + np.rint(clocks.difference_ps(bob)).astype(np.int64), search)
    assert isinstance(other, ClockLock)
    moved = other.offset_at(one.reference_ps) - float(clocks.difference_ps(one.reference_ps))
    assert moved == pytest.approx(one.offset_ps, abs=5.0 * one.sigma_ps)
    assert other.frequency - 3e-6 == pytest.approx(one.frequency, abs=5.0 * one.sigma_frequency)


def test_the_two_detectors_of_the_s_fifteen_recording_are_aligned_without_being_told_their_delay(
    recording: Callable[[str], Path],
) -> None:
    from qlab.timing.acquire import ClockLock, Search, acquire

    block = open_tags(recording("timestamp7_c14_rollover.Aa1fX.ts"))
    near, far = block.select([0]).t, block.select([3]).t
    # 431 events on either, one to one: that they are pairs is seen without any search.  Their delays have two peaks, 0.3 ns
    # apart; either is right, and so is what lies between.
    lags = far - near
    assert np.ptp(lags) < 500
    search = Search(max_offset_ps=10**9, max_frequency=1e-5, max_drift_per_s=1e-6)
    for clocks in (TwoClocks(), TwoClocks(-700_000_000, 8e-6)):
        start = int(near[0])
        moved = far + np.rint(clocks.difference_ps(far - start)).astype(np.int64)
        found = acquire(near, moved, search)
        assert isinstance(found, ClockLock), found
        at = found.reference_ps
        offset = found.offset_ps - float(clocks.difference_ps(at - start))
        assert lags.min() - 2.0 * found.sigma_ps < offset < lags.max() + 2.0 * found.sigma_ps
        assert found.sigma_ps < 20.0
        assert found.jitter_ps < 200.0
        assert found.pair_rate_hz * found.span_s > 200


def test_the_blinking_single_photon_source_of_the_hydraharp_recording_is_no_lock(
    recording: Callable[[str], Path],
) -> None:
    """Its two detectors never see one photon both; that it blinks within microseconds correlates them all the same."""
    from qlab.timing.acquire import NoLock, Search, acquire

    block = open_tags(recording("hydraharp_t2_320MHz_hbt.ptu"))
    search = Search(
        max_offset_ps=10**8, max_frequency=4e-6, max_drift_per_s=1e-7, span_s=0.2, frequency_steps=(4e-6,), candidates=1
    )
    found = acquire(block.select([1]).t, block.select([2]).t, search)
    assert isinstance(found, NoLock), found
    assert "are no photon pairs" in found.reason
