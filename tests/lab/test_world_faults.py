"""What goes wrong between instruments: fibres of two ways, warmth, delay attacks, clocks that step, lost satellites."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pytest

from qlab.errors import BadRequestError, LabFileError
from qlab.lab.build import open_lab

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from qlab.lab.build import Lab

S = 10**12
LENGTH_M = 10_000.0
ONE_WAY_PS = LENGTH_M * 1.468 / 299_792_458.0 * 1e12

TWO_WAY = """
qlab: 1
name: twoway
seed: 11
nodes:
  alice: {{clock: {{{alice}}}}}
  bob: {{clock: {{{bob}}}}}
instruments:
  laser_a: &laser
    class: devices.sources.thorlabs_cld1015.CLD1015
    address: twin
    settings: {{current_limit_a: 0.12, current_a: 0.08}}
  laser_b: *laser
  near_a: &spd {{class: devices.detectors.sfifteen_spd.SPD, address: twin, twin: {{efficiency: 0.8, dark_rate_hz: 0,
    afterpulse_probability: 0, jitter_fwhm_ps: 100, dead_time_ns: 0}}}}
  far_a: *spd
  near_b: *spd
  far_b: *spd
  tagger_a: {{class: devices.taggers.idquantique_id900.ID900, address: twin, node: alice, twin: {{resolution_ps: 1}},
    reference: {reference}}}
  tagger_b: {{class: devices.taggers.idquantique_id900.ID900, address: twin, node: bob, twin: {{resolution_ps: 1}}}}
optics:
  crystal_a: {{kind: pair_source, pump: laser_a, brightness_hz_per_mw: 2000, bandwidth_nm: 0.1}}
  crystal_b: {{kind: pair_source, pump: laser_b, brightness_hz_per_mw: 2000, idler_nm: {colour}, bandwidth_nm: 0.1}}
  spool: {{kind: fibre, length_m: 10000, loss_db_per_km: 0.0, rotation_seed: 3, {fibre}}}
paths:
  - {{from: laser_a, to: crystal_a}}
  - {{from: laser_b, to: crystal_b}}
  - {{from: crystal_a.signal, to: near_a}}
  - {{from: crystal_a.idler, via: [spool], to: far_b}}
  - {{from: crystal_b.signal, to: near_b}}
  - {{from: crystal_b.idler, via: [spool.back], to: far_a}}
cables:
  - {{from: near_a, to: tagger_a.1}}
  - {{from: far_a, to: tagger_a.2}}
  - {{from: near_b, to: tagger_b.1}}
  - {{from: far_b, to: tagger_b.2}}
"""


@contextmanager
def two_way(
    tmp_path: Path, *, alice: str = "", bob: str = "", fibre: str = "", reference: str = "{}", colour: float = 810.0
) -> Iterator[Lab]:
    path = tmp_path / "twoway.yaml"
    path.write_text(TWO_WAY.format(alice=alice, bob=bob, fibre=fibre, reference=reference, colour=colour))
    with open_lab(str(path), data_dir=tmp_path) as lab:
        for name in ("laser_a", "laser_b"):
            lab.bench.pump_power(name).set(1e-3 * 20.0, lab.clock.now_ps())
        yield lab


def tags(lab: Lab, seconds: float) -> dict[str, NDArray[np.int64]]:
    begin = lab.clock.now_ps()
    lab.clock.sleep(seconds)
    end = lab.clock.now_ps()
    found = {}
    for node in ("a", "b"):
        block = lab.bench.tag_feed(f"tagger_{node}").read(begin, end)
        found[f"near_{node}"], found[f"far_{node}"] = (block.t[block.ch == channel] for channel in (0, 1))
    return found


def lag_ps(
    near: NDArray[np.int64], far: NDArray[np.int64], about_ps: float, wide_ps: float = 2000.0
) -> tuple[float, float]:
    """Return how much later pairs are at the far detector, and the standard error; by default 2 ns either way count."""
    place = np.searchsorted(far, near + round(about_ps))
    lags = np.concatenate([far[np.clip(place + k, 0, far.size - 1)] - near for k in (-1, 0)])
    lags = lags[np.abs(lags - about_ps) < wide_ps]
    assert lags.size > 5000
    return float(lags.mean()), float(lags.std() / np.sqrt(lags.size))


def both_ways(lab: Lab, about_ps: float = 0.0, wide_ps: float = 2000.0) -> tuple[float, float, float]:
    """Return (forth + back) / 2, (forth - back) / 2 and its standard error."""
    t = tags(lab, 0.3)
    forth, e_f = lag_ps(t["near_a"], t["far_b"], ONE_WAY_PS + about_ps, wide_ps)
    back, e_b = lag_ps(t["near_b"], t["far_a"], ONE_WAY_PS - about_ps, wide_ps)
    return (forth + back) / 2.0, (forth - back) / 2.0, float(np.hypot(e_f, e_b)) / 2.0


def test_light_goes_both_ways_through_one_fibre_and_a_delay_attack_on_one_way_moves_the_clock(tmp_path: Path) -> None:
    """A delay of one way by 1 ns looks like clocks that differ by half of it; of both ways, like a longer fibre."""
    with two_way(tmp_path, bob="offset_ps: 300", fibre="asymmetry_ps: 40") as lab:
        length, offset, sigma = both_ways(lab)
        assert sigma < 1.0
        assert length == pytest.approx(ONE_WAY_PS + 20.0, abs=4.0 * sigma + 0.5)
        assert offset == pytest.approx(300.0 - 20.0, abs=4.0 * sigma + 0.5)
        lab.faults.arm("fibre_delay", "spool", by_ps=1000.0, way="forth")
        changed, attacked, _ = both_ways(lab)
        assert attacked - offset == pytest.approx(500.0, abs=6.0 * sigma)
        assert changed - length == pytest.approx(500.0, abs=6.0 * sigma)
        lab.faults.arm("fibre_delay", "spool", by_ps=1000.0)
        longer, same, _ = both_ways(lab)
        assert same == pytest.approx(offset, abs=6.0 * sigma)
        assert longer - length == pytest.approx(1000.0, abs=6.0 * sigma)
        lab.faults.arm("fibre_cut", "spool")
        lab.clock.sleep(1e-3)  # what was on its way arrives
        t = tags(lab, 0.1)
        assert t["near_a"].size > 1000
        assert t["far_a"].size == t["far_b"].size == 0
        lab.faults.arm("fibre_cut", "spool", active=False)
        lab.faults.arm("detector_latch", "near_a")
        lab.faults.arm("detector_latch", "near_a")
        assert tags(lab, 0.05)["near_a"].size == 0
        lab.faults.arm("detector_latch", "near_a", active=False)
        assert both_ways(lab)[0] == pytest.approx(longer, abs=6.0 * sigma)


def test_two_colours_in_one_fibre_make_the_clocks_differ_by_half_of_their_dispersion(tmp_path: Path) -> None:
    """17 ps/nm/km over 10 km and 4 nm: 680 ps, of which a two-way transfer takes half for the clocks' difference."""
    with two_way(tmp_path, fibre="dispersion_ps_nm_km: 17.0, index_nm: 808.0", colour=814.0) as lab:
        length, offset, sigma = both_ways(lab, about_ps=0.0, wide_ps=3000.0)
        assert length == pytest.approx(ONE_WAY_PS + 170.0 * (2.0 + 6.0) / 2.0, abs=5.0 * sigma + 1.0)
        assert offset == pytest.approx(170.0 * (2.0 - 6.0) / 2.0, abs=5.0 * sigma + 1.0)


def test_warmth_makes_light_late_on_both_ways(tmp_path: Path) -> None:
    """10 ps/km/K over 10 km; a swing of 6 K is at its height after a quarter of the day."""
    with two_way(tmp_path, fibre="ps_per_km_k: 10.0, swing_k: 6.0") as lab:
        cold, offset, sigma = both_ways(lab)
        lab.faults.arm("warmth", "spool", by_k=2.0, tau_s=600.0)
        lab.clock.sleep(21600.0)
        warm, later, _ = both_ways(lab)
        assert warm - cold == pytest.approx(10.0 * 10.0 * 8.0, abs=6.0 * sigma)
        assert offset == pytest.approx(0.0, abs=4.0 * sigma + 0.5)
        assert later == pytest.approx(0.0, abs=4.0 * sigma + 0.5)


SCHEDULE = """ps_per_km_k: 10.0, events: [
  {at_s: 4.0, kind: cut, for_s: 1.0}, {at_s: 1.0, kind: delay, by_ps: 1000, way: forth},
  {at_s: 2.0, kind: delay, by_ps: 0, way: forth}, {at_s: 2.0, kind: delay, by_ps: 300},
  {at_s: 3.0, kind: loss, db: 3.0103}, {at_s: 4.5, kind: loss, db: 0},
  {at_s: 10.0, kind: warmth, by_k: 2.0}, {at_s: 20.0, kind: warmth, by_k: 1.0, tau_s: 100.0}]"""


def test_a_fibre_is_attacked_warmed_and_cut_by_schedule_as_it_is_by_faults(tmp_path: Path) -> None:
    with two_way(tmp_path, fibre=SCHEDULE) as lab:
        length, offset, sigma = both_ways(lab)
        lab.clock.sleep(1.1 - lab.clock.now_ps() / S)
        lab.faults.arm("fibre_delay", "spool", by_ps=100.0, way="back")  # comes on top, and is not taken back at 2 s
        attacked = both_ways(lab)
        assert attacked[1] - offset == pytest.approx((1000.0 - 100.0) / 2.0, abs=6.0 * sigma)
        assert attacked[0] - length == pytest.approx((1000.0 + 100.0) / 2.0, abs=6.0 * sigma)
        lab.clock.sleep(2.1 - lab.clock.now_ps() / S)
        later = both_ways(lab)
        assert later[1] - offset == pytest.approx(-50.0, abs=6.0 * sigma)
        assert later[0] - length == pytest.approx(300.0 + 50.0, abs=6.0 * sigma)
        before = tags(lab, 0.3)
        lab.clock.sleep(3.1 - lab.clock.now_ps() / S)
        lossy = tags(lab, 0.3)  # half of the light
        seen = lossy["far_a"].size / before["far_a"].size
        assert seen == pytest.approx(0.5, abs=4.0 * (0.75 / before["far_a"].size) ** 0.5)
        lab.clock.sleep(4.1 - lab.clock.now_ps() / S)
        assert tags(lab, 0.3)["far_a"].size == 0
        lab.clock.sleep(6.0 - lab.clock.now_ps() / S)
        assert tags(lab, 0.3)["far_a"].size == pytest.approx(before["far_a"].size, rel=0.05)
        for at_s, warm_k in ((11.0, 2.0), (120.0, 1.0 + np.exp(-1.0))):
            lab.clock.sleep(at_s - 0.15 - lab.clock.now_ps() / S)
            now = both_ways(lab)
            assert now[0] - later[0] == pytest.approx(10.0 * 10.0 * warm_k, abs=8.0 * sigma)
            assert now[1] - later[1] == pytest.approx(0.0, abs=8.0 * sigma)


@pytest.mark.parametrize(
    ("event", "pieces"),
    [
        ("{at_s: 1.0, kind: delay}", ["by_ps"]),
        ("{at_s: 1.0, kind: cutt}", ["cutt", "delay"]),
        ("{at_s: -1.0, kind: cut}", ["at_s", "-1"]),
    ],
)
def test_a_mistake_in_a_fibres_schedule_is_named(tmp_path: Path, event: str, pieces: list[str]) -> None:
    with pytest.raises(LabFileError) as caught, two_way(tmp_path, fibre=f"events: [{event}]"):
        pass
    for piece in pieces:
        assert piece in str(caught.value), caught.value


def test_clocks_step_leap_and_jump_by_schedule_and_by_fault(tmp_path: Path) -> None:
    events = "events: [{at_s: 1.0, kind: step, by_ps: 400}, {at_s: 2.0, kind: frequency_jump, by: 1.0e-9}]"
    with two_way(tmp_path, bob=events) as lab:
        bob = lab.wiring.instrument_clocks["tagger_b"]
        lab.clock.sleep(1.1)
        offset, sigma = both_ways(lab)[1:]
        assert offset == pytest.approx(400.0, abs=4.0 * sigma + 0.5)
        assert bob.local(2 * S) == 2 * S + 400
        assert bob.local(5 * S) == 5 * S + 400 + 3000
        lab.clock.sleep(4.0)
        now = lab.clock.now_ps()
        error = bob.local(now) - now
        lab.faults.arm("clock_leap", "bob")
        lab.faults.arm("clock_step", "bob", by_ps=-77)
        lab.faults.arm("clock_frequency", "bob", by=-1e-9)
        assert bob.local(now + 3 * S) - now - 3 * S == error + S - 77


def test_the_reference_comes_late_and_without_pps_an_instrument_has_a_zero_of_its_own(tmp_path: Path) -> None:
    reference = "{delay_ps: 5000, ps_per_k: 20.0, noise: {white_pm_ps: 3.0}}"
    with two_way(tmp_path, alice="offset_ps: 100", reference=reference) as lab:
        lab.faults.arm("warmth", "alice", by_k=2.0)
        clock = lab.wiring.instrument_clocks["tagger_a"]
        t = np.arange(S, 3 * S, S // 500, dtype=np.int64)
        error = clock.local(t) - t
        assert error.mean() == pytest.approx(100 - 5000 - 40, abs=1.0)
        assert error.std() == pytest.approx(3.0, rel=0.1)
        assert lab.wiring.generator_clocks["tagger_a"].local(S) == clock.local(S)
    with two_way(tmp_path, alice="offset_ps: 100", reference="{signal: 10mhz}") as lab:
        zero = lab.wiring.instrument_clocks["tagger_a"].local(S) - S - 100
        assert zero != 0
        assert abs(zero) <= 50_000
    with two_way(tmp_path, alice="offset_ps: 100", reference="{signal: none, clock: {drift: 1.0e-6}}") as lab:
        assert lab.wiring.instrument_clocks["tagger_a"].local(S) == S + 10**6


def test_without_satellites_a_disciplined_clock_drifts_off_and_comes_back(tmp_path: Path) -> None:
    with two_way(tmp_path, bob="kind: gps_disciplined") as lab:
        clock = lab.wiring.clocks["bob"]
        lab.clock.sleep(100.0)
        lab.faults.arm("gps_outage", "bob", for_s=86400.0)
        hours = np.arange(1, 60, dtype=np.int64) * 3600 * S
        error = np.abs(clock.local(hours) - hours)
        assert error[20:24].min() > 500_000  # 1e-10 a day of ageing is 4.3 us in a day
        assert error[20:24].max() < 10_000_000
        assert error[40:].max() < 100_000  # hours after: some nanoseconds again


MISTAKES: list[tuple[str, str, dict[str, object], list[str]]] = [
    ("fibre_cat", "spool", {}, ["no world fault 'fibre_cat'", "fibre_cut"]),
    ("fibre_cut", "spol", {}, ["no fibre 'spol'", "'spool'"]),
    ("fibre_delay", "spool", {"by_ps": "a lot"}, ["by_ps is 'a lot'", "a finite number"]),
    ("fibre_delay", "spool", {"by_ps": 1, "way": "up"}, ["way is 'up'", "forth, back or both"]),
    ("clock_step", "bob", {"by_ps": 1, "ps": 1}, ["clock_step", "'ps'", "fields are by_ps"]),
    ("clock_step", "carol", {"by_ps": 1}, ["'carol' is not a node"]),
    ("clock_frequency", "bob", {"by": 1}, ["by is 1", "1e-3"]),
    ("gps_outage", "bob", {}, ["gps_outage", "bob", "gps_disciplined"]),
    ("detector_latch", "near", {}, ["no detector 'near'", "did you mean 'near_"]),
    ("warmth", "laser_a", {"by_k": 1}, ["'laser_a' is not a fibre or a node"]),
]


def test_a_mistake_in_a_fault_is_named_and_changes_nothing(tmp_path: Path) -> None:
    with two_way(tmp_path) as lab:
        for kind, place, fields, pieces in MISTAKES:
            with pytest.raises(BadRequestError) as caught:
                lab.faults.answer({"kind": kind, "place": place, **fields})
            for piece in pieces:
                assert piece in str(caught.value), caught.value
        listed = lab.faults.answer({})
        assert listed["fibre_delay"] == ["place", "by_ps", "way"]
        assert lab.wiring.clocks["bob"].shows_world(lab.clock.now_ps())
