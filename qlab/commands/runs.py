"""Commands that run plans and show runs: `demo`, `run`, `metrics`, `shell`, `report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qlab.commands.options import data_options, lab_of, lab_options, run_options
from qlab.errors import BadRequestError

if TYPE_CHECKING:
    import argparse

__all__ = ["add"]


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the parsers of these commands."""
    demo = commands.add_parser("demo", help="a Bell test on the twin, from alignment to report")
    lab_options(demo)
    data_options(demo)
    demo.set_defaults(command=_demo)

    run = commands.add_parser("run", help="run plans: qlab run align_polarisation measure_chsh acquisition_s=2")
    run.add_argument("plan", metavar="PLAN", nargs="?", help="name of a plan; without one, the plans are listed")
    run.add_argument(
        "parameters", metavar="NAME=VALUE", nargs="*", help="the plan's parameters; then further plans with theirs"
    )
    lab_options(run)
    data_options(run)
    run.add_argument("--report", action="store_true", help="render a report when the run has ended")
    run.add_argument("--estimate", action="store_true", help="only say how long it takes, by a dry run on twins")
    run.add_argument(
        "--metrics",
        metavar="PORT",
        type=int,
        nargs="?",
        const=0,
        help="publish clocks and health for Prometheus on loopback meanwhile (default: any free port)",
    )
    run.set_defaults(command=_run)

    metrics = commands.add_parser("metrics", help="publish clocks and health of a lab for Prometheus until Ctrl-C")
    metrics.add_argument("lab_argument", metavar="LAB", nargs="?", help="lab file or name of a shipped lab")
    lab_options(metrics)
    metrics.add_argument("--port", type=int, default=0, help="on loopback (default: any free one)")
    metrics.add_argument(
        "--every", type=float, default=10.0, metavar="S", help="seconds between questions (default 10)"
    )
    metrics.set_defaults(command=_metrics)

    shell = commands.add_parser("shell", help="IPython with RE, the devices, the plans and the catalogue")
    shell.add_argument("lab_argument", metavar="LAB", nargs="?", help="lab file or name of a shipped lab")
    lab_options(shell)
    data_options(shell)
    shell.set_defaults(command=_shell)

    report = commands.add_parser("report", help="render a run as HTML and PNG")
    report.add_argument(
        "run", metavar="RUN", nargs="?", default="-1", help="run uid (or its start), scan id, -1 for the last"
    )
    report.add_argument("--output", metavar="DIR", type=Path, help="where to write (default: beside the data)")
    lab_options(report)
    data_options(report)
    report.set_defaults(command=_report)


def _demo(arguments: argparse.Namespace) -> int:
    from qlab.run.demo import demo

    return demo(lab_of(arguments), run_options(arguments))


def _run(arguments: argparse.Namespace) -> int:
    from qlab.run.commands import list_plans, run_plans, say_estimate

    if arguments.plan is None:
        return list_plans()
    plans = _plans([arguments.plan, *arguments.parameters])
    lab, options = lab_of(arguments), run_options(arguments)
    if not arguments.estimate:
        return run_plans(lab, plans, options, report=arguments.report, metrics_port=arguments.metrics)
    if len(plans) > 1:
        msg = f"--estimate takes one plan at a time; found {', '.join(name for name, _ in plans)}"
        raise BadRequestError(msg)
    return say_estimate(lab, *plans[0], options)


def _metrics(arguments: argparse.Namespace) -> int:
    from qlab.lab.publishing import publish_clocks

    publish_clocks(lab_of(arguments), arguments.set, port=arguments.port, every_s=arguments.every)
    return 0


def _plans(words: list[str]) -> list[tuple[str, dict[str, str]]]:
    """Return the plans that were named, each with the parameters that stand behind it."""
    from qlab.run.loader import find_plans

    known = find_plans()
    plans: list[tuple[str, dict[str, str]]] = []
    for word in words:
        name, equals, value = word.partition("=")
        if plans and not equals and word not in known:
            msg = f"{word!r} is no plan, and as a parameter of {plans[-1][0]} it wants a value, for example acquisition_s=2"
            raise BadRequestError(msg)
        if not plans and equals:
            msg = f"parameter {word!r} stands before any plan; expected PLAN NAME=VALUE ..."
            raise BadRequestError(msg)
        if equals:
            plans[-1][1][name] = value
        else:
            plans.append((word, {}))
    return plans


def _shell(arguments: argparse.Namespace) -> int:
    from qlab.run.shell import shell

    return shell(lab_of(arguments), run_options(arguments))


def _report(arguments: argparse.Namespace) -> int:
    from qlab.run.commands import report_run

    return report_run(lab_of(arguments), arguments.run, run_options(arguments), output=arguments.output)
