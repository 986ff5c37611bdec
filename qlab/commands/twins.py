"""Commands about served twins: `twin serve`, and what happens to them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qlab.commands.options import lab_of, lab_options, say
from qlab.errors import BadRequestError

if TYPE_CHECKING:
    import argparse

__all__ = ["add"]

_CONTROL = {
    "list": "state of every twin",
    "fault": "arm a fault: INSTRUMENT KIND [count=N] [delay_s=S] ...",
    "clear": "clear faults: [INSTRUMENT] [KIND]",
    "power": "INSTRUMENT on|off|cycle [boot_s=S]",
    "peek": "look at a front panel: INSTRUMENT",
    "step": "let lab time pass: SECONDS",
    "world": "what goes wrong between instruments: KIND [PLACE] [by_ps=N] ...; without a KIND, what there is",
}
_WORDS = {
    "list": (),
    "fault": ("instrument", "kind"),
    "clear": ("instrument", "kind"),
    "power": ("instrument", "state"),
    "peek": ("instrument",),
    "step": ("seconds",),
    "world": ("kind", "place"),
}


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the parsers of these commands."""
    twin = commands.add_parser("twin", help="serve twins to any client, and what happens to them").add_subparsers(
        required=True, metavar="TASK"
    )
    serve = twin.add_parser("serve", help="put all twins of a lab on loopback until Ctrl-C")
    serve.add_argument("lab_argument", metavar="LAB", nargs="?", help="lab file or name of a shipped lab")
    lab_options(serve)
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


def _serve(arguments: argparse.Namespace) -> int:
    from qlab.lab.serving import serve

    serve(
        lab_of(arguments),
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
        say(json.dumps(client.call(arguments.task, **fields), indent=2))
    return 0
