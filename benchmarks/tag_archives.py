"""The archive row of `bench_tags.py`: bytes a tag beside the entropy of the stream, and speed of writing and reading."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
from tag_peers import split
from tag_streams import chunks_of, entropy_bytes

from qlab.tags.files.archive import ArchiveWriter
from qlab.tags.files.hdf5 import TagWriter
from qlab.tags.files.sniff import open_tags

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from qlab.tags.stream import TagBlock

CHUNK = 1 << 20
SLOW_S = 10.0


def archive(block: TagBlock, folder: Path, rounds: int, clock: Callable[[], float]) -> None:
    """Print a line for each way to store the tags."""
    floor = entropy_bytes(block)
    print(f"\narchive, {block.n:.1e} tags, 4 channels; entropy {floor:.3f} B/tag")
    print(f"{'':42s}{'B/tag':>8s}{'over':>8s}{'write Mtags/s':>15s}{'read Mtags/s':>14s}")
    goal = "  goal: within 3 % of the entropy, 61 and 149 Mtags/s"
    for name, write, read in ways(block, folder):
        writes, reads, size = [], [], 0
        for k in range(rounds):
            if writes and writes[0] + reads[0] > SLOW_S:  # once is enough
                break
            path = folder / f"{name.replace(' ', '-')}-{k}.h5"
            begin = clock()
            write(path)
            middle = clock()
            back = read(path)
            reads.append(clock() - middle)
            writes.append(middle - begin)
            size = path.stat().st_size
            path.unlink()
            if back is not None and not (np.array_equal(back.t, block.t) and np.array_equal(back.ch, block.ch)):
                msg = f"{name}: not the same tags"
                raise SystemExit(msg)
        per_tag = size / block.n
        print(
            f"  {name:40s}{per_tag:8.3f}{per_tag / floor - 1:+8.1%}{block.n / median(writes) / 1e6:15.1f}"
            f"{block.n / median(reads) / 1e6:14.1f}{goal}"
        )
        goal = ""


def ways(block: TagBlock, folder: Path) -> list[tuple[str, Callable[[Path], None], Callable[[Path], TagBlock | None]]]:
    """Return name, writer and reader of each way."""
    codecs = ["blosc2"] * (find_spec("hdf5plugin") is not None) + ["gzip"]

    def live(path: Path) -> None:
        with TagWriter(path) as writer:
            for piece in chunks_of(block, CHUNK):
                writer.append(piece)

    def archive_by(codec: str) -> Callable[[Path], None]:
        def write(path: Path) -> None:
            with ArchiveWriter(path, codec=codec) as writer:
                for piece in chunks_of(block, CHUNK):
                    writer.append(piece)

        return write

    found: list[tuple[str, Callable[[Path], None], Callable[[Path], TagBlock | None]]] = [
        *((f"qlab, archive by {c}", archive_by(c), open_tags) for c in codecs),
        ("qlab, live file", live, open_tags),
    ]
    if find_spec("pytimetag"):
        pytimetag = import_module("pytimetag")
        data = pytimetag.DataBlock.create(split(block, {}), 0, block.start_ps, block.stop_ps)

        def parse(path: Path) -> None:
            back = pytimetag.DataBlock.deserialize(path.read_bytes())
            if not all(np.array_equal(a, b) for a, b in zip(back.content, data.content, strict=True)):
                msg = "PyTimeTag: not the same tags"
                raise SystemExit(msg)

        found.append(("PyTimeTag DataBlock", lambda path: _store(path, data.serialize()), parse))
    return found


def _store(path: Path, data: bytes) -> None:
    path.write_bytes(data)
