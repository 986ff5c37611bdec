"""Time by fibre: how a White Rabbit slave's clock stands against its master's, whoever looks and however often.

While it tracks, its error is some picoseconds of noise and what nobody measures: an asymmetry of fibre and transceivers that
changes with temperature.  Without link, lock or servo it runs free, x(t) = x0 + y t, until its PLL has locked and the servo
has gone through its states; a coarse step removes whole 8 ns periods, then the phase is turned.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from qlab.clock import PS_PER_S
from qlab.errors import TwinError
from qlab.physics.knob import Step

if TYPE_CHECKING:
    from qlab.twin.bench import Bench

__all__ = ["FIXED_DELAYS", "Fibre", "FibreParameters", "Servo"]

STATE_NUMBERS = {"Uninitialized": 0, "SYNC_NSEC": 1, "SYNC_SEC": 2, "SYNC_PHASE": 3, "TRACK_PHASE": 4,
                 "WAIT_OFFSET_STABLE": 5}  # fmt: skip
"""[V2] Names and numbers of the servo's states."""
COURSE = (("SYNC_SEC", 2), ("SYNC_NSEC", 2), ("SYNC_PHASE", 4), ("WAIT_OFFSET_STABLE", 3))
"""[INF] The way to TRACK_PHASE, and how many seconds each state lasts."""
COARSE_S, TURNED_S, TRACKS_S = 4, 8, 11
PLL_LOCKS_S = 5  # [INF] from link to lock
PERIOD_PS = 8000.0  # of the 125 MHz reference
CORRECTED_S = 3.0  # [INF] time constant with which a step of the master is followed
NEVER = 2**62
FIXED_DELAYS = (225_000, 226_000, 225_000, 226_000)  # [INF] dtxm, drxm, dtxs, drxs in ps, as in the sheet's example
GROUP_DELAY_PS_PER_M = 4898.0  # 1.4682 / c, silica at 1310 nm
PS_PER_KM_K = 37.0  # one way; thermal coefficient of standard fibre
DAY_S = 86400.0
OFFSET_LIMIT_PS = 500  # [INF] beyond which an update counts as bad
SETTLED_S = 60  # after which nothing is left of a step, 20 time constants
UNLOCKING = ("link_down", "lock_lost")
FAULTS = (*UNLOCKING, "servo_frozen", "track_lost", "offset_step")


class FibreParameters(BaseModel):
    """The `twin:` section of node and switch alike: the fibre to the master and the clock at this end."""

    model_config = ConfigDict(extra="forbid")

    length_m: float = Field(5000.0, ge=0, le=200_000, description="of the fibre to the master")
    swing_k: float = Field(0.0, ge=0, description="half of the fibre's daily change of temperature")
    asymmetry_ps: float = Field(7000.0, description="of the round trip, known by calibration")
    hidden_ps_per_k: float = Field(1.0, description="[INF] time error by asymmetry per kelvin of the fibre")
    noise_ps: float = Field(3.0, ge=0, description="[INF] of the clock offset from update to update")
    holdover_1e12: float = Field(1000.0, description="[INF] frequency error without master, in units of 1e-12")
    step_ps: float = Field(2000.0, description="of the fault offset_step")
    begins_tracking: bool = True


@dataclass(frozen=True, slots=True)
class Fibre:
    """Round trip and asymmetry over the day."""

    p: FibreParameters

    def warmth_k(self, t_ps: int) -> float:
        """Return how much warmer than on average it is."""
        return self.p.swing_k * math.sin(2.0 * math.pi * t_ps / (DAY_S * PS_PER_S))

    def cable_ps(self, t_ps: int) -> int:
        """Return the round trip in the cable."""
        one_way = self.p.length_m * (GROUP_DELAY_PS_PER_M + PS_PER_KM_K * 1e-3 * self.warmth_k(t_ps))
        return round(2.0 * one_way)

    def hidden_ps(self, t_ps: int) -> float:
        """Return the time error that no servo sees."""
        return self.p.hidden_ps_per_k * self.warmth_k(t_ps)


@dataclass(frozen=True, slots=True)
class Flight:
    """Running free from `begin_ps` on, caught by the PLL at `caught_ps`; a master's step is followed exponentially."""

    begin_ps: int
    error_ps: float
    frequency: float
    caught_ps: int
    step_ps: float = 0.0

    def drift_ps(self, t_ps: int) -> float:
        """Return what the frequency error has added up to."""
        return self.frequency * (min(t_ps, self.caught_ps) - self.begin_ps)

    def since_s(self, t_ps: int) -> float:
        """Return seconds since it was caught, negative before."""
        return (t_ps - self.caught_ps) / PS_PER_S

    def visible_ps(self, t_ps: int) -> float:
        """Return the error that a servo can see."""
        error, since_s = self.error_ps + self.drift_ps(t_ps), self.since_s(t_ps)
        if since_s >= COARSE_S:
            left = max(0.0, 1.0 - (since_s - COARSE_S) / (TURNED_S - COARSE_S))
            error = math.remainder(error, PERIOD_PS) * left
        if self.step_ps:
            error += self.step_ps * math.exp(-(t_ps - self.begin_ps) / (CORRECTED_S * PS_PER_S))
        return error

    def state(self, t_ps: int) -> str:
        """Return the servo's state."""
        since_s = self.since_s(t_ps)
        if since_s < 0:
            return "Uninitialized"
        for name, seconds in COURSE:
            if since_s < seconds:
                return name
            since_s -= seconds
        return "TRACK_PHASE"


@dataclass(frozen=True, slots=True)
class Phase:
    """The world's knob `phase_ps`: the time error without that of the knob `frequency`."""

    flight: Flight
    fibre: Fibre
    drifted_ps: float
    end_ps: int = NEVER
    step_ps: int = 2**40

    def value(self, t_ps: int) -> float:
        """Return the value at `t_ps`."""
        seen = self.flight.visible_ps(t_ps) - self.flight.drift_ps(t_ps) - self.drifted_ps
        return seen + self.fibre.hidden_ps(t_ps)


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
