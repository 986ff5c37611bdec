"""The row format of tags in HDF5: rows of 65,536 entries, each a base time, gaps and channels.

A row holds ``valid`` entries; entry k is at ``block_t0 + gap[0] + ... + gap[k]`` (``gap[0]`` is 0).  Gaps are unsigned
32-bit picoseconds: 5 bytes a tag with its channel.  A longer silence is bridged by filler entries on channel 255, or,
when that would take too many, by a new row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from qlab.tags.stream import TagBlock

__all__ = ["FILLER", "ROW", "Row", "decode_rows", "encode_rows", "full_rows", "row_checks", "squeezed", "unpack_rows"]

ROW = 65536
FILLER = 255
_LONGEST_PS = 2**32 - 1
# 4096 fillers bridge 17.6 s; a new row is cheaper beyond.
_MOST_FILLERS = 4096
_WEIGHTS = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x27D4EB2F165667C5], np.uint64)


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it lies in the file; arrays are shorter than `ROW` where the row is not full."""

    t0_ps: int
    gap: NDArray[np.uint32]
    channel: NDArray[np.uint8]


def encode_rows(block: TagBlock) -> Iterator[Row]:
    """Cut a block into rows; a block without tags gives one empty row, so that its live time has a place."""
    if not block.n:
        yield Row(block.start_ps, np.empty(0, np.uint32), np.empty(0, np.uint8))
        return
    if int(block.ch.max()) == FILLER:
        msg = f"tags on channel {FILLER} cannot be stored: it marks the fillers of long silences"
        raise BadRequestError(msg)
    gaps = np.diff(block.t)
    if gaps.size and int(gaps.min()) < 0:
        at = int(np.argmin(gaps)) + 1
        msg = f"tags must be sorted by time: tag {at} lies {-int(gaps[at - 1])} ps before the one it follows"
        raise BadRequestError(msg)
    cuts = np.flatnonzero(gaps > _MOST_FILLERS * _LONGEST_PS) + 1
    for t, ch in zip(np.split(block.t, cuts), np.split(block.ch, cuts), strict=True):
        # Pieces of ROW tags bound the memory; fillers then cut them further.
        for start in range(0, t.size, ROW):
            yield from _bridged(t[start : start + ROW], ch[start : start + ROW])


def _bridged(t: NDArray[np.int64], ch: NDArray[np.uint8]) -> Iterator[Row]:
    gaps = np.diff(t)
    # A gap of exactly the longest value is bridged as well, so that no real tag ever carries it.
    fillers = gaps // _LONGEST_PS
    if not fillers.any():
        yield Row(int(t[0]), np.concatenate([[0], gaps]).astype(np.uint32), ch)
        return
    position = np.concatenate([[0], np.cumsum(fillers + 1)])
    size = int(position[-1]) + 1
    all_gaps = np.full(size, _LONGEST_PS, dtype=np.int64)
    all_gaps[position] = np.concatenate([[0], gaps - fillers * _LONGEST_PS])
    channel = np.full(size, FILLER, dtype=np.uint8)
    channel[position] = ch
    times = int(t[0]) + np.cumsum(all_gaps)
    for start in range(0, size, ROW):
        piece = all_gaps[start : start + ROW].astype(np.uint32)
        piece[0] = 0
        yield Row(int(times[start]), piece, channel[start : start + ROW])


def row_checks(
    t0: NDArray[np.int64], valid: NDArray[np.integer], gap: NDArray[np.uint32], channel: NDArray[np.uint8]
) -> NDArray[np.uint64]:
    """Return the checksums of whole rows: sums of 64-bit words modulo 2^64, each weighted with an odd number of its own.

    A flipped bit changes a sum by a power of two, which no odd weight takes to a multiple of 2^64: every one is caught.

    Parameters
    ----------
    t0, valid, gap, channel:
        As for `decode_rows`; what lies behind the valid entries counts too.

    Returns
    -------
    uint64, shape (rows,).
    """
    parts = (
        np.ascontiguousarray(gap).view(np.uint64).sum(axis=1, dtype=np.uint64),
        np.ascontiguousarray(channel).view(np.uint64).sum(axis=1, dtype=np.uint64),
        t0.astype(np.int64).view(np.uint64),
        valid.astype(np.uint64),
    )
    total = np.zeros(t0.size, np.uint64)
    for weight, part in zip(_WEIGHTS, parts, strict=True):
        total += part * weight  # arrays of unsigned integers wrap
    return total


def full_rows(
    block: TagBlock,
) -> tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.uint32], NDArray[np.uint8]]:
    """Return the rows of a block as arrays: base times, entries in use, gaps and channels, the last two (rows, ROW)."""
    n_rows = -(-block.n // ROW)
    gap, channel = np.empty((n_rows, ROW), np.uint32), np.empty((n_rows, ROW), np.uint8)
    if not block.n or int(block.ch.max()) == FILLER or not _plain_gaps(block.t, gap):
        rows = list(encode_rows(block))
        gap, channel = np.zeros((len(rows), ROW), np.uint32), np.zeros((len(rows), ROW), np.uint8)
        for k, row in enumerate(rows):
            gap[k, : row.gap.size], channel[k, : row.gap.size] = row.gap, row.channel
        t0 = np.array([row.t0_ps for row in rows], dtype=np.int64)
        return t0, np.array([row.gap.size for row in rows], dtype=np.uint32), gap, channel
    channel.reshape(-1)[: block.n], channel.reshape(-1)[block.n :] = block.ch, 0
    valid = np.full(n_rows, ROW, dtype=np.uint32)
    valid[-1] = block.n - (n_rows - 1) * ROW
    return block.t[::ROW].copy(), valid, gap, channel


def _plain_gaps(t: NDArray[np.int64], gap: NDArray[np.uint32]) -> bool:
    """Write the gaps of all rows, or return False where times run backwards or a silence has to be bridged."""
    if (t[ROW::ROW] < t[ROW - 1 : -1 : ROW]).any():
        return False
    scratch = np.empty(ROW, dtype=np.int64)
    for k, row in enumerate(gap):  # row by row, so that a row is in the cache
        part = t[k * ROW : (k + 1) * ROW]
        gaps = np.subtract(part[1:], part[:-1], out=scratch[: part.size - 1])
        if int(gaps.view(np.uint64).max(initial=0)) >= _LONGEST_PS:  # a step back is a huge one
            return False
        row[0], row[1 : part.size], row[part.size :] = 0, gaps, 0
    return True


def decode_rows(
    t0: NDArray[np.int64], gap: NDArray[np.uint32], channel: NDArray[np.uint8], valid: NDArray[np.uint32]
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Return times and channels of whole rows, fillers left out.

    Parameters
    ----------
    t0, valid:
        Shape (rows,).
    gap, channel:
        Shape (rows, ROW).
    """
    times, channels = np.empty(gap.shape, dtype=np.int64), channel.copy()
    sizes = unpack_rows(t0, gap, valid, times, channels)
    return squeezed(times, channels, sizes)


def unpack_rows(
    t0: NDArray[np.int64],
    gap: NDArray[np.uint32],
    valid: NDArray[np.uint32],
    times: NDArray[np.int64],
    channels: NDArray[np.uint8],
) -> list[int]:
    """Write times, and move channels, of each row to its beginning, fillers left out.

    Parameters
    ----------
    t0, gap, valid:
        As for `decode_rows`.
    times:
        Is written, shape (rows, ROW).
    channels:
        Channels as they were stored, shape (rows, ROW).

    Returns
    -------
    How many tags each row has.
    """
    sizes: list[int] = valid.tolist()
    for k, (row, channel) in enumerate(zip(times, channels, strict=True)):  # a row is in the cache when it is summed up
        row[:] = gap[k]
        row[:1] += t0[k]  # a row may be empty
        np.cumsum(row, out=row)
        used = channel[: sizes[k]]
        if used.size and int(used.max()) == FILLER:
            keep = (used != FILLER).nonzero()[0]
            sizes[k] = keep.size
            row[: keep.size], channel[: keep.size] = row.take(keep), channel.take(keep)
    return sizes


def squeezed(
    times: NDArray[np.int64], channels: NDArray[np.uint8], sizes: Sequence[int]
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Move the tags of all rows together, in place, and return them."""
    t, ch = times.reshape(-1), channels.reshape(-1)
    end = 0
    for k, size in enumerate(sizes):
        start = k * times.shape[1]
        if end < start and size:
            t[end : end + size] = t[start : start + size]
            ch[end : end + size] = ch[start : start + size]
        end += size
    return t[:end], ch[:end]
