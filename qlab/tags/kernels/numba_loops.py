"""The compiled loops of `qlab.tags.kernels.numba_kernels`.

Of the candidates of a block, those whose next neighbour is near, the survivors are kept whose second next is near as well,
and so on, without a branch: each place is written, and the next one overwrites it unless the tag is kept.  Where most tags
have many neighbours (`*_crowded`) that is of no use, and each tag walks through its own.

While the candidates of a block are looked at, the next block is fetched from memory, a line for each of them.  Tables are
indexed by both channels (`pair_code`); unsigned integers spare the test for negative indices.  What the loops return is False
where times run backwards.
"""

from __future__ import annotations

import numpy as np

from qlab.compiled import compiled
from qlab.tags.kernels.numba_vectors import BLOCK, LINE, candidates, prefetch

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
def pair_code(ch, i, j):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Return where tables have the pair of an earlier tag and a later one."""
    return np.uint64(ch[i]) | (np.uint64(ch[j]) << np.uint64(8))


@compiled
def without_end(found, kept, ahead, last):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Return how many of the tags found have a next neighbour; the stream's end was taken for that of the last one."""
    if kept and np.uint64(found[kept - np.uint64(1)]) + ahead >= last:
        return kept - np.uint64(1)
    return kept


@compiled
def lags(t, ch, first, sign, bias, width, bin_ps, magic, reach_ps, counts):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Add the lags of pairs of channels to their histograms; the last cell takes those that are outside."""
    last, outside = np.uint64(t.size - 1), np.uint64(counts.size - 1)
    found = np.empty(BLOCK + 8, dtype=np.uint16)
    signs = np.int64(0)
    for start in range(0, t.size - 1, BLOCK):
        k = np.uint64(candidates(t, start, min(start + BLOCK, t.size - 1), 1, reach_ps, found))
        base, step = np.uint64(start), np.uint64(1)
        while k:
            kept = np.uint64(0)
            for q in range(k):
                prefetch(t, base + np.uint64(BLOCK) + q * LINE)
                i = base + np.uint64(found[q])
                j = i + step
                code, now = pair_code(ch, i, j), t[i]
                gap = t[j] - now
                signs |= gap
                lag = np.uint64(gap * sign[code] + bias[code])  # a negative lag is a huge unsigned one
                cell = (lag * magic) >> SHIFT if magic else lag // bin_ps
                counts[first[code] + cell if lag < width else outside] += 1
                found[kept] = found[q]
                kept += np.uint64(t[min(j + np.uint64(1), last)] - now <= reach_ps)
            k = without_end(found, kept, base + step, last)
            step += np.uint64(1)
    return signs >= 0


@compiled
def lags_crowded(t, ch, first, sign, bias, width, bin_ps, magic, reach_ps, counts):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Do the same as `lags` tag by tag."""
    sound, outside = True, np.uint64(counts.size - 1)
    for i in range(np.uint64(t.size - 1)):
        now = t[i]
        sound &= t[i + np.uint64(1)] >= now
        for j in range(i + np.uint64(1), np.uint64(t.size)):
            gap = t[j] - now
            if gap > reach_ps:
                break
            code = pair_code(ch, i, j)
            lag = np.uint64(gap * sign[code] + bias[code])
            cell = (lag * magic) >> SHIFT if magic else lag // bin_ps
            counts[first[code] + cell if lag < width else outside] += 1
    return sound


@compiled
def pairs(t, ch, bias, width, reach_ps, counts):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Count pairs by channels of the earlier and of the later."""
    last = np.uint64(t.size - 1)
    found = np.empty(BLOCK + 8, dtype=np.uint16)
    signs = np.int64(0)
    for start in range(0, t.size - 1, BLOCK):
        k = np.uint64(candidates(t, start, min(start + BLOCK, t.size - 1), 1, reach_ps, found))
        base, step = np.uint64(start), np.uint64(1)
        while k:
            kept = np.uint64(0)
            for q in range(k):
                prefetch(t, base + np.uint64(BLOCK) + q * LINE)
                i = base + np.uint64(found[q])
                j = i + step
                code, now = pair_code(ch, i, j), t[i]
                gap = t[j] - now
                signs |= gap
                counts[code] += np.int64(np.uint64(gap + bias[code]) <= width)
                found[kept] = found[q]
                kept += np.uint64(t[min(j + np.uint64(1), last)] - now <= reach_ps)
            k = without_end(found, kept, base + step, last)
            step += np.uint64(1)
    return signs >= 0


@compiled
def pairs_crowded(t, ch, bias, width, reach_ps, counts):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Do the same as `pairs` tag by tag."""
    sound = True
    for i in range(np.uint64(t.size - 1)):
        now = t[i]
        sound &= t[i + np.uint64(1)] >= now
        for j in range(i + np.uint64(1), np.uint64(t.size)):
            gap = t[j] - now
            if gap > reach_ps:
                break
            code = pair_code(ch, i, j)
            counts[code] += np.int64(np.uint64(gap + bias[code]) <= width)
    return sound
