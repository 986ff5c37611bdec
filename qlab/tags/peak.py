"""Where the coincidences are: the delay between two parties' channels, from the data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qlab.errors import BadRequestError
from qlab.tags.coincidence import histogram

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qlab.tags.stream import TagBlock

__all__ = ["find_channel_delays"]

LEAST_SIGMA = 8.0


def find_channel_delays(
    block: TagBlock, alice: Sequence[int], bob: Sequence[int], half_range_ps: int = 1_000_000, bin_ps: int = 200
) -> dict[int, int]:
    """Return a delay for each channel, so that subtracting them brings all coincidence peaks to zero.

    Each pair of channels with a peak of at least 8 sigma gives one equation d_b - d_a = peak; they are solved together by
    least squares, weighted by the peaks, with the delays' sum zero.  The peak's position is its centre of gravity.

    Raises
    ------
    BadRequestError
        The pairs with a peak do not connect all channels; the message names those that are left out.
    """
    channels = [*alice, *bob]
    rows, right, weights = [], [], []
    for a in alice:
        for b in bob:
            edges, counts = histogram(block, a, b, half_range_ps, bin_ps)
            floor = float(np.median(counts))
            i = int(counts.argmax())
            if counts[i] - floor < LEAST_SIGMA * max(floor, 1.0) ** 0.5:
                continue
            near = slice(max(i - 6, 0), i + 7)
            net = np.maximum(counts[near] - floor, 0.0)
            peak = float((net * (edges[near] + bin_ps / 2.0)).sum() / net.sum())
            row = np.zeros(len(channels))
            row[channels.index(b)], row[channels.index(a)] = 1.0, -1.0
            rows.append(row)
            right.append(peak)
            weights.append(float(net.sum()) ** 0.5)
    matrix = np.array([*rows, np.ones(len(channels))]) if rows else np.ones((1, len(channels)))
    if np.linalg.matrix_rank(matrix) < len(channels):
        seen = np.abs(matrix[:-1]).sum(axis=0) if rows else np.zeros(len(channels))
        lost = [str(c + 1) for c, n in zip(channels, seen, strict=True) if n == 0]
        msg = (
            f"no coincidence peak within +-{half_range_ps / 1000:g} ns connects input {', '.join(lost) or '(two groups)'} "
            "with the others; is the source on, and is the acquisition long enough?"
        )
        raise BadRequestError(msg)
    scale = np.array([*weights, 1.0])
    solved = np.linalg.lstsq(matrix * scale[:, None], np.array([*right, 0.0]) * scale, rcond=None)[0]
    return {channel: round(float(d)) for channel, d in zip(channels, solved, strict=True)}
