"""Polarisation that drifts in a fibre, undone while data are taken."""

from typing import Literal

import bluesky.plan_stubs as bps
import numpy as np

from plans.correlations import AXES_XYZ, ZXY, measure_axes
from plans.pairs import PairCounter
from plans.stubs import measure_setting, recording_run, with_source_on

__all__ = ["track_polarisation"]

CALIBRATION = "calibration"
"""Key of coincidences that are not data."""
LEARNT = 0.7
"""Share of a control's turn that its measured response is trusted to foretell."""


def track_polarisation(
    tagger,
    alice,
    bob,
    source=None,
    controller=None,
    compensate: Literal["plates", "controller", "nothing"] = "plates",
    duration_s: float = 600.0,
    data_s: float = 1.0,
    probe_s: float = 0.2,
    drift_rad_per_sqrt_s: float = 0.01,
    start: list[float] | None = None,
    step: float | None = None,
    approach: float | None = None,
    window_ps: int = 2000,
    delays_ps: list[int] | None = None,
    md: dict[str, object] | None = None,
):
    """Align, then take coincidences in Z and X for a long time while short probes between the axes tell the drift.

    Each round has data in ZZ and in XX and one probe, of the turn about x, y and z in rotation: coincidences of different
    axes tell a small turn with its sign, which the error rates do not.  A Kalman filter follows the turn; after each probe
    Bob's analyser (`plates`) or a controller in the fibre is set so that it vanishes.

    Parameters
    ----------
    tagger : TimeTagger
        Records both parties.
    alice, bob : PolarisationAnalyser
        The analysers; Bob's frame is set.
    source : PhotonSource
        Switched on for the run.
    controller : PolarisationController
        Squeezers or paddles in one of the fibres.
    compensate : str
        By Bob's wave plates, by the controller, or not at all.
    duration_s : float
        Lab seconds of data and probes; alignment comes before.
    data_s, probe_s : float
        Seconds a basis and round, and seconds of a probe and of each setting of the alignment.
    drift_rad_per_sqrt_s : float
        Expected turn about each axis in the root of a second; a wrong guess costs precision, no stability.
    start : list of float
        Where the controls begin; where they are, if it is not given.
    step : float
        By which each control is moved to both sides to learn what it does; a hundredth of its range by default.  It should
        turn the polarisation by a tenth of a radian or more, and far more than the fibre does within some seconds.
    approach : float
        Controls come to their value from so much below, because of their play; 3 % of their range by default.
    window_ps : int
        Full width of the coincidence window.
    delays_ps : list of int
        Delays of Alice's and Bob's transmitted and reflected channel; found from the data where not given.
    md : dict
        Metadata.
    """
    from qlab.analysis.correlation import align_frames, bell_fidelity, correlation_matrix
    from qlab.analysis.qber import error_rate
    from qlab.analysis.turn_tracking import PROBES, TurnTracker, control_step, rotation
    from qlab.errors import PlanError
    from qlab.run.results import Results, publish

    if not min(duration_s, data_s, probe_s, drift_rad_per_sqrt_s) > 0:
        msg = (
            f"track_polarisation: duration_s = {duration_s:g}, data_s = {data_s:g}, probe_s = {probe_s:g}, "
            f"drift_rad_per_sqrt_s = {drift_rad_per_sqrt_s:g}; expected all above 0"
        )
        raise PlanError(msg)
    if compensate == "controller" and controller is None:
        msg = "track_polarisation: compensate = 'controller', but no controller; name one, or compensate=plates"
        raise PlanError(msg)
    steering = _Controls(controller, start, step, approach) if compensate == "controller" else None
    readables = [alice, bob] if steering is None else [alice, bob, controller]
    clock = tagger.clock
    pairs = PairCounter(alice, bob, window_ps, delays_ps, tagger)
    rounds_seen = Results("tracking", {"time_s": "s", "turn_rad": "rad", "made_rad": "rad"})
    tracker = TurnTracker(drift_rad_per_sqrt_s)

    def take(seconds, settings):
        yield from bps.abs_set(tagger.acquisition_s, seconds, wait=True)
        yield from measure_setting([tagger], readables, settings)
        return pairs.add(CALIBRATION, tagger.last_block)[-1][1]

    def probe(axis):
        a, b, _ = PROBES[axis]
        return (yield from take(probe_s, [(alice, AXES_XYZ[a]), (bob, AXES_XYZ[b])]))

    def turn_now(visibility):
        """Measure the whole turn without memory, in rad about x, y, z."""
        fresh = TurnTracker(1.0)
        seen = []
        for axis in range(3):
            seen.append(fresh.see(axis, (yield from probe(axis)), visibility))
        return np.array(seen)

    def turn_frame(vector):
        """Turn Bob's frame so that light turned by a rotation vector looks as if it were not."""
        bare = bob.frame_rotation @ rotation(vector).T[np.ix_(ZXY, ZXY)]
        left, _, right = np.linalg.svd(bare)  # rounding errors would add up
        bob.set_frame(left @ right)

    def align():
        alice.set_frame(np.eye(3))
        bob.set_frame(np.eye(3))
        if steering is not None:
            yield from steering.begin()
        yield from bps.abs_set(tagger.acquisition_s, probe_s, wait=True)
        t, sigma = correlation_matrix((yield from measure_axes(tagger, alice, bob, pairs, readables[2:])))
        turn = align_frames(t)
        bob.set_frame(turn.T[np.ix_(ZXY, ZXY)])
        tracker.variance[:] = float((sigma**2).mean())
        visibility = min(max((4.0 * bell_fidelity(t @ turn.T) - 1.0) / 3.0, 0.2), 1.0)
        if steering is not None:
            yield from steering.learn(turn_now, visibility)
            # What was moved for learning has not quite come back.
            yield from steering.make(control_step(steering.response, (yield from turn_now(visibility))))
        return visibility

    def body():
        visibility = yield from align()
        begun_s = before_s = clock.now_s()
        made = np.zeros(3)
        totals = {"z": np.zeros((2, 2), dtype=np.int64), "x": np.zeros((2, 2), dtype=np.int64)}
        rows: list[dict[str, object]] = []
        while clock.now_s() - begun_s < duration_s:
            row: dict[str, object] = {}
            for basis, axis in (("z", 2), ("x", 0)):
                table = yield from take(data_s, [(alice, AXES_XYZ[axis]), (bob, AXES_XYZ[axis])])
                totals[basis] += table
                rate = error_rate(table, relation="correlated")
                row |= {f"qber_{basis}": rate.value, f"qber_{basis}_sigma": rate.sigma}
            axis = len(rows) % 3
            counted = yield from probe(axis)
            now_s = clock.now_s()
            tracker.wait(now_s - before_s)
            before_s = now_s
            tracker.see(axis, counted, visibility)
            row |= {"time_s": now_s - begun_s, "turn_rad": tracker.turn.copy(), "made_rad": made.copy()}
            rows.append(row)
            yield from publish("tracking", rounds_seen, row, now_s)
            correction = -tracker.turn
            if compensate == "plates":
                turn_frame(tracker.turn)
                tracker.turned_by(correction)
                made = made + correction
            elif steering is not None:
                yield from steering.make(control_step(steering.response, tracker.turn, steering.away))
                tracker.turned_by(correction, LEARNT)
                made = made + correction
        values = {
            "compensated_by": compensate,
            "rounds": len(rows),
            "duration_s": clock.now_s() - begun_s,
            "visibility": visibility,
            "channels": np.array(pairs.channels),
            "delays_ps": np.array(pairs.delays()),
        }
        for basis, table in totals.items():
            rate = error_rate(table, relation="correlated")
            values |= {f"qber_{basis}": rate.value, f"qber_{basis}_sigma": rate.sigma, f"counts_{basis}": table}
        for name in rows[0]:
            values[f"round_{name}"] = np.array([row[name] for row in rows])
        if steering is not None:
            values |= {"response": steering.response, "controls": np.array(steering.values)}
        units = {"duration_s": "s", "delays_ps": "ps", "round_time_s": "s"}
        yield from publish("analysis", "drift", values, clock.now_s(), units)
        return values

    rounds = 9 + int(duration_s / (2.0 * data_s + probe_s) + 1.0) * 3
    if steering is not None:
        rounds += 3 * (2 * len(controller.controls) + 1)
    return (yield from with_source_on(source, recording_run("track_polarisation", [tagger], body, rounds, md)))


class _Controls:
    """A controller whose effect on the light is learnt by trying.

    Parameters
    ----------
    controller : PolarisationController
        The instrument.
    start, step, approach :
        As `track_polarisation` has them.

    Attributes
    ----------
    response : array
        Turn in rad about x, y, z that a unit of each control makes, shape (3, controls).
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
        self._start = start
        self._step = span / 100.0 if step is None else np.full(span.size, float(step))
        self._approach = 0.03 * span if approach is None else np.full(span.size, float(approach))
        self.values: list[float] = []
        self.response = np.zeros((3, span.size))

    @property
    def away(self):
        """How far the controls are from where they began."""
        return np.array(self.values) - np.array(self._start)

    def begin(self):
        """Go to where the controls begin, from below."""
        if self._start is None:
            self._start = [float(signal.get()) for signal in self._controller.controls]
        low = self._limits[:, 0] + self._approach
        self._start = np.clip(self._start, low, self._limits[:, 1]).tolist()
        yield from self._go(self._start)

    def learn(self, turn_now, visibility):
        """Measure the response, one control after the other, to both sides: so the drift meanwhile counts least."""
        home = list(self.values)
        for n, step in enumerate(self._step):
            turns, places = [], []
            for moved in (home[n] + step, home[n] - step):
                places.append(float(np.clip(moved, self._limits[n, 0] + self._approach[n], self._limits[n, 1])))
                yield from self._go([*home[:n], places[-1], *home[n + 1 :]])
                turns.append((yield from turn_now(visibility)))
            self.response[:, n] = (turns[0] - turns[1]) / (places[0] - places[1])
        yield from self._go(home)

    def make(self, change):
        """Move all controls by so much."""
        low = self._limits[:, 0] + self._approach
        yield from self._go(np.clip(np.array(self.values) + change, low, self._limits[:, 1]).tolist())

    def _go(self, values):
        below = (np.array(values) - self._approach).tolist()
        for target in (below, values) if self._approach.any() else (values,):
            yield from bps.abs_set(self._controller, target, wait=True)
        self.values = list(values)
