"""Two taggers on clocks of their own as one stream: against the definition, in whole numbers of picoseconds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlab.cli import main
from qlab.errors import BadRequestError
from qlab.tags.accumulators.coincidences import CoincidenceCounter
from qlab.tags.accumulators.protocol import accumulate
from qlab.tags.clock_relation import ClockRelation, on_one_clock
from qlab.tags.stream import Gap, TagBlock
from tests.tags.streams import pieces_of
from tests.timing.pairs import TwoClocks, tags_of_pairs

if TYPE_CHECKING:
    from pathlib import Path

relations = st.builds(
    ClockRelation.exact,
    st.floats(-2e11, 2e11),
    st.floats(-1e-4, 1e-4),
    st.floats(-1e-7, 1e-7),
    reference_ps=st.integers(-(10**13), 10**13),
)


@settings(max_examples=80, deadline=None)
@given(relations, st.lists(st.integers(-(10**13), 10**13), max_size=20))
def test_times_go_there_and_come_back(relation: ClockRelation, times: list[int]) -> None:
    t = np.sort(np.array(times, dtype=np.int64))
    there = relation.to_second(t)
    for at, shown in zip(t.tolist(), there.tolist(), strict=True):
        # Rounding once, and float64's last bits of 0.2 s.
        assert abs(shown - at - relation.offset_at(at)) <= 0.501
    assert np.abs(relation.to_first(there) - t).max(initial=0) <= 1
    assert (np.diff(there) >= 0).all()


def test_a_block_keeps_its_order_its_interval_and_its_gaps() -> None:
    relation = ClockRelation.exact(1000.0, 0.5)  # so slow that times fall together
    block = TagBlock(np.array([3000, 3001, 3002, 4500]), np.array([7, 2, 1, 0]), 2500, 5500, (Gap(4000, 4300, 5),))
    moved = relation.block_to_first(block)
    assert moved.t.tolist() == sorted(moved.t.tolist())
    assert sorted(zip(moved.t.tolist(), moved.ch.tolist(), strict=True)) == list(
        zip(moved.t.tolist(), moved.ch.tolist(), strict=True)
    )
    assert (moved.start_ps, moved.stop_ps) == (1000, 3000)
    assert moved.gaps == (Gap(2000, 2200, 5),)


def test_the_error_grows_with_what_is_not_known_of_the_frequency() -> None:
    relation = ClockRelation(0, 0.0, 0.0, 0.0, np.diag([9.0, 1e-24, 0.0]))
    assert relation.sigma_at(0) == 3.0
    assert relation.sigma_at(4 * 10**12) == pytest.approx(5.0)  # 1e-12 of 4 s is 4 ps


@pytest.mark.parametrize("at", [[], [10**9, 10**9 + 1, 5 * 10**10], list(range(0, 10**11, 7_000_000_000))])
def test_two_taggers_are_counted_as_one_however_they_are_cut(at: list[int]) -> None:
    clocks = TwoClocks(37 * 10**7, 3e-5, 5e-8)
    a, b = tags_of_pairs(clocks, seed=4, pairs=0.3, duration_s=0.1, rate_hz=5e4, jitter_ps=40.0)
    relation = ClockRelation.exact(clocks.offset_ps, clocks.frequency, clocks.drift_per_s)
    a = a[(a < 10**10) | (a >= 2 * 10**10)]
    first = TagBlock(a, np.zeros(a.size), 0, 10**11, (Gap(10**10, 2 * 10**10),))
    second = TagBlock(b, np.zeros(b.size), int(b[0]), int(b[-1]) + 1)
    back = b - np.rint(clocks.difference_ps(b - np.rint(clocks.difference_ps(b)).astype(np.int64))).astype(np.int64)
    expected = sum(int((np.abs(back - t) <= 150).sum()) for t in a)
    cut_second = [cut // 3 for cut in at]
    blocks = list(on_one_clock(pieces_of(first, at), pieces_of(second, cut_second), relation, channel_step=1))
    result = accumulate(CoincidenceCounter([0, 1], 300), blocks)
    assert expected > 1000
    assert abs(int(result.counts[0, 1]) - expected) <= 3  # a rounding at the window's edge
    assert result.exposure.live_ps == blocks[-1].stop_ps - blocks[0].start_ps - 10**10
    assert blocks[-1].stop_ps <= 10**11


def test_what_does_not_fit_is_refused() -> None:
    block = TagBlock(np.array([5]), np.array([250]), 0, 10)
    with pytest.raises(BadRequestError, match="raised by 8"):
        list(on_one_clock([block], [block], ClockRelation.exact(0.0), channel_step=8))
    with pytest.raises(BadRequestError, match="before the last one ended"):
        list(on_one_clock([block, block], [block.moved(5)], ClockRelation.exact(0.0)))
    with pytest.raises(BadRequestError, match="no peak"):
        ClockRelation.from_json({"lock": False, "reason": "no peak"})
    with pytest.raises(BadRequestError, match="offset_ps"):
        ClockRelation.from_json({"reference_ps": 0})
    relation = ClockRelation(7, 1.0, 2e-6, 3e-9, np.diag([1.0, 2.0, 3.0]))
    assert ClockRelation.from_json(json.loads(json.dumps(relation.as_json()))).as_json() == relation.as_json()


def test_coincidences_of_two_files_by_the_clocks_that_were_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clocks = TwoClocks(15 * 10**8, 2e-6)
    a, b = tags_of_pairs(clocks, seed=3, pairs=0.3, duration_s=0.3, rate_hz=5e4, jitter_ps=100.0)
    for name, t, channel in (("a", a, 0), ("b", b, 0)):
        (tmp_path / f"{name}.txt").write_text("".join(f"{channel} {x}\n" for x in t.tolist()))
    files = [str(tmp_path / "a.txt"), str(tmp_path / "b.txt")]
    parties = ["--alice", "0", "--bob", "0", "--bin-ps", "1"]
    assert main(["tags", "clocks", *files, *parties, "--max-offset-ms", "2", "--max-ppm", "3", "--json"]) == 0
    found = tmp_path / "clocks.json"
    found.write_text(capsys.readouterr().out)
    count = ["tags", "coincidences", *files, *parties, "--window-ps", "1000", "--json"]
    assert main([*count, "--clocks", str(found)]) == 0
    result = json.loads(capsys.readouterr().out)
    # 0.3 * 5e4 /s pairs in 0.2985 s; a window of +-500 ps holds 99.96 % of a peak of 141 ps.
    assert result["total"] == pytest.approx(0.3 * 5e4 * 0.2985, abs=4 * (0.3 * 5e4 * 0.3) ** 0.5)
    assert result["bob"] == [8]
    assert main(["tags", "coincidences", files[0], "--clocks", str(found)]) != 0
    assert "expected a second file" in capsys.readouterr().err
    found.write_text("nonsense")
    assert main([*count, "--clocks", str(found)]) != 0
    assert "expected what `qlab tags clocks --json` prints" in capsys.readouterr().err
