"""A polarisation controller whose effect on the light is learnt by trying, as a piece of plans."""

import bluesky.plan_stubs as bps
import numpy as np

__all__ = ["Steering"]

GOOD = 0.12
"""How evenly controls have to turn about all axes where they begin; three paddles reach 0.3 at most."""
CLEAR_RAD = 0.25
"""What a step has to turn to be told from noise; more would bend the straight line that the response is."""
MOST_DOUBT = 2.0
"""Of the response, before it is learnt anew, which costs some twenty probes; the filter holds on longer than it knows."""
KNOWN = 0.4
"""Doubt that learning has to leave behind."""
LOST_RAD = 0.7


class Steering:
    """Controls, what they do to the light, and the turn that is left to them.

    Parameters
    ----------
    controller : PolarisationController
        The instrument.
    start, step, approach :
        As `track_polarisation` has them.

    Attributes
    ----------
    values : list of float
        Where the controls were sent to.
    """

    def __init__(self, controller, start, step, approach):
        from qlab.errors import PlanError

        self._controller = controller
        self._limits = np.array([signal.limits for signal in controller.controls], dtype=np.float64)
        span = self._limits[:, 1] - self._limits[:, 0]
        if start is not None and len(start) != span.size:
            msg = f"track_polarisation: start has {len(start)} values; {controller.name} has {span.size} controls"
            raise PlanError(msg)
        self._home = start
        self._find_step = step is None
        self._step = span / 100.0 if step is None else np.full(span.size, float(step))
        self._approach = 0.03 * span if approach is None else np.full(span.size, float(approach))
        self.values: list[float] = []

    def starts(self):
        """Yield where the controls may begin: as wished or where they stand, then evenly strewn over their range.

        Three paddles that stand alike turn about two axes only: of quarter, half and quarter wave at a, b and c it is the
        sine of 4 b - 2 a - 2 c that counts.
        """
        wished = self._home or [float(signal.get()) for signal in self._controller.controls]
        low, high = self._reach
        yield np.clip(wished, low, high)
        count = low.size
        golden = 1.5
        for _ in range(60):  # x^(n + 1) = x + 1: the golden ratio in n dimensions spreads points evenly
            golden = (1.0 + golden) ** (1.0 / (count + 1.0))
        for k in range(1, 8):
            share = (0.5 + k * golden ** -np.arange(1.0, count + 1.0)) % 1.0
            yield low + (high - low) * (0.1 + 0.8 * share)

    def begin(self, place):
        """Go to where the controls begin."""
        self._home = [float(value) for value in place]
        yield from self.go(self._home)

    def go(self, values):
        """Send all controls to their values, from below because of their play."""
        below = (np.array(values) - self._approach).tolist()
        for target in (below, list(values)) if self._approach.any() else (list(values),):
            yield from bps.abs_set(self._controller, target, wait=True)
        self.values = [float(value) for value in values]

    def learn(self, turn_now, walk_rad_per_sqrt_s):
        """Measure the response here; returns a `TurnTracker` that knows it, or None where it is not good for steering.

        One control after the other goes to both sides, so that the drift meanwhile counts least; where the step is not given,
        it is doubled until it tells.

        Parameters
        ----------
        turn_now : plan
            Measures the turn in rad about x, y, z, and its variance.
        walk_rad_per_sqrt_s : float
            Of the tracker.
        """
        from qlab.analysis.turn_tracking import TurnTracker, steerable

        here = list(self.values)
        low, high = self._reach
        response, variance = np.zeros((3, low.size)), np.zeros((3, low.size))
        before, _ = yield from turn_now()
        for n in range(low.size):
            step, widest = self._step[n], 0.15 * (high[n] - low[n])
            while True:
                place, turn, noise = yield from self._try(here, n, step, turn_now)
                if not self._find_step or 2.0 * step > widest or np.linalg.norm(turn - before) > CLEAR_RAD:
                    break
                step = self._step[n] = 2.0 * step
            other, turned, more = yield from self._try(here, n, -step, turn_now)
            response[:, n] = (turn - turned) / (place - other)
            variance[:, n] = (noise + more) / (place - other) ** 2
        yield from self.go(here)
        tracker = TurnTracker(walk_rad_per_sqrt_s, response, variance)
        return tracker if steerable(response) > GOOD and tracker.doubt < KNOWN else None

    def undo(self, tracker):
        """Move so that the tracked turn vanishes; returns the turn made, or None if nothing was moved.

        That is where the controls have gone so far that they turn about other axes than was learnt, or are at an end.
        """
        from qlab.analysis.turn_tracking import LEAST_STEERABLE, control_step, steerable

        if tracker.doubt > MOST_DOUBT or steerable(tracker.response) < LEAST_STEERABLE:
            return None
        if np.linalg.norm(tracker.turn) > LOST_RAD:
            return None
        here = np.array(self.values)
        wanted = here + control_step(tracker.response, tracker.turn, here - np.array(self._home))
        low, high = self._reach
        if (wanted < low).any() or (wanted > high).any():
            wanted = here + control_step(tracker.response, tracker.turn)
        if (wanted < low).any() or (wanted > high).any():
            return None
        yield from self.go(wanted)
        return tracker.moved_by(wanted - here)

    @property
    def _reach(self):
        """The lowest and highest values that can be come to from below."""
        return self._limits[:, 0] + self._approach, self._limits[:, 1]

    def _try(self, here, number, step, turn_now):
        """Move one control away from here; returns its place, the turn there and its variance."""
        low, high = self._reach
        places = list(here)
        places[number] = float(np.clip(places[number] + step, low[number], high[number]))
        yield from self.go(places)
        turn, noise = yield from turn_now()
        return places[number], turn, noise
