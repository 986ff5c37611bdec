"""Generators on the wire drive pulsed light, gates and tagger inputs; what the taggers record is what theory says."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from plans.recording import record_tags
from qlab.errors import LabFileError
from qlab.lab.build import open_lab
from qlab.run.engine import Session
from qlab.run.options import RunOptions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PERIOD_PS = 2_000_000
QUIET = [f"instruments.bob_{x}.twin.afterpulse_probability=0" for x in "hvda"]
STATES, SHARES = ("H", "V", "D", "A"), (0.4, 0.4, 0.1, 0.1)
LEVELS = ((1.0, 0.7), (0.2, 0.2), (0.0, 0.1))


@pytest.fixture(scope="module")
def decoy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Session]]:
    folder = tmp_path_factory.mktemp("decoy")
    with (
        open_lab("decoy", overrides=QUIET, data_dir=folder) as lab,
        Session(lab, RunOptions(data_dir=folder)) as session,
    ):
        yield lab, session


def click_probability(detector: str, state: str, mu: float) -> float:
    """Return P(click in a gate) for a state that was sent: 1 - (1 - d) sum of q_L exp(-mu T_L eta p), from the lab file."""
    turn = {"H": 0.0, "V": 90.0, "D": 45.0, "A": -45.0}
    angle = math.radians(turn[state] + 1.0 - turn[detector])
    leak = 10**-2.5
    right = (1 - leak) * math.cos(angle) ** 2 + leak * math.sin(angle) ** 2
    p = right * (1 - 1e-3) + (1 - right) * 1e-3
    seen = mu * 10**-0.2 * 0.5 * 0.2 * p
    dark = 1 - math.exp(-20_000 * 5e-9)
    levels = [(1e-3 + (1 - 1e-3) * t, share) for t, share in LEVELS]
    return 1 - (1 - dark) * sum(share * math.exp(-seen * t) for t, share in levels)


@pytest.mark.parametrize("loss_db", [20.8, 24.8, 30.8])
def test_a_gated_detector_counts_weak_pulses_as_often_as_the_attenuator_says(
    decoy: tuple[Any, Session], loss_db: float
) -> None:
    """The dead time of 3 us takes the gate after a click: m = p/(1 + p) a gate."""
    lab, session = decoy
    lab.devices["voa"].loss_db.set(loss_db).wait()
    set_db = lab.devices["voa"].loss_db.get()
    mu = 1000.0 * 10 ** (-(set_db + 1.2) / 10)
    tagger = lab.devices["bob_tagger"]
    session.run(record_tags([tagger], duration_s=1.0))
    counts = tagger.last_block.counts(4)
    for detector, found in zip(STATES, counts.tolist(), strict=True):
        p = sum(share * click_probability(detector, s, mu) for s, share in zip(STATES, SHARES, strict=True))
        expected = 500_000 * p / (1 + p)
        assert found == pytest.approx(expected, abs=4 * math.sqrt(expected))


def test_two_taggers_tell_the_error_rate_of_bb84(decoy: tuple[Any, Session]) -> None:
    lab, session = decoy
    lab.devices["voa"].loss_db.set(20.8).wait()
    mu = 1000.0 * 10 ** (-(lab.devices["voa"].loss_db.get() + 1.2) / 10)
    alice, bob = (lab.devices[f"{name}_tagger"] for name in ("alice", "bob"))
    session.run(record_tags([alice, bob], duration_s=0.5))
    sent, seen = alice.last_block, bob.last_block
    first = int(sent.t[0])
    state = np.full(400_000, -1)
    pulses, off = np.divmod(sent.t - first, PERIOD_PS)
    assert not off.any()
    state[pulses] = sent.ch
    came, late = np.divmod(seen.t - first - (24 * PERIOD_PS + 965_300), PERIOD_PS)
    assert late.max() < 5_000  # the gates are no longer
    inside = (came >= 0) & (came < state.size)
    table = np.zeros((4, 4))
    chosen = state[came[inside]]
    np.add.at(table, (chosen[chosen >= 0], seen.ch[inside][chosen >= 0]), 1)
    for right, wrong in ((0, 1), (1, 0), (2, 3), (3, 2)):
        n = table[right, right] + table[right, wrong]
        p = [click_probability(STATES[k], STATES[right], mu) for k in (right, wrong)]
        expected = p[1] / sum(p)
        assert n > 2_000
        assert table[right, wrong] / n == pytest.approx(expected, abs=4 * math.sqrt(expected / n))


def test_the_record_of_what_was_sent_agrees_with_the_drives_on_the_tagger(decoy: tuple[Any, Session]) -> None:
    lab, session = decoy
    alice = lab.devices["alice_tagger"]
    session.run(record_tags([alice], duration_s=0.05))
    block = alice.last_block
    record = lab.bench.sent_pulses("laser", int(block.t[0]), int(block.t[-1]) + 1)
    assert np.array_equal(record.t_ps, block.t)
    assert np.array_equal(record.state, block.ch)


GENERATORS = """
qlab: 1
name: generators
instruments:
  delaygen: {class: devices.sources.srs_dg645.DG645, address: twin, settings: {trigger_source: 0, trigger_rate_hz: 1000}}
  awg: {class: devices.sources.keysight_33500b.Keysight33500B, address: twin}
  pump: {class: devices.sources.thorlabs_cld1015.CLD1015, address: twin, settings: {current_limit_a: 0.12, current_a: 0.08}}
  gated: {class: devices.detectors.sfifteen_spd.SPD, address: twin, gate: {from: delaygen.GH, width_ps: 20000}}
  free: {class: devices.detectors.sfifteen_spd.SPD, address: twin, twin: {dark_rate_hz: 0, afterpulse_probability: 0}}
  tagger: {class: devices.taggers.idquantique_id900.ID900, address: twin}
optics:
  crystal:
    kind: pair_source
    pump: pump
    brightness_hz_per_mw: 100
    pulsed: {trigger: {from: delaygen.EF, delay_ps: 5000}, modes: 1}
paths:
  - {from: pump, to: crystal}
  - {from: crystal.signal, to: gated}
  - {from: crystal.idler, to: free}
cables:
  - {from: delaygen.T0, to: tagger.1}
  - {from: delaygen.AB, to: tagger.2, delay_ps: 700}
  - {from: awg.1, to: tagger.3}
  - {from: free, to: tagger.4}
"""


def opened(tmp_path: Path, text: str = GENERATORS) -> Any:
    path = tmp_path / "generators.yaml"
    path.write_text(text)
    return open_lab(str(path), data_dir=tmp_path)


def test_outputs_of_generators_make_tags_that_follow_their_settings(tmp_path: Path) -> None:
    with opened(tmp_path) as lab, Session(lab, RunOptions(data_dir=tmp_path)) as session:
        d = lab.devices

        def recorded() -> list[np.ndarray]:
            session.run(record_tags([d["tagger"]], duration_s=0.1))
            block = d["tagger"].last_block
            return [block.t[block.ch == n] for n in range(4)]

        d["delaygen"].set_pulse("ab", 3e-6, 1e-7).wait()
        t0, ab, awg, _ = recorded()
        assert (np.diff(t0) == 10**9).all()
        assert np.array_equal(ab, t0 + 3_000_700)
        assert not awg.size

        d["delaygen"].trigger_rate_hz.set(3000.0).wait()
        lab.twins["awg"].apply(1, "SQU", "700", "5", "0")
        t0, ab, awg, _ = recorded()
        assert set(np.diff(t0).tolist()) == {333_333_333, 333_333_334}
        assert np.array_equal(ab, t0 + 3_000_700)
        assert set(np.diff(awg).tolist()) == {1_428_571_428, 1_428_571_429}

        lab.twins["awg"].apply(1, "SQU", "700", "5", "0")  # its output goes off, for safety, when a run ends
        d["delaygen"].ab.amplitude_v.set(0.5).wait()  # below what the tagger's input sees
        assert [t.size for t in recorded()[:3]] == [300, 0, 70]


def test_a_pulsed_crystal_makes_pairs_only_in_its_pulses(tmp_path: Path) -> None:
    """30 mW make 3000 pairs a second; 1000 thermal pulses a second, seen with 50 %: P = 1 - 1/(1 + 1.5)."""
    with opened(tmp_path) as lab, Session(lab, RunOptions(data_dir=tmp_path)) as session:
        d = lab.devices
        d["delaygen"].set_pulse("ef", 5e-6, 1e-7).wait()
        session.run(record_tags([d["tagger"]], d["pump"], duration_s=10.0))
        block = d["tagger"].last_block
        t0, clicks = block.t[block.ch == 0], block.t[block.ch == 3]
        after = clicks - t0[np.searchsorted(t0, clicks, side="right") - 1]
        assert after.min() >= 5_005_000
        assert np.count_nonzero(after < 5_005_000 + 2_000) / t0.size == pytest.approx(0.6, abs=4 * 0.0049)
        assert after.max() < 5_007_000


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("from: delaygen.GH", "from: delaygen.XY", "expected delaygen.T0, delaygen.AB, delaygen.CD"),
        ("from: delaygen.EF", "from: pump.1", "it sends no pulses"),
        ("from: delaygen.EF", "from: dealygen.EF", "did you mean 'delaygen'"),
        ("ID900, address: twin", "ID900, address: twin, gate: {from: awg.1}", "detects no single photons"),
    ],
)
def test_a_wrong_trigger_is_explained(tmp_path: Path, old: str, new: str, words: str) -> None:
    with pytest.raises(LabFileError, match=words), opened(tmp_path, GENERATORS.replace(old, new)):
        pass
