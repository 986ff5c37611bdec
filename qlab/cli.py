"""The command line: one command a user task.

Only the standard library is imported here; each command imports its room when it runs, so that `qlab --help` answers
at once.  A `QlabError` is printed as one message without a traceback.  Exit codes: 0 done, 1 something is wrong with
lab, instruments or data, 2 the command line itself is wrong, 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from qlab import __version__
from qlab.commands import keys, labs, runs, tags, twins
from qlab.errors import BadRequestError, QlabError
from qlab.run.farewell import farewell

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["main"]


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
        with farewell():
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
    except OSError as error:
        print(f"qlab: the system refused: {error}; check space, permissions and names", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="qlab",
        description="Run a quantum-network laboratory, on real instruments or on their twins.",
        epilog="Every command that takes --lab uses the shipped twin lab 'bell' if you name none.",
    )
    parser.add_argument("--version", action="version", version=f"qlab {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for family in (runs, labs, twins, tags, keys):
        family.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
