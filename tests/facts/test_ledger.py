"""Every fact of a protocol sheet has a proof that exists: a test for V2, a test or a named constant for V1 and INF."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.facts.ledger import ROOT, find_constant, ledgers, names_of_tests, read_ledger
from tests.facts.page import PAGE, SHEETS, page

if TYPE_CHECKING:
    from pathlib import Path


def ids(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("path", ledgers(), ids=ids)
def test_every_named_test_exists(path: Path) -> None:
    named = {test.partition("::")[::2] for fact in read_ledger(path) for test in fact.tests}
    missing = [
        f"{file}::{test}"
        for file, test in sorted(named)
        if not (ROOT / file).is_file() or test not in names_of_tests(file)
    ]
    assert missing == []


@pytest.mark.parametrize("path", ledgers(), ids=ids)
def test_every_named_constant_exists(path: Path) -> None:
    for name in {name for fact in read_ledger(path) for name in fact.constants}:
        find_constant(name)


def test_every_sheet_has_its_ledger_and_every_ledger_its_sheet() -> None:
    assert [path.stem for path in ledgers()] == sorted(SHEETS)


def test_the_page_counts_the_ledgers() -> None:
    assert PAGE.read_text() == page(), "write it anew: python -m tests.facts.page"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("fact,proof\n", "first line"),
        ("fact,mark,proof\n", "no facts"),
        ("fact,mark,proof\na,V2\n", "three cells"),
        ("fact,mark,proof\na,V2,\n", "none empty"),
        ("fact,mark,proof\na,V2 ,x::y\n", "blanks"),
        ("fact,mark,proof\na,V3,x::y\n", "unknown mark"),
        ("fact,mark,proof\na,V2,sim_devices.x.Y\n", "needs a test"),
        ("fact,mark,proof\na,V1,x.Y\na,V1,x.Y\n", "told twice"),
    ],
)
def test_a_row_without_mark_or_proof_is_refused(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "01_a.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=what):
        read_ledger(path)


@pytest.mark.parametrize(
    "name", ["sim_devices.nobody.X", "qlab.clock.NOBODY", "qlab.clock.SteppedClock", "X", "qlab.clock"]
)
def test_a_constant_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(LookupError, match="no named constant"):
        find_constant(name)
