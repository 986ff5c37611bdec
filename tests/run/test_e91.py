"""`qkd_e91`, and BBM92 with settings that the parties choose: rates, S and keys of the twins against theory."""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from plans.keys import qkd_bbm92, qkd_e91
from qlab.errors import LabFileError, PlanError
from qlab.lab.build import open_lab
from qlab.qkd.cw_model import PairLink
from qlab.qkd.device_independent import TSIRELSON, chsh_deviation, device_independent_bits
from qlab.qkd.ledger import KeyLedger
from qlab.run.engine import Session
from qlab.run.journal import find_run, read_run
from qlab.run.options import RunOptions
from qlab.run.report import render_report

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

QUICK = (
    "qkd.piece_s=0.02",
    "qkd.key_bits=15000",
    "qkd.test_bits=40000",
    "qkd.eps_sec=1.0e-5",
    "optics.alice_fibre.length_m=0",
    "optics.bob_fibre.length_m=0",
    # Settings are more even than in the lab file, so that fewer pieces have all of them.
    *(f"qkd.alice.choice.settings.{name}.share={share}" for name, share in (("a0", 0.4), ("a1", 0.3), ("a2", 0.3))),
    *(f"qkd.bob.choice.settings.{name}.share=0.5" for name in ("b1", "b2")),
)
# Of the lab file: 30 mW of pump; two splitters of 30 dB; one analyser sees every photon.
LINK = PairLink(30.0 * 40_000, 0.6, 0.6, 1.0, 1.0, 400.0, 0.98 * (1 - 2e-3) ** 2, 800.0, 30_000.0)
FACTS = "facts: {efficiency_mismatch: 0.0, dead_time_ps: [30000, 30000], blinding_watched: true}"
SETTINGS = "settings: {HV: {position_deg: 0.0, share: 0.7}, DA: {position_deg: 22.5, share: 0.3}}"


@contextmanager
def lab(folder: Path, *overrides: str) -> Iterator[tuple[Any, Session]]:
    with (
        open_lab("e91", overrides=(*QUICK, *overrides), data_dir=folder) as opened,
        Session(opened, RunOptions(data_dir=folder, catalogue_uri=None)) as session,
    ):
        yield opened, session


def test_s_and_key_are_what_theory_says(tmp_path: Path) -> None:
    with lab(tmp_path) as (opened, session):
        result = session.run(qkd_e91(opened.devices["parties"]))
    (made,) = result["statements"]
    known = made.estimated
    test = known.chsh
    q = LINK.error_rate()
    # Plates stop with a spread of 0.05 degrees, polarisation with 0.1 on each side; dE = 2 sin 45 times that, in four cells.
    wobble = math.sqrt(4) * math.sqrt(2) * math.radians(0.1) * math.sqrt(2)
    assert test.s == pytest.approx(TSIRELSON * (1 - 2 * q), abs=4 * math.hypot(test.sigma, wobble))
    assert made.corrected_bits == pytest.approx(q * known.n_key, abs=4 * math.sqrt(q * known.n_key) + 1)
    low = TSIRELSON * (1 - 2 * 0.02) - chsh_deviation(test.rounds, 0.25e-5)
    assert made.key_bits == device_independent_bits(known.n_key, low, sum(made.disclosed.values()), 1e-5) > 0
    pieces = (result["lit_s"] / 0.02 - 2) * 0.02  # two were given away
    assert known.n_key + known.n_test < LINK.sifted_rate_hz() * pieces
    folder = tmp_path / "keys"
    a, b = KeyLedger(folder / "alice"), KeyLedger(folder / "bob")
    assert (a.deliver(0).reveal() == b.deliver(0).reveal()).all()
    run = read_run(find_run(tmp_path / "runs", "-1"))
    page = render_report(run, tmp_path / "report").read_text()
    for line in (
        f"S = {test.s:.4f}",
        "NOT MET, accepted      fair-sampling",
        "not checked, accepted  collective-attacks",
    ):
        assert line in page


def test_who_measures_and_resends_takes_s_away_and_the_plan_is_suspended(tmp_path: Path) -> None:
    """In H/V or D/A, each half of the time, Eve leaves half of both correlations: S is half of what it was."""
    with lab(tmp_path, "optics.eve.fraction=1") as (opened, session):
        seen: list[Any] = []
        session.subscribe(lambda kind, doc: seen.append(doc["data"]) if kind == "event" else None)
        with pytest.raises(PlanError, match="look for an eavesdropper"):
            session.run(qkd_e91(opened.devices["parties"], recheck_s=0.1, max_suspensions=1))
    (data,) = [data for data in seen if "suspended_error_rate" in data]
    q = (1 - (1 - 2 * LINK.error_rate()) / 2) / 2
    assert data["suspended_error_rate"] == pytest.approx(q, abs=0.03)


def test_bbm92_with_settings_that_random_bits_choose(tmp_path: Path) -> None:
    sides = [
        f"qkd.{side}={{tagger: {side}_tagger, choice: {{mount: {side}_hwp, ports: [1, 2], {SETTINGS}}}, {FACTS}}}"
        for side in ("alice", "bob")
    ]
    accept = "qkd.accept=[basis-choice, simultaneous-dead-time, counted-leakage, variable-length]"
    more = ("qkd.protocol=bbm92", "qkd.tolerance=0.03", "qkd.test_bits=4000", accept)
    with lab(tmp_path, *sides, *more) as (opened, session):
        (made,) = session.run(qkd_bbm92(opened.devices["parties"]))["statements"]
    known, q = made.estimated, LINK.error_rate()
    assert made.key_bits > 0
    for errors, n in ((made.corrected_bits, known.n_key), (known.test_errors, known.n_test)):
        assert errors == pytest.approx(q * n, abs=4 * math.sqrt(q * n))
    assert "one setting holds for 0.02 s of photons" in str(made)
    a, b = (KeyLedger(tmp_path / "keys" / side) for side in ("alice", "bob"))
    assert (a.deliver(0).reveal() == b.deliver(0).reveal()).all()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("qkd.alice.choice=null", "qkd.alice.inputs={H: 1, V: 2, D: 3, A: 4}"), "Alice's settings in E91 are three"),
        (("qkd.bob.choice.settings.b1.share=0.7",), "shares that add up to 1.1"),
        (("qkd.bob.choice.ports=[1, 1]",), "two different ports"),
        (("qkd.protocol=bbm92",), "expected DA, HV, together 1"),
        (("qkd.bob.choice.mount=nobody",), "nobody"),
    ],
)
def test_choices_that_cannot_be_are_named(overrides: tuple[str, ...], message: str, tmp_path: Path) -> None:
    with pytest.raises(LabFileError, match=message), open_lab("e91", overrides=overrides, data_dir=tmp_path):
        pass
