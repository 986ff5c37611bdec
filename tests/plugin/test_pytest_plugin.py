"""The fixture as another project uses it, in a pytest of its own."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

FOREIGN = """
import pytest


def test_two_labs(twin_lab):
    one, other = twin_lab("bell", ["seed=1"], connect=False), twin_lab(connect=False)
    assert (one.seed, other.file.name) == (1, "bell")


def test_a_connected_lab(twin_lab):
    lab = twin_lab(overrides=["instruments.pump.settings.current_a=70 mA"])
    assert lab.devices["pump"].current_a.get() == pytest.approx(0.07)
    assert lab.devices["pump"].emission.get() == 0
"""


def test_a_foreign_project_gets_labs_of_twins(tmp_path: Path) -> None:
    (tmp_path / "test_foreign.py").write_text(FOREIGN)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_foreign.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
