"""What `qlab run`, `qlab report` and `qlab demo` do."""

from __future__ import annotations

import inspect
import logging
import sys
from contextlib import contextmanager
from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qlab.errors import QlabError
from qlab.lab.build import open_lab
from qlab.lab.load import load_lab
from qlab.run.engine import Session
from qlab.run.estimate import estimate_plan, recall_estimate, remember_estimate
from qlab.run.farewell import farewell
from qlab.run.journal import find_run, read_run
from qlab.run.loader import bind_parameters, find_plan, find_plans, try_out
from qlab.run.progress import Progress
from qlab.run.recovery import incomplete
from qlab.run.warming import warm_up

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

    from qlab.lab.build import Lab
    from qlab.run.options import RunOptions

__all__ = ["list_plans", "report_run", "run_plans", "run_to_its_end", "say", "say_estimate", "say_killed"]


def say(text: str) -> None:
    """Print for a person."""
    print(text, flush=True)  # noqa: T201


def list_plans() -> int:
    """Print all plans with their first lines and parameters."""
    for name, plan in sorted(find_plans().items()):
        first = (inspect.getdoc(plan) or "").splitlines()[0]
        parameters = [p for p in inspect.signature(plan).parameters if p != "md"]
        say(f"{name}\n    {first}\n    parameters: {', '.join(parameters)}")
    return 0


def run_plans(
    lab_name: str,
    wanted: Sequence[tuple[str, Mapping[str, str]]],
    options: RunOptions,
    *,
    report: bool = False,
    metrics_port: int | None = None,
) -> int:
    """Run plans, one after the other, in one lab and session; returns the exit code.

    Parameters
    ----------
    lab_name, options:
        Where.
    wanted:
        Names of plans with what a person gave for their parameters; all are checked before anything warms up or moves.
    report:
        Whether each run gets its report.
    metrics_port:
        Where clocks and health are published meanwhile; None: nowhere.
    """
    plans = [find_plan(name) for name, _ in wanted]
    with open_lab(lab_name, overrides=options.overrides, data_dir=options.data_dir) as lab:
        light = lab.file.world.replay is None
        bound = []
        for plan, (_, texts) in zip(plans, wanted, strict=True):
            bound.append(bind_parameters(plan, texts, lab.devices, light=light))
            try_out(plan, bound[-1])
        with Session(lab, options) as session, _published(lab, metrics_port):
            say_killed(session)
            session.subscribe(Progress(lab.clock))
            if light:
                warm_up(lab, say)
            for plan, arguments, (name, texts) in zip(plans, bound, wanted, strict=True):
                _say_if_unaligned(plan, arguments)
                md = recall_estimate(lab_name, name, texts, options)
                say_result(run_to_its_end(session, plan(**arguments), **md))
                if report:
                    write_report(session.data_dir, "-1", None)
    return 0


@contextmanager
def _published(lab: Lab, port: int | None) -> Iterator[None]:
    """Publish a lab's clocks and health, if anybody asked for it."""
    if port is None:
        yield
        return
    from qlab.lab.publishing import serve_metrics

    with serve_metrics(lab, port) as address:
        say(f"metrics: {address}")
        yield


def _say_if_unaligned(plan: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
    """Tell where a plan wants aligned analysers and nobody has aligned any: it measures what the fibres make of the state."""
    if "aligned." not in (inspect.getdoc(plan) or ""):
        return
    frames = [device.frame_rotation for device in arguments.values() if hasattr(device, "frame_rotation")]
    if frames and all(np.array_equal(frame, np.eye(3)) for frame in frames):
        say(f"note: the analysers are not aligned; qlab run align_polarisation {plan.__name__} aligns them first")


def say_killed(session: Session) -> None:
    """Say which runs of the data folder were found killed."""
    for killed in session.killed:
        say(killed.render())


def say_estimate(lab_name: str, plan_name: str, texts: Mapping[str, str], options: RunOptions) -> int:
    """Say how long a plan will take, and keep it for the progress bar."""
    found = estimate_plan(lab_name, plan_name, texts, options)
    remember_estimate(lab_name, plan_name, texts, options, found)
    say(f"{plan_name}: {found.render()}")
    return 0


def run_to_its_end(session: Session, plan: Generator[Any, Any, Any], **md: Any) -> Any:
    """Run a plan; when Ctrl-C has paused it, ask how to go on, or abort where there is nobody to ask.

    Raises
    ------
    KeyboardInterrupt
        The plan was aborted.
    """
    from bluesky.utils import RunEngineInterrupted

    steps: Iterator[Callable[[], Any]] = chain([lambda: session.run(_reraised(plan), **md)], repeat(session.resume))
    with farewell(session) as signalled:
        for step in steps:
            try:
                return step()
            except RunEngineInterrupted:
                signalled.leave()
                if session.RE.state != "paused" or not _wants_to_go_on():
                    if session.RE.state == "paused":
                        session.abort("interrupted")
                    raise KeyboardInterrupt from None
    raise AssertionError  # pragma: no cover - the steps never end


def _wants_to_go_on() -> bool:
    while sys.stdin.isatty():
        try:
            answer = input("paused: r to resume, a to abort > ").strip().lower()
        except (EOFError, KeyboardInterrupt):
            return False
        if answer in ("r", "resume", "a", "abort"):
            return answer.startswith("r")
    return False


def report_run(lab_name: str, run: str, options: RunOptions, *, output: Path | None = None) -> int:
    """Render the report of a run."""
    folder = options.data_dir or load_lab(lab_name, options.overrides).lab.data_directory or Path("qlab-data")
    write_report(folder.resolve(), run, output)
    return 0


def write_report(data_dir: Path, run: str, output: Path | None) -> Path:
    """Render a report and say where it is."""
    from qlab.run.report import render_report

    record = read_run(find_run(data_dir / "runs", run))
    page = render_report(record, output or data_dir / "reports" / record.uid[:8])
    say(f"report: {page}")
    fault = incomplete(record)
    if fault:
        say(f"INCOMPLETE: {fault}")
    return page


def say_result(result: Any, indent: str = "  ") -> None:
    """Print a plan's result, each value with its uncertainty."""
    if not isinstance(result, dict):
        return
    if "text" in result:
        say(str(result["text"]))
        return
    for key, value in result.items():
        if key.endswith("_sigma"):
            continue
        sigma = result.get(f"{key}_sigma")
        if isinstance(value, float) and isinstance(sigma, float):
            say(f"{indent}{key} = {value:.4f} +- {sigma:.4f}")
        elif isinstance(value, (int, float, str)):
            say(f"{indent}{key} = {value}")
        elif isinstance(value, dict):
            say(f"{indent}{key}: " + ", ".join(f"{k} {v}" for k, v in value.items()))


def _reraised(plan: Any) -> Any:
    """Pass a plan on; a failed status's own error is what a person should read, without the engine's traceback."""
    from bluesky.utils import FailedStatus

    logging.getLogger("bluesky").setLevel(logging.CRITICAL)

    try:
        return (yield from plan)
    except FailedStatus as error:
        status = error.args[0] if error.args else None
        cause = status.exception(0.0) if status is not None else None
        if isinstance(cause, QlabError):
            raise cause from None
        raise
