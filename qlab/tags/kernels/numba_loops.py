"""The compiled loops of `qlab.tags.kernels.numba_kernels`.

The *sparse* ones first write down, without a branch, which tags of a block have a near neighbour (a test that fails for one
tag in eight would be mispredicted that often), then look only at these.  The *dense* ones look at every tag's neighbours.
All return False where times run backwards.
"""

from __future__ import annotations

import numpy as np

from qlab.compiled import compiled

__all__ = ["count_channels", "dense_lags", "dense_pairs", "shift_and_insert", "sparse_lags", "sparse_pairs"]

# Tags a block: the block's times and its list of candidates then stay in the second-level cache.
_BLOCK = 1 << 15


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
def _near(t, start, stop, step, reach_ps, found):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    # Writes down the tags of a block whose step-next neighbour is within reach; returns how many.
    n = 0
    for i in range(start, stop):
        found[n] = i
        n += int(t[i + step] - t[i] <= reach_ps)
    return n


@compiled
def _add_lags(i, t, ch, index, delays_ps, lanes, row, sign, lo_ps, bin_ps, n_bins, reach_ps, counts):  # type: ignore[no-untyped-def]  # pragma: no cover
    first, base = t[i], index[ch[i]] * lanes
    width, size = np.uint64(bin_ps * n_bins), np.uint64(bin_ps)
    j = i + 1
    while j < t.size and t[j] - first <= reach_ps:
        if t[j] < first:
            return False
        code = base + index[ch[j]]
        if row[code] >= 0:
            lag = np.uint64((t[j] - first + delays_ps[ch[i]] - delays_ps[ch[j]]) * sign[code] - lo_ps)
            if lag < width:
                counts[row[code] * n_bins + np.int64(lag // size)] += 1
        j += 1
    return True


@compiled
def sparse_lags(t, ch, index, delays_ps, lanes, row, sign, lo_ps, bin_ps, n_bins, reach_ps, counts):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Add lags to the histograms, candidates first."""
    found = np.empty(_BLOCK + 1, dtype=np.int64)
    sound = True
    for start in range(0, t.size - 1, _BLOCK):
        n = _near(t, start, min(start + _BLOCK, t.size - 1), 1, reach_ps, found)
        for k in range(n):
            sound &= _add_lags(
                found[k], t, ch, index, delays_ps, lanes, row, sign, lo_ps, bin_ps, n_bins, reach_ps, counts
            )
    return sound


@compiled
def dense_lags(t, ch, index, delays_ps, lanes, row, sign, lo_ps, bin_ps, n_bins, reach_ps, counts):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Add lags to the histograms, every tag's neighbours."""
    sound = True
    for i in range(t.size):
        sound &= _add_lags(i, t, ch, index, delays_ps, lanes, row, sign, lo_ps, bin_ps, n_bins, reach_ps, counts)
    return sound


@compiled
def _add_pairs(i, t, ch, index, delays_ps, lanes, half_ps, reach_ps, counts):  # type: ignore[no-untyped-def]  # pragma: no cover
    first, base = t[i], index[ch[i]] * lanes
    width = np.uint64(2 * half_ps)
    j = i + 1
    while j < t.size and t[j] - first <= reach_ps:
        if t[j] < first:
            return False
        lag = np.uint64(t[j] - first + delays_ps[ch[i]] - delays_ps[ch[j]] + half_ps)
        counts[base + index[ch[j]]] += np.int64(lag <= width)
        j += 1
    return True


@compiled
def sparse_pairs(t, ch, index, delays_ps, lanes, half_ps, reach_ps, counts):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Count pairs, candidates first."""
    found = np.empty(_BLOCK + 1, dtype=np.int64)
    sound = True
    for start in range(0, t.size - 1, _BLOCK):
        n = _near(t, start, min(start + _BLOCK, t.size - 1), 1, reach_ps, found)
        for k in range(n):
            sound &= _add_pairs(found[k], t, ch, index, delays_ps, lanes, half_ps, reach_ps, counts)
    return sound


@compiled
def dense_pairs(t, ch, index, delays_ps, lanes, half_ps, reach_ps, counts):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Count pairs, every tag's neighbours."""
    sound = True
    for i in range(t.size):
        sound &= _add_pairs(i, t, ch, index, delays_ps, lanes, half_ps, reach_ps, counts)
    return sound
