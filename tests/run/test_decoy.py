"""The lab `decoy`: what the taggers record of weak pulses behind gates is what theory says."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from plans.recording import record_tags
from qlab.lab.build import open_lab
from qlab.run.engine import Session
from qlab.run.options import RunOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

PERIOD_PS = 2_000_000
QUIET = [f"instruments.bob_{x}.twin.afterpulse_probability=0" for x in "hvda"]
STATES, SHARES = ("H", "V", "D", "A"), (0.3, 0.3, 0.2, 0.2)
LEVELS = ((1.0, 0.4), (0.3, 0.4), (0.0, 0.2))


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
