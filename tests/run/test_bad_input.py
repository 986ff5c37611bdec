"""What goes wrong in a night: a full disk, another instrument at the address, one that is silent or switched off."""

from __future__ import annotations

import resource
import socket
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from qlab.cli import main
from qlab.clock import RealClock
from qlab.run.journal import find_run, read_run
from qlab.tags.files.hdf5_reader import read_tags
from qlab.twin.host import TwinHost
from qlab.twin.scpi import ScpiTwin

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Stranger(ScpiTwin):
    identity = "Acme,Toaster,7,1.0"


@pytest.fixture
def stranger() -> Iterator[str]:
    with RealClock() as clock, TwinHost(clock) as host:
        yield host.mount_tcp(Stranger(clock)).address


@pytest.fixture
def mute() -> Iterator[str]:
    """Accept connections and say nothing."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield f"TCPIP0::127.0.0.1::{server.getsockname()[1]}::SOCKET"


@pytest.fixture
def nobody() -> str:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
    return f"TCPIP0::127.0.0.1::{port}::SOCKET"


LAB = """
qlab: 1
name: small
clock: {{mode: real}}
instruments:
  meter: {{class: devices.power.thorlabs_pm100d.PM100D, address: "{address}"}}
  tagger: {{class: devices.taggers.idquantique_id900.ID900, address: twin}}
"""


@pytest.mark.parametrize(
    ("who", "pieces"),
    [
        ("stranger", ["another instrument", "Acme,Toaster,7,1.0", "Thorlabs,PM10"]),
        ("mute", ["cannot be reached", "no complete reply", "*IDN?"]),
        ("nobody", ["cannot be reached", "check address, cable and power"]),
    ],
)
def test_the_doctor_and_a_run_say_who_is_not_there(
    who: str, pieces: list[str], request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = tmp_path / "small.yaml"
    lab.write_text(LAB.format(address=request.getfixturevalue(who)))

    assert main(["doctor", str(lab)]) == 1
    told = next(line for line in capsys.readouterr().out.splitlines() if "WRONG" in line)
    for piece in ["meter", *pieces]:
        assert piece in told

    command = ["run", "record_tags", "--lab", str(lab), "--data-dir", str(tmp_path), "--catalogue", "none"]
    assert main(command) == 1
    error = capsys.readouterr().err
    assert "Traceback" not in error
    for piece in ["not all instruments are there", "meter", *pieces]:
        assert piece in error
    assert not list((tmp_path / "runs").glob("*"))


def test_a_full_disk_ends_the_run_with_one_message_and_the_tags_so_far_are_readable(tmp_path: Path) -> None:
    # Files may not grow beyond 1 MB: the tag file is full at the third of twenty acquisitions.
    command = [sys.executable, "-m", "qlab.cli", "run", "measure_visibility", "acquisition_s=0.1", "points=10"]
    more = ["--data-dir", str(tmp_path), "--catalogue", "none"]

    done = subprocess.run(
        [*command, *more],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000)),
    )

    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "File too large" in done.stderr
    assert "tagger" in done.stderr
    record = read_run(find_run(tmp_path / "runs", "-1"))
    assert record.stop["exit_status"] == "fail"
    tags = read_tags(next((tmp_path / "tags").glob("*.h5")))
    points = record.events["primary"]
    assert len(points) >= 1
    assert tags.n >= sum(sum(point["tagger_counts"]) for point in points)
