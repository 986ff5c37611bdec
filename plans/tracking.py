"""Polarisation that drifts in a fibre, undone while data are taken."""

from typing import Literal

import bluesky.plan_stubs as bps
import numpy as np

from plans.correlations import AXES_XYZ, ZXY, measure_axes
from plans.pairs import PairCounter
from plans.steering import Steering
from plans.stubs import measure_setting, recording_run, with_source_on

__all__ = ["track_polarisation"]

CALIBRATION = "calibration"
"""Key of coincidences that are not data."""


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
        Where the controls begin; where they are, if it is not given.  Where they do not turn the light about all axes from
        there, as paddles in a row, others are tried.
    step : float
        By which each control is moved to both sides to learn what it does; by default as far as it takes to see it.  It
        should turn the polarisation by a tenth of a radian or more, and far more than the fibre does within some seconds.
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
    from qlab.analysis.turn_tracking import PROBES, TurnTracker, rotation
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
    steering = Steering(controller, start, step, approach) if compensate == "controller" else None
    readables = [alice, bob] if steering is None else [alice, bob, controller]
    clock = tagger.clock
    pairs = PairCounter(alice, bob, window_ps, delays_ps, tagger)
    rounds_seen = Results("tracking", {"time_s": "s", "turn_rad": "rad", "made_rad": "rad"})

    def take(seconds, settings):
        yield from bps.abs_set(tagger.acquisition_s, seconds, wait=True)
        yield from measure_setting([tagger], readables, settings)
        return pairs.add(CALIBRATION, tagger.last_block)[-1][1]

    def probe(axis):
        a, b, _ = PROBES[axis]
        return (yield from take(probe_s, [(alice, AXES_XYZ[a]), (bob, AXES_XYZ[b])]))

    def turn_now(visibility):
        """Measure the whole turn without memory, in rad about x, y, z, and its variance."""
        fresh = TurnTracker(1.0)
        seen = []
        for axis in range(3):
            seen.append(fresh.see(axis, (yield from probe(axis)), visibility))
        return np.nan_to_num(seen), fresh.variance

    def turn_frame(vector):
        """Turn Bob's frame so that light turned by a rotation vector looks as if it were not."""
        bare = bob.frame_rotation @ rotation(vector).T[np.ix_(ZXY, ZXY)]
        left, _, right = np.linalg.svd(bare)  # rounding errors would add up
        bob.set_frame(left @ right)

    def align():
        """Define Bob's frame; returns the visibility and the variance of the turn that is left."""
        alice.set_frame(np.eye(3))
        bob.set_frame(np.eye(3))
        yield from bps.abs_set(tagger.acquisition_s, probe_s, wait=True)
        t, sigma = correlation_matrix((yield from measure_axes(tagger, alice, bob, pairs, readables[2:])))
        turn = align_frames(t)
        bob.set_frame(turn.T[np.ix_(ZXY, ZXY)])
        visibility = min(max((4.0 * bell_fidelity(t @ turn.T) - 1.0) / 3.0, 0.2), 1.0)
        return visibility, float((sigma**2).mean())

    def learn(steering, visibility):
        """Learn what the controls do where they are; returns a tracker, or None if they cannot steer from there."""
        tracker = yield from steering.learn(lambda: turn_now(visibility), drift_rad_per_sqrt_s)
        if tracker is None:
            return None
        for axis in range(3):  # what was moved for learning has not quite come back
            tracker.see(axis, (yield from probe(axis)), visibility)
        made = yield from steering.undo(tracker)
        return None if made is None else tracker

    def begin():
        """Align and learn what the controls do; returns a tracker and the visibility."""
        if steering is None:
            visibility, variance = yield from align()
            tracker = TurnTracker(drift_rad_per_sqrt_s)
            tracker.begin(variance)
            return tracker, visibility
        for place in steering.starts():
            yield from steering.begin(place)
            visibility, _ = yield from align()
            tracker = yield from learn(steering, visibility)
            if tracker is not None:
                return tracker, visibility
        msg = (
            f"track_polarisation: {controller.name} was not seen to turn the polarisation about all axes from any of the "
            f"places tried; is it in the fibre of these photons? With few pairs take a longer probe_s (now {probe_s:g})"
        )
        raise PlanError(msg)

    def body():
        tracker, visibility = yield from begin()
        begun_s = before_s = clock.now_s()
        made = np.zeros(3)
        learnt, begun_again = 1, 0
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
            if compensate == "plates":
                correction = -tracker.turn
                turn_frame(tracker.turn)
                tracker.turned_by(correction)
                made = made + correction
            elif steering is not None:
                correction = yield from steering.undo(tracker)
                if correction is None:
                    learnt += 1
                    tracker = yield from learn(steering, visibility)
                    if tracker is None:  # at the end of their range, or where they turn about fewer axes
                        begun_again += 1
                        tracker, visibility = yield from begin()
                    before_s = clock.now_s()
                else:
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
            values |= {"response": tracker.response, "controls": np.array(steering.values)}
            values |= {"learnt": learnt, "begun_again": begun_again}
        units = {"duration_s": "s", "delays_ps": "ps", "round_time_s": "s"}
        yield from publish("analysis", "drift", values, clock.now_s(), units)
        return values

    rounds = 9 + int(duration_s / (2.0 * data_s + probe_s) + 1.0) * 3
    if steering is not None:
        rounds += 3 * (3 * len(controller.controls) + 2)
    return (yield from with_source_on(source, recording_run("track_polarisation", [tagger], body, rounds, md)))
