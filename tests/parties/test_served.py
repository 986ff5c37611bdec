"""Two parties as processes that meet the same twins: `qlab twin serve`, in paced time and stepped by both."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from qlab.errors import BadRequestError
from qlab.parties.commands import PartyOptions, preshare, run_party
from qlab.qkd.ledger import KeyLedger

if TYPE_CHECKING:
    from pathlib import Path

RULES = {
    # Taggers of two processes begin as far apart as their scheduling lets them; where they step the time, at the same moment.
    False: ("qkd.clock_offset_ps=400000000000", "qkd.piece_s=1.5", "qkd.key_bits=15000", "qkd.test_bits=2500"),
    True: ("qkd.piece_s=0.5", "qkd.key_bits=15000", "qkd.test_bits=2500"),
}


def qlab(*words: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "qlab.cli", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


@pytest.mark.slow
@pytest.mark.parametrize("stepped", [False, True], ids=["paced", "stepped"])
def test_two_processes_make_a_key_on_one_served_world(stepped: bool, tmp_path: Path) -> None:
    preshare(tmp_path / "psk", 40)
    path = tmp_path / "served.yaml"
    more = ["--stepped"] if stepped else []
    sets = [word for rule in RULES[stepped] for word in ("--set", rule)]
    light = "optics.crystal.brightness_hz_per_mw=2000"
    with qlab("twin", "serve", "bbm92", "--write", str(path), "--set", light, *more) as world:
        assert world.stdout is not None
        port = ""
        for line in world.stdout:
            if line.startswith("control"):
                port = line.rpartition(":")[2].strip()
            if line.startswith("serving"):
                break
        with socket.create_server(("127.0.0.1", 0)) as free:
            meeting = f"127.0.0.1:{free.getsockname()[1]}"
        parties = {}
        for side in ("alice", "bob"):
            own = ["--ledger", str(tmp_path / side), "--preshared", str(tmp_path / "psk"), "--patience-s", "280", *sets]
            steps = ["--control", port] if stepped else []
            parties[side] = qlab("qkd", side, str(path), *own, *steps, "--address", meeting)
        said = {side: process.communicate(timeout=280)[0] for side, process in parties.items()}
        world.send_signal(signal.SIGINT)
        world.wait(30)
    assert all(process.returncode == 0 for process in parties.values()), said
    a, b = (KeyLedger(tmp_path / side) for side in ("alice", "bob"))
    assert a.blocks("usable") == b.blocks("usable") == [0]
    assert (a.deliver(0).reveal() == b.deliver(0).reveal()).all()


def test_twins_of_this_process_alone_are_refused(tmp_path: Path) -> None:
    preshare(tmp_path / "psk", 40)
    options = PartyOptions(tmp_path / "a", tmp_path / "psk")
    with pytest.raises(BadRequestError, match="serve them: qlab twin serve"):
        run_party("alice", "bbm92", (), options, print)
    (tmp_path / "tags.txt").write_text("0 10\n1 20000\n")
    recorded = PartyOptions(tmp_path / "a", tags=tmp_path / "tags.txt", bin_ps=1.0)
    with pytest.raises(BadRequestError, match="expected pieces of at least 1 s"):
        run_party("alice", "replay", ("qkd.clock_offset_ps=400000000000",), recorded, print)
