"""How long an instrument's tick is, as far as its file says."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from qlab.errors import TagFileError
from qlab.tags.files.flat import read_flat_metadata
from qlab.tags.files.ptu import ptu_tick_ps
from qlab.tags.ticks import tick_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from qlab.tags.files.sniff import TagFormat

__all__ = ["TICK", "tick_of_file", "tick_text"]

TICK = "tick_ps"
"""Key of our files' metadata: the tick of the instrument that the tags came from, as text."""


def tick_of_file(path: Path | str, kind: TagFormat, bin_ps: float | None = None) -> str:
    """Return a file's tick in ps, as a decimal number or a fraction.

    Raises
    ------
    TagFileError
        The file's beginning is damaged.
    """
    if bin_ps is not None:
        return tick_text(tick_of(bin_ps))
    if kind == "ptu":
        return tick_text(tick_of(ptu_tick_ps(path)))
    if kind in ("a0", "a1", "a1x", "a2"):
        return tick_text(Fraction(1000, 256))
    if kind == "flat":
        return _of(read_flat_metadata(path), path) or "1"
    if kind == "qlab":
        from qlab.tags.files.hdf5_reader import TagReader

        with TagReader(path) as reader:
            return _of(reader.metadata, path) or str(reader.resolution_ps)
    return "1"


def tick_text(tick: Fraction) -> str:
    """Write a tick as a decimal number where it is one, else as a fraction."""
    rest = tick.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    if rest != 1 or tick.denominator > 10**15:
        return str(tick)
    digits = 0
    while tick.denominator > 1 and (tick * 10**digits).denominator > 1:
        digits += 1
    scaled = str(int(tick * 10**digits)).rjust(digits + 1, "0")
    return f"{scaled[:-digits]}.{scaled[-digits:]}" if digits else scaled


def _of(metadata: Mapping[str, object], path: Path | str) -> str:
    tick = metadata.get(TICK)
    if not isinstance(tick, str):
        return ""
    try:
        sound = Fraction(tick) > 0
    except (ValueError, ZeroDivisionError):
        sound = False
    if not sound:
        msg = f"{path}: its metadata give {tick!r} as {TICK}; expected a positive number or a fraction"
        raise TagFileError(msg)
    return tick
