"""A run is paused, resumed and aborted at any moment: every point is itself, the laser ends dark, tags stay readable."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from bluesky.utils import RunEngineInterrupted

from plans.bell import measure_visibility
from qlab.clock import PS_PER_S
from qlab.lab.build import open_lab
from qlab.run.engine import Session
from qlab.run.journal import find_run, read_run
from qlab.run.options import RunOptions
from qlab.tags.files.hdf5_reader import read_tags

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# A bright aligned pair of analysers without fibres' rotations: every setting shows its coincidences.
LAB = ("optics.alice_fibre.rotation_seed=null", "optics.bob_fibre.rotation_seed=null", "instruments.oven.twin.tau_s=5")
POINTS = 4


def run(
    folder: Path, interrupt: Callable[[Session], None] | None, then: Callable[[Session], Any]
) -> tuple[Session, list[dict[str, Any]], dict[str, Any]]:
    """Run the plan, interrupted as told; returns the closed session, the points' events and the stop document."""
    with (
        open_lab("bell", overrides=LAB, data_dir=folder) as lab,
        Session(lab, RunOptions(data_dir=folder)) as session,
    ):
        d = lab.devices
        d["oven"].set(40.0).wait(30)
        plan = measure_visibility(
            d["tagger"], d["alice"], d["bob"], d["pump"], acquisition_s=0.1, points=POINTS, max_rounds=1
        )
        if interrupt is None:
            session.run(plan)
        else:
            interrupt(session)
            with pytest.raises(RunEngineInterrupted):
                session.run(plan)
            assert session.RE.state == "paused"
            then(session)
    assert lab.twins["pump"]._laser_on is False
    record = read_run(find_run(folder / "runs", "-1"))
    return session, record.events["primary"], record.stop


def angles(events: list[dict[str, Any]]) -> list[tuple[float, ...]]:
    """Return where the plates stood; they stop within 0.05 degrees (sigma) of where they were sent."""
    return [tuple(event[f"{who}_linear_deg"] for who in ("alice", "bob")) for event in events]


def after_third_point(seconds: float) -> Callable[[Session], None]:
    """Return what asks for an immediate pause so much lab time after the third point."""

    def interrupt(session: Session) -> None:
        points = []

        def pause() -> None:
            hold = session.lab.clock.hold("Ctrl-C")  # no time passes before the engine has heard of it

            def ask() -> None:
                with hold.bound():
                    session.RE.request_pause(False)

            threading.Thread(target=ask).start()

        def look(name: str, doc: dict[str, Any]) -> None:
            if name == "event" and "tagger_counts" in doc["data"]:
                points.append(doc)
                if len(points) == 3:
                    session.lab.clock.call_at(session.lab.clock.now_ps() + round(seconds * PS_PER_S), pause)

        session.subscribe(look)

    return interrupt


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[float, ...]]:
    _, events, stop = run(tmp_path_factory.mktemp("undisturbed"), None, lambda session: None)
    assert stop["exit_status"] == "success"
    assert len(events) == 2 * POINTS
    return angles(events)


# A point lasts about 0.5 s: the move, 0.1 s of acquisition, the download.
@pytest.mark.parametrize("seconds", [0.001, 0.1, 0.25, 0.3, 0.37, 0.45])
def test_a_pause_at_any_moment_repeats_no_point_and_spoils_none(
    seconds: float, tmp_path: Path, undisturbed: list[tuple[float, ...]]
) -> None:
    _, events, stop = run(tmp_path, after_third_point(seconds), lambda session: session.resume())
    assert stop["exit_status"] == "success"
    assert np.array(angles(events)) == pytest.approx(np.array(undisturbed), abs=0.5)


@pytest.mark.parametrize("end", ["abort", "stop", "halt"])
def test_an_ended_run_leaves_the_laser_dark_and_its_tags_readable(end: str, tmp_path: Path) -> None:
    def then(session: Session) -> None:
        if end == "abort":
            session.abort("the physicist was tired")
            assert session.lab.twins["pump"]._laser_on is False
        else:
            getattr(session.RE, end)()

    session, events, stop = run(tmp_path, after_third_point(0.3), then)
    path = session.lab.devices["tagger"].recorder.path
    tags = read_tags(path)
    assert tags.n == sum(sum(event["tagger_counts"]) for event in events) > 0
    if end != "halt":  # which leaves without another word
        assert stop["exit_status"] == ("abort" if end == "abort" else "success")


@pytest.mark.parametrize(
    ("number", "code", "said", "reason"),
    [
        (signal.SIGINT, 130, "qlab: interrupted", "interrupted"),
        (signal.SIGHUP, 129, "", "ended by SIGHUP"),  # nobody is there to be told
    ],
)
def test_ctrl_c_without_a_terminal_and_a_closed_terminal_end_the_run_safely(
    number: signal.Signals, code: int, said: str, reason: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "qlab.cli", "run", "measure_chsh", "sigma=1e-6", "max_rounds=100000"]
    old = signal.signal(number, signal.SIG_DFL)  # under nohup it is ignored, by our children too
    try:
        process = subprocess.Popen(
            [*command, "--data-dir", str(tmp_path), "--catalogue", "none"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    finally:
        signal.signal(number, old)
    with process:
        assert process.stdout is not None
        while not process.stdout.readline().startswith("run "):
            assert process.poll() is None
        process.send_signal(number)
        _, error = process.communicate(timeout=60)
    assert process.returncode == code, error
    assert error.startswith(said)
    assert "Traceback" not in error
    stop = read_run(find_run(tmp_path / "runs", "-1")).stop
    assert (stop["exit_status"], stop["reason"]) == ("abort", reason)
