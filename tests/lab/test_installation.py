"""What the system around us may lack or confuse: pseudo-terminals, and packages of the same generic names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import qlab
from qlab.lab.build import open_lab
from qlab.lab.doctor import package_problems


def test_without_pseudo_terminals_serial_twins_are_reached_by_sockets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "qlab.twin.mount_pty", None)  # as where the system has none: it cannot be imported
    with open_lab("bell", data_dir=tmp_path) as lab:
        devices = lab.devices
        for name in ("oven", "alice_t", "alice_hwp", "bob_qwp"):
            assert devices[name].link.address.startswith("socket://127.0.0.1:")
        assert devices["alice_hwp"].link is devices["bob_qwp"].link
        devices["alice_hwp"].set(30.0).wait(30)
        assert devices["alice_hwp"].angle_deg.get() == pytest.approx(30.0, abs=0.3)


def test_our_packages_come_from_one_tree_and_another_in_their_way_is_named(tmp_path: Path) -> None:
    assert package_problems() == []
    (tmp_path / "devices").mkdir()
    (tmp_path / "devices" / "__init__.py").touch()
    here = Path(qlab.__file__).parent.parent
    paths = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(here)!r}]; "
    code = paths + "from qlab.lab.doctor import package_problems as p; print(p()[0])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert f"devices from {tmp_path}" in done.stdout
    assert f"qlab from {here}" in done.stdout
