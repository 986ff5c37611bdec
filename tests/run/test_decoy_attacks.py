"""Attacks on gated detectors, on the lab `decoy`: what they do to the counts, what refuses the key, and what does not."""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from plans.keys import qkd_decoy
from plans.recording import record_tags
from qlab.lab.build import open_lab
from qlab.run.engine import Session
from qlab.run.options import RunOptions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

QUIET = [f"instruments.bob_{x}.twin.{key}" for x in "hvda" for key in ("afterpulse_probability=0", "efficiency=0.6")]
QUICK = ["qkd.key_bits=30000", "qkd.test_bits=15000", "qkd.piece_s=0.5", "qkd.eps_sec=1.0e-6", *QUIET]
# Gates of V and A open 1.5 ns later than those of H and D; light comes at 3.25 ns, where all are open.
UNEVEN = [
    "instruments.delaygen.settings.c_s=9.6469e-7",
    "instruments.delaygen.settings.d_s=9.6969e-7",
    "instruments.bob_v.gate.delay_ps=1500",
    "instruments.bob_a.gate.delay_ps=1500",
    "qkd.bob.delay_ps=48967940",
]
SIGMA_PS = 350 / 2.3548


@contextmanager
def lab(folder: Path, *overrides: str) -> Iterator[tuple[Any, Session]]:
    with (
        open_lab("decoy", overrides=(*QUICK, *overrides), data_dir=folder) as opened,
        Session(opened, RunOptions(data_dir=folder, catalogue_uri=None)) as session,
    ):
        yield opened, session


def within(centre_ps: float, low_ps: float, high_ps: float) -> float:
    """Return the share of a Gaussian response inside of a gate."""
    return 0.5 * (
        math.erf((high_ps - centre_ps) / SIGMA_PS / math.sqrt(2))
        - math.erf((low_ps - centre_ps) / SIGMA_PS / math.sqrt(2))
    )


def test_a_time_shift_gives_early_clicks_to_one_detector_and_late_ones_to_the_other(tmp_path: Path) -> None:
    with lab(tmp_path, *UNEVEN) as (opened, session):
        tagger = opened.devices["bob_tagger"]
        counts = []
        for fraction in (0.0, 1.0):
            opened.faults.arm("attack", "eve", fraction=fraction)
            session.run(record_tags([tagger], duration_s=0.5))
            counts.append(tagger.last_block)
        even, attacked = counts
        first = [block.counts(4) for block in counts]
        phase = {ch: (attacked.t[attacked.ch == ch] % 2_000_000) for ch in range(4)}
    # Each gate sees one of the two: half of the light, and of the other what its edge lets through.
    share = (within(1250, 0, 5000) + within(5250, 0, 5000)) / 2
    for ch in range(4):
        mean = first[0][ch] * share
        assert first[1][ch] == pytest.approx(mean, abs=4 * math.sqrt(mean * (1 + share)) + 0.03 * mean)
    assert even.n > attacked.n
    apart = np.median(phase[1]) - np.median(phase[0])
    assert apart == pytest.approx(4000, abs=60)  # early light in the one, late light in the other


@pytest.mark.slow
def test_a_time_shift_makes_no_errors_and_the_key_is_refused_by_what_the_detectors_counted(tmp_path: Path) -> None:
    for accepted in (False, True):
        more = (
            [
                "qkd.accept=[basis-choice, no-cross-clicks, phase-randomised, known-intensities, counted-leakage, "
                "variable-length, equal-efficiencies]"
            ]
            if accepted
            else []
        )
        with lab(tmp_path / str(accepted), *UNEVEN, *more) as (opened, session):

            def begin(kind: str, document: Any, opened: Any = opened) -> None:
                if kind == "event" and "key_bits" in document["data"] and document["seq_num"] == 1:
                    opened.faults.arm("attack", "eve", fraction=1.0)

            session.subscribe(begin)
            honest, made = session.run(qkd_decoy(opened.devices["parties"], blocks=2))["statements"]
        assert honest.key_bits > 0  # where light comes all detectors are alike, and nobody shifts it yet
        if accepted:
            assert made.key_bits > 0  # and Eve knows 70 % of it, or more
            assert made.estimated.test_error_rate < 0.02
        else:
            assert made.key_bits == 0
            assert "equal-efficiencies (mismatch 0.00%; this block: 9" in made.reason


@pytest.mark.slow
def test_a_time_shift_that_begins_before_the_alignment_is_aligned_away_and_not_noticed(tmp_path: Path) -> None:
    """Jain et al., PRL 107, 110501 (2011): who attacks the calibration opens the door. docs/qkd.md says so."""
    with lab(tmp_path, *UNEVEN, "optics.eve.attack=time_shift", "optics.eve.fraction=1") as (opened, session):
        (made,) = session.run(qkd_decoy(opened.devices["parties"]))["statements"]
    assert made.key_bits > 0
    assert made.estimated.test_error_rate < 0.02


@pytest.mark.slow
def test_clicks_behind_the_gate_are_out_of_the_window_or_the_key_is_refused(tmp_path: Path) -> None:
    late = ("optics.eve.attack=after_gate", "optics.eve.shift_ps=4000", "optics.eve.fraction=1")
    with lab(tmp_path / "tight", *late, "qkd.most_pieces=2") as (opened, session):
        (made,) = session.run(qkd_decoy(opened.devices["parties"]))["statements"]
    assert made.key_bits == 0
    assert "after 2 pieces" in made.reason
    wide = ("qkd.window_ps=12000", "qkd.merge_ps=12000")
    for accept in ("", "clicks-in-gate, "):
        more = (
            f"qkd.accept=[{accept}basis-choice, no-cross-clicks, phase-randomised, known-intensities, counted-leakage, "
        )
        more += "variable-length]"
        with lab(tmp_path / f"wide{accept[:5]}", *late, *wide, more) as (opened, session):
            (made,) = session.run(qkd_decoy(opened.devices["parties"]))["statements"]
        if accept:
            assert made.key_bits > 0  # no errors, no loss but that of her basis: Eve knows every bit
            assert made.estimated.test_error_rate < 0.02
        else:
            assert "clicks-in-gate (window 12000 ps, gate 5000 ps)" in made.reason


@pytest.mark.slow
def test_pulses_are_aligned_and_a_turned_analyser_suspends_until_it_is_turned_back(tmp_path: Path) -> None:
    """The lab file's delay is 300 ns off; the plate's 8 degrees turn D and A by 16: sin^2 of that is wrong."""
    with lab(tmp_path, "qkd.bob.delay_ps=48667800") as (opened, session):
        plate, said = opened.devices["bob_hwp"], []

        def look(kind: str, document: Any) -> None:
            if kind == "event" and "suspended_error_rate" in document["data"]:
                said.append(document["data"]["suspended_error_rate"])
                plate.set(0.0)

        session.subscribe(look)
        plate.set(8.0).wait()
        (made,) = session.run(qkd_decoy(opened.devices["parties"], recheck_s=0.5))["statements"]
    assert said == [pytest.approx(math.sin(math.radians(16)) ** 2, abs=0.02)]
    assert made.key_bits > 0
