"""What an engine of tag kernels can do, and which one is meant by a name.

All kernels are pure functions of a sorted stretch of tags.  They get only tags of the channels that are asked for, give exact
integers, and do not depend on the order of tags of the same time.  `reach_ps` is how far apart two tags can be and still
matter *before* delays are taken off; `Lanes.delays_ps` is all zero where the stream has been realigned.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from qlab.engines import chosen_engine
from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qlab.engines import Engine

__all__ = ["Kernels", "LagBins", "Lanes", "kernels_of"]

Ints = NDArray[np.int64]
Channels = NDArray[np.uint8]
_OUTSIDE_PS = 1 << 62


@dataclass(frozen=True, slots=True)
class Lanes:
    """The channels a kernel is asked about, numbered from 0, and their delays.

    Attributes
    ----------
    channels:
        Channel of each lane.
    index:
        Lane of each channel, int64, shape (256,); -1 for the others.
    delays_ps:
        What to subtract from a channel's times, int64, shape (256,).
    spread_ps:
        Largest delay less the smallest.
    """

    channels: tuple[int, ...]
    index: Ints
    delays_ps: Ints
    spread_ps: int

    def __post_init__(self) -> None:
        self.index.flags.writeable = self.delays_ps.flags.writeable = False

    @classmethod
    def of(cls, channels: Sequence[int], delays_ps: Mapping[int, int] | Mapping[str, int] | None = None) -> Lanes:
        """Give the channels numbers in the order given; delays of other channels do not matter.

        Keys of `delays_ps` may be strings, as JSON has them.
        """
        known = {int(channel): int(delay) for channel, delay in (delays_ps or {}).items()}
        lanes = tuple(dict.fromkeys(int(c) for c in channels))
        return _lanes_of(lanes, tuple(known.get(channel, 0) for channel in lanes))

    def difference_ps(self) -> Ints:
        """Return the delay of the earlier less that of the later, by lanes of both, int64, shape (lanes ** 2,)."""
        delays = self.delays_ps[list(self.channels)]
        difference: Ints = np.subtract.outer(delays, delays).ravel()
        return difference

    def only(self, *channels: int) -> Lanes:
        """Return lanes of some of the channels, with the same delays."""
        return Lanes.of(channels, {c: int(self.delays_ps[c]) for c in channels})

    def realigned(self) -> Lanes:
        """Return the same lanes for a stream whose delays have been taken off."""
        return _lanes_of(self.channels, (0,) * len(self.channels))


@lru_cache(maxsize=64)
def _lanes_of(lanes: tuple[int, ...], values: tuple[int, ...]) -> Lanes:
    """Return the same lanes for the same channels and delays, so that engines need to make their tables of them only once."""
    index, delays = np.full(256, -1, dtype=np.int64), np.zeros(256, dtype=np.int64)
    for lane, (channel, delay) in enumerate(zip(lanes, values, strict=True)):
        if not 0 <= channel <= 255:
            msg = f"channel {channel}: a tag block has channels 0 to 255"
            raise BadRequestError(msg)
        index[channel], delays[channel] = lane, delay
    return Lanes(lanes, index, delays, max(values) - min(values) if values else 0)


@dataclass(frozen=True, slots=True)
class LagBins:
    """Half-open bins of equal width, and which pair of lanes goes where.

    Attributes
    ----------
    row, sign:
        By lane of the earlier tag times the number of lanes plus lane of the later: row of the histogram (-1: none), and
        +1 where the lag is later less earlier, -1 where it is the reverse.  int64, shape (lanes ** 2,).
    rows:
        Number of histograms.
    lo_ps, bin_ps, n_bins:
        The bins: [lo_ps + k bin_ps, lo_ps + (k + 1) bin_ps).
    """

    row: Ints
    sign: Ints
    rows: int
    lo_ps: int
    bin_ps: int
    n_bins: int

    @property
    def width_ps(self) -> int:
        """What the bins cover."""
        return self.bin_ps * self.n_bins

    def tables(self, lanes: Lanes) -> tuple[Ints, Ints]:
        """Return the first cell of a pair's histogram, and what to add to its signed gap so that the first bin begins at 0.

        Both by lanes of the earlier tag and of the later, int64, shape (lanes ** 2,).  For a pair without a histogram the gap
        becomes so large that it lies outside.
        """
        wanted = self.row >= 0
        first = np.where(wanted, self.row * self.n_bins, 0)
        bias = np.where(wanted, lanes.difference_ps() * self.sign - self.lo_ps, -_OUTSIDE_PS)
        return first, bias


class Kernels(Protocol):
    """What an engine can do."""

    def singles(self, ch: Channels, lanes: Lanes) -> Ints:
        """Count the tags of each lane, shape (lanes,)."""
        ...

    def realign(self, t: Ints, ch: Channels, lanes: Lanes) -> tuple[Ints, Channels]:
        """Subtract the delays and sort again; tags of one time come in any order."""
        ...

    def lag_histogram(self, t: Ints, ch: Channels, lanes: Lanes, bins: LagBins, reach_ps: int) -> Ints:
        """Histogram the lags of pairs of lanes, all pairs of tags, shape (rows, n_bins)."""
        ...

    def pair_counts(self, t: Ints, ch: Channels, lanes: Lanes, half_ps: int, reach_ps: int) -> Ints:
        """Count pairs of tags with ``|dt| <= half_ps``, by lanes of the earlier and of the later; shape (lanes, lanes).

        Which of two lanes comes first may depend on the order of tags of one time: only the sum of both ways is defined.
        """
        ...

    def fold_counts(self, t: Ints, ch: Channels, lanes: Lanes, masks: Ints, span_ps: int, reach_ps: int) -> Ints:
        """Count the choices of one tag from each lane of a mask that span at most `span_ps`, shape (masks,).

        A mask has bit k for lane k, and two bits at least.
        """
        ...

    def companions(
        self, t: Ints, ch: Channels, lanes: Lanes, anchor: int, lo_ps: int, hi_ps: int, reach_ps: int
    ) -> Ints:
        """Histogram, over the tags of lane `anchor`, which other lanes have a tag with ``lo_ps <= dt <= hi_ps``.

        dt is positive where the other tag is later; the cell of a set of lanes is the sum of 2 ** lane; shape (2 ** lanes,).
        """
        ...


def kernels_of(engine: str, work: int = 0) -> Kernels:
    """Return the kernels of an engine by name (`qlab.engines.chosen_engine`); `work` is in tags."""
    return _made(chosen_engine(engine, work))


@cache
def _made(engine: Engine) -> Kernels:
    if engine == "numba":
        from qlab.tags.kernels.numba_kernels import NumbaKernels

        return NumbaKernels()
    from qlab.tags.kernels.numpy_kernels import NumpyKernels

    return NumpyKernels()
