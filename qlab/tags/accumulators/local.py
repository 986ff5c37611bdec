"""The base of all accumulators: counts that depend on each tag's neighbours only.

Such a count F obeys ``F(A then B) = F(A) + F(B) + [F(end of A, start of B) - F(end of A) - F(start of B)]`` with ends and
starts as long as neighbours matter.  So F is a pure function of tags (a kernel), and this class is all there is to know of
seams: it keeps the first and the last tags of what it was fed, in raw times, so that delays never meet a seam.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from qlab.errors import BadRequestError
from qlab.tags.accumulators.exposure import Exposure
from qlab.tags.accumulators.storage import pack
from qlab.tags.kernels.protocol import Kernels, Lanes, kernels_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

    from qlab.tags.stream import TagBlock

__all__ = ["LocalAccumulator"]

R = TypeVar("R")
Ints = NDArray[np.int64]
Channels = NDArray[np.uint8]

# Neighbours within reach, on average, up to which it is cheaper to look past the delays than to sort them away.
_MAX_OCCUPANCY = 0.3
# Small blocks are gathered until there are so many tags, or as many as a seam has to look at again.
_WORTH_COUNTING = 4096


class LocalAccumulator(ABC, Generic[R]):
    """A count of local patterns of tags (an `qlab.tags.accumulators.protocol.Accumulator`).

    Parameters
    ----------
    channels:
        The channels that matter; tags of others are ignored.
    delays_ps:
        Delay of each channel, subtracted from its times before anything is compared; those not named have none.
    reach_ps:
        How far apart two tags can be, delays taken off, and still matter to each other.
    memory_reaches:
        1 if a tag is counted with its later neighbours only, 2 if with those on both sides.
    shape:
        Shape of the counts.
    engine:
        ``auto``, ``numpy`` or ``numba``.
    """

    def __init__(
        self,
        channels: Sequence[int],
        delays_ps: Mapping[int, int] | None,
        reach_ps: int,
        shape: tuple[int, ...],
        engine: str,
        *,
        memory_reaches: int = 1,
    ) -> None:
        kernels_of(engine)  # so that a wrong name is refused now
        self._lanes = Lanes.of(channels, delays_ps)
        self._reach_ps = int(reach_ps)
        self._memory_ps = memory_reaches * (self._reach_ps + self._lanes.spread_ps)
        self._engine = engine
        self._counts = np.zeros(shape, dtype=np.int64)
        self._exposure = Exposure.none(self._lanes.channels)
        self._span: tuple[int, int] | None = None
        nothing = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.uint8))
        self._head: tuple[Ints, Channels] = nothing
        self._tail: tuple[Ints, Channels] = nothing
        self._waiting: list[tuple[Ints, Channels]] = []
        self._n_waiting = self._n_seen = 0

    @abstractmethod
    def settings(self) -> dict[str, object]:
        """Return what the constructor was given, but for the engine, as JSON has it."""

    @abstractmethod
    def result(self) -> R:
        """Return what has been counted so far."""

    @abstractmethod
    def _count(self, kernels: Kernels, t: Ints, ch: Channels, lanes: Lanes, reach_ps: int) -> Ints:
        """Count in a stretch of tags, none of other channels; a pure function."""

    def feed(self, block: TagBlock) -> None:
        """Take the next stretch of the stream.

        Raises
        ------
        BadRequestError
            It begins before the last one ended, or holds tags from before the last tag.
        """
        self._follow(block.start_ps, block.stop_ps)
        self._n_seen += block.n
        kernels = kernels_of(self._engine, self._n_seen)
        t, ch = block.t, block.ch
        singles = kernels.singles(ch, self._lanes)
        if int(singles.sum()) < block.n:
            keep = (self._lanes.index >= 0)[ch]
            t, ch = t[keep], ch[keep]
        if t.size:
            last = self._last_ps()
            if last is not None and int(t[0]) < last:
                msg = f"a tag at {int(t[0])} ps comes after one at {last} ps: feed blocks in the order of time"
                raise BadRequestError(msg)
            # Few tags at a time are put by: each count has its price, however few tags it sees.
            if self._n_waiting + t.size >= max(_WORTH_COUNTING, self._tail[0].size):
                self._settle()
                self._append(kernels, t, ch)
            else:
                self._waiting.append((np.array(t), np.array(ch)))
                self._n_waiting += t.size
        start = block.start_ps if self._span is None else self._span[0]
        self._span = start, block.stop_ps
        self._exposure = self._exposure.with_block(block, singles)

    def __add__(self, later: Self) -> Self:
        """Return the accumulator of both stretches; neither of the two is changed."""
        if type(later) is not type(self) or later.settings() != self.settings():
            msg = (
                f"{type(self).__name__}: accumulators of different settings do not add up: {self.settings()} and "
                f"{type(later).__name__} {later.settings()}"
            )
            raise BadRequestError(msg)
        self._settle()
        later._settle()
        both = self._with_settings(self.settings(), self._engine)
        both._restore(self._arrays())
        if later._span is None:
            return both
        both._follow(*later._span)
        last = both._last_ps()
        if last is not None and later._head[0].size and int(later._head[0][0]) < last:
            msg = (
                f"a tag at {int(later._head[0][0])} ps comes after one at {last} ps: add stretches in the order of time"
            )
            raise BadRequestError(msg)
        both._join(kernels_of(self._engine, later._n_seen), later._counts, later._head, later._tail)
        both._span = (later._span[0] if both._span is None else both._span[0]), later._span[1]
        both._exposure += later._exposure
        both._n_seen += later._n_seen
        return both

    def to_bytes(self) -> bytes:
        """Return the settings and the state."""
        return pack(type(self).__name__, self._engine, self.settings(), self._arrays())

    @classmethod
    def restored(cls, settings: Mapping[str, object], engine: str, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Return an accumulator from what `to_bytes` packed."""
        accumulator = cls._with_settings(settings, engine)
        accumulator._restore(arrays)  # noqa: SLF001 - one of ours
        return accumulator

    @classmethod
    def _with_settings(cls, settings: Mapping[str, object], engine: str) -> Self:
        return cls(**settings, engine=engine)  # type: ignore[arg-type]

    def _delays(self) -> dict[str, int]:
        """Return the delays that are not 0, with keys as JSON has them."""
        delays = {str(c): int(self._lanes.delays_ps[c]) for c in sorted(self._lanes.channels)}
        return {channel: delay for channel, delay in delays.items() if delay}

    def _arrays(self) -> dict[str, NDArray[np.generic]]:
        self._settle()
        e = self._exposure
        return {
            "counts": self._counts,
            "singles": e.singles,
            "exposure": np.array([e.live_ps, e.gaps, e.missed, self._n_seen], dtype=np.int64),
            "span": np.array(self._span or (), dtype=np.int64),
            "head_t": self._head[0],
            "head_ch": self._head[1],
            "tail_t": self._tail[0],
            "tail_ch": self._tail[1],
        }

    def _restore(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        def ints(name: str) -> Ints:
            return np.array(arrays[name], dtype=np.int64)

        self._counts = ints("counts").reshape(self._counts.shape)
        live_ps, gaps, missed, self._n_seen = ints("exposure").tolist()
        self._exposure = Exposure(self._lanes.channels, ints("singles"), live_ps, gaps, missed)
        span = ints("span").tolist()
        self._span = (span[0], span[1]) if span else None
        self._head = ints("head_t"), np.array(arrays["head_ch"], dtype=np.uint8)
        self._tail = ints("tail_t"), np.array(arrays["tail_ch"], dtype=np.uint8)

    def _follow(self, start_ps: int, stop_ps: int) -> None:
        if self._span is not None and start_ps < self._span[1]:
            msg = (
                f"a stretch from {start_ps} to {stop_ps} ps overlaps what ends at {self._span[1]} ps: blocks follow each "
                "other in time (pool independent runs by adding their results)"
            )
            raise BadRequestError(msg)

    def _last_ps(self) -> int | None:
        t = self._waiting[-1][0] if self._waiting else self._tail[0]
        return int(t[-1]) if t.size else None

    def _settle(self) -> None:
        if not self._waiting:
            return
        t, ch = (np.concatenate(parts) for parts in zip(*self._waiting, strict=True))
        self._waiting, self._n_waiting = [], 0
        self._append(kernels_of(self._engine, self._n_seen), t, ch)

    def _append(self, kernels: Kernels, t: Ints, ch: Channels) -> None:
        head = int(t.searchsorted(int(t[0]) + self._memory_ps, side="right"))
        tail = int(t.searchsorted(int(t[-1]) - self._memory_ps, side="left"))
        # copies, so that the block itself can be let go
        ends = (t[:head].copy(), ch[:head].copy()), (t[tail:].copy(), ch[tail:].copy())
        self._join(kernels, self._local(kernels, t, ch), *ends)

    def _join(self, kernels: Kernels, counts: Ints, head: tuple[Ints, Channels], tail: tuple[Ints, Channels]) -> None:
        """Append a stretch of which these are the counts, the first and the last tags."""
        self._counts += counts
        if not head[0].size:
            return
        if not self._tail[0].size:
            self._head, self._tail = head, tail
            return
        before, after = self._tail, head
        low = int(before[0].searchsorted(int(after[0][0]) - self._memory_ps, side="left"))
        high = int(after[0].searchsorted(int(before[0][-1]) + self._memory_ps, side="right"))
        if low < before[0].size and high:
            t = np.concatenate([before[0][low:], after[0][:high]])
            ch = np.concatenate([before[1][low:], after[1][:high]])
            cut = before[0].size - low
            self._counts += self._local(kernels, t, ch)
            self._counts -= self._local(kernels, t[:cut], ch[:cut])
            self._counts -= self._local(kernels, t[cut:], ch[cut:])
        self._tail = self._extended(before, tail, last=True)
        self._head = self._extended(self._head, head, last=False)

    def _extended(
        self, first: tuple[Ints, Channels], second: tuple[Ints, Channels], *, last: bool
    ) -> tuple[Ints, Channels]:
        """Return the first or the last tags of two stretches, as far as they matter to what comes before or after."""
        if last:
            edge = int(second[0][-1]) - self._memory_ps
            if int(first[0][-1]) < edge or int(second[0][0]) < edge:
                return second
            keep = slice(int(first[0].searchsorted(edge, side="left")), None)
            return np.concatenate([first[0][keep], second[0]]), np.concatenate([first[1][keep], second[1]])
        edge = int(first[0][0]) + self._memory_ps
        keep = slice(0, int(second[0].searchsorted(edge, side="right")))
        if keep.stop == 0:
            return first
        return np.concatenate([first[0], second[0][keep]]), np.concatenate([first[1], second[1][keep]])

    def _local(self, kernels: Kernels, t: Ints, ch: Channels) -> Ints:
        """Count in a stretch, by the way that is quicker for it."""
        lanes, reach_ps = self._lanes, self._reach_ps
        if t.size < 2 or not lanes.spread_ps:
            return self._count(kernels, t, ch, lanes.realigned() if t.size < 2 else lanes, reach_ps)
        wide_ps = reach_ps + lanes.spread_ps
        if t.size * wide_ps <= _MAX_OCCUPANCY * max(int(t[-1]) - int(t[0]), 1):
            return self._count(kernels, t, ch, lanes, wide_ps)
        t, ch = kernels.realign(t, ch, lanes)
        return self._count(kernels, t, ch, lanes.realigned(), reach_ps)
