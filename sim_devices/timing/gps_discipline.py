"""A GPS-disciplined oscillator: how it comes to be locked, and what it does without satellites.

Locked, the interval to GPS that it measures is white noise of some nanoseconds; in hold-over its frequency stays where it
was, with an error and an ageing of its own: x(t) = y t + a t^2 / 2.  When GPS is back, its phase is pulled to zero again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qlab.clock import PS_PER_S
from qlab.physics.knob import Ramp, Relaxation

if TYPE_CHECKING:
    from qlab.twin.bench import Bench

__all__ = ["Discipline", "Stages"]

FREE_S = 30 * 86400.0
"""A hold-over is followed for so long; then its frequency stands."""
EFC_CENTRE_V, EFC_PER_V = 2.5, 1e-9  # [INF] control voltage, and the frequency that a volt of it turns
PULLED_S = 30.0  # [INF] time constant with which the phase comes back to GPS


@dataclass(frozen=True, slots=True)
class Stages:
    """Seconds of warming up, searching for satellites, stabilising and validating the time."""

    warm_s: float
    search_s: float
    stabilise_s: float
    validate_s: float

    def names(self) -> list[tuple[str, float]]:
        """Return state words and how long they last, in order."""
        return [("POW", self.warm_s), ("SEAR", self.search_s), ("STAB", self.stabilise_s), ("VTIM", self.validate_s)]


class Discipline:
    """The state of a GPS-disciplined oscillator over lab time.

    Parameters
    ----------
    name, bench:
        Of the twin; the knobs `frequency` and `phase_ps` are its error.
    stages:
        On the way to lock.
    noise_ns, holdover_1e12, ageing_1e12_per_day:
        Of the time interval to GPS; of the frequency in hold-over.
    """

    def __init__(
        self,
        name: str,
        bench: Bench,
        stages: Stages,
        *,
        noise_ns: float,
        holdover_1e12: float,
        ageing_1e12_per_day: float,
        locked: bool,
    ) -> None:
        self._name = name
        self._bench = bench
        self._stages = stages
        self._noise_s = noise_ns * 1e-9
        self._holdover = holdover_1e12 * 1e-12
        self._ageing_per_s = ageing_1e12_per_day * 1e-12 / 86400.0
        self._frequency = bench.knob(name, "frequency")
        self._phase = bench.knob(name, "phase_ps")
        self._drifted_s = self._delay_s = 0.0
        self.antenna, self.absent, self.unlocked = True, "NGPS", False
        self._manual = False
        self._began_ps = bench.clock.now_ps() - (round(self._until_lock_s() * PS_PER_S) if locked else 0)
        self._lost_ps: int | None = None
        self.events: list[tuple[str, int]] = [("LOCK", bench.clock.now_ps())] if locked else []
        self._noted = self.state()

    @property
    def now_ps(self) -> int:
        """Lab time."""
        return self._bench.clock.now_ps()

    def state(self) -> str:
        """Return the state word."""
        since_s = (self.now_ps - self._began_ps) / PS_PER_S
        for word, seconds in self._stages.names():
            if since_s < seconds:
                return word if word == "POW" or self.antenna else "SEAR"
            since_s -= seconds
        if self._manual:
            return "MAN"
        if self.unlocked:
            return "UNL"
        return "LOCK" if self.antenna else self.absent

    def seconds_in(self, word: str) -> int:
        """Return how long it has been warming up ("POW"), locked ("LOCK") or in hold-over ("NGPS")."""
        now = self.now_ps
        if word == "POW":
            return int(min((now - self._began_ps) / PS_PER_S, self._stages.warm_s))
        if word == "NGPS":
            return (now - self._lost_ps) // PS_PER_S if self._lost_ps is not None else 0
        since_s = (now - self._began_ps) / PS_PER_S - self._until_lock_s()
        return int(max(since_s, 0.0)) if self.state() == "LOCK" else 0

    def note(self) -> None:
        """Put a change of state on the list of events."""
        state = self.state()
        if state != self._noted:
            self._noted = state
            self.events.append((state, self.now_ps))

    def power_up(self) -> None:
        """Begin from the beginning."""
        self._end_holdover()
        self._manual = False
        self._began_ps, self._lost_ps = self.now_ps, None
        self.note()

    def switch_antenna(self, *, on: bool, word: str = "NGPS") -> None:
        """Unplug the antenna or plug it in again; then the time has to be found anew.  The word says what is missing."""
        self.note()
        self.absent = word
        now = self.now_ps
        was_locked = self.state() == "LOCK"
        self.antenna = on
        if not on and was_locked:
            self._begin_holdover(now)
        elif on and self._lost_ps is not None and not self._manual:
            self._return(now)
        self.note()

    def switch_lock(self, *, on: bool) -> None:
        """Switch the discipline off, so that it holds over by hand, or on again."""
        self.note()
        now = self.now_ps
        if not on and self.state() == "LOCK":
            self._manual = True
            self._begin_holdover(now)
        elif on and self._manual:
            self._manual = False
            if self.antenna:
                self._return(now)
        self.note()

    def control_v(self) -> float:
        """Return the voltage that holds the oscillator's frequency against its ageing; in hold-over it stands."""
        until_ps = self.now_ps if self._lost_ps is None else self._lost_ps
        return EFC_CENTRE_V - self._ageing_per_s * until_ps / PS_PER_S / EFC_PER_V

    def delay_output(self, seconds: float) -> None:
        """Let the 1 pps come later at once: whoever reads the time from it is behind by that."""
        now = self.now_ps
        here_ps = self._phase.value(now) + (self._delay_s - seconds) * PS_PER_S
        self._delay_s = seconds
        self._turn(now, here_ps)

    def interval_s(self) -> float:
        """Return GPS minus internal 1 pps: noise while locked, the drift of the oscillator without satellites."""
        second = self.now_ps // PS_PER_S
        noise_s = self._noise_s * float(self._bench.rng(self._name, second).standard_normal())
        turned_s = self._phase.value(self.now_ps) / PS_PER_S + self._delay_s
        return noise_s - (self._drifted_s + self._held_over_s() + turned_s)

    def _held_over_s(self) -> float:
        """Return what this hold-over has added to the time error."""
        if self._lost_ps is None:
            return 0.0
        t_s = (self.now_ps - self._lost_ps) / PS_PER_S
        return self._holdover * t_s + self._ageing_per_s * t_s * t_s / 2.0

    def _begin_holdover(self, now: int) -> None:
        """Let the oscillator go."""
        self._lost_ps = now
        end = now + round(FREE_S * PS_PER_S)
        last = self._holdover + self._ageing_per_s * FREE_S
        self._frequency.set(Ramp(now, self._holdover, end, last), now)

    def _return(self, now: int) -> None:
        """Find the satellites' time again."""
        self._end_holdover()
        self._lost_ps = None
        self._began_ps = now - round((self._stages.warm_s + self._stages.search_s) * PS_PER_S)

    def _end_holdover(self) -> None:
        """Find the frequency, and pull the phase back by what has been drifted."""
        now = self.now_ps
        self._drifted_s += self._held_over_s()
        self._frequency.set(0.0, now)
        self._turn(now, self._phase.value(now))

    def _turn(self, now: int, here_ps: float) -> None:
        """Pull the phase from here to where it belongs."""
        there_ps = -(self._drifted_s + self._delay_s) * PS_PER_S
        self._phase.set(Relaxation(now, here_ps, there_ps, round(PULLED_S * PS_PER_S)), now)

    def _until_lock_s(self) -> float:
        return sum(seconds for _, seconds in self._stages.names())
