"""Commands about a lab file and its instruments: `doctor`, `new`, `schema`, `discover`, `record`, `replay`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qlab.commands.options import lab_of, lab_options, say
from qlab.errors import BadRequestError, QlabError

if TYPE_CHECKING:
    import argparse

__all__ = ["add"]


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the parsers of these commands."""
    doctor = commands.add_parser("doctor", help="check lab file, instruments, paths and installation")
    doctor.add_argument("lab_argument", metavar="LAB", nargs="?", help="lab file or name of a shipped lab")
    lab_options(doctor)
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
    lab_options(record)
    record.add_argument("--to", metavar="DIR", type=Path, default=Path("cassettes"), help="default: ./cassettes")
    record.set_defaults(command=_record)

    replay = commands.add_parser("replay", help="check drivers against recorded cassettes")
    replay.add_argument("files", metavar="FILE", nargs="+", type=Path)
    replay.set_defaults(command=_replay)


def _doctor(arguments: argparse.Namespace) -> int:
    from qlab.lab.doctor import doctor

    report = doctor(lab_of(arguments), overrides=arguments.set)
    say(report.render())
    return report.exit_code


def _discover(arguments: argparse.Namespace) -> int:
    from qlab.lab.discover import Found, addresses, discover, suggest

    places = [Found(address) for address in arguments.addresses] or addresses()
    if not places:
        say("no VISA resource and no serial port is there; name addresses to ask them")
        return 0
    found = []
    for each in discover(places, serial=arguments.serial or bool(arguments.addresses)):
        say(f"  {each}")
        found.append(each)
    entries = suggest(found)
    if entries:
        say(f"\nfor a lab file:\n\n{entries}")
    return 0


def _record(arguments: argparse.Namespace) -> int:
    from qlab.lab.build import open_lab
    from qlab.lab.exercise import record

    failures = 0
    with open_lab(lab_of(arguments), overrides=arguments.set, connect=False) as lab:
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
                say(f"  WRONG {error}")
                continue
            say(f"  ok    {name}: {result['identity']}; wrote {path}")
    return 1 if failures else 0


def _replay(arguments: argparse.Namespace) -> int:
    from qlab.lab.exercise import replay

    failures = 0
    for path in arguments.files:
        try:
            result = replay(path)
        except QlabError as error:
            failures += 1
            say(f"  WRONG {path}: {error}")
            continue
        say(f"  ok    {path}: {result['identity']}")
    return 1 if failures else 0


def _new(arguments: argparse.Namespace) -> int:
    from qlab.lab.new import write_new_lab

    write_new_lab(arguments.file)
    say(f"wrote {arguments.file}; next: qlab doctor {arguments.file}")
    return 0


def _schema(arguments: argparse.Namespace) -> int:
    import json

    from qlab.lab.schema import lab_schema

    del arguments
    say(json.dumps(lab_schema(), indent=2))
    return 0
