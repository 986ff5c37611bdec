"""Commands about recorded time tags: `tags info`, `coincidences`, `convert`, `clocks`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from qlab.commands.options import say
from qlab.errors import BadRequestError

if TYPE_CHECKING:
    import argparse

__all__ = ["add"]


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the parsers of these commands."""
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


def _tags_info(arguments: argparse.Namespace) -> int:
    from qlab.tags.commands import tags_info

    result = tags_info(arguments.file, bin_ps=arguments.bin_ps)
    say(result.to_json() if arguments.json else result.render())
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
    say(result.to_json() if arguments.json else result.render())
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
    say(result.to_json() if arguments.json else result.render())
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
    say(f"{target}: {done.tags} tags as {done.target}")
    if done.fault:
        print(f"qlab: {done.fault}", file=sys.stderr)
    return 1 if done.fault else 0


def _tag_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", type=Path)
    parser.add_argument(
        "--bin-ps", type=float, metavar="PS", help="length of one time bin, for formats that do not say it"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def _channels(text: str | None, option: str) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        msg = f"{option} {text!r}: expected channel numbers separated by commas, for example 0,1,2,3"
        raise BadRequestError(msg) from error
