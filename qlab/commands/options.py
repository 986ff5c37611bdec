"""What several commands share: options of the lab and of the data, and how a command speaks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from qlab.run.options import RunOptions

__all__ = ["data_options", "lab_of", "lab_options", "run_options", "say"]

DEFAULT_LAB = "bell"


def lab_options(parser: argparse.ArgumentParser) -> None:
    """Add `--lab` and `--set`."""
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


def data_options(parser: argparse.ArgumentParser) -> None:
    """Add `--data-dir` and `--catalogue`."""
    parser.add_argument(
        "--data-dir", metavar="DIR", type=Path, help="where data and the catalogue go (default: ./qlab-data)"
    )
    parser.add_argument(
        "--catalogue",
        metavar="URI",
        help="Tiled catalogue: a served one's address, 'embedded' (the default where Tiled is installed), or 'none'",
    )


def lab_of(arguments: argparse.Namespace) -> str:
    """Return the lab that a command line names, or the default one."""
    named = getattr(arguments, "lab_argument", None)
    return named or arguments.lab or DEFAULT_LAB


def run_options(arguments: argparse.Namespace) -> RunOptions:
    """Return where and how a run keeps its data."""
    from qlab.run.options import RunOptions

    return RunOptions(
        overrides=tuple(arguments.set),
        data_dir=arguments.data_dir,
        catalogue_uri=arguments.catalogue or "default",
    )


def say(text: str) -> None:
    """Print one message."""
    print(text)
