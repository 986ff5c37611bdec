"""The worked example of a package with entry points, found as an installed package is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "qlab-acme"
PAGE = (ROOT / "docs" / "third-party-instruments.md").read_text()


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """Return an environment in which the example is installed: its metadata lie beside it on the path, as pip puts them."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    info = tmp_path / "qlab_acme-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    lines = []
    for group, entries in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in entries.items())]
    (info / "entry_points.txt").write_text("\n".join(lines))
    path = os.pathsep.join([str(tmp_path), str(EXAMPLE), str(ROOT)])
    return os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}


def run(environment: dict[str, str], folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_the_doctor_finds_the_class_by_its_short_name(installed: dict[str, str], tmp_path: Path) -> None:
    done = run(installed, tmp_path, "qlab.cli", "doctor", str(EXAMPLE / "lab.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr
    seen = re.sub(r"::\d+::SOCKET", "::PORT::SOCKET", done.stdout).splitlines()
    shown = re.search(r"```console\n\$ qlab doctor lab.yaml\n(.*?)```", PAGE, re.DOTALL)
    assert shown is not None
    for line in shown[1].splitlines():
        assert line in seen


def test_the_plan_is_listed_and_runs(installed: dict[str, str], tmp_path: Path) -> None:
    assert "scan_bias" in run(installed, tmp_path, "qlab.cli", "run").stdout
    common = ["--lab", str(EXAMPLE / "lab.yaml"), "--data-dir", str(tmp_path), "--catalogue", "none"]
    done = run(installed, tmp_path, "qlab.cli", "run", "scan_bias", "supply=bias", "points=3", *common)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "measured_v" in done.stdout
    wrong = run(installed, tmp_path, "qlab.cli", "run", "scan_bias", "supply=bios", *common)
    assert wrong.returncode == 2
    assert "supply = 'bios' is no instrument of this lab; did you mean 'bias'?" in wrong.stderr


def test_its_own_tests_pass(installed: dict[str, str], tmp_path: Path) -> None:
    done = run(installed, tmp_path, "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, str(EXAMPLE / "tests"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_a_misspelt_short_name_gets_a_hint(installed: dict[str, str], tmp_path: Path) -> None:
    text = (EXAMPLE / "lab.yaml").read_text().replace("AcmeBS10", "AcmeBS11")
    (tmp_path / "lab.yaml").write_text(text)
    done = run(installed, tmp_path, "qlab.cli", "doctor", "lab.yaml")
    assert done.returncode == 1
    assert "did you mean 'AcmeBS10'?" in done.stderr


def test_the_page_shows_the_packages_own_entry_points() -> None:
    shown = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert shown is not None
    assert shown[1] in (EXAMPLE / "pyproject.toml").read_text()
