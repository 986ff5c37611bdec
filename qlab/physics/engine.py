"""The two loops that decide how fast the world is, as NumPy does them; `qlab.physics.engine_numba` does the same bits faster.

All of their arithmetic is on integers and tables, so that no compiler and no instruction set can change a picosecond.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qlab.errors import BadRequestError
from qlab.physics.keys import mix

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["AfterpulseLaw", "Engine", "NumpyEngine", "OutcomeTable", "PortTable", "alive", "engine_of", "followers"]

Times = NDArray[np.int64]
Masks: TypeAlias = "NDArray[np.uint8] | NDArray[np.uint32]"
MOST_PORTS = 31


@dataclass(frozen=True, slots=True)
class OutcomeTable:
    """Which ports click in a joint outcome, by a 32-bit word: exact to 1 in 4 * 10^9.

    Attributes
    ----------
    masks:
        By the word's upper half: a bit for each port; or the highest bit, where the lower half decides.  Shape (65536,),
        uint8 for up to 7 ports, uint32 for more.
    bounds, of_outcome:
        Upper bounds of the outcomes' words (uint64), and their ports; shape (n,).
    """

    masks: Masks
    bounds: NDArray[np.uint64]
    of_outcome: Masks

    @property
    def undecided(self) -> int:
        """The highest bit of a mask."""
        return 1 << (8 * self.masks.dtype.itemsize - 1)

    @classmethod
    def build(cls, weights: Sequence[float], ports: Sequence[int]) -> OutcomeTable:
        """Build from the outcomes' weights and masks."""
        total, so_far, bounds = sum(weights), 0.0, []
        for weight in weights:
            so_far += weight
            bounds.append(min(round(so_far / total * 2.0**32), 2**32))
        bounds[-1] = 2**32
        upper = np.array(bounds, dtype=np.uint64)
        few = max(ports) < 1 << 7
        of_outcome: Masks = np.array(ports, dtype=np.uint8) if few else np.array(ports, dtype=np.uint32)
        first = np.searchsorted(upper, np.arange(65536, dtype=np.uint64) << np.uint64(16), side="right")
        masks: Masks = of_outcome.take(first)
        inner = upper[:-1]
        table = cls(masks, upper, of_outcome)
        masks[(inner[(inner & np.uint64(0xFFFF)) != 0] >> np.uint64(16)).astype(np.intp)] = table.undecided
        return table


@dataclass(frozen=True, slots=True)
class PortTable:
    """When the photon that ends at a port arrives.

    Attributes
    ----------
    side:
        0 for the signal's side, 1 for the idler's.
    delay_ps:
        From source to detector.
    jitter_ps:
        By 16 bits, int32, shape (65536,).
    shift_ps:
        Dispersion by 16 bits of detuning, or None.
    """

    side: int
    delay_ps: int
    jitter_ps: NDArray[np.int32]
    shift_ps: NDArray[np.int64] | None


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
    """

    limit: int
    key: int
    delay_ps: Times

    @property
    def longest_ps(self) -> int:
        """The longest delay."""
        return int(self.delay_ps[-1])


class Engine(Protocol):
    """What an engine can do."""

    def scatter(
        self,
        t: Times,
        bits: NDArray[np.uint64],
        detuning: NDArray[np.uint64] | None,
        table: OutcomeTable,
        ports: Sequence[PortTable],
    ) -> list[Times]:
        """Return each port's arrivals, not sorted, for events at `t` with 64 random bits each.

        The upper 32 bits choose the outcome, the lowest 16 are the signal's jitter, the next 16 the idler's.
        """
        ...

    def clicks(self, t: Times, dead_time_ps: int, last_ps: int, law: AfterpulseLaw | None) -> Times:
        """Return the clicks of a detector that sorted candidates lead to, afterpulses of every order included."""
        ...


class NumpyEngine:
    """The engine that is always there."""

    def scatter(
        self,
        t: Times,
        bits: NDArray[np.uint64],
        detuning: NDArray[np.uint64] | None,
        table: OutcomeTable,
        ports: Sequence[PortTable],
    ) -> list[Times]:
        """Return each port's arrivals."""
        masks = table.masks.take((bits >> np.uint64(48)).view(np.int64))
        undecided = np.flatnonzero(masks >= table.undecided)
        if undecided.size:
            word = bits[undecided] >> np.uint64(32)
            masks[undecided] = table.of_outcome[np.searchsorted(table.bounds, word, side="right")]
        result = []
        for n, port in enumerate(ports):
            chosen = ((masks & masks.dtype.type(1 << n)) != 0).nonzero()[0]  # quicker on truth values than on numbers
            arrived = t.take(chosen)
            word = bits.take(chosen)
            if port.side:
                word >>= np.uint64(16)
            word &= np.uint64(0xFFFF)
            arrived += port.jitter_ps.take(word.view(np.int64))
            if port.delay_ps:
                arrived += port.delay_ps
            if port.shift_ps is not None and detuning is not None:
                arrived += port.shift_ps.take((detuning.take(chosen) & np.uint64(0xFFFF)).view(np.int64))
            result.append(arrived)
        return result

    def clicks(self, t: Times, dead_time_ps: int, last_ps: int, law: AfterpulseLaw | None) -> Times:
        """Return the clicks.

        Causality makes the fixed point unique: what is right up to a click is right up to its afterpulse.
        """
        keep = alive(t, dead_time_ps, last_ps)
        if law is None:
            return t[keep]
        parents, due = followers(t, law)
        extra = _sorted(due[keep[parents]])
        if not extra.size:
            return t[keep]
        while True:
            place = t.searchsorted(extra, side="right")  # of a tie, the candidate comes first
            merged = np.insert(t, place, extra)
            keep = alive(merged, dead_time_ps, last_ps)
            survivors = extra[keep[place + np.arange(extra.size)]]
            again = [due[keep[parents + place.searchsorted(parents, side="right")]], followers(survivors, law)[1]]
            found = _sorted(np.concatenate(again))
            if np.array_equal(found, extra):
                clicks: Times = merged[keep]
                return clicks
            extra = found


def followers(t: Times, law: AfterpulseLaw) -> tuple[NDArray[np.intp], Times]:
    """Return which events would be followed by an afterpulse, and when."""
    if not t.size:
        return np.empty(0, np.intp), t
    bits = mix(t, law.key)
    parents = ((bits & np.uint64(0xFFFFFFFF)) < np.uint64(law.limit)).nonzero()[0]
    return parents, t[parents] + law.delay_ps[(bits[parents] >> np.uint64(48)).astype(np.intp)]


def _sorted(t: Times) -> Times:
    return np.sort(t, kind="stable")


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


_FEW = 8
"""Runs that are quicker walked one by one."""


def engine_of(name: str) -> Engine:
    """Return an engine by name; raises `BadRequestError` where numba is asked for and not installed."""
    if name == "numpy":
        return NumpyEngine()
    if name == "numba":
        try:
            from qlab.physics.engine_numba import NumbaEngine
        except ImportError as error:
            msg = "the engine 'numba' needs numba: pip install 'qlab[fast]'"
            raise BadRequestError(msg) from error
        return NumbaEngine()
    msg = f"there is no engine {name!r}; expected numpy or numba"
    raise BadRequestError(msg)
