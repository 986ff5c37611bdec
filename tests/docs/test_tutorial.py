"""The tutorial's code is run as a reader would, and prints what the tutorial says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial-new-instrument.md"
FILE = re.compile(r"^```(?:python|yaml) (\S+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
CONSOLE = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILE.findall(TUTORIAL.read_text()):
        (tmp_path / name).write_text(text)
    return tmp_path


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def test_driver_twin_and_lab_file_are_under_80_lines() -> None:
    files = {name: text for name, text in FILE.findall(TUTORIAL.read_text()) if name != "scan.py"}
    assert set(files) == {"acme_bs10.py", "acme_bs10_twin.py", "lab.yaml"}
    assert sum(len([line for line in text.splitlines() if line.strip()]) for text in files.values()) < 80


def test_the_doctor_finds_the_new_instrument(folder: Path) -> None:
    done = run(folder, sys.executable, "-m", "qlab.cli", "doctor", "lab.yaml")
    assert done.returncode == 0, done.stderr
    seen = re.sub(r"::\d+::SOCKET", "::PORT::SOCKET", done.stdout).splitlines()
    shown = next(text for text in CONSOLE.findall(TUTORIAL.read_text()) if "qlab doctor" in text)
    for line in shown.splitlines()[1:]:
        assert line in seen


def test_the_scan_prints_what_the_tutorial_says(folder: Path) -> None:
    done = run(folder, sys.executable, "scan.py")
    assert done.returncode == 0, done.stderr
    shown = next(text for text in CONSOLE.findall(TUTORIAL.read_text()) if "scan.py" in text)
    assert done.stdout.splitlines() == shown.splitlines()[1:]


def test_a_voltage_outside_the_limits_is_one_message(folder: Path) -> None:
    done = run(
        folder,
        sys.executable,
        "-m",
        "qlab.cli",
        "doctor",
        "lab.yaml",
        "--set",
        "instruments.bias.settings.voltage_v=11",
    )
    assert done.returncode == 1
    assert "bias: voltage_v = 11" in done.stdout
    assert "outside its limits, 0 to 10 V" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
