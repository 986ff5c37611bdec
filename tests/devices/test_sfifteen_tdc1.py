"""The TDC1: words decoded, the same photons as an ID900 sees, lost bytes noticed, an acquisition that can be ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.taggers.sfifteen_tdc1 import decode_words
from qlab import roles
from qlab.errors import BadReplyError, BadRequestError, InstrumentError
from qlab.lab.build import Lab, open_lab
from qlab.tags.coincidence import coincidence_matrix
from qlab.twin.faults import WireFault
from sim_devices.taggers.tdc1_words import HALF_WRAP_PS, encode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LAB = """
qlab: 1
name: two-taggers
seed: 5
instruments:
  pump: {class: devices.sources.thorlabs_cld1015.CLD1015, address: twin, settings: {current_limit_a: 0.12, current_a: 0.05}}
  a: {class: devices.detectors.sfifteen_spd.SPD, address: twin, twin: {afterpulse_probability: 0.0}}
  b: {class: devices.detectors.sfifteen_spd.SPD, address: twin, twin: {afterpulse_probability: 0.0}}
  fine: {class: devices.taggers.idquantique_id900.ID900, address: twin}
  coarse: {class: devices.taggers.sfifteen_tdc1.TDC1, address: twin}
optics:
  crystal: {kind: pair_source, pump: pump, brightness_hz_per_mw: 5000}
  left: {kind: attenuator, loss_db: 1.0}
  right: {kind: attenuator, loss_db: 1.0}
paths:
  - {from: pump, to: crystal}
  - {from: crystal.signal, via: [left], to: a}
  - {from: crystal.idler, via: [right], to: b}
cables:
  - {from: a, to: fine.1}
  - {from: b, to: fine.2, delay_ps: 40000}
  - {from: a, to: coarse.1}
  - {from: b, to: coarse.2, delay_ps: 40000}
"""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    path = tmp_path / "two-taggers.yaml"
    path.write_text(LAB)
    with open_lab(str(path), data_dir=tmp_path) as lab:
        yield lab


@given(st.lists(st.tuples(st.integers(0, 4 * HALF_WRAP_PS), st.integers(0, 3)), max_size=40))
def test_what_the_twin_sends_is_what_the_driver_reads(events: list[tuple[int, int]]) -> None:
    events = sorted({(t // 2000 * 2000, ch) for t, ch in events})
    t, ch = np.array([e[0] for e in events], np.int64), np.array([e[1] for e in events], np.uint8)
    markers = np.arange(6, dtype=np.int64) * HALF_WRAP_PS
    found_t, found_ch, reach_ps = decode_words(encode(t, ch, markers))
    assert found_t.tolist() == t.tolist()
    assert found_ch.tolist() == ch.tolist()
    assert reach_ps == max(5 * HALF_WRAP_PS, *t.tolist(), 0)


@pytest.mark.parametrize("cut", [1, 2, 3, 30])
def test_lost_bytes_never_pass_for_tags(cut: int) -> None:
    rng = np.random.default_rng(1)
    t = np.sort(rng.integers(0, 10**11, 2000)) // 2000 * 2000
    data = encode(t, rng.integers(0, 4, t.size).astype(np.uint8), np.arange(1, dtype=np.int64))
    with pytest.raises(BadReplyError, match="bytes were lost"):
        decode_words(data[:400] + data[400 + cut :])


def test_both_taggers_see_the_same_photons_each_in_its_own_bins(lab: Lab) -> None:
    fine, coarse, pump = (lab.devices[name] for name in ("fine", "coarse", "pump"))
    assert isinstance(coarse, roles.TimeTagger)
    for tagger in (fine, coarse):
        tagger.acquisition_s.put(1.0)
    pump.switch_on().wait(60)
    lab.clock.sleep(1.0)

    first, second = fine.trigger(), coarse.trigger()
    first.wait(60)
    second.wait(60)

    pump.switch_off().wait(60)
    seen, rough = fine.last_block, coarse.last_block
    # the same second of the same world: all but a click or two at its edges
    assert rough.counts(2) == pytest.approx(seen.counts(2), abs=3)
    assert seen.counts(2).min() > 10_000
    pairs = coincidence_matrix(seen, [0], [1], 4000, {0: 0, 1: 40_000})[0, 0]
    rough_pairs = coincidence_matrix(rough, [0], [1], 8000, {0: 0, 1: 40_000})[0, 0]
    # 8 ns in bins of 2 ns hold every pair that 4 ns hold, and accidentals of another 6 ns: S_a S_b 6 ns is below 1 %
    assert pairs > 5000
    assert rough_pairs == pytest.approx(pairs, rel=0.02)
    assert set(np.unique(rough.t % 2000)) == {rough.t[0] % 2000}


def test_a_slipped_stream_fails_and_the_next_one_is_right(lab: Lab) -> None:
    coarse = lab.devices["coarse"]
    coarse.acquisition_s.put(0.5)
    lab.twins["coarse"].device_fault("slip")
    lab.twins["a"]._detector.dark_rate_hz.set(1e5, lab.clock.now_ps())
    with pytest.raises((BadReplyError, InstrumentError), match="bytes were lost"):
        coarse.trigger().wait(60)
    coarse.trigger().wait(60)
    # 0.5 s of 1e5 darks a second, 4 sigma, and 50 ns of dead time
    assert coarse.last_block.counts(1)[0] == pytest.approx(50_000 / (1 + 1e5 * 50e-9), abs=4 * 50_000**0.5)


def test_a_stream_that_ends_early_is_not_taken_for_darkness(lab: Lab) -> None:
    coarse = lab.devices["coarse"]
    coarse.acquisition_s.put(2.0)
    mount = lab.mounts["coarse"]
    lab.clock.call_at(lab.clock.now_ps() + 10**12, lambda: mount.faults.arm(WireFault("silent", count=None)))
    with pytest.raises(InstrumentError, match=r"the stream ended after (0\.9|1\.0)\d* s of an acquisition of 2 s"):
        coarse.trigger().wait(60)
    mount.faults.clear()
    coarse.trigger().wait(60)
    assert coarse.last_block.live_s == pytest.approx(2.0)


def test_an_interrupted_acquisition_ends_within_a_second(lab: Lab) -> None:
    coarse = lab.devices["coarse"]
    coarse.acquisition_s.put(60.0)
    begin_ps = lab.clock.now_ps()
    lab.clock.call_at(begin_ps + 2 * 10**12, coarse.interrupt_jobs)
    with pytest.raises(InstrumentError, match="was interrupted"):
        coarse.trigger().wait(60)
    assert lab.clock.now_ps() - begin_ps < 3 * 10**12
    coarse.acquisition_s.put(0.1)
    coarse.trigger().wait(60)
    assert coarse.last_block.live_s == pytest.approx(0.1)


def test_a_missing_external_clock_and_an_impossible_time_are_said(lab: Lab) -> None:
    coarse = lab.devices["coarse"]
    coarse.reference.set(1).wait(10)
    assert coarse.check_health() == ["the external clock is missing"]
    lab.twins["coarse"].device_fault("external_clock")
    assert coarse.check_health() == []
    coarse.acquisition_s.put(100.0)
    with pytest.raises(BadRequestError, match="an acquisition of 100 s; this tagger takes"):
        coarse.trigger().wait(60)
