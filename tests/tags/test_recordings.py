"""Real recordings against what other programs made of them, and against readers of a dozen lines that share no code."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest

from qlab.tags.accumulators.histogram import DelayHistogram
from qlab.tags.accumulators.protocol import accumulate
from qlab.tags.files.ptu import read_ptu, stream_ptu
from qlab.tags.files.sniff import open_tags, stream_tags
from qlab.tags.stream import TagBlock
from qlab.tags.ticks import ps_to_ticks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

PTU, ETA, QUTAG = "hydraharp_t2_320MHz_hbt.ptu", "hydraharp_t2_320MHz_hbt_g2.npz", "qutag_320MHz_hbt.qutag"


def lags(block: TagBlock, start: int, stop: int) -> NDArray[np.int64]:
    """Return ETA's kind of histogram: 10,000 bins of 16 ps of one sign of the delay."""
    counted: NDArray[np.int64] = accumulate(DelayHistogram([(start, stop)], 0, 160_000, 16), [block]).counts[0]
    return counted


@pytest.mark.parametrize(("name", "start", "stop"), [("hist1", 1, 2), ("hist2", 2, 1)])
def test_g2_of_the_hydraharp_equals_the_shipped_histograms_bin_by_bin(
    recording: Callable[[str], Path], name: str, start: int, stop: int
) -> None:
    """With two rules of ETA's recipe taken over, all 10,000 bins are equal; without them, ours hold what it leaves out.

    ETA keeps the last 100 starts in a ring (``CLOCK(c3, 100, 1)``) whose entry 0 it does not look at: the starts number 0,
    100, 200, ... give no pairs.  And it ends before the last record of the file.
    """
    block = read_ptu(recording(PTU)).block
    shipped = np.load(recording(ETA))[name]
    starts = np.flatnonzero(block.ch == start)
    keep = np.ones(block.n, dtype=bool)
    keep[starts[::100]] = False
    keep[-1] = False
    as_eta = TagBlock(block.t[keep], block.ch[keep], block.start_ps, block.stop_ps)
    np.testing.assert_array_equal(lags(as_eta, start, stop), shipped)
    # What the two rules leave out, counted one by one, is the whole difference.
    ours = lags(block, start, stop)
    left_out = np.zeros(10_000, np.int64)
    stops = block.t[block.ch == stop]
    for t in block.t[starts[::100]].tolist():
        near = stops[np.searchsorted(stops, t) : np.searchsorted(stops, t + 160_000)] - t
        np.add.at(left_out, near // 16, 1)
    if block.ch[-1] == stop:
        near = block.t[-1] - block.t[starts]
        near = near[(near >= 0) & (near < 160_000) & (np.arange(starts.size) % 100 != 0)]
        np.add.at(left_out, near // 16, 1)
    np.testing.assert_array_equal(ours - left_out, shipped)
    assert (int(ours.sum()), int(shipped.sum())) == ((24_928, 24_701) if name == "hist1" else (24_663, 24_425))


def test_the_hydraharp_recording_is_the_same_in_pieces_of_any_size(recording: Callable[[str], Path]) -> None:
    whole = accumulate(DelayHistogram([(1, 2)], -50_000, 50_000, 100), [read_ptu(recording(PTU)).block])
    in_pieces = accumulate(DelayHistogram([(1, 2)], -50_000, 50_000, 100), stream_ptu(recording(PTU), chunk=9999))
    np.testing.assert_array_equal(whole.counts, in_pieces.counts)
    assert whole.exposure.live_ps == in_pieces.exposure.live_ps == 10**12


def comb(block: TagBlock) -> tuple[float, NDArray[np.int64]]:
    """Return the period of a pulsed source from the lags of inputs 1 and 2, and the pairs in each of its peaks."""
    found = accumulate(DelayHistogram([(1, 2)], -160_000, 160_000, 25), [block])
    counts, centre = found.counts[0], found.lo_ps + 12.5
    periods = np.linspace(3120, 3135, 301)
    waves = [complex((counts * np.exp(2j * np.pi * centre / period)).sum()) for period in periods]
    best = int(np.argmax(np.abs(waves)))
    period = float(periods[best])
    first = float(np.angle(waves[best])) / (2 * np.pi) * period
    peak = np.rint((centre - first) / period).astype(int)
    return period, np.bincount(peak + 60, counts, minlength=120)[14:107].astype(np.int64)


def test_two_taggers_see_the_same_source(recording: Callable[[str], Path]) -> None:
    """Of HydraHarp and quTAG: one period, and a missing peak, for it is a source of single photons.

    The period is four times that of a laser of 79.9 MHz.  No published numbers: what holds is that two instruments with two
    file formats agree, to the 0.05 ps that a period can be told from 100 peaks of some 120 pairs.
    """
    hydraharp, qutag = comb(open_tags(recording(PTU))), comb(open_tags(recording(QUTAG)))
    assert hydraharp[0] == pytest.approx(qutag[0], abs=0.1)
    assert 4 * hydraharp[0] == pytest.approx(1e6 / 79.92, rel=2e-4)
    for _, peaks in (hydraharp, qutag):
        rest = np.delete(peaks, int(peaks.argmin()))
        assert peaks.min() <= 3  # of several hundred
        assert rest.var() / rest.mean() == pytest.approx(1.0, abs=0.6)  # Poisson: 92 peaks, chi2/n within 4 sigma


def test_the_qutag_recording_is_what_its_bytes_say(recording: Callable[[str], Path]) -> None:
    """Decoded record by record with struct, and its g2 of the first 20,000 tags by brute force."""
    path = recording(QUTAG)
    records = sorted((t, ch) for t, ch in struct.iter_unpack("<QH", path.read_bytes()[40:]))
    block = open_tags(path)
    assert [(t, c) for t, c in zip(block.t.tolist(), block.ch.tolist(), strict=True)] == records
    ours = np.zeros(1000, np.int64)
    window: list[int] = []
    for t, ch in records[:20_000]:
        if ch == 1:
            window = [u for u in window if t - u < 100_000] + [t]
        elif ch == 2:
            for u in window:
                if t - u < 100_000:
                    ours[(t - u) // 100] += 1
    part = TagBlock(block.t[:20_000], block.ch[:20_000], block.start_ps, block.stop_ps)
    counts = accumulate(DelayHistogram([(1, 2)], 0, 100_000, 100), [part]).counts[0]
    np.testing.assert_array_equal(counts, ours)
    assert ours.sum() > 300


@pytest.mark.parametrize("spelling", ["Aa0f", "Aa1fX", "Aa2f"])
def test_s_fifteen_events_are_those_that_fpfind_reports(recording: Callable[[str], Path], spelling: str) -> None:
    """Its documentation (docs of parse-timestamps) prints for this file: 431 and 431, from 65333.011796794 to ...045492610 s.

    The card carries time over 140 quiet stretches by dummy events ("rollover" in the file's name); the 54 bits do not wrap.
    """
    blocks = list(stream_tags(recording(f"timestamp7_c14_rollover.{spelling}.ts")))
    t, ch = (np.concatenate([getattr(block, name) for block in blocks]) for name in ("t", "ch"))
    assert np.bincount(ch).tolist() == [431, 0, 0, 431]
    # ... printed from floats of 65,333 s in ns, rounded down or up
    assert int(t[0]) == pytest.approx(65_333_011_796_794_000, abs=1000)
    assert int(t[-1]) == pytest.approx(65_333_045_492_610_000, abs=1000)
    ticks = ps_to_ticks(t, "3.90625")
    lines = recording("timestamp7_c14_rollover.Aa2f.ts").read_text().split()
    events = sorted((int(line, 16) >> 10, int(line, 16) & 15) for line in lines if not int(line, 16) & 16)
    assert [(k, 1 << c) for k, c in zip(ticks.tolist(), ch.tolist(), strict=True)] == events
