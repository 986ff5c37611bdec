"""`qlab qkd`: make keys, as one of two parties."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from qlab.commands.options import lab_options, say

if TYPE_CHECKING:
    import argparse

__all__ = ["add"]

DEFAULT_LAB = "bbm92"


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    qkd = commands.add_parser("qkd", help="make keys, as one of two parties").add_subparsers(
        required=True, metavar="TASK"
    )
    preshared = qkd.add_parser("preshare", help="write the secret that both parties begin with")
    preshared.add_argument("file", metavar="FILE", type=Path)
    preshared.add_argument("--slots", type=int, default=200, metavar="N", help="tags that it pays for (default 200)")
    preshared.set_defaults(command=_preshare)
    for side, text in (("alice", "listen, and open blocks"), ("bob", "call Alice, and correct")):
        party = qkd.add_parser(side, help=f"be {side.capitalize()}: {text}")
        party.add_argument("lab_argument", metavar="LAB", nargs="?", help="lab file or name of a shipped lab")
        lab_options(party)
        party.add_argument("--ledger", metavar="DIR", type=Path, required=True, help="this party's keys and accounts")
        party.add_argument("--preshared", metavar="FILE", type=Path, help="for a new ledger: what both have")
        party.add_argument("--address", metavar="HOST:PORT", help="instead of the lab file's")
        party.add_argument("--blocks", type=int, default=1, metavar="N", help="end after so many (default 1)")
        party.add_argument("--tags", metavar="FILE", type=Path, help="a recording of this party's tags, for its tagger")
        party.add_argument("--bin-ps", type=float, metavar="PS", help="length of one time bin of a text file")
        party.add_argument(
            "--channel", metavar="NAME=X,...", default="", help="worsen what is sent: latency_s, loss ..."
        )
        party.add_argument("--tls", metavar="FILE", nargs=3, type=Path, help="certificate, key and authority, as PEM")
        party.add_argument("--control", type=int, metavar="PORT", help="step the time of served twins, piece by piece")
        party.add_argument(
            "--patience-s", type=float, default=60.0, metavar="S", help="with a silent peer (default 60)"
        )
        party.add_argument("--json", action="store_true", help="print JSON")
        party.set_defaults(command=_party, side=side)


def _preshare(arguments: argparse.Namespace) -> int:
    from qlab.parties.commands import preshare

    preshare(arguments.file, arguments.slots)
    say(f"wrote {arguments.file}; bring it to both parties by a way you trust, and destroy it after the first use")
    return 0


def _party(arguments: argparse.Namespace) -> int:
    from qlab.parties.commands import PartyOptions, run_party, statements_json

    options = PartyOptions(
        arguments.ledger,
        arguments.preshared,
        arguments.address,
        arguments.tags,
        arguments.bin_ps,
        arguments.blocks,
        arguments.channel,
        None if arguments.tls is None else tuple(arguments.tls),
        arguments.patience_s,
        arguments.control,
    )

    def tell(text: str) -> None:
        print(text, file=sys.stderr if arguments.json else sys.stdout, flush=True)

    lab = arguments.lab_argument or arguments.lab or DEFAULT_LAB
    result = run_party(arguments.side, lab, arguments.set, options, tell)
    if arguments.json:
        say(statements_json(result))
    else:
        say(f"{result.keys} keys in {len(result.statements)} blocks, {result.key_bits} secret bits")
    return 0 if result.keys else 1
