"""Dead time and afterpulses of every order, with NumPy: which candidates become clicks.

Several detectors are settled in one go, laid end to end on one axis with 75 minutes between them; at a few thousand
clicks in a cell, calls would otherwise cost more than the clicks do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qlab.physics.keys import MASK, WEYL, mix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qlab.physics.pulses import PulseTrain

__all__ = ["AfterpulseLaw", "Candidates", "alive", "settle"]

Times = NDArray[np.int64]
Indices = NDArray[np.intp]
_APART = 52
"""Detectors lie 2^52 ps apart on the common axis."""
_MOST = 1024
_BLOCK = 2**15
"""So many events fit into the second-level cache; more are not worked on at once where it can be helped."""
_FEW = 8
"""Runs that are quicker walked one by one."""


@dataclass(frozen=True, slots=True)
class AfterpulseLaw:
    """Who is followed by an afterpulse, and after what delay.

    Attributes
    ----------
    limit:
        Those whose 32-bit word is below it.
    key:
        Of the words, which are functions of the click's time.
    delay_ps:
        By 16 bits, the dead time included; int64, shape (65536,).
    gate:
        Afterpulses outside these pulses are lost; None: there are no gates.
    """

    limit: int
    key: int
    delay_ps: Times
    gate: PulseTrain | None = None

    def beyond(self, clicks: Times, end_ps: int) -> Times:
        """Return the afterpulses from `end_ps` on that sorted clicks lead to, sorted."""
        late = clicks[clicks.searchsorted(end_ps - int(self.delay_ps[-1])) :]
        if not late.size:
            return late
        bits = mix(late, self.key)
        followed = ((bits & np.uint64(0xFFFFFFFF)) < np.uint64(self.limit)).nonzero()[0]
        due = late.take(followed) + self.delay_ps.take((bits.take(followed) >> np.uint64(48)).view(np.int64))
        return _sorted(due[due >= end_ps])


@dataclass(frozen=True, slots=True)
class Candidates:
    """What may click in one detector.

    Attributes
    ----------
    t:
        In ps, sorted.
    dead_time_ps:
        Nothing clicks for this long after a click.
    last_ps:
        The last click before.
    law:
        Of afterpulses, or None.
    """

    t: Times
    dead_time_ps: int
    last_ps: int
    law: AfterpulseLaw | None


def settle(detectors: Sequence[Candidates]) -> list[Times]:
    """Return the clicks of each detector, sorted."""
    alike: dict[tuple[int, int, int, int], list[int]] = {}
    for i, one in enumerate(detectors):
        rule = (one.law.limit, id(one.law.delay_ps)) if one.law is not None else (0, 0)
        alone = i if one.law is not None and one.law.gate is not None else -1  # gates know no common axis
        alike.setdefault((one.dead_time_ps, *rule, alone), []).append(i)
    result = [one.t for one in detectors]
    for members in alike.values():
        some: list[int] = []
        for i in members:
            if some and (len(some) >= _MOST or sum(detectors[k].t.size for k in some) + detectors[i].t.size > _BLOCK):
                _settle_into(result, detectors, some)
                some = []
            some.append(i)
        _settle_into(result, detectors, some)
    return result


def _settle_into(result: list[Times], detectors: Sequence[Candidates], which: Sequence[int]) -> None:
    for i, clicks in zip(which, _settle_alike([detectors[i] for i in which]), strict=True):
        result[i] = clicks


def _settle_alike(detectors: Sequence[Candidates]) -> list[Times]:
    """Return the clicks of detectors that differ only in what arrives at them.

    On the common axis each detector's stretch begins with its last click, which takes the place of any other past.
    """
    origin = min((int(one.t[0]) for one in detectors if one.t.size), default=0)
    offsets = [origin - (k << _APART) for k in range(len(detectors))]
    earliest = origin - (1 << (_APART - 2))
    counts = np.array([one.t.size + 1 for one in detectors])
    firsts = np.cumsum(counts) - counts
    r = np.empty(int(counts.sum()), np.int64)
    for one, first, offset in zip(detectors, firsts.tolist(), offsets, strict=True):
        r[first] = max(one.last_ps, earliest) - offset
        np.subtract(one.t, offset, out=r[first + 1 : first + 1 + one.t.size])
    dead, law = max(detectors[0].dead_time_ps, 1), detectors[0].law
    keep = alive(r, dead, int(r[0]) - dead)
    born = parents = np.empty(0, np.int64)
    if law is not None:
        # mix(r + offset, key) is mix(r, key + offset * WEYL)
        keys = [
            one.law.key + offset * WEYL for one, offset in zip(detectors, offsets, strict=True) if one.law is not None
        ]
        key_of = np.repeat(np.array([key & MASK for key in keys], np.uint64), counts)
        born, parents = _descendants(r, key_of, law, firsts, offsets[0])
    clicks = _with_afterpulses(r, keep, born, parents, dead) if born.size else r[keep]
    bounds = clicks.searchsorted(np.array([(k << _APART) - (1 << (_APART - 1)) for k in range(len(detectors) + 1)]))
    ends = bounds.tolist()
    return [clicks[ends[k] + 1 : ends[k + 1]] + offset for k, offset in enumerate(offsets)]


def _with_afterpulses(r: Times, keep: NDArray[np.bool_], born: Times, parents: Indices, dead: int) -> Times:
    """Return the clicks, where `keep` is right as long as nothing follows anything; puts `keep` right.

    Causality makes the result unique: what is right up to a click is right up to its afterpulse.  Most afterpulses have
    nobody within a dead time: such a one clicks if the click that it follows does.
    """
    place = r.searchsorted(born)
    meets = born - r.take(place - 1) < dead
    meets |= (r.take(place, mode="clip") - born < dead) & (place < r.size)
    close = born[1:] - born[:-1] < dead
    meets[1:] |= close
    meets[:-1] |= close
    second = parents >= r.size
    meets |= second
    meets[parents[second] - r.size] = True
    lives = np.zeros(born.size, dtype=np.bool_)
    which = meets.nonzero()[0]
    if which.size:
        _put_right(r, keep, born, parents, place, which, lives, dead)
    alone = (~meets).nonzero()[0]
    lives[alone] = keep.take(parents.take(alone))
    return _sorted(np.concatenate([r[keep], born.take(lives.nonzero()[0])]))


def _put_right(
    r: Times,
    keep: NDArray[np.bool_],
    born: Times,
    parents: Indices,
    place: Indices,
    which: Indices,
    lives: NDArray[np.bool_],
    dead: int,
) -> None:
    """Decide on afterpulses one by one in the order of time, and again on the events behind each that clicks."""
    latest = int(r[0])
    listed = (values.take(which).tolist() for values in (born, parents, place))
    for k, now, parent, i in zip(which.tolist(), *listed, strict=True):
        if not (keep[parent] if parent < r.size else lives[parent - r.size]):
            continue
        before = i - 1
        while not keep[before]:
            before -= 1
        if now - max(latest, int(r[before])) < dead:
            continue
        lives[k] = True
        latest = last = now
        for j in range(i, r.size):
            accepted = int(r[j]) - last >= dead
            if accepted and keep[j]:
                break  # from here on everything is as it was
            keep[j] = accepted
            last = int(r[j]) if accepted else last


def _descendants(
    r: Times, keys: NDArray[np.uint64], law: AfterpulseLaw, barren: Indices, offset_ps: int
) -> tuple[Times, Indices]:
    """Return the afterpulses of every order that events could lead to, sorted, and whom each follows.

    A number from `r.size` on stands for the afterpulse of that number less `r.size`.  The `barren` have none: their own
    were handed on when they clicked.  `offset_ps` leads from the common axis to lab time, for a single detector with gates.
    """
    born, parents = _followers(r, keys, law, offset_ps)
    if barren.size and parents.size:
        real = (barren.take(barren.searchsorted(parents), mode="clip") != parents).nonzero()[0]
        born, parents = born.take(real), parents.take(real)
    all_born, all_parents, first = [born], [parents], r.size
    keys = keys.take(parents)
    while born.size:
        later, followed = _followers(born, keys, law, offset_ps)
        all_born.append(later)
        all_parents.append(followed + first)
        first += born.size
        born, keys = later, keys.take(followed)
    born, parents = np.concatenate(all_born), np.concatenate(all_parents)
    order = born.argsort(kind="stable")
    parents = parents.take(order)
    second = (parents >= r.size).nonzero()[0]
    if second.size:
        rank = np.empty(order.size, np.intp)
        rank[order] = np.arange(order.size)
        parents[second] = rank.take(parents.take(second) - r.size) + r.size
    return born.take(order), parents


def _followers(t: Times, keys: NDArray[np.uint64], law: AfterpulseLaw, offset_ps: int) -> tuple[Times, Indices]:
    """Return the afterpulses that events could lead to, and which they follow."""
    born, parents = [], []
    for first in range(0, t.size, _BLOCK):
        now = t[first : first + _BLOCK]
        bits = mix(now, keys[first : first + _BLOCK])
        followed = (bits.astype(np.uint32) < law.limit).nonzero()[0]
        due = now.take(followed) + law.delay_ps.take((bits.take(followed) >> np.uint64(48)).view(np.int64))
        if law.gate is not None:
            seen = law.gate.is_open(due + offset_ps)
            due, followed = due[seen], followed[seen]
        born.append(due)
        parents.append(followed + first)
    if len(born) == 1:
        return born[0], parents[0]
    return np.concatenate(born), np.concatenate(parents)


def _sorted(t: Times) -> Times:
    t.sort(kind="stable")
    return t


def alive(t: Times, dead_time_ps: int, last_ps: int) -> NDArray[np.bool_]:
    """Return which of the sorted events a non-paralysable detector accepts; of a tie, the first.

    An event with a gap of at least the dead time to its predecessor is accepted whatever happened before, so that only
    the runs between such events have to be walked, all of them one step at a time.
    """
    keep = np.ones(t.size, dtype=np.bool_)
    if not t.size:
        return keep
    dead = max(dead_time_ps, 1)
    np.greater_equal(t[1:] - t[:-1], dead, out=keep[1:])
    keep[0] = t[0] - last_ps >= dead
    short = (~keep).nonzero()[0]
    if not short.size:
        return keep
    # The first short event of a run follows an accepted one (or the last click) and is lost; the others are looked at.
    breaks = (short[1:] - short[:-1] != 1).nonzero()[0] + 1
    first = short[np.concatenate([[0], breaks])]
    length = np.diff(np.concatenate([[0], breaks, [short.size]]))
    long = length > 1
    if not long.any():
        return keep
    at, left = first[long], length[long] - 1
    last = np.where(at > 0, t[at - 1], last_ps)
    while at.size > _FEW:
        at = at + 1
        left = left - 1
        now = t[at]
        accepted = now - last >= dead
        keep[at[accepted]] = True
        last = np.where(accepted, now, last)
        more = left > 0
        at, left, last = at[more], left[more], last[more]
    for i, n, previous in zip(at.tolist(), left.tolist(), last.tolist(), strict=True):
        for j, time in enumerate(t[i + 1 : i + 1 + n].tolist(), start=i + 1):
            if time - previous >= dead:
                keep[j] = True
                previous = time
    return keep
