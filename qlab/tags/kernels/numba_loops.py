"""The compiled loops of `qlab.tags.kernels.numba_kernels`: a local test of gaps, then the neighbours within reach.

Most tags have none, so the loops cost little more than reading the times.  Finding the candidates without a branch first was
tried: it is slower on older cores.  What they return is False where times run backwards.
"""

from __future__ import annotations

import numpy as np

from qlab.compiled import compiled

__all__ = ["companions", "count_channels", "folds", "lags", "pairs", "shift_and_insert"]


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
def lags(t, ch, index, delays_ps, lanes, row, sign, lo_ps, bin_ps, n_bins, reach_ps, counts):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Add the lags of pairs of lanes to their histograms."""
    width, inverse = np.uint64(bin_ps * n_bins), 1.0 / bin_ps
    sound, n = True, t.size
    for i in range(n - 1):
        gap = t[i + 1] - t[i]
        if gap <= reach_ps:
            sound &= gap >= 0  # a backward step passes the test of the gap, so none is missed
            base, delay = index[ch[i]] * lanes, delays_ps[ch[i]]
            j = i + 1
            while True:
                code = base + index[ch[j]]
                if row[code] >= 0:
                    lag = (gap + delay - delays_ps[ch[j]]) * sign[code] - lo_ps
                    if np.uint64(lag) < width:  # a negative lag is a huge unsigned one
                        # An integer division costs more than all the rest; the estimate is off by one at most.
                        cell = np.int64(lag * inverse)
                        rest = lag - cell * bin_ps
                        cell += np.int64(rest >= bin_ps) - np.int64(rest < 0)
                        counts[row[code] * n_bins + cell] += 1
                j += 1
                if j == n:
                    break
                gap = t[j] - t[i]
                if gap > reach_ps:
                    break
    return sound


@compiled
def pairs(t, ch, index, delays_ps, lanes, half_ps, reach_ps, counts):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Count pairs by lanes of the earlier and of the later."""
    width = np.uint64(2 * half_ps)
    sound, n = True, t.size
    for i in range(n - 1):
        gap = t[i + 1] - t[i]
        if gap <= reach_ps:
            sound &= gap >= 0
            base, delay = index[ch[i]] * lanes, delays_ps[ch[i]] + half_ps
            j = i + 1
            while True:
                counts[base + index[ch[j]]] += np.int64(np.uint64(gap + delay - delays_ps[ch[j]]) <= width)
                j += 1
                if j == n:
                    break
                gap = t[j] - t[i]
                if gap > reach_ps:
                    break
    return sound


@compiled
def folds(t, ch, index, lanes, masks, least, span_ps, counts):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Count choices of one tag a lane of each mask, by their earliest tag."""
    near = np.zeros(lanes, dtype=np.int64)
    sound, n = True, t.size
    for i in range(n - least + 1):
        sound &= t[i + 1] >= t[i]
        if t[i + least - 1] - t[i] <= span_ps:
            near[:] = 0
            j = i + 1
            while j < n and t[j] - t[i] <= span_ps:
                near[index[ch[j]]] += 1
                j += 1
            own = index[ch[i]]
            near[own] = 1
            for k in range(masks.size):
                if (masks[k] >> own) & 1:
                    choices = 1
                    for lane in range(lanes):
                        if (masks[k] >> lane) & 1:
                            choices *= near[lane]
                    counts[k] += choices
    for i in range(max(n - least + 1, 0), n - 1):
        sound &= t[i + 1] >= t[i]
    return sound


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
