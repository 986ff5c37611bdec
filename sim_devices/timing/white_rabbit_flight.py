"""How a White Rabbit clock that ran free is caught again, and what the world sees of it meanwhile."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qlab.clock import PS_PER_S

if TYPE_CHECKING:
    from sim_devices.timing.white_rabbit_fibre import Fibre

__all__ = ["COURSE", "NEVER", "STATE_NUMBERS", "TRACKS_S", "TURNED_S", "Flight", "Phase"]


STATE_NUMBERS = {"Uninitialized": 0, "SYNC_NSEC": 1, "SYNC_SEC": 2, "SYNC_PHASE": 3, "TRACK_PHASE": 4,
                 "WAIT_OFFSET_STABLE": 5, "UNKNOWN": 99}  # fmt: skip
"""[V2] Names and numbers of the servo's states."""
COURSE = (("SYNC_SEC", 2), ("SYNC_NSEC", 2), ("SYNC_PHASE", 4), ("WAIT_OFFSET_STABLE", 3))
"""[INF] The way to TRACK_PHASE, and how many seconds each state lasts."""
COARSE_S, TURNED_S, TRACKS_S = 4, 8, 11


PERIOD_PS = 8000.0  # of the 125 MHz reference
CORRECTED_S = 3.0  # [INF] time constant with which a step of the master is followed
NEVER = 2**62


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
