"""The ledgers of protocol facts: one CSV file a sheet, one fact a row, with its mark and what proves it.

A row is `fact,mark,proof`.  The fact is in our own words.  The mark is the sheet's: `V2` seen in two sources, `V1` in one,
`INF` inferred, `design` our own definition (sheet 22).  The proof of a V2 or a design fact is at least one test, as a pytest
node id without parameters; that of a V1 or INF fact may also be a named constant, as a dotted name.  Several proofs are
separated by blanks.
"""

from __future__ import annotations

import ast
import csv
import importlib
from collections import Counter
from dataclasses import dataclass
from enum import EnumType
from functools import cache
from pathlib import Path
from types import ModuleType

__all__ = [
    "FOLDER",
    "MARKS",
    "ROOT",
    "Fact",
    "find_constant",
    "ledgers",
    "names_of_tests",
    "read_ledger",
    "read_left_out",
]

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
LEFT_OUT = FOLDER / "left_out.csv"
COLUMNS = ["fact", "mark", "proof"]
MARKS = ("V2", "design", "V1", "INF")
NEEDS_TEST = ("V2", "design")


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact of a sheet."""

    text: str
    mark: str
    proofs: tuple[str, ...]

    @property
    def tests(self) -> tuple[str, ...]:
        """The tests among the proofs."""
        return tuple(proof for proof in self.proofs if "::" in proof)

    @property
    def constants(self) -> tuple[str, ...]:
        """The named constants among the proofs."""
        return tuple(proof for proof in self.proofs if "::" not in proof)


def ledgers() -> list[Path]:
    """Return the ledgers, in the order of the sheets."""
    return sorted(FOLDER.glob("[0-9][0-9]_*.csv"))


def read_ledger(path: Path) -> list[Fact]:
    """Read a ledger; ValueError names the line that is not a fact with a mark and a proof."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file, strict=True))
    if not rows or rows[0] != COLUMNS:
        msg = f"{path.name}: the first line is not {','.join(COLUMNS)}"
        raise ValueError(msg)
    facts = [_fact(f"{path.name}, row {number}", row) for number, row in enumerate(rows[1:], 2)]
    twice = [text for text, times in Counter(fact.text for fact in facts).items() if times > 1]
    if twice or not facts:
        msg = f"{path.name}: " + (f"told twice: {twice[0]!r}" if twice else "no facts")
        raise ValueError(msg)
    return facts


def read_left_out() -> list[tuple[str, str, str]]:
    """Return the facts that no ledger holds: sheet, fact and why not; ValueError for a row that says less."""
    with LEFT_OUT.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file, strict=True)
    bad = [row for row in rows if len(row) != 3 or not all(cell and cell == cell.strip() for cell in row)]
    if header != ["sheet", "fact", "why"] or bad:
        msg = f"{LEFT_OUT.name}: expected sheet,fact,why and three cells a row, found {bad[0] if bad else header}"
        raise ValueError(msg)
    return sorted((sheet, fact, why) for sheet, fact, why in rows)


def _fact(where: str, row: list[str]) -> Fact:
    if len(row) != len(COLUMNS) or any(cell != cell.strip() or not cell for cell in row):
        msg = f"{where}: expected three cells, none empty, without blanks at the edge, found {row}"
        raise ValueError(msg)
    fact = Fact(row[0], row[1], tuple(row[2].split(" ")))
    if fact.mark not in MARKS:
        msg = f"{where}: unknown mark {fact.mark!r}; expected one of {', '.join(MARKS)}"
        raise ValueError(msg)
    if fact.mark in NEEDS_TEST and not fact.tests:
        msg = f"{where}: a {fact.mark} fact needs a test: {fact.text}"
        raise ValueError(msg)
    return fact


@cache
def names_of_tests(path: str) -> frozenset[str]:
    """Return the names of the tests in a module of tests, `test_x` or `TestY::test_x`, without importing it."""
    names = set()
    for node in ast.parse((ROOT / path).read_text(encoding="utf-8")).body:
        inside = node.body if isinstance(node, ast.ClassDef) else [node]
        before = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        names |= {before + part.name for part in inside if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)}
    return frozenset(name for name in names if name.rpartition("::")[2].startswith("test_"))


def find_constant(name: str) -> object:
    """Return the value behind a dotted name; LookupError if there is none, or if it is a function or module."""
    parts = name.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        try:
            value: object = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            value = _inside(value, part, name)
        if isinstance(value, ModuleType) or (callable(value) and not isinstance(value, EnumType)):
            break
        return value
    msg = f"{name} is no named constant"
    raise LookupError(msg)


def _inside(value: object, part: str, name: str) -> object:
    """Return an attribute, or the declaration of a parameter in a pydantic model."""
    fields = getattr(value, "model_fields", {})
    if part in fields:
        return fields[part]
    try:
        return getattr(value, part)
    except AttributeError as exc:
        msg = f"{name} is no named constant: nothing is called {part}"
        raise LookupError(msg) from exc
