"""Every example of docs/analysis.md runs, from top to bottom, and every module it names is there."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

TEXT = (Path(__file__).parents[2] / "docs" / "analysis.md").read_text()


def test_the_examples_run() -> None:
    blocks = list(re.finditer(r"```python\n(.*?)```", TEXT, re.DOTALL))
    assert len(blocks) >= 10
    names: dict[str, object] = {}
    for block in blocks:
        above = "\n" * TEXT[: block.start(1)].count("\n")  # so that a failure names the line of the page
        exec(compile(above + block[1], "docs/analysis.md", "exec"), names)


def test_the_table_names_what_there_is() -> None:
    rows = [line.split("|")[2] for line in TEXT.splitlines() if line.startswith("| ")][1:]
    for row in rows:
        module = ""
        for name in re.findall(r"`([\w.]+)`", row):
            head, _, rest = name.rpartition(".")
            module = head or module
            found = importlib.import_module(f"qlab.analysis.{module or rest}") if module else None
            if found is None or not hasattr(found, rest):
                importlib.import_module(f"qlab.analysis.{name}")
