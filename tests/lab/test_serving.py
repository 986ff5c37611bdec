"""`qlab twin serve`: other processes talk to the twins, drivers take them for instruments, faults come by the channel."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import pyvisa

from qlab.cli import main
from qlab.clock import RealClock
from qlab.lab.build import open_lab

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[dict[str, str], Path]]:
    """Serve the bell lab at ten times real time; return what was printed and the written lab file."""
    path = tmp_path / "served.yaml"
    command = [sys.executable, "-m", "qlab.cli", "twin", "serve", "bell", "--speed", "10", "--write", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        addresses = {}
        for line in process.stdout:
            if line.startswith("serving"):
                break
            name, _, address = line.partition(" ")
            addresses[name] = address.strip()
        yield addresses, path
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


def ask(capsys: pytest.CaptureFixture[str], *words: str) -> object:
    assert main(["twin", *words]) == 0
    return json.loads(capsys.readouterr().out)


def test_foreign_clients_drivers_and_the_control_channel_meet_the_same_twins(
    served: tuple[dict[str, str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    addresses, path = served
    port = addresses["control"].rpartition(":")[2]
    manager = pyvisa.ResourceManager("@py")
    with manager.open_resource(addresses["pump"], read_termination="\n", write_termination="\n") as pump:
        assert pump.query("*IDN?").startswith("Thorlabs,CLD1015")
        assert main(["doctor", str(path)]) == 0, capsys.readouterr().out
        assert "real, tcp://127.0.0.1" in capsys.readouterr().out

        assert ask(capsys, "peek", port, "pump")
        ask(capsys, "fault", port, "pump", "interlock")
        pump.write("OUTP ON")
        assert pump.query("OUTP?") == "0"
        assert pump.query("OUTP:PROT:INTL:TRIP?") == "1"
        ask(capsys, "power", port, "oven", "off")
        state = ask(capsys, "list", port)
        assert isinstance(state, dict)
        assert state["oven"]["powered"] is False

        armed = ask(capsys, "world", port, "fibre_delay", "alice_fibre", "by_ps=1000", "way=forth")
        assert isinstance(armed, dict)
        assert armed["place"] == "alice_fibre"
        assert "clock_leap" in str(ask(capsys, "world", port))
        assert main(["twin", "world", port, "fibre_cut", "alice_fiber"]) == 1
        assert "did you mean 'alice_fibre'?" in capsys.readouterr().err
        assert main(["twin", "fault", port, "pump", "silnet"]) == 1
        said = capsys.readouterr().err
        assert "interlock" in said  # what the instrument has, and what every wire has
        assert "wire faults are silent" in said
    manager.close()
    assert main(["doctor", str(path)]) == 1
    assert "WRONG oven" in capsys.readouterr().out


def test_serial_twins_may_be_on_tcp_as_behind_a_serial_server(tmp_path: Path) -> None:
    path = tmp_path / "lab.yaml"
    oven = "{class: devices.sources.thorlabs_tc200.TC200, address: twin}"
    path.write_text(f"qlab: 1\nname: one\ninstruments:\n  oven: {oven}\n")
    with open_lab(str(path), clock=RealClock(), data_dir=tmp_path, connect=False, serial_tcp=True) as lab:
        address = lab.mounts["oven"].address
        assert address.startswith("socket://127.0.0.1:")
        with socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), timeout=5) as client:
            client.sendall(b"*idn?\r")
            assert client.recv(100).startswith(b"*idn?\rTHORLABS TC200")
        lab.devices["oven"].connect()
        assert lab.devices["oven"].health.ok.get()


def test_a_wrong_word_and_a_lab_that_does_not_run_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["twin", "peek", "9", "pump", "more"]) == 2
    assert "'more' is too much" in capsys.readouterr().err
    assert main(["twin", "list", "9"]) == 1
    assert "no lab listens for control at 127.0.0.1:9" in capsys.readouterr().err
