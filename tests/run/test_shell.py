"""`qlab shell` as a person uses it: devices and plans by name, mistakes in one line, everything safe at the end."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

SAID = """
warm_up()
r = RE(record_tags([tagger], duration_s=0.1))
print("tags", r.plan_result["tagger"]["tags"] > 0)
RE(bps.mv(pump.current_a, 5))
oven.set(999)
lab.mounts["meter"].power_off()
RE(bp.count([meter]))
exit
"""


def test_the_shell_has_engine_devices_and_plans_and_says_mistakes_in_one_line(tmp_path: Path) -> None:
    pytest.importorskip("IPython")
    command = [sys.executable, "-m", "qlab.cli", "shell", "--data-dir", str(tmp_path), "--catalogue", "none"]
    done = subprocess.run(command, input=SAID, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "lab bell: pump, oven" in done.stdout
    assert "oven: 40.0 degC after" in done.stdout
    assert "tags True" in done.stdout
    assert "LimitError: pump: current_a = 5 A is outside its limits, 0 to 0.12 A" in done.stdout
    assert "LimitError: oven: temperature_c = 999 degC is outside its limits" in done.stdout
    assert "LinkClosedError: meter: cannot be reached" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
