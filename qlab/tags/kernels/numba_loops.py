"""The compiled loops of `qlab.tags.kernels.numba_kernels`.

Of the candidates of a block, those whose next neighbour is near, the survivors are kept whose second next is near as well,
and so on, without a branch: each place is written, and the next one overwrites it unless the tag is kept.  Where most tags
have many neighbours (`*_crowded`) that is of no use, and each tag walks through its own.

Tables are indexed by ``lane of the earlier * lanes + lane of the later``; unsigned integers spare the test for negative
indices.  What the loops return is False where times run backwards.
"""

from __future__ import annotations

import numpy as np

from qlab.compiled import compiled
from qlab.tags.kernels.numba_vectors import BLOCK, candidates

__all__ = ["count_channels", "lags", "lags_crowded", "pairs", "pairs_crowded", "shift_and_insert"]

SHIFT = np.uint64(40)
"""A lag is divided by the bin through its inverse times two to this power."""


@compiled
def count_channels(ch):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Count the tags of each of 256 channels."""
    # Four tables: a tag must not wait for the count of the one before.
    counts = np.zeros((4, 256), dtype=np.int64)
    whole = ch.size - ch.size % 4
    for i in range(0, whole, 4):
        counts[0, ch[i]] += 1
        counts[1, ch[i + 1]] += 1
        counts[2, ch[i + 2]] += 1
        counts[3, ch[i + 3]] += 1
    for i in range(whole, ch.size):
        counts[0, ch[i]] += 1
    return counts[0] + counts[1] + counts[2] + counts[3]


@compiled
def shift_and_insert(t, ch, delays_ps, t_out, ch_out):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Subtract delays and move each tag before those it overtakes."""
    for i in range(t.size):
        c = ch[i]
        now = t[i] - delays_ps[c]
        k = i
        while k > 0 and t_out[k - 1] > now:
            t_out[k] = t_out[k - 1]
            ch_out[k] = ch_out[k - 1]
            k -= 1
        t_out[k] = now
        ch_out[k] = c


@compiled
def step_back(t, start, found, k):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Return whether time runs backwards behind one of the tags found; such a step passes the test of the gap."""
    back = False
    for q in range(k):
        i = np.uint64(start) + np.uint64(found[q])
        back |= t[i + np.uint64(1)] < t[i]
    return back


@compiled
def lags(t, ch, lane, lanes, first, sign, bias, width, bin_ps, magic, reach_ps, counts):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Add the lags of pairs of lanes to their histograms; the last cell takes those that are outside."""
    n, outside = np.uint64(t.size), np.uint64(counts.size - 1)
    found = np.empty(BLOCK + 8, dtype=np.uint16)
    sound = True
    for start in range(0, t.size - 1, BLOCK):
        k = candidates(t, start, min(start + BLOCK, t.size - 1), 1, reach_ps, found)
        sound &= not step_back(t, start, found, k)
        base, step = np.uint64(start), np.uint64(1)
        while k:
            kept = np.uint64(0)
            for q in range(k):
                i = base + np.uint64(found[q])
                j = i + step
                code = lane[ch[i]] * lanes + lane[ch[j]]
                lag = np.uint64((t[j] - t[i]) * sign[code] + bias[code])  # a negative lag is a huge unsigned one
                cell = (lag * magic) >> SHIFT if magic else lag // bin_ps
                counts[first[code] + cell if lag < width else outside] += 1
                found[kept] = found[q]
                j += np.uint64(1)
                inside = j < n
                kept += np.uint64((t[j if inside else i] - t[i] <= reach_ps) & inside)
            k = np.int64(kept)
            step += np.uint64(1)
    return sound


@compiled
def lags_crowded(t, ch, lane, lanes, first, sign, bias, width, bin_ps, magic, reach_ps, counts):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Do the same as `lags` tag by tag."""
    sound, outside = True, np.uint64(counts.size - 1)
    for i in range(t.size - 1):
        now, base = t[i], lane[ch[i]] * lanes
        sound &= t[i + 1] >= now
        for j in range(i + 1, t.size):
            gap = t[j] - now
            if gap > reach_ps:
                break
            code = base + lane[ch[j]]
            lag = np.uint64(gap * sign[code] + bias[code])
            cell = (lag * magic) >> SHIFT if magic else lag // bin_ps
            counts[first[code] + cell if lag < width else outside] += 1
    return sound


@compiled
def pairs(t, ch, lane, lanes, bias, width, reach_ps, counts):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Count pairs by lanes of the earlier and of the later."""
    n = np.uint64(t.size)
    found = np.empty(BLOCK + 8, dtype=np.uint16)
    sound = True
    for start in range(0, t.size - 1, BLOCK):
        k = candidates(t, start, min(start + BLOCK, t.size - 1), 1, reach_ps, found)
        sound &= not step_back(t, start, found, k)
        base, step = np.uint64(start), np.uint64(1)
        while k:
            kept = np.uint64(0)
            for q in range(k):
                i = base + np.uint64(found[q])
                j = i + step
                code = lane[ch[i]] * lanes + lane[ch[j]]
                counts[code] += np.int64(np.uint64(t[j] - t[i] + bias[code]) <= width)
                found[kept] = found[q]
                j += np.uint64(1)
                inside = j < n
                kept += np.uint64((t[j if inside else i] - t[i] <= reach_ps) & inside)
            k = np.int64(kept)
            step += np.uint64(1)
    return sound


@compiled
def pairs_crowded(t, ch, lane, lanes, bias, width, reach_ps, counts):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Do the same as `pairs` tag by tag."""
    sound = True
    for i in range(t.size - 1):
        now, base = t[i], lane[ch[i]] * lanes
        sound &= t[i + 1] >= now
        for j in range(i + 1, t.size):
            gap = t[j] - now
            if gap > reach_ps:
                break
            code = base + lane[ch[j]]
            counts[code] += np.int64(np.uint64(gap + bias[code]) <= width)
    return sound
