"""A midpoint that heralds entanglement of two memories: both emit in common slots, and two clicks there make a pair.

The double-click scheme of Barrett and Kok (PRA 71, 060310(R), 2005) with time-bin photons: linear optics tell two of the four
Bell states, so that an attempt succeeds with probability 1/2 eta_A eta_B; photons that differ make a wrong phase with
probability (1 - V)/2 for a Hong-Ou-Mandel visibility V.  Dark counts in the window make false heralds, of which neither end
can tell.  The midpoint knows who tries (Dahlberg et al., SIGCOMM 2019) and heralds only slots in which both did.

Whether a slot heralds is a function of seed, midpoint and slot number, whoever asks and however often.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qlab.errors import WorldError
from qlab.physics.arm import Path
from qlab.physics.keys import hash_key, mix
from qlab.physics.knob import CELL_PS
from qlab.physics.register import bell_mixture

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.physics.arm import Arm
    from qlab.physics.register import QubitRegister

__all__ = ["Burst", "LinkEnd", "Midpoint", "Result"]

Floats: TypeAlias = NDArray[np.float64]
PSI_PLUS, PSI_MINUS = 2, 3
FOREVER = 2**62


@dataclass(frozen=True, slots=True)
class Result:
    """How a burst of attempts ended at one end.

    Attributes
    ----------
    t_ps:
        Lab time at which the end hears of it.
    emitted_ps:
        When its photon left the memory.
    attempts:
        That this end made, the last one included.
    bell:
        2 for Psi+, 3 for Psi-; None where the most attempts were made in vain.
    pair_id:
        The same number at both ends; 0 without a pair.
    """

    t_ps: int
    emitted_ps: int
    attempts: int
    bell: int | None = None
    pair_id: int = 0


@dataclass(frozen=True, slots=True)
class _Chances:
    """The probabilities of a herald between two times, under these settings."""

    since_ps: int
    until_ps: int
    genuine: float
    false: float
    state: tuple[int, ...]


@dataclass(slots=True)
class Burst:
    """Attempts of one end, from a slot on.

    Attributes
    ----------
    qubit:
        The memory's number in the register.
    first, last:
        Slots, inclusive; no attempt is made after `last`.
    """

    qubit: int
    first: int
    last: int
    result: Result | None = None


@dataclass(slots=True, eq=False)
class LinkEnd:
    """One memory's side of a midpoint.

    Parameters
    ----------
    arm:
        The photon's way to the midpoint.
    node:
        What stands at this end, for the other end to name it.
    emission_probability:
        That an attempt sends a photon into the arm, frequency conversion included.
    gate_ps, tick_ps:
        What an attempt needs locally, and the grid that attempts are on.
    ready:
        Whether this end is enabled and its clock is good; the instrument says so.
    look_again:
        Called when the other end did something that changes `due_ps`.
    window_ps:
        In which a click counts; the midpoint takes the shorter of both ends'.
    """

    arm: Arm
    node: str
    emission_probability: float = 1.0
    gate_ps: int = 0
    tick_ps: int = 1
    ready: bool = False
    window_ps: int = 0
    look_again: Callable[[], None] | None = None
    midpoint: Midpoint | None = None
    burst: Burst | None = None
    _delay_ps: int | None = None
    _free_slot: int = 0

    @property
    def peer(self) -> LinkEnd | None:
        """The other end."""
        ends = self.midpoint.ends if self.midpoint is not None else []
        return next((end for end in ends if end is not self), None)

    @property
    def period_ps(self) -> int:
        """How far attempts are apart: until the other end's word is back, and what both need, on the grid."""
        ends = [self, self.peer] if self.peer is not None else [self]
        tick_ps = max(end.tick_ps for end in ends)
        needed_ps = 2 * max(end.delay_ps for end in ends) + max(end.gate_ps for end in ends)
        return max(-(-needed_ps // tick_ps), 1) * tick_ps

    @property
    def delay_ps(self) -> int:
        """How long light needs to the midpoint; the way's length does not change."""
        if self._delay_ps is None:
            self._delay_ps = max((outcome.delay_ps for outcome in self.arm.outcomes(0, Path())), default=None)
        return self._delay_ps or 0

    def transmission(self, t_ps: int) -> float:
        """Return the probability that an emitted photon arrives, without the midpoint's detectors."""
        return sum(float(np.trace(outcome.effect).real) / 2.0 for outcome in self.arm.outcomes(t_ps, Path()))

    def emits_ps(self, slot: int) -> int:
        """Return when the photon of a slot leaves: the nearer end waits, so that both arrive together."""
        longest = max([self.delay_ps, self.peer.delay_ps] if self.peer is not None else [self.delay_ps])
        return slot * self.period_ps + longest - self.delay_ps

    def hears_ps(self, slot: int) -> int:
        """Return when the midpoint's word on a slot is here."""
        return self.emits_ps(slot) + 2 * self.delay_ps + self.gate_ps

    def begin(self, qubit: int, t_ps: int, most: int) -> None:
        """Try from the next slot on, at most so many times; raises `WorldError` while a burst is under way."""
        if self.burst is not None:
            msg = "a burst of attempts is under way at this end already"
            raise WorldError(msg)
        first = max(-(-t_ps // self.period_ps), self._free_slot)
        self.burst = Burst(qubit, first, first + most - 1)
        if self.midpoint is not None:
            self.midpoint.begun(self)

    def end(self, t_ps: int) -> None:
        """Stop trying; what was emitted before may still be heralded at the other end."""
        if self.midpoint is not None:
            self.midpoint.advance(t_ps)
            if self.burst is not None and self.burst.result is None:
                waits_ps = self.emits_ps(0)
                self.burst.last = min(self.burst.last, (t_ps - 1 - waits_ps) // self.period_ps)
                self.midpoint.advance(self.hears_ps(self.burst.last + 1))
        if self.burst is not None:
            self._release(self.burst)

    def attempts(self, t_ps: int) -> int:
        """Return how many attempts of this burst were made before `t_ps`."""
        if self.burst is None:
            return 0
        begun = (t_ps - 1 - self.emits_ps(0)) // self.period_ps + 1
        return min(max(begun, self.burst.first), self.burst.last + 1) - self.burst.first

    def poll(self, t_ps: int) -> Result | None:
        """Return how the burst ended, once it is known here; then there is no burst any more."""
        if self.burst is None:
            return None
        if self.midpoint is not None:
            self.midpoint.advance(t_ps)
        result = self.burst.result
        if result is None and t_ps >= self.hears_ps(self.burst.last):
            count = self.burst.last - self.burst.first + 1
            result = Result(self.hears_ps(self.burst.last), self.emits_ps(self.burst.last), count)
        if result is None or result.t_ps > t_ps:
            return None
        self._release(self.burst)
        return result

    def _release(self, burst: Burst) -> None:
        made = burst.result.attempts if burst.result is not None else burst.last - burst.first + 1
        self._free_slot = burst.first + made
        self.burst = None

    def due_ps(self, t_ps: int) -> int | None:
        """Return when `poll` wants to be asked again; after a change of settings the answer may come a cell later."""
        if self.burst is None:
            return None
        if self.burst.result is not None:
            return self.burst.result.t_ps
        due = self.hears_ps(self.burst.last)
        found = self.midpoint.look_ahead(t_ps) if self.midpoint is not None and self.peer is not None else None
        return min(due, self.hears_ps(found)) if found is not None else due


@dataclass(slots=True, eq=False)
class Midpoint:
    """The station in the middle: a beam splitter and two detectors.

    Parameters
    ----------
    seed, number:
        What makes its randomness its own.
    register:
        The memories.
    efficiency, dark_rate_hz:
        Of each detector.
    visibility:
        Of the Hong-Ou-Mandel interference of the two ends' photons.
    ends:
        At most two.
    """

    seed: int
    number: int
    register: QubitRegister
    efficiency: float = 1.0
    dark_rate_hz: float = 0.0
    visibility: float = 1.0
    ends: list[LinkEnd] = field(default_factory=list)
    _searched: int = -1
    _pairs: int = 0
    _chances: _Chances | None = None

    def join(self, end: LinkEnd) -> None:
        """Add an end; raises `WorldError` for a third one."""
        if len(self.ends) == 2:
            msg = "a midpoint has two ends"
            raise WorldError(msg)
        self.ends.append(end)
        end.midpoint = self

    def probabilities(self, t_ps: int) -> tuple[float, float]:
        """Return the chances of a genuine and of a false herald in a slot at `t_ps` in which both ends try.

        A herald is a click in the early and one in the late bin.  False ones: one photon and a dark count of either
        detector in the other bin, or dark counts in both bins.
        """
        arrive = [end.emission_probability * end.transmission(t_ps) * self.efficiency for end in self.ends]
        dark = -np.expm1(-self.dark_rate_hz * min(end.window_ps for end in self.ends) * 1e-12)
        a, b = arrive
        genuine = a * b / 2.0
        single = a * (1.0 - b) + b * (1.0 - a)
        return genuine, float(single * 2.0 * dark + (1.0 - a) * (1.0 - b) * (2.0 * dark) ** 2)

    def begun(self, end: LinkEnd) -> None:
        """Take notice of a new burst: slots before it are over, and the other end has something to wait for."""
        bursts = [each.burst for each in self.ends if each.burst is not None]
        if len(bursts) == 2:
            self._searched = max(self._searched, max(burst.first for burst in bursts) - 1)
            if end.peer is not None and end.peer.look_again is not None:
                end.peer.look_again()

    def advance(self, t_ps: int) -> None:
        """Herald what happened here before `t_ps`."""
        found = self._search(self._last_heard(t_ps))
        if found is None:
            return
        slot, word = found
        a, b = self.ends
        genuine = self._segment(slot * a.period_ps).genuine
        bell = PSI_PLUS if word % 2 == 0 else PSI_MINUS
        rho = bell_mixture(bell, (1.0 - self.visibility) / 2.0) if _fraction(word) < genuine else np.eye(4) / 4.0
        self._pairs = self._pairs % 0xFFFFFFFF + 1
        first, second = (end.burst.qubit for end in self.ends if end.burst is not None)
        self.register.entangle(first, second, rho.astype(np.complex128), a.emits_ps(slot), b.emits_ps(slot))
        for end in self.ends:
            if end.burst is not None:
                count = slot - end.burst.first + 1
                end.burst.result = Result(end.hears_ps(slot), end.emits_ps(slot), count, bell, self._pairs)

    def look_ahead(self, t_ps: int) -> int | None:
        """Return the next slot to hear of: one that will herald as things stand, or the last of the coming cell."""
        until = (t_ps + CELL_PS) // self.ends[0].period_ps + 1
        searched = self._searched
        found = self._search(until)
        self._searched = searched  # settings may change before it is the past
        return found[0] if found is not None else until if self._both() else None

    def _both(self) -> bool:
        return len(self.ends) == 2 and all(end.burst is not None and end.burst.result is None for end in self.ends)

    def _last_heard(self, t_ps: int) -> int:
        """Return the last slot whose photons have arrived here before `t_ps`."""
        longest = max((end.delay_ps for end in self.ends), default=0)
        return (t_ps - longest) // self.ends[0].period_ps if self.ends else -1

    def _search(self, last: int) -> tuple[int, int] | None:
        """Return the first slot up to `last` that heralds, with its random word."""
        if not self._both():
            return None
        last = min(last, *(end.burst.last for end in self.ends if end.burst is not None))
        period_ps, key = self.ends[0].period_ps, hash_key(self.seed, self.number)
        while self._searched < last:
            first = self._searched + 1
            now = self._segment(first * period_ps)
            stop = min(-(-now.until_ps // period_ps) - 1, last)
            words = mix(np.arange(first, stop + 1, dtype=np.int64), key)
            hits = np.flatnonzero((words >> np.uint64(11)).astype(np.float64) / 2.0**53 < now.genuine + now.false)
            if hits.size:
                self._searched = first + int(hits[0])
                return self._searched, int(words[hits[0]])
            self._searched = stop
        return None

    def _segment(self, t_ps: int) -> _Chances:
        """Return the chances around a time; the ways are looked at at cells, and where a knob was turned."""
        knobs = [knob for end in self.ends for knob in end.arm.knobs()]
        state = (sum(knob.settings_before(FOREVER) for knob in knobs), *(end.window_ps for end in self.ends))
        known = self._chances
        if known is not None and known.state == state and known.since_ps <= t_ps < known.until_ps:
            return known
        begin = t_ps // CELL_PS * CELL_PS
        edges = {begin, begin + CELL_PS}
        for knob in knobs:
            edges.update(knob.breaks(begin, begin + CELL_PS))
        since_ps, until_ps = max(e for e in edges if e <= t_ps), min(e for e in edges if e > t_ps)
        self._chances = _Chances(since_ps, until_ps, *self.probabilities(since_ps), state)
        return self._chances


def _fraction(word: int) -> float:
    return (word >> 11) / 2.0**53
