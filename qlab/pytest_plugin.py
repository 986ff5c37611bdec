"""A pytest plugin for other projects: labs of twins, ready to be talked to, closed when the test ends.

    def test_the_pump_is_dark(twin_lab):
        lab = twin_lab("bell", overrides=["seed=7"])
        assert lab.devices["pump"].emission.get() == 0

It comes with the package (entry point `pytest11`); nothing is imported before a test asks for it.  `--lab LAB` names the lab
of real instruments for tests that are marked `hardware`.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from qlab.lab.build import Lab

__all__ = ["pytest_addoption", "twin_lab"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--lab`."""
    parser.addoption("--lab", metavar="LAB", default=None, help="lab file of the instruments for hardware tests")


@pytest.fixture
def twin_lab(tmp_path: Path) -> Iterator[Callable[..., Lab]]:
    """Return what opens labs: `twin_lab(name="bell", overrides=(), connect=True)`; data go to the test's own folder."""
    from qlab.lab.build import open_lab

    with ExitStack() as labs:

        def make(name: str = "bell", overrides: Sequence[str] = (), *, connect: bool = True) -> Lab:
            return labs.enter_context(open_lab(name, overrides=overrides, data_dir=tmp_path, connect=connect))

        yield make
