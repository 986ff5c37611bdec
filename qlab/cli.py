"""The command line: one command a user task.

Only the standard library is imported here; each command imports its room when it runs, so that `qlab --help` answers
at once.  A `QlabError` is printed as one message without a traceback.  Exit codes: 0 done, 1 something is wrong with
lab, instruments or data, 2 the command line itself is wrong, 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from qlab import __version__
from qlab.errors import BadRequestError, QlabError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qlab.run.options import RunOptions

__all__ = ["main"]

DEFAULT_LAB = "bell"
_CONTROL = {
    "list": "state of every twin",
    "fault": "arm a fault: INSTRUMENT KIND [count=N] [delay_s=S] ...",
    "clear": "clear faults: [INSTRUMENT] [KIND]",
    "power": "INSTRUMENT on|off|cycle [boot_s=S]",
    "peek": "look at a front panel: INSTRUMENT",
    "step": "let lab time pass: SECONDS",
}
_WORDS = {
    "list": (),
    "fault": ("instrument", "kind"),
    "clear": ("instrument", "kind"),
    "power": ("instrument", "state"),
    "peek": ("instrument",),
    "step": ("seconds",),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = _parser()
    arguments, more = parser.parse_known_args(argv)
    if more:
        # Plan parameters may stand behind options, which argparse does not see.
        if not hasattr(arguments, "parameters") or any(text.startswith("-") for text in more):
            parser.error(f"unrecognized arguments: {' '.join(more)}")
        arguments.parameters += more
    command: Callable[[argparse.Namespace], int] = arguments.command
    try:
        return command(arguments)
    except BadRequestError as error:
        print(f"qlab: {error}", file=sys.stderr)
        return 2
    except QlabError as error:
        print(f"qlab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("qlab: interrupted; instruments were left safe", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # the reader went away, as in `qlab ... | head`
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="qlab",
        description="Run a quantum-network laboratory, on real instruments or on their twins.",
        epilog="Every command that takes --lab uses the shipped twin lab 'bell' if you name none.",
    )
    parser.add_argument("--version", action="version", version=f"qlab {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="a Bell test on the twin, from alignment to report")
    _lab_options(demo)
    _data_options(demo)
    demo.set_defaults(command=_demo)

    run = commands.add_parser("run", help="run a plan: qlab run measure_chsh acquisition_s=2")
    run.add_argument("plan", metavar="PLAN", nargs="?", help="name of a plan; without one, the plans are listed")
    run.add_argument("parameters", metavar="NAME=VALUE", nargs="*", help="the plan's parameters")
    _lab_options(run)
    _data_options(run)
    run.add_argument("--report", action="store_true", help="render a report when the run has ended")
    run.add_argument("--estimate", action="store_true", help="only say how long it takes, by a dry run on twins")
    run.set_defaults(command=_run)

    shell = commands.add_parser("shell", help="IPython with RE, the devices, the plans and the catalogue")
    shell.add_argument("lab_argument", metavar="LAB", nargs="?", help="lab file or name of a shipped lab")
    _lab_options(shell)
    _data_options(shell)
    shell.set_defaults(command=_shell)

    report = commands.add_parser("report", help="render a run as HTML and PNG")
    report.add_argument(
        "run", metavar="RUN", nargs="?", default="-1", help="run uid (or its start), scan id, -1 for the last"
    )
    report.add_argument("--output", metavar="DIR", type=Path, help="where to write (default: beside the data)")
    _lab_options(report)
    _data_options(report)
    report.set_defaults(command=_report)

    doctor = commands.add_parser("doctor", help="check lab file, instruments, paths and installation")
    doctor.add_argument("lab_argument", metavar="LAB", nargs="?", help="lab file or name of a shipped lab")
    _lab_options(doctor)
    doctor.set_defaults(command=_doctor)

    new = commands.add_parser("new", help="write a commented starter lab file")
    new.add_argument("file", metavar="FILE", type=Path)
    new.set_defaults(command=_new)

    schema = commands.add_parser("schema", help="print the lab file's JSON schema, for editors")
    schema.set_defaults(command=_schema)

    find = commands.add_parser("discover", help="list instruments with their identities, and what a lab file would say")
    find.add_argument("addresses", metavar="ADDRESS", nargs="*", help="ask there (default: what the system shows)")
    find.add_argument("--serial", action="store_true", help="ask at serial ports too: each gets every identity query")
    find.set_defaults(command=_discover)

    record = commands.add_parser("record", help="exercise instruments and record their bytes on cassettes")
    record.add_argument("lab_argument", metavar="LAB", help="lab file or name of a shipped lab")
    record.add_argument("instruments", metavar="INSTRUMENT", nargs="*", help="default: all of the lab")
    _lab_options(record)
    record.add_argument("--to", metavar="DIR", type=Path, default=Path("cassettes"), help="default: ./cassettes")
    record.set_defaults(command=_record)

    replay = commands.add_parser("replay", help="check drivers against recorded cassettes")
    replay.add_argument("files", metavar="FILE", nargs="+", type=Path)
    replay.set_defaults(command=_replay)

    twin = commands.add_parser("twin", help="serve twins to any client, and what happens to them").add_subparsers(
        required=True, metavar="TASK"
    )
    serve = twin.add_parser("serve", help="put all twins of a lab on loopback until Ctrl-C")
    serve.add_argument("lab_argument", metavar="LAB", nargs="?", help="lab file or name of a shipped lab")
    _lab_options(serve)
    serve.add_argument("--speed", type=float, default=1.0, metavar="X", help="lab seconds per wall second (default 1)")
    serve.add_argument("--stepped", action="store_true", help="time stands still but for `qlab twin step`")
    serve.add_argument("--port", type=int, default=0, help="port of the control channel (default: any free one)")
    serve.add_argument("--write", type=Path, metavar="FILE", help="write a lab file with the twins' addresses")
    serve.add_argument("--serial-tcp", action="store_true", help="serial twins on TCP, as behind a serial server")
    serve.set_defaults(command=_serve)
    for task, text in _CONTROL.items():
        ask = twin.add_parser(task, help=text)
        ask.add_argument(
            "port", type=int, metavar="PORT", help="of the control channel, as `qlab twin serve` prints it"
        )
        ask.add_argument("words", nargs="*", metavar="WORD", help="what the help of `qlab twin` says, and KEY=VALUE")
        ask.set_defaults(command=_control, task=task)

    tags = commands.add_parser("tags", help="look into a file of time tags").add_subparsers(
        required=True, metavar="TASK"
    )
    info = tags.add_parser("info", help="format, channels, rates, gaps")
    _tag_options(info)
    info.set_defaults(command=_tags_info)
    coincidences = tags.add_parser("coincidences", help="delays, coincidence matrix and error rates of two parties")
    _tag_options(coincidences)
    coincidences.add_argument("--window-ps", type=float, metavar="PS", help="full width of the coincidence window")
    coincidences.add_argument("--alice", metavar="CHANNELS", help="Alice's channels as H,V,A,D (default 0,1,2,3)")
    coincidences.add_argument("--bob", metavar="CHANNELS", help="Bob's channels as H,V,A,D (default 4,5,6,7)")
    coincidences.set_defaults(command=_tags_coincidences)
    convert = tags.add_parser("convert", help="write one file or several, merged by time, in another format")
    convert.add_argument("files", nargs="+", metavar="FILE", help="what there is, and last the new file")
    convert.add_argument("--to", metavar="FORMAT", help="of the new file, where its suffix does not say")
    convert.add_argument("--format", metavar="FORMAT", help="of what there is, where its first bytes do not tell")
    convert.add_argument("--bin-ps", type=float, metavar="PS", help="length of one time bin, for text")
    convert.add_argument(
        "--channel-step", type=int, default=0, metavar="N", help="raise each further file's channels by N"
    )
    convert.set_defaults(command=_tags_convert)
    clocks = tags.add_parser("clocks", help="offset and frequency between two recordings' clocks, from photon pairs")
    clocks.add_argument("first", metavar="FILE")
    clocks.add_argument("second", metavar="FILE", help="of the other party; may be the same file")
    clocks.add_argument("--alice", metavar="CHANNELS", help="channels of the first, such as 0,1 (default: all)")
    clocks.add_argument("--bob", metavar="CHANNELS", help="channels of the second (default: all)")
    clocks.add_argument("--max-offset-ms", type=float, default=200.0, metavar="MS", help="either way (default 200)")
    clocks.add_argument("--max-ppm", type=float, default=100.0, metavar="PPM", help="either way (default 100)")
    clocks.add_argument("--bin-ps", type=float, metavar="PS", help="length of one time bin, for text")
    clocks.add_argument("--json", action="store_true", help="print JSON")
    clocks.set_defaults(command=_tags_clocks)
    return parser


def _lab_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--lab", metavar="LAB", default=None, help=f"lab file or name of a shipped lab (default: {DEFAULT_LAB})"
    )
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="override a key of the lab file, e.g. --set seed=7",
    )


def _data_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data-dir", metavar="DIR", type=Path, help="where data and the catalogue go (default: ./qlab-data)"
    )
    parser.add_argument(
        "--catalogue",
        metavar="URI",
        help="Tiled catalogue: a served one's address, 'embedded' (the default where Tiled is installed), or 'none'",
    )


def _tag_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", type=Path)
    parser.add_argument(
        "--bin-ps", type=float, metavar="PS", help="length of one time bin, for formats that do not say it"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def _lab(arguments: argparse.Namespace) -> str:
    named = getattr(arguments, "lab_argument", None)
    return named or arguments.lab or DEFAULT_LAB


def _demo(arguments: argparse.Namespace) -> int:
    from qlab.run.demo import demo

    return demo(_lab(arguments), _options(arguments))


def _run(arguments: argparse.Namespace) -> int:
    from qlab.run.commands import list_plans, run_plan, say_estimate

    if arguments.plan is None:
        return list_plans()
    parameters = {}
    for pair in arguments.parameters:
        name, equals, value = pair.partition("=")
        if not equals:
            msg = f"plan parameter {pair!r}: expected NAME=VALUE, for example acquisition_s=2"
            raise BadRequestError(msg)
        parameters[name] = value
    if arguments.estimate:
        return say_estimate(_lab(arguments), arguments.plan, parameters, _options(arguments))
    return run_plan(_lab(arguments), arguments.plan, parameters, _options(arguments), report=arguments.report)


def _shell(arguments: argparse.Namespace) -> int:
    from qlab.run.shell import shell

    return shell(_lab(arguments), _options(arguments))


def _report(arguments: argparse.Namespace) -> int:
    from qlab.run.commands import report_run

    return report_run(_lab(arguments), arguments.run, _options(arguments), output=arguments.output)


def _options(arguments: argparse.Namespace) -> RunOptions:
    from qlab.run.options import RunOptions

    return RunOptions(
        overrides=tuple(arguments.set),
        data_dir=arguments.data_dir,
        catalogue_uri=arguments.catalogue or "default",
    )


def _doctor(arguments: argparse.Namespace) -> int:
    from qlab.lab.doctor import doctor

    report = doctor(_lab(arguments), overrides=arguments.set)
    _say(report.render())
    return report.exit_code


def _discover(arguments: argparse.Namespace) -> int:
    from qlab.lab.discover import Found, addresses, discover, suggest

    places = [Found(address) for address in arguments.addresses] or addresses()
    if not places:
        _say("no VISA resource and no serial port is there; name addresses to ask them")
        return 0
    found = discover(places, serial=arguments.serial or bool(arguments.addresses))
    for each in found:
        who = each.identity or ("nobody answers" if each.class_name or arguments.addresses else "not asked")
        _say(f"  {each.address}: {who}{f' ({each.note})' if each.note else ''}")
    entries = suggest(found)
    if entries:
        _say(f"\nfor a lab file:\n\n{entries}")
    return 0


def _record(arguments: argparse.Namespace) -> int:
    from qlab.lab.build import open_lab
    from qlab.lab.exercise import record

    failures = 0
    with open_lab(_lab(arguments), overrides=arguments.set, connect=False) as lab:
        unknown = [name for name in arguments.instruments if name not in lab.file.instruments]
        if unknown:
            msg = f"lab {lab.file.name} has no instrument {unknown[0]!r}; there are {', '.join(lab.file.instruments)}"
            raise BadRequestError(msg)
        for name in arguments.instruments or lab.file.instruments:
            path = arguments.to / f"{name}.jsonl"
            try:
                result = record(lab, name, path)
            except QlabError as error:
                failures += 1
                _say(f"  WRONG {error}")
                continue
            _say(f"  ok    {name}: {result['identity']}; wrote {path}")
    return 1 if failures else 0


def _replay(arguments: argparse.Namespace) -> int:
    from qlab.lab.exercise import replay

    failures = 0
    for path in arguments.files:
        try:
            result = replay(path)
        except QlabError as error:
            failures += 1
            _say(f"  WRONG {path}: {error}")
            continue
        _say(f"  ok    {path}: {result['identity']}")
    return 1 if failures else 0


def _new(arguments: argparse.Namespace) -> int:
    from qlab.lab.new import write_new_lab

    write_new_lab(arguments.file)
    _say(f"wrote {arguments.file}; next: qlab doctor {arguments.file}")
    return 0


def _schema(arguments: argparse.Namespace) -> int:
    import json

    from qlab.lab.schema import lab_schema

    del arguments
    _say(json.dumps(lab_schema(), indent=2))
    return 0


def _serve(arguments: argparse.Namespace) -> int:
    from qlab.lab.serving import serve

    serve(
        _lab(arguments),
        arguments.set,
        speed=arguments.speed,
        stepped=arguments.stepped,
        port=arguments.port,
        serial_tcp=arguments.serial_tcp,
        write=arguments.write,
        say=lambda text: print(text, flush=True),
    )
    return 0


def _control(arguments: argparse.Namespace) -> int:
    import json

    from qlab.twin.control_client import ControlClient

    names, fields = list(_WORDS[arguments.task]), {}
    for word in arguments.words:
        key, equals, value = word.partition("=")
        if not equals:
            if not names:
                msg = f"qlab twin {arguments.task}: {word!r} is too much; expected {_CONTROL[arguments.task]}"
                raise BadRequestError(msg)
            key, value = names.pop(0), word
        try:
            fields[key] = json.loads(value)
        except json.JSONDecodeError:
            fields[key] = value
    with ControlClient("127.0.0.1", arguments.port) as client:
        _say(json.dumps(client.call(arguments.task, **fields), indent=2))
    return 0


def _tags_info(arguments: argparse.Namespace) -> int:
    from qlab.tags.commands import tags_info

    result = tags_info(arguments.file, bin_ps=arguments.bin_ps)
    _say(result.to_json() if arguments.json else result.render())
    return 0


def _tags_coincidences(arguments: argparse.Namespace) -> int:
    from qlab.tags.commands import tags_coincidences

    result = tags_coincidences(
        arguments.file,
        bin_ps=arguments.bin_ps,
        window_ps=arguments.window_ps,
        alice=_channels(arguments.alice, "--alice"),
        bob=_channels(arguments.bob, "--bob"),
    )
    _say(result.to_json() if arguments.json else result.render())
    return 0


def _tags_clocks(arguments: argparse.Namespace) -> int:
    from qlab.timing.acquire import ClockLock, Search
    from qlab.timing.commands import clocks_of_files

    result = clocks_of_files(
        arguments.first,
        arguments.second,
        Search(max_offset_ps=round(arguments.max_offset_ms * 1e9), max_frequency=arguments.max_ppm * 1e-6),
        channels=(_channels(arguments.alice, "--alice"), _channels(arguments.bob, "--bob")),
        bin_ps=arguments.bin_ps,
    )
    _say(result.to_json() if arguments.json else result.render())
    return 0 if isinstance(result.found, ClockLock) else 1


def _tags_convert(arguments: argparse.Namespace) -> int:
    from qlab.tags.convert import convert_tags

    *sources, target = arguments.files
    shown = sys.stderr.isatty()
    done = convert_tags(
        sources,
        target,
        kind=arguments.to,
        source_format=arguments.format,
        bin_ps=arguments.bin_ps,
        channel_step=arguments.channel_step,
        progress=lambda tags: print(f"\r{tags:,} tags", end="", file=sys.stderr) if shown else None,
    )
    _say(f"{target}: {done.tags} tags as {done.target}")
    if done.fault:
        print(f"qlab: {done.fault}", file=sys.stderr)
    return 1 if done.fault else 0


def _channels(text: str | None, option: str) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        msg = f"{option} {text!r}: expected channel numbers separated by commas, for example 0,1,2,3"
        raise BadRequestError(msg) from error


def _say(text: str) -> None:
    print(text)


if __name__ == "__main__":
    sys.exit(main())
