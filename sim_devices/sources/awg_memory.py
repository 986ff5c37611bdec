"""Arbitrary waveforms in a channel's memory: points from -1 to 1, as a list or as an IEEE-488.2 block."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from qlab.twin.scpi_status import ScpiError
from qlab.twin.scpi_values import block, parse_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["BUILT_IN", "CAPACITY", "DAC", "Memory", "points_of"]

BUILT_IN = r"INT:\BUILTIN\EXP_RISE.ARB"
"""What is loaded at power-on [INF]."""
BUILT_IN_POINTS = 100_000
CAPACITY = 1_000_000  # [INF] points of all waveforms of a channel, without the memory option
DAC = 32767  # [V1] full scale of a 16-bit point
LONGEST_LIST = 65_536  # [V1] points that are written as text
LONGEST_NAME = 12  # [INF]
NO_NAME, NAME_TOO_LONG = (782, "Arb waveform name is not valid"), (783, "Arb waveform name too long")  # [INF]
MISSING = (785, "Specified arb waveform does not exist")  # [V1] as the E1441A words it
TAKEN = (786, "Specified arb waveform already exists")  # [V1] that there is an error; number and words [INF]
FULL = (781, "Not enough memory to store new arb waveform")  # [INF]


def points_of(arguments: Sequence[str], *, dac: bool, swapped: bool) -> NDArray[np.float64]:
    """Read points: numbers, or one block of 32-bit floats or 16-bit integers, most significant byte first if not swapped."""
    if len(arguments) == 1 and arguments[0].startswith("#") and arguments[0][1:2].isdigit():
        data = block.parse(arguments[0])
        kind = np.dtype(("<" if swapped else ">") + ("i2" if dac else "f4"))
        if len(data) % kind.itemsize:
            raise ScpiError(-161)
        raw = np.frombuffer(data, kind).astype(np.float64)
    else:
        if len(arguments) > LONGEST_LIST:
            raise ScpiError(-223)
        raw = np.array([parse_number(text) for text in arguments])
    top = DAC if dac else 1.0
    if not np.all(np.abs(raw) <= top):  # not a number is refused too
        raise ScpiError(-222)
    return raw / top


def _key(name: str) -> str:
    return name.strip().strip("\"'").upper()


@dataclass
class Memory:
    """What one channel has loaded; names do not depend on case."""

    exists: bool
    least: int
    waveforms: dict[str, tuple[str, NDArray[np.float64]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget all but the waveform of power-on."""
        rise = -1.0 + 2.0 * (1.0 - np.exp(-5.0 * np.arange(BUILT_IN_POINTS) / BUILT_IN_POINTS))  # [INF] the shape
        self.waveforms = {BUILT_IN: (BUILT_IN, rise)} if self.exists else {}

    @property
    def free(self) -> int:
        """Points that still fit; the power-on waveform does not count [INF]."""
        return CAPACITY - sum(points.size for name, (_, points) in self.waveforms.items() if name != BUILT_IN)

    def load(self, name: str, points: NDArray[np.float64]) -> None:
        """Keep a waveform under a name that is new."""
        said = name.strip().strip("\"'")
        if re.fullmatch(r"[A-Za-z]\w*", said, re.ASCII) is None:
            raise ScpiError(*NO_NAME)
        if len(said) > LONGEST_NAME:
            raise ScpiError(*NAME_TOO_LONG)
        if _key(said) in self.waveforms:
            raise ScpiError(*TAKEN)
        if points.size < self.least:
            raise ScpiError(-222)
        if points.size > self.free:
            raise ScpiError(*FULL)
        self.waveforms[_key(said)] = (said, points)

    def find(self, name: str) -> tuple[str, NDArray[np.float64]]:
        """Return the name as it was written, and the points."""
        if _key(name) not in self.waveforms:
            raise ScpiError(*MISSING)
        return self.waveforms[_key(name)]
