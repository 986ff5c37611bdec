"""Nodes' clocks: taggers follow them, and a GPS receiver, a rubidium or a White Rabbit slave steers them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pytest

from qlab.cli import main
from qlab.lab.build import open_lab

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from qlab.lab.build import Lab

LAB = """
qlab: 1
name: clocks
seed: 4
nodes:
  alice: {{clock: {alice}}}
  bob: {{clock: {bob}}}
instruments:
  gps: {{class: devices.timing.srs_fs740.FS740, address: twin, node: alice, twin: {{holdover_1e12: 5000.0}}}}
  rubidium: {{class: devices.timing.srs_prs10.PRS10, address: twin, node: bob, twin: {{error_1e12: 3000.0}}}}
  rabbit: {{class: devices.timing.white_rabbit_node.WhiteRabbitNode, address: twin, node: bob}}
  spd: {{class: devices.detectors.sfifteen_spd.SPD, address: twin, twin: {{dark_rate_hz: 1000, afterpulse_probability: 0}}}}
  one: {{class: devices.taggers.idquantique_id900.ID900, address: twin, node: alice}}
  other: {{class: devices.taggers.idquantique_id900.ID900, address: twin, node: bob}}
cables:
  - {{from: spd, to: one.1}}
  - {{from: spd, to: other.1}}
"""


@contextmanager
def clocks(tmp_path: Path, alice: str, bob: str) -> Iterator[Lab]:
    path = tmp_path / "clocks.yaml"
    path.write_text(LAB.format(alice=alice, bob=bob))
    with open_lab(str(path), data_dir=tmp_path) as lab:
        yield lab


def errors(lab: Lab, seconds: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return Alice's minus Bob's time of the same clicks, and when they were, from now on."""
    begin = lab.clock.now_ps()
    lab.clock.sleep(seconds)
    end = lab.clock.now_ps()
    one, other = (lab.bench.tag_feed(name).read(begin, end) for name in ("one", "other"))
    assert one.n == other.n > 500
    return one.t - other.t, one.t


def test_without_a_word_all_nodes_share_the_labs_time(tmp_path: Path) -> None:
    with clocks(tmp_path, "{}", "{}") as lab:
        assert (errors(lab, 1.0)[0] == 0).all()


def test_a_receiver_in_holdover_takes_the_nodes_tagger_along(tmp_path: Path) -> None:
    """Hold-over of y = 5e-9 is 5000 ps a second; with satellites again the phase comes back."""
    with clocks(tmp_path, "{source: gps}", "{}") as lab:
        assert np.abs(errors(lab, 1.0)[0]).max() == 0
        begin = lab.clock.now_ps()
        lab.twins["gps"].device_fault("antenna_unplugged")
        error, t = errors(lab, 2.0)
        assert error == pytest.approx((t - begin) * 5e-9, abs=1.0)
        lab.clock.sleep(100.0)
        lab.twins["gps"].device_fault("antenna_unplugged", active=False)
        drifted = errors(lab, 1.0)[0]
        assert drifted[0] == pytest.approx(102.0 * 5000.0, rel=0.01)
        lab.clock.sleep(300.0)  # ten time constants
        assert np.abs(errors(lab, 1.0)[0]).max() < 50
        lab.devices["gps"].trigger().wait(10)
        assert abs(lab.devices["gps"].offset_s) < 1e-7


def test_a_rubidium_and_a_rabbit_steer_too(tmp_path: Path) -> None:
    with clocks(tmp_path, "{source: rabbit}", "{source: rubidium}") as lab:
        error, t = errors(lab, 2.0)
        assert np.diff(error)[[0, -1]] == pytest.approx(-np.diff(t)[[0, -1]] * 3e-9, abs=2.0)
        lab.twins["rabbit"].device_fault("link_down")
        before = lab.clock.now_ps()
        error, t = errors(lab, 2.0)
        assert error - error[0] == pytest.approx((t - t[0]) * (1e-9 - 3e-9), abs=3.0)
        assert t[0] >= before


def test_a_noisy_clock_that_follows_another_shares_its_masters_way(tmp_path: Path) -> None:
    with clocks(tmp_path, "{kind: quartz}", "{follows: alice, offset_ps: 70}") as lab:
        assert (errors(lab, 1.0)[0] == -70).all()
    with clocks(tmp_path, "{kind: quartz}", "{kind: quartz}") as lab:
        error = errors(lab, 1.0)[0]
    assert 20 < error.std() < 5000  # 1e-9 each, over a second


@pytest.mark.parametrize(
    ("alice", "bob", "pieces"),
    [
        ("{source: gbs}", "{}", ["nodes.alice.clock.source", "no instrument 'gbs'", "'gps'"]),
        ("{source: spd}", "{}", ["nodes.alice.clock.source", "spd is a SPD", "expected a clock"]),
        ("{follows: bob}", "{follows: alice}", ["clock.follows", "alice follows bob follows alice"]),
        ("{follows: eve}", "{}", ["nodes.alice.clock.follows", "there is no node 'eve'"]),
        ("{kind: ruby}", "{}", ["nodes.alice.clock.kind", "'ruby'", "rubidium"]),
        ("{noise: {white_fm: -1}}", "{}", ["nodes.alice.clock.noise.white_fm", "-1"]),
    ],
)
def test_a_mistake_in_a_clock_is_named(
    tmp_path: Path, alice: str, bob: str, pieces: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "clocks.yaml"
    path.write_text(LAB.format(alice=alice, bob=bob))
    assert main(["doctor", str(path)]) == 1
    text = capsys.readouterr().err
    assert "Traceback" not in text
    for piece in pieces:
        assert piece in text, text


def test_the_doctor_says_what_a_nodes_clock_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "clocks.yaml"
    path.write_text(LAB.format(alice="{kind: ocxo, source: gps}", bob="{follows: alice}").partition("cables:")[0])
    assert main(["doctor", str(path)]) == 0
    text = capsys.readouterr().out
    assert "node alice: offset 0 ps, frequency error 0, noise of a typical ocxo clock, steered by gps" in text
    assert "node bob: offset 0 ps, frequency error 0, against node alice" in text


GENERATOR = """
qlab: 1
name: pulses
nodes:
  alice: {clock: {drift: 2.0e-6, events: [{at_s: 0.55, kind: step, by_ps: 1234567}]}}
  bob: {clock: {drift: -1.0e-6}}
instruments:
  generator:
    class: devices.sources.srs_dg645.DG645
    node: alice
    address: twin
    settings: {trigger_source: 0, trigger_rate_hz: 100000, a_s: 0, b_s: 1.0e-7}
  counter: {class: devices.counters.pendulum_cnt91.CNT91, node: bob, address: twin}
  near: {class: devices.taggers.idquantique_id900.ID900, node: alice, address: twin}
cables:
  - {from: generator.AB, to: counter.1}
  - {from: generator.AB, to: near.1}
"""


def test_pulses_come_by_the_generators_clock_and_are_counted_by_the_counters(tmp_path: Path) -> None:
    """10 us of Alice's clock are 10 us / (1 + 2e-6) of the lab's, and of Bob's 1e-6 less; a step of her time of day moves
    what her tagger notes, not her pulses."""
    path = tmp_path / "pulses.yaml"
    path.write_text(GENERATOR)
    with open_lab(str(path), data_dir=tmp_path) as lab:
        lab.clock.sleep(1.0)
        begin, end = 10**11, lab.clock.now_ps()
        seen = lab.bench.tag_feed("counter").read(begin, end).t
        period = (seen[-1] - seen[0]) / (seen.size - 1)
        assert period == pytest.approx(1e7 * (1.0 - 1e-6) / (1.0 + 2e-6), abs=2e-4)
        assert np.abs(np.diff(seen) - period).max() < 200  # the counter's resolution
        own = lab.bench.tag_feed("near").read(begin, end).t
        gaps = np.diff(own) - 10**7
        assert np.count_nonzero(np.abs(gaps) > 200) == 1
        assert gaps[np.argmax(gaps)] == pytest.approx(1234567, abs=200)
