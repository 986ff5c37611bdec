"""The median driver and the median twin module are short, and none is long."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("floor", ["devices", "sim_devices"])
def test_modules_are_short(floor: str) -> None:
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines())
        for path in (ROOT / floor).rglob("*.py")
        if path.name != "__init__.py"
    }
    assert len(lengths) > 50
    assert statistics.median(lengths.values()) <= 120
    assert [name for name, lines in lengths.items() if lines > 400] == []
