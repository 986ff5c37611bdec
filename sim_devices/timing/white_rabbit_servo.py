"""Time by fibre: how a White Rabbit slave's clock stands against its master's, whoever looks and however often.

While it tracks, its error is some picoseconds of noise and what nobody measures: an asymmetry of fibre and transceivers that
changes with temperature.  Without link, lock or servo it runs free, x(t) = x0 + y t, until its PLL has locked and the servo
has gone through its states; a coarse step removes whole 8 ns periods, then the phase is turned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qlab.clock import PS_PER_S
from qlab.errors import TwinError
from qlab.physics.knob import Step
from sim_devices.timing.white_rabbit_fibre import Fibre, FibreParameters
from sim_devices.timing.white_rabbit_flight import NEVER, TRACKS_S, TURNED_S, Flight, Phase

if TYPE_CHECKING:
    from qlab.twin.bench import Bench

__all__ = ["FAULTS", "Servo"]

PLL_LOCKS_S = 5  # [INF] from link to lock
OFFSET_LIMIT_PS = 500  # [INF] beyond which an update counts as bad
SETTLED_S = 60  # after which nothing is left of a step, 20 time constants
UNLOCKING = ("link_down", "lock_lost")
FAULTS = (*UNLOCKING, "servo_frozen", "servo_unknown", "track_lost", "offset_step")


class Servo:
    """The slave's clock, its servo and its link.

    Parameters
    ----------
    name, bench:
        Of the twin; the knobs `frequency` and `phase_ps` are its error.
    parameters:
        Of the fibre and the clock.
    """

    def __init__(self, name: str, bench: Bench, parameters: FibreParameters) -> None:
        self._name = name
        self._bench = bench
        self._p = parameters
        self.fibre = Fibre(parameters)
        self._frequency = bench.knob(name, "frequency")
        self._phase = bench.knob(name, "phase_ps")
        self._faults: set[str] = set()
        self.stopped = False
        self._drifted_ps = 0.0
        now = self._now
        ago_s = TRACKS_S + SETTLED_S if parameters.begins_tracking else -PLL_LOCKS_S
        self._locks_ps = now - ago_s * PS_PER_S
        self._flight = Flight(self._locks_ps, 0.0, 0.0, self._locks_ps)
        self._counts, self._counted_s = [0, 0, 0], now // PS_PER_S
        self._offset_ps = self._offset_at(self._counted_s) if parameters.begins_tracking else 0
        self._publish(now)

    @property
    def _now(self) -> int:
        return self._bench.clock.now_ps()

    @property
    def link_up(self) -> bool:
        """Whether there is light from the master."""
        return "link_down" not in self._faults

    @property
    def locked(self) -> bool:
        """Whether the PLL follows the light's clock."""
        return self._now >= self._locks_ps

    @property
    def state(self) -> str:
        """The servo's state."""
        if self.stopped or not self.locked:
            return "Uninitialized"
        if "servo_unknown" in self._faults:
            return "UNKNOWN"
        if "track_lost" in self._faults:
            return "SYNC_PHASE"
        return "TRACK_PHASE" if "servo_frozen" in self._faults else self._flight.state(self._now)

    @property
    def offset_ps(self) -> int:
        """The clock offset of the last update."""
        self.count()
        return self._offset_ps

    @property
    def time_error_ps(self) -> float:
        """How far the clock is from the master's, seen or not."""
        return self._flight.visible_ps(self._now) + self.fibre.hidden_ps(self._now)

    def count(self) -> list[int]:
        """Return the updates so far, those outside TRACK_PHASE, and those with a large offset."""
        now_s = self._now // PS_PER_S
        if not self.link_up or self.stopped or "servo_frozen" in self._faults:
            self._counted_s = now_s
        lost = "track_lost" in self._faults
        quiet_ps = self._flight.caught_ps + (TRACKS_S + SETTLED_S) * PS_PER_S
        while self._counted_s < now_s:
            quiet = (self._counted_s + 1) * PS_PER_S > quiet_ps  # nothing but noise from here on
            seconds = now_s - self._counted_s if quiet else 1
            self._counted_s += seconds
            t_ps = self._counted_s * PS_PER_S
            if t_ps < self._locks_ps:
                continue
            self._offset_ps = self._offset_at(self._counted_s)
            self._counts[0] += seconds
            self._counts[1] += lost or self._flight.state(t_ps) != "TRACK_PHASE"
            self._counts[2] += abs(self._offset_ps) > OFFSET_LIMIT_PS
        return self._counts

    def reset(self) -> None:
        """Begin from power-on."""
        self.count()
        self.stopped = False
        self._counts, self._offset_ps = [0, 0, 0], 0
        self._run_free(lose_lock=True)

    def stop(self, *, stopped: bool) -> None:
        """Stop the servo or start it."""
        if stopped != self.stopped:
            self.count()
            self.stopped = stopped
            self._run_free()

    def fault(self, name: str, *, active: bool) -> None:
        """Let a fault happen or end; each `offset_step` is one step of the master."""
        if name not in FAULTS:
            msg = f"{self._name}: unknown device fault {name!r}; expected one of {', '.join(FAULTS)}"
            raise TwinError(msg)
        self.count()
        if name == "offset_step":
            if active:
                self._step()
        elif active != (name in self._faults):
            (self._faults.add if active else self._faults.discard)(name)
            self._run_free(lose_lock=name in UNLOCKING)

    def _offset_at(self, second: int) -> int:
        noise = self._p.noise_ps * float(self._bench.rng(self._name, second).standard_normal())
        return round(self._flight.visible_ps(second * PS_PER_S) + noise)

    def _step(self) -> None:
        now, flight = self._now, self._flight
        error = flight.visible_ps(now)
        self._drifted_ps += flight.drift_ps(now)
        if flight.since_s(now) >= TURNED_S:
            flight = Flight(now, 0.0, 0.0, flight.caught_ps, error + self._p.step_ps)
        else:
            flight = Flight(now, error + self._p.step_ps, flight.frequency, max(flight.caught_ps, now))
        self._flight = flight
        self._publish(now)

    def _run_free(self, *, lose_lock: bool = False) -> None:
        now = self._now
        error = self._flight.visible_ps(now)
        self._drifted_ps += self._flight.drift_ps(now)
        if lose_lock:
            self._locks_ps = NEVER if self._faults.intersection(UNLOCKING) else now + PLL_LOCKS_S * PS_PER_S
        caught = NEVER if self._faults or self.stopped else max(now, self._locks_ps)
        frequency = 0.0 if self.locked else self._p.holdover_1e12 * 1e-12
        self._flight = Flight(now, error, frequency, caught)
        self._publish(now)

    def _publish(self, now: int) -> None:
        flight = self._flight
        self._frequency.set(Step(flight.frequency, max(flight.caught_ps, now + 1), 0.0), now)
        self._phase.set(Phase(flight, self.fibre, self._drifted_ps), now)
