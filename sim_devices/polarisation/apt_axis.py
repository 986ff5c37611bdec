"""One motor behind an APT controller: where it stands in counts, where it goes, and how its stage follows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qlab.clock import PS_PER_S
from qlab.physics.knob import Ramp

if TYPE_CHECKING:
    from qlab.clock import Clock
    from qlab.physics.knob import Knob

__all__ = ["COUNTER_RANGE", "Axis", "Scale"]

COUNTER_RANGE = 1 << 32
"""[V2] The counter has 32 bits with a sign: a K10CR1's wraps after 43 turns either way."""
FASTEST_HOME = 5.0
"""[V2] Degrees a second (a K10CR1's), or millimetres, at which the zero is looked for."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Counts per degree (or millimetre), of position, velocity and acceleration; fastest, and in search of the zero."""

    position: float
    velocity: float
    acceleration: float
    fastest: float
    steepest: float
    homing: float = FASTEST_HOME


class Axis:
    """A motor, its counter and its stage.

    Parameters
    ----------
    knob:
        Where the stage truly stands, in degrees.
    scale:
        Counts per degree.
    lost:
        Degrees by which the counter is off before the first homing: it is 0 at power-up wherever the stage stands.
    play:
        Degrees that the stage lags behind after a turn backwards (backlash).
    travel:
        Of a stage with ends, from 0: it stops there.
    """

    def __init__(
        self, clock: Clock, knob: Knob, scale: Scale, lost: float, play: float, travel: float | None = None
    ) -> None:
        self.clock = clock
        self.knob = knob
        self.scale = scale
        self.play = play
        self.travel = travel
        self.speed = scale.fastest
        self.steepness = scale.steepest
        self.home_speed, self.home_offset = min(scale.homing, scale.fastest), 0
        self.correction = self.delivered = 0  # counts of the controller's own backlash correction, now and as delivered
        self.jogging = False
        self.against = 0
        """1 or -1 where it was told to go beyond an end of its travel."""
        self.enabled = True
        self.stalled = self.stuck = False
        self._seeking = self._found = False
        self.end_ps = 0
        self._true = lost
        self._way = Ramp(0, 0.0, 1, 0.0)  # of the counter
        self._zero = lost  # where the stage is when the counter shows 0
        self._direction = 0
        knob.set(lost, clock.now_ps())

    @property
    def moving(self) -> bool:
        """Whether it is on its way."""
        return self.clock.now_ps() < self.end_ps

    @property
    def homing(self) -> bool:
        """Whether it is looking for its zero."""
        return self._seeking and self.moving

    @property
    def homed(self) -> bool:
        """Whether it has found its zero."""
        if self._seeking and not self.moving:
            self._seeking, self._found = False, True
        return self._found

    @property
    def direction(self) -> int:
        """1 forward, -1 backward, as long as it moves."""
        return self._direction if self.moving else 0

    @property
    def pace(self) -> int:
        """Counts of position a second, at least 1 while it moves."""
        return max(round(self.speed * self.scale.position), 1) if self.moving else 0

    def counts(self) -> int:
        """Return the counter, which wraps."""
        here = round(self._way.value(self.clock.now_ps()))
        return (here + COUNTER_RANGE // 2) % COUNTER_RANGE - COUNTER_RANGE // 2

    def lose_power(self) -> None:
        """Forget everything but where the stage stands."""
        self._true = self.knob.value(self.clock.now_ps())
        self._zero, self._way = self._true, Ramp(0, 0.0, 1, 0.0)
        self.end_ps, self.enabled, self.jogging, self.against = 0, True, False, 0
        self.speed, self.steepness, self.correction = self.scale.fastest, self.scale.steepest, self.delivered
        self.home_speed, self.home_offset = min(self.scale.homing, self.scale.fastest), 0
        self.stalled = self._seeking = self._found = False
        self.knob.set(self._true, self.clock.now_ps())

    def set_counts(self, counts: int) -> None:
        """Say what the counter shows here."""
        self._zero += (round(self._way.value(self.clock.now_ps())) - counts) / self.scale.position
        self._way = Ramp(0, float(counts), 1, float(counts))

    def go(self, target: int, error: float = 0.0) -> None:
        """Move the counter to `target`; the stage follows with its play and stops `error` degrees away."""
        here, now = self.counts(), self.clock.now_ps()
        if here != (wound := round(self._way.value(now))):  # it has wrapped since the last move
            self._zero += (wound - here) / self.scale.position
            self._way = Ramp(0, float(here), 1, float(here))
        self._leave_home()
        if self.stuck:
            self.stalled, self.end_ps = True, 0
            return
        self.stalled = self.jogging = False
        self.against = 0
        if self.travel is not None:
            wanted = self._zero + target / self.scale.position
            there = min(max(wanted, 0.0), self.travel)
            beyond = round((wanted - there) * self.scale.position)
            self.against = (beyond > 0) - (beyond < 0)
            target = round((there - self._zero) * self.scale.position)
        way = (target - here) / self.scale.position
        self._direction = 1 if way > 0 else -1
        seconds = abs(way) / self.speed + self.speed / self.steepness
        backwards = way < 0 and abs(self.correction) / self.scale.position < self.play
        true = self._zero + target / self.scale.position + (self.play if backwards else 0.0) + error
        self._start(now, seconds, target, true)

    def home(self) -> None:
        """Look for the zero at the limit switch."""
        if self.stuck:
            self.stalled, self.end_ps = True, 0
            return
        self.stalled = self.jogging = False
        self.against = 0
        now, here = self.clock.now_ps(), self.knob.value(self.clock.now_ps())
        self._direction = -1
        speed = min(max(self.home_speed, 0.01), self.scale.homing, self.scale.fastest)
        offset = self.home_offset / self.scale.position
        seconds = (abs(here) + abs(offset)) / speed + 2.0 * speed / self.steepness
        self._zero = 0.0
        self._start(now, seconds, self.home_offset, offset)
        self._seeking, self._found = True, False

    def halt(self) -> None:
        """Stop where it is."""
        now = self.clock.now_ps()
        counts = round(self._way.value(now))
        self._way = Ramp(0, float(counts), 1, float(counts))
        self.knob.set(self.knob.value(now), now)
        self._leave_home()
        self.end_ps = now

    def _leave_home(self) -> None:
        """Give up looking for the zero, unless it has been found."""
        self._found, self._seeking = self.homed, False

    def _start(self, now: int, seconds: float, counts: int, true: float) -> None:
        begin = float(self.counts())
        self.end_ps = now + max(round(seconds * PS_PER_S), 1)
        self._way = Ramp(now, begin, self.end_ps, float(counts))
        self.knob.set(Ramp(now, self.knob.value(now), self.end_ps, true), now)
