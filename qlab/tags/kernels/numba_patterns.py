"""The compiled loops over more than two tags: N-folds, and what clicks about each tag of one lane.

What they return is False where times run backwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qlab.compiled import compiled
from qlab.tags.kernels.numba_vectors import BLOCK, candidates

if TYPE_CHECKING:
    from typing import Any

__all__ = ["companions", "folds"]

SMALL = 32
"""Tags up to which it is quicker to look at a whole cluster than for what is within reach."""


@compiled
def folds(t, ch, index, delays_ps, lanes, masks, least, span_ps, reach_ps, counts):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Count choices of one tag a lane of each mask.

    An event begins, before delays are taken off, with a head: a tag that has `least` - 1 others within reach.  Each tag
    within reach of a head is looked at as the event's earliest after delays are off.
    """
    near = np.zeros(lanes, dtype=np.int64)
    found = np.empty(BLOCK + 8, dtype=np.uint16)
    sound, n = True, t.size
    begin: Any = 0
    end: Any = 0
    for start in range(0, n - 1, BLOCK):
        sound &= candidates(t, start, min(start + BLOCK, n - 1), 1, -1, found) == 0  # no step goes backwards
        k = candidates(t, start, max(min(start + BLOCK, n - least + 1), start), least - 1, reach_ps, found)
        q = 0
        while q < k:
            # A cluster: windows of heads that overlap.  All events of its tags lie inside.
            begin = start + np.int64(found[q])
            i, end = max(begin, end), max(begin + 1, end)
            while q < k and start + np.int64(found[q]) < end:
                head = start + np.int64(found[q])
                end = max(end, head + least)
                while end < n and t[end] - t[head] <= reach_ps:
                    end += 1
                q += 1
            # A cluster that goes on behind this block may hold heads that are not known yet.
            compact = end - begin <= SMALL and end <= start + BLOCK
            first, last = begin, end
            while i < end:
                if not compact:
                    first, last = surroundings(t, reach_ps, i)
                now, inside = t[i] - delays_ps[ch[i]], np.int64(0)
                for j in range(first, last):
                    later = t[j] - delays_ps[ch[j]] - now
                    # Of tags of one time the first is the earliest.
                    inside += np.int64((later >= np.int64(j < i)) & (later <= span_ps))
                if inside >= least:
                    count_from(t, ch, index, delays_ps, masks, span_ps, i, first, last, near, counts)
                i += 1
    return sound


@compiled
def surroundings(t, reach_ps, i):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Return the first and behind the last tag within reach of `i`."""
    first, last = i, i + 1
    while first > 0 and t[i] - t[first - 1] <= reach_ps:
        first -= 1
    while last < t.size and t[last] - t[i] <= reach_ps:
        last += 1
    return first, last


@compiled
def count_from(t, ch, index, delays_ps, masks, span_ps, i, first, last, near, counts):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Count the events whose earliest tag is `i`, with others from `first` to `last`."""
    now = t[i] - delays_ps[ch[i]]
    for lane in range(near.size):
        near[lane] = 0
    for j in range(first, last):
        later = t[j] - delays_ps[ch[j]] - now
        near[index[ch[j]]] += np.int64((later >= np.int64(j < i)) & (later <= span_ps))
    own = index[ch[i]]
    near[own] = 1
    for k in range(masks.size):
        if (masks[k] >> own) & 1:
            choices = 1
            for lane in range(near.size):
                if (masks[k] >> lane) & 1:
                    choices *= near[lane]
            counts[k] += choices


@compiled
def companions(t, ch, index, delays_ps, anchor, lo_ps, hi_ps, reach_ps, counts):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Histogram which lanes clicked about each tag of one lane."""
    sound, n = True, t.size
    for i in range(n):
        sound &= t[max(i - 1, 0)] <= t[i]
        if index[ch[i]] != anchor:
            continue
        mask = np.int64(0)
        delay = delays_ps[ch[i]]
        j = i - 1
        while j >= 0 and t[i] - t[j] <= reach_ps:
            dt = t[j] - t[i] + delay - delays_ps[ch[j]]
            mask |= np.int64(lo_ps <= dt <= hi_ps) << index[ch[j]]
            j -= 1
        j = i + 1
        while j < n and t[j] - t[i] <= reach_ps:
            dt = t[j] - t[i] + delay - delays_ps[ch[j]]
            mask |= np.int64(lo_ps <= dt <= hi_ps) << index[ch[j]]
            j += 1
        counts[mask & ~(np.int64(1) << anchor)] += 1
    return sound
