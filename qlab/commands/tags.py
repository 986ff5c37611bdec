"""Commands about recorded time tags: `tags info`, `histogram`, `plot`, `coincidences`, `convert`, `clocks`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from qlab.commands.bar import Bar
from qlab.commands.options import say
from qlab.errors import BadRequestError

if TYPE_CHECKING:
    import argparse

    from qlab.tags.clock_relation import ClockRelation
    from qlab.tags.histograms import TagsHistogram
    from qlab.tags.many import Run

__all__ = ["add"]


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the parsers of these commands."""
    tags = commands.add_parser("tags", help="look into files of time tags, count and convert them").add_subparsers(
        required=True, metavar="TASK"
    )
    info = tags.add_parser("info", help="format, tick, channels, rates, gaps, and where a file is broken")
    _file_options(info)
    info.set_defaults(command=_info)
    histogram = tags.add_parser("histogram", help="delays between channels")
    _file_options(histogram)
    _delay_options(histogram)
    histogram.add_argument("--out", type=Path, metavar="FILE", help="write the counts as .csv or .npz")
    histogram.set_defaults(command=_histogram)
    plot = tags.add_parser("plot", help="a picture: rates over time, delays between channels")
    _file_options(plot)
    _delay_options(plot)
    plot.add_argument("--out", type=Path, metavar="FILE", help="the picture (default: FILE with .png behind its name)")
    plot.set_defaults(command=_plot)
    analyse = tags.add_parser("analyse", help="count all recordings of a folder, spread over cores or a cluster")
    analyse.add_argument("folder", metavar="DIR", type=Path, help="with all folders below it")
    analyse.add_argument("--channels", metavar="CHANNELS", help="such as 0,1,4,5 (default: all that there are)")
    analyse.add_argument(
        "--window-ps", type=int, default=2000, metavar="PS", help="full width of coincidences (default 2000)"
    )
    _delay_options(analyse)
    analyse.add_argument("--bin-ps", type=float, metavar="PS", help="length of one time bin, for text and quTAU")
    analyse.add_argument(
        "--jobs", type=int, metavar="N", help="threads of this machine (default: its cores); 1 needs no Dask"
    )
    analyse.add_argument("--scheduler", metavar="ADDRESS", help="a Dask cluster's, such as tcp://host:8786")
    analyse.add_argument("--json", action="store_true", help="print JSON, all counts in it")
    analyse.set_defaults(command=_analyse)
    coincidences = tags.add_parser("coincidences", help="delays, coincidence matrix and error rates of two parties")
    _file_options(coincidences)
    coincidences.add_argument(
        "second", metavar="SECOND", type=Path, nargs="?", help="Bob's file, of a tagger on its own clock"
    )
    coincidences.add_argument(
        "--clocks",
        type=Path,
        metavar="JSON",
        help="what `qlab tags clocks FILE SECOND --json` printed (default: search)",
    )
    coincidences.add_argument("--window-ps", type=float, metavar="PS", help="full width of the coincidence window")
    coincidences.add_argument("--alice", metavar="CHANNELS", help="Alice's channels as H,V,A,D (default 0,1,2,3)")
    coincidences.add_argument(
        "--bob", metavar="CHANNELS", help="Bob's channels as H,V,A,D (default 4,5,6,7; of SECOND 0,1,2,3)"
    )
    coincidences.set_defaults(command=_coincidences)
    convert = tags.add_parser("convert", help="write one file or several, merged by time, in another format")
    convert.add_argument("files", nargs="+", metavar="FILE", help="what there is, and last the new file")
    convert.add_argument("--to", metavar="FORMAT", help="of the new file, where its suffix does not say")
    convert.add_argument("--format", metavar="FORMAT", help="of what there is, where its first bytes do not tell")
    convert.add_argument("--bin-ps", type=float, metavar="PS", help="length of one time bin, for text and quTAU")
    convert.add_argument(
        "--channel-step", type=int, default=0, metavar="N", help="raise each further file's channels by N"
    )
    convert.set_defaults(command=_convert)
    clocks = tags.add_parser("clocks", help="offset and frequency between two recordings' clocks, from photon pairs")
    clocks.add_argument("first", metavar="FILE")
    clocks.add_argument("second", metavar="FILE", help="of the other party; may be the same file")
    clocks.add_argument("--alice", metavar="CHANNELS", help="channels of the first, such as 0,1 (default: all)")
    clocks.add_argument("--bob", metavar="CHANNELS", help="channels of the second (default: all)")
    clocks.add_argument("--max-offset-ms", type=float, default=200.0, metavar="MS", help="either way (default 200)")
    clocks.add_argument("--max-ppm", type=float, default=100.0, metavar="PPM", help="either way (default 100)")
    clocks.add_argument("--bin-ps", type=float, metavar="PS", help="length of one time bin, for text")
    clocks.add_argument("--json", action="store_true", help="print JSON")
    clocks.set_defaults(command=_clocks)


def _file_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", type=Path)
    parser.add_argument("--format", metavar="FORMAT", help="of the file, where its first bytes do not tell")
    parser.add_argument(
        "--bin-ps", type=float, metavar="PS", help="length of one time bin, for formats that do not say it"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def _delay_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pairs", metavar="A-B,...", help="pairs of channels, such as 0-4,1-5 (default: all)")
    parser.add_argument("--range-ns", type=float, default=50.0, metavar="NS", help="delays either way (default 50)")
    parser.add_argument("--width-ps", type=int, metavar="PS", help="width of a bin (default: whole ticks, about 100)")
    parser.add_argument("--delays", metavar="C=PS,...", help="delays of channels, subtracted, such as 4=1200,5=-300")


def _info(arguments: argparse.Namespace) -> int:
    from qlab.tags.info import tags_info

    with Bar() as bar:
        result = tags_info(arguments.file, arguments.bin_ps, format=arguments.format, progress=bar)
    return _shown(result.to_json() if arguments.json else result.render(), result.fault)


def _histogram(arguments: argparse.Namespace) -> int:
    result = _counted(arguments)
    if arguments.out is not None:
        result.write(arguments.out)
    return _shown(result.to_json() if arguments.json else result.render(), result.fault)


def _plot(arguments: argparse.Namespace) -> int:
    from qlab.tags.picture import draw_tags

    result = _counted(arguments)
    path = arguments.out or arguments.file.with_name(arguments.file.name + ".png")
    draw_tags(result, path)
    return _shown(result.to_json() if arguments.json else f"{result.render()}\n{path}", result.fault)


def _counted(arguments: argparse.Namespace) -> TagsHistogram:
    from qlab.tags.histograms import tags_histogram

    with Bar() as bar:
        return tags_histogram(
            arguments.file,
            _pairs(arguments.pairs),
            range_ps=round(arguments.range_ns * 1000),
            width_ps=arguments.width_ps,
            delays_ps=_delays(arguments.delays),
            format=arguments.format,
            bin_ps=arguments.bin_ps,
            progress=bar,
        )


def _shown(text: str, fault: str) -> int:
    say(text)
    if fault:
        print(f"qlab: {fault}", file=sys.stderr)
    return 1 if fault else 0


def _analyse(arguments: argparse.Namespace) -> int:
    from qlab.tags.many import Recipe, count_many, one_after_another, recordings_in
    from qlab.tags.spread import on_cluster, on_threads

    if arguments.scheduler is not None and arguments.jobs is not None:
        msg = "--jobs is of this machine, --scheduler of a cluster: say one of them"
        raise BadRequestError(msg)
    recipe = Recipe(
        channels=_channels(arguments.channels, "--channels") or (),
        window_ps=arguments.window_ps,
        pairs=tuple(_pairs(arguments.pairs) or ()),
        range_ps=round(arguments.range_ns * 1000),
        width_ps=100 if arguments.width_ps is None else arguments.width_ps,
        delays_ps=tuple((_delays(arguments.delays) or {}).items()),
        bin_ps=arguments.bin_ps,
    )
    paths = recordings_in(arguments.folder)
    with Bar() as bar:
        run: Run = one_after_another
        if arguments.scheduler is not None:
            run = on_cluster(arguments.scheduler, bar)
        elif arguments.jobs != 1:
            run = on_threads((os.cpu_count() or 1) if arguments.jobs is None else arguments.jobs, bar)
        result = count_many(paths, recipe, run)
    return _shown(result.to_json() if arguments.json else result.render(), "\n".join(result.faults.values()))


def _coincidences(arguments: argparse.Namespace) -> int:
    from qlab.tags.commands import tags_coincidences

    if arguments.second is not None:
        return _two_taggers(arguments)
    if arguments.clocks is not None:
        msg = f"--clocks {arguments.clocks}: expected a second file, whose tagger ran on another clock"
        raise BadRequestError(msg)
    result = tags_coincidences(
        arguments.file,
        bin_ps=arguments.bin_ps,
        window_ps=arguments.window_ps,
        alice=_channels(arguments.alice, "--alice"),
        bob=_channels(arguments.bob, "--bob"),
    )
    say(result.to_json() if arguments.json else result.render())
    return 0


def _two_taggers(arguments: argparse.Namespace) -> int:
    from qlab.tags.two_taggers import two_taggers_coincidences

    alice = _channels(arguments.alice, "--alice") or (0, 1, 2, 3)
    bob = _channels(arguments.bob, "--bob") or (0, 1, 2, 3)
    result = two_taggers_coincidences(
        arguments.file,
        arguments.second,
        _relation(arguments, (alice, bob)),
        bin_ps=arguments.bin_ps,
        window_ps=arguments.window_ps,
        alice=alice,
        bob=bob,
    )
    say(result.to_json() if arguments.json else result.render())
    return 0


def _relation(arguments: argparse.Namespace, channels: tuple[tuple[int, ...], tuple[int, ...]]) -> ClockRelation:
    """Read how the clocks of two files stand to each other, or find it."""
    from qlab.tags.clock_relation import ClockRelation

    if arguments.clocks is None:
        from qlab.timing.acquire import Search
        from qlab.timing.commands import clocks_of_files

        found = clocks_of_files(
            arguments.file, arguments.second, Search(), channels=channels, bin_ps=arguments.bin_ps
        ).found
        if isinstance(found, ClockRelation):
            return found
        msg = f"no lock between {arguments.file} and {arguments.second}: {found.reason}; say how with --clocks"
        raise BadRequestError(msg)
    try:
        values = json.loads(arguments.clocks.read_text())
    except OSError as error:
        msg = f"--clocks {arguments.clocks}: cannot be read: {error.strerror}"
        raise BadRequestError(msg) from error
    except ValueError as error:
        msg = f"--clocks {arguments.clocks}: {error}; expected what `qlab tags clocks --json` prints"
        raise BadRequestError(msg) from error
    return ClockRelation.from_json(values)


def _clocks(arguments: argparse.Namespace) -> int:
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


def _convert(arguments: argparse.Namespace) -> int:
    from qlab.tags.convert import convert_tags

    *sources, target = arguments.files
    with Bar() as bar:
        done = convert_tags(
            sources,
            target,
            kind=arguments.to,
            source_format=arguments.format,
            bin_ps=arguments.bin_ps,
            channel_step=arguments.channel_step,
            progress=bar,
        )
    return _shown(f"{target}: {done.tags} tags as {done.target}", done.fault)


def _channels(text: str | None, option: str) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        msg = f"{option} {text!r}: expected channel numbers separated by commas, for example 0,1,2,3"
        raise BadRequestError(msg) from error


def _pairs(text: str | None) -> list[tuple[int, int]] | None:
    if text is None:
        return None
    try:
        return [(int(a), int(b)) for a, b in (part.split("-") for part in text.split(","))]
    except ValueError as error:
        msg = f"--pairs {text!r}: expected pairs of channels separated by commas, for example 0-4,1-5"
        raise BadRequestError(msg) from error


def _delays(text: str | None) -> dict[int, int] | None:
    if text is None:
        return None
    try:
        return {int(c): int(ps) for c, ps in (part.split("=") for part in text.split(","))}
    except ValueError as error:
        msg = f"--delays {text!r}: expected channels and whole ps, for example 4=1200,5=-300"
        raise BadRequestError(msg) from error
