"""How long a stream was watched, and what else is needed to turn counts into rates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from qlab.tags.stream import TagBlock

__all__ = ["Exposure"]

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Exposure:
    """Live time, gaps and single counts; adds up over stretches and over runs.

    Attributes
    ----------
    channels:
        The channels, in the order of `singles`.
    singles:
        Tags of each channel, int64, shape (channels,).
    live_ps:
        Time in which the tagger was listening, gaps taken off.
    gaps, missed:
        Number of intervals in which it was blind, and tags known to be lost in them.
    """

    channels: tuple[int, ...]
    singles: Ints
    live_ps: int = 0
    gaps: int = 0
    missed: int = 0

    @classmethod
    def none(cls, channels: tuple[int, ...]) -> Exposure:
        """Return the exposure of a stream that has not begun."""
        return cls(channels, np.zeros(len(channels), dtype=np.int64))

    def with_block(self, block: TagBlock, singles: Ints) -> Exposure:
        """Add a block and its single counts."""
        missed = sum(gap.missed for gap in block.gaps)
        return self + Exposure(self.channels, singles, block.live_ps, len(block.gaps), missed)

    def __add__(self, other: Exposure) -> Exposure:
        if self.channels != other.channels:
            msg = (
                f"exposures of channels {self.channels} and {other.channels} do not add up: expected the same channels"
            )
            raise BadRequestError(msg)
        return Exposure(
            self.channels,
            self.singles + other.singles,
            self.live_ps + other.live_ps,
            self.gaps + other.gaps,
            self.missed + other.missed,
        )

    @property
    def live_s(self) -> float:
        """Live time in seconds."""
        return self.live_ps * 1e-12

    def rate_hz(self, counts: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return counts per live second; nan where nothing was live."""
        return np.asarray(counts) / self.live_s if self.live_ps else np.full(np.shape(counts), np.nan)

    def rate_error_hz(self, counts: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the Poisson standard error of a rate: ``sqrt(counts) / live_s``."""
        return np.sqrt(counts) / self.live_s if self.live_ps else np.full(np.shape(counts), np.nan)

    def single(self, channel: int) -> int:
        """Return the tags of one channel."""
        return int(self.singles[self.channels.index(channel)])

    def accidentals(self, a: int, b: int, width_ps: int) -> float:
        """Return the pairs that chance gives within `width_ps` (Poisson, S_a S_b width / live); S (S - 1) / 2 lags for a = b.

        Lags of a channel with itself are positive ones only, so their density is that of ordered pairs.
        """
        if not self.live_ps:
            return 0.0
        s_a = self.single(a)
        s_b = s_a - 1 if a == b else self.single(b)
        return max(s_a * s_b, 0) * (width_ps / self.live_ps)
