"""What a tagger does to clicks: skew, resolution, dead time, overflow; and what an oven and a fibre's walk do to a pair."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlab.physics.arm import Port
from qlab.physics.detector import Detector
from qlab.physics.fibre import Fibre
from qlab.physics.keys import Brownian
from qlab.physics.knob import CELL_PS, Knob
from qlab.physics.line import PairLine
from qlab.physics.source import PairSource
from qlab.physics.tagger import BIN_PS, Tagger, WorldFeed
from qlab.physics.world import World

if TYPE_CHECKING:
    from qlab.tags.stream import TagBlock

S = 10**12


def feed(tagger: Tagger, dark_hz: float = 2e5) -> WorldFeed:
    detectors = {n: Detector(Knob(0.0), Knob(dark_hz)) for n in (1, 2)}
    return WorldFeed(World(5, [], detectors), tagger, {0: (1, 1000), 1: (2, 0)})


def test_a_skew_and_a_cable_shift_their_channel_and_the_stream_stays_sorted() -> None:
    plain = feed(Tagger()).read(0, S // 10)
    skewed = feed(Tagger(skew_ps=(-400, 2_000_000))).read(0, S // 10)
    for channel, shift in ((0, -400), (1, 2_000_000)):
        before, after = plain.t[plain.ch == channel] + shift, skewed.t[skewed.ch == channel]
        inside = before[(before >= 0) & (before < S // 10)]
        assert np.isin(inside, after).all()
        assert after.size - inside.size <= 10  # what the shift brought in at the edges
    assert (np.diff(skewed.t) >= 0).all()


def test_tags_are_multiples_of_the_resolution_rounded_down() -> None:
    fine, coarse = feed(Tagger()).read(0, S // 10), feed(Tagger(resolution_ps=81)).read(0, S // 10)
    for channel in (0, 1):
        assert np.array_equal(fine.t[fine.ch == channel] // 81 * 81, coarse.t[coarse.ch == channel])


def test_each_channel_has_its_own_dead_time() -> None:
    # m = n / (1 + n tau) for either channel, as if the other were not there: 8e5 clicks know it to 0.07 %
    block = feed(Tagger(dead_time_ps=500_000), dark_hz=1e6).read(0, S)
    expected = 1e6 / (1 + 1e6 * 5e-7)
    assert block.counts(2) == pytest.approx([expected, expected], rel=0.003)
    for channel in (0, 1):
        assert np.diff(block.t[block.ch == channel]).min() >= 500_000
    assert np.diff(block.t).min() < 100_000


def test_an_overflow_passes_the_rate_and_says_how_many_were_missed_and_when() -> None:
    sent = feed(Tagger()).read(0, S // 10)
    block = feed(Tagger(max_rate_hz=1e5)).read(0, S // 10)
    most = int(1e5 * BIN_PS * 1e-12)
    assert block.n + sum(gap.missed for gap in block.gaps) == sent.n
    assert np.bincount(block.t // BIN_PS).max() == most
    for gap in block.gaps:
        assert not ((block.t >= gap.start_ps) & (block.t < gap.stop_ps)).any()
    # in its live time it sees the true rate: that is what live time is for
    assert block.n / block.live_s == pytest.approx(4e5, rel=0.04)


@settings(max_examples=20)
@given(st.lists(st.integers(1, S // 50 - 1), max_size=5, unique=True))
def test_an_overflow_is_the_same_however_it_is_read(cuts: list[int]) -> None:
    whole = feed(Tagger(max_rate_hz=1e5, dead_time_ps=300_000, resolution_ps=4)).read(0, S // 50)
    parts: list[TagBlock] = []
    reader = feed(Tagger(max_rate_hz=1e5, dead_time_ps=300_000, resolution_ps=4))
    for a, b in itertools.pairwise([0, *sorted(cuts), S // 50]):
        parts.append(reader.read(a, b))
    assert np.array_equal(np.concatenate([part.t for part in parts]), whole.t)
    assert np.array_equal(np.concatenate([part.ch for part in parts]), whole.ch)
    assert sum(gap.missed for part in parts for gap in part.gaps) == sum(gap.missed for gap in whole.gaps)
    assert sum(part.live_ps for part in parts) == whole.live_ps


@pytest.mark.parametrize(("off_c", "share"), [(0.0, 1.0), (1.0, 0.5), (-1.0, 0.5), (2.2589, 0.0)])
def test_the_crystals_temperature_makes_the_rate_of_pairs(off_c: float, share: float) -> None:
    # sinc^2 of the phase mismatch, 2 K wide at half its height; its first zero is at pi / 1.39156 half widths
    detectors = {n: Detector(Knob(1.0)) for n in (1, 2)}
    source = PairSource(2e5, pump_power_w=Knob(1.0), temperature_c=Knob(40.0 + off_c), phase_match_c=40.0)
    world = World(9, [PairLine(5, source, Port(1), Port(2))], detectors)
    assert world.clicks(1, 0, S).size == pytest.approx(2e5 * share, abs=max(4.0 * math.sqrt(2e5 * share), 1.0))


def test_polarisation_walks_as_far_as_the_lab_file_says() -> None:
    # The Bloch vector turns about each axis by a Gaussian angle of variance d^2 t; for small angles H leaks into V with
    # probability (x^2 + y^2) / 4 of the two axes across it, d^2 t / 2 on average.
    d, seconds, walks = 0.01, 10.0, 150
    cell = round(seconds * S / CELL_PS)
    leaks = []
    for seed in range(walks):
        walk = tuple(Brownian(seed, axis) for axis in range(3))
        fibre = Fibre(Port(1), 1.0, drift_rad_per_sqrt_s=d, walk=walk)
        leaks.append(abs(fibre.jones(cell * CELL_PS)[1, 0]) ** 2)
    # the mean of 150 exponentials is known to 8 %
    assert np.mean(leaks) == pytest.approx(d**2 * seconds / 2.0, rel=0.3)
