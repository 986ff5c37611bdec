"""The world's two loops in numba: the same bits as `qlab.physics.engine.NumpyEngine`, in one pass each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit
from numpy.typing import NDArray

from qlab.physics.settle import settle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qlab.physics.engine import OutcomeTable, PortTable
    from qlab.physics.settle import Candidates

__all__ = ["NumbaEngine"]

Times = NDArray[np.int64]
_NOTHING = np.zeros(0, dtype=np.int64)
_NO_WORDS = np.zeros(0, dtype=np.uint64)


class NumbaEngine:
    """The quick engine; its first use compiles for some seconds, later ones take the code from numba's cache."""

    def accumulate(self, gaps: NDArray[np.float64]) -> None:
        """Replace numbers by their sums from the first on, added one after the other."""
        _accumulate(gaps)

    def scatter(
        self,
        t: Times,
        bits: NDArray[np.uint64],
        detuning: NDArray[np.uint64] | None,
        table: OutcomeTable,
        ports: Sequence[PortTable],
    ) -> list[Times]:
        """Return each port's arrivals, not sorted."""
        masks, counts = _decide(bits, table.masks, table.undecided, table.bounds, table.of_outcome, len(ports))
        result = []
        for n, port in enumerate(ports):
            shift = _NOTHING if port.shift_ps is None or detuning is None else port.shift_ps
            own = _NOTHING if port.own_ps is None or detuning is None else port.own_ps
            words = _NO_WORDS if detuning is None else detuning
            arrived = np.empty(int(counts[n]), dtype=np.int64)
            _gather(
                t,
                bits,
                words,
                masks,
                masks.dtype.type(1 << n),
                port.side,
                port.delay_ps,
                port.jitter_ps,
                shift,
                own,
                arrived,
            )
            result.append(arrived)
        return result

    def clicks(self, detectors: Sequence[Candidates]) -> list[Times]:
        """Return the clicks of each detector, afterpulses of every order included."""
        gated = [one.law is not None and one.law.gate is not None for one in detectors]
        return [settle([one])[0] if slow else _clicks(one) for one, slow in zip(detectors, gated, strict=True)]


def _clicks(one: Candidates) -> Times:
    t, law, dead = one.t, one.law, max(one.dead_time_ps, 1)
    if law is None:
        clicks: Times = _plain(t, dead, one.last_ps)
        return clicks
    size = 64
    words = np.uint64(law.limit), np.uint64(law.key)
    while True:
        out, pending = np.empty(t.size + t.size // 8 + size, dtype=np.int64), np.empty(size, dtype=np.int64)
        n = int(_with_afterpulses(t, dead, one.last_ps, *words, law.delay_ps, out, pending))
        if n >= 0:
            return out[:n].copy()
        size *= 8


@njit(cache=True, nogil=True)
def _accumulate(gaps):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    total = 0.0
    for i in range(gaps.size):
        total += gaps[i]
        gaps[i] = total


@njit(cache=True, nogil=True)
def _decide(bits, table, undecided, bounds, of_outcome, ports):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    masks = np.empty(bits.size, dtype=table.dtype)
    counts = np.zeros(ports, dtype=np.int64)
    for i in range(bits.size):
        mask = table[bits[i] >> np.uint64(48)]
        if mask >= undecided:
            word = bits[i] >> np.uint64(32)
            k = 0
            while bounds[k] <= word:
                k += 1
            mask = of_outcome[k]
        masks[i] = mask
    for n in range(ports):  # loops of their own are done on many masks at once
        found = np.int64(0)
        bit = of_outcome.dtype.type(1 << n)
        for i in range(bits.size):
            found += np.int64((masks[i] & bit) != 0)
        counts[n] = found
    return masks, counts


@njit(cache=True, nogil=True)
def _gather(t, bits, detuning, masks, bit, side, delay_ps, jitter_ps, shift_ps, own_ps, out):  # type: ignore[no-untyped-def]  # pragma: no cover
    # Two loops: whether an event ends at this port is a coin toss, which a branch would mispredict half the time.
    chosen = np.empty(t.size + 1, dtype=np.uint32)  # a signed index would be tested for counting from the end
    n = np.int64(0)
    for i in range(t.size):
        chosen[n] = i
        n += np.int64((masks[i] & bit) != 0)
    lane = np.uint64(16 * side)
    low = np.uint64(0xFFFF)
    for k in range(n):
        i = chosen[k]
        arrived = t[i] + jitter_ps[(bits[i] >> lane) & low] + delay_ps
        if shift_ps.size:
            arrived += shift_ps[detuning[i] & low]
        if own_ps.size:
            arrived += own_ps[(detuning[i] >> np.uint64(16)) & low]
        out[k] = arrived


@njit(cache=True, nogil=True)
def _plain(t, dead, last):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    out = np.empty(t.size, dtype=np.int64)
    n = 0
    for i in range(t.size):
        if t[i] - last >= dead:
            last = t[i]
            out[n] = last
            n += 1
    return out[:n].copy()


@njit(cache=True, nogil=True)
def _with_afterpulses(t, dead, last, limit, key, delay_ps, out, pending):  # type: ignore[no-untyped-def]  # pragma: no cover
    # Returns the number of clicks, -1 where `out` or `pending` is too small: arrays that grow in here would be counted
    # references in every turn of the loop, which makes it twenty times slower.
    waiting, n, i = 0, 0, 0  # those pending are sorted, the next one last
    while i < t.size or waiting:
        # of a tie, the candidate comes first
        if waiting and (i >= t.size or pending[waiting - 1] < t[i]):
            waiting -= 1
            now = pending[waiting]
        else:
            now = t[i]
            i += 1
        if now - last < dead:
            continue
        last = now
        if n == out.size:
            return -1
        out[n] = now
        n += 1
        x = np.uint64(now) * np.uint64(0x9E3779B97F4A7C15) + key
        x ^= x >> np.uint64(30)
        x *= np.uint64(0xBF58476D1CE4E5B9)
        x ^= x >> np.uint64(27)
        x *= np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
        if (x & np.uint64(0xFFFFFFFF)) < limit:
            due = now + delay_ps[x >> np.uint64(48)]
            if waiting == pending.size:
                return -1
            k = waiting
            while k > 0 and pending[k - 1] < due:
                pending[k] = pending[k - 1]
                k -= 1
            pending[k] = due
            waiting += 1
    return n
