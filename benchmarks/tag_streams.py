"""Streams of time tags for the benchmarks: Poisson singles, pairs with jitter and a delay, four-folds; any length, seeded."""

from __future__ import annotations

from math import log2
from typing import TYPE_CHECKING

import numpy as np

from qlab.tags.stream import TagBlock, concat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

RATE_HZ = 2e6
"""Tags a second over all channels."""
DELAY_PS = 3200
"""The second party's tags of pairs come so much later."""
JITTER_PS = 50.0
PIECE = 10_000_000


def two_channels(n: int, rate_hz: float = RATE_HZ) -> TagBlock:
    """Return about `n` tags on channels 0 and 1, a fifth of each in pairs."""

    def draw(rng: np.random.Generator, tags: int, span_ps: int) -> tuple[Ints, Ints]:
        pairs = rng.integers(0, span_ps, tags // 10)
        lone = rng.integers(0, span_ps, tags - 2 * pairs.size)
        t = np.concatenate([pairs, pairs + DELAY_PS, lone])
        ch = np.concatenate([np.zeros(pairs.size), np.ones(pairs.size), np.arange(lone.size) % 2]).astype(np.int64)
        t[: 2 * pairs.size] += _jitter(rng, 2 * pairs.size)
        return t, ch

    return _stream(n, rate_hz, draw)


def four_channels(n: int, rate_hz: float = RATE_HZ) -> TagBlock:
    """Return about `n` tags of parties 0, 1 and 2, 3: a fifth in pairs of any two of them, 4 % in four-folds."""

    def draw(rng: np.random.Generator, tags: int, span_ps: int) -> tuple[Ints, Ints]:
        pairs, fours = rng.integers(0, span_ps, tags // 10), rng.integers(0, span_ps, tags // 100)
        lone = rng.integers(0, span_ps, tags - 2 * pairs.size - 4 * fours.size)
        kind = rng.integers(0, 4, pairs.size)
        t = np.concatenate([pairs, pairs, fours, fours, fours, fours])
        ch = np.concatenate([kind % 2, 2 + kind // 2, *(np.full(fours.size, c) for c in range(4))])
        t = t + _jitter(rng, t.size) + np.where(ch >= 2, DELAY_PS, 0)
        return np.concatenate([t, lone]), np.concatenate([ch, np.arange(lone.size) % 4])

    return _stream(n, rate_hz, draw)


def chunks_of(block: TagBlock, size: int) -> Iterator[TagBlock]:
    """Cut a block into views of `size` tags."""
    start = block.start_ps
    for at in range(0, block.n, size):
        end = at + size
        stop = int(block.t[end]) if end < block.n else block.stop_ps
        yield TagBlock(block.t[at:end], block.ch[at:end], start, stop)
        start = stop


def entropy_bytes(block: TagBlock) -> float:
    """Return the entropy of a Poisson stream's gaps and of its channels, in bytes a tag: no archive can be smaller."""
    rate_per_ps = block.n / (block.stop_ps - block.start_ps)
    shares = block.counts(256) / block.n
    channels = -sum(share * log2(share) for share in shares.tolist() if share)
    return (log2(np.e / rate_per_ps) + channels) / 8.0


def poisson(n: int, channels: int = 4, rate_hz: float = RATE_HZ) -> TagBlock:
    """Return `n` tags without correlations, for archives: their entropy is known."""

    def draw(rng: np.random.Generator, tags: int, span_ps: int) -> tuple[Ints, Ints]:
        return rng.integers(0, span_ps, tags), rng.integers(0, channels, tags)

    return _stream(n, rate_hz, draw)


def _jitter(rng: np.random.Generator, n: int) -> Ints:
    return np.rint(rng.standard_normal(n, dtype=np.float32) * JITTER_PS).astype(np.int64)


def _stream(n: int, rate_hz: float, draw: Callable[[np.random.Generator, int, int], tuple[Ints, Ints]]) -> TagBlock:
    """Draw in pieces, so that sorting needs little memory; pieces are 1 us apart, which no window of ours bridges."""
    pieces, start = [], 0
    for k, at in enumerate(range(0, n, PIECE)):
        tags = min(PIECE, n - at)
        span_ps = int(tags / rate_hz * 1e12)
        t, ch = draw(np.random.default_rng((20261129, k)), tags, span_ps)
        stop = start + span_ps + 10 * DELAY_PS
        pieces.append(TagBlock.from_unsorted(t + (start + DELAY_PS), ch, start, stop))
        start = stop + 10**6
    return concat(*pieces)
