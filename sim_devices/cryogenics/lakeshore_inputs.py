"""The inputs of a Lake Shore 336, by letter, and how it writes what they measure."""

from __future__ import annotations

import math

from qlab.twin.scpi import ScpiError

__all__ = ["INPUTS", "five_digits", "input_number"]

INPUTS = "ABCD"


def input_number(which: str) -> int:
    """Return the number of an input from 0; raises `ScpiError` for none."""
    name = which.strip().upper()
    if name not in tuple(INPUTS):
        raise ScpiError(-222)
    return INPUTS.index(name)


def five_digits(value: float) -> str:
    """Write with sign and five significant digits."""
    whole = len(str(math.floor(abs(value))))
    return f"{value:+.{max(5 - whole, 0)}f}"
