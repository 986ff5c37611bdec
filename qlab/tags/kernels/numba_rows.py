"""The compiled loop over rows of gaps (`qlab.tags.files.gapblocks`)."""

from __future__ import annotations

import numpy as np

from qlab.compiled import compiled

__all__ = ["add_up"]


@compiled
def add_up(t0_ps, gap, times):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Write the times of whole rows: the base time of each, and the sums of its gaps."""
    for k in range(gap.shape[0]):
        now = t0_ps[k]
        for i in range(gap.shape[1]):
            now += np.int64(gap[k, i])
            times[k, i] = now
