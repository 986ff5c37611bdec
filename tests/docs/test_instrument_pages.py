"""Every instrument has a page, and it says what the classes say today."""

from __future__ import annotations

from pathlib import Path

import pytest

from qlab.lab.classes import known_devices
from qlab.lab.pages import index, page

FOLDER = Path(__file__).parents[2] / "docs" / "instruments"
NAMES = sorted(name for name in known_devices() if name.startswith("devices."))


@pytest.mark.parametrize("name", NAMES, ids=lambda name: name.rpartition(".")[2])
def test_the_page_is_what_the_classes_say(name: str) -> None:
    path = FOLDER / f"{name.rpartition('.')[2].lower()}.md"
    assert path.exists(), "write it: make pages"
    assert path.read_text() == page(name), "write it anew: make pages"


def test_the_index_lists_all() -> None:
    assert (FOLDER / "README.md").read_text() == index(NAMES)
    assert sorted(path.stem for path in FOLDER.glob("*.md") if path.stem != "README") == sorted(
        name.rpartition(".")[2].lower() for name in NAMES
    )
