"""Clocks of two nodes kept together by photon pairs."""

import bluesky.plan_stubs as bps
import numpy as np

from plans.stubs import measure_setting, perform, recording_run, with_source_on
from qlab.errors import PlanError

__all__ = ["synchronise_clocks"]


def synchronise_clocks(
    pair_clock,
    source=None,
    oscillator=None,
    duration_s: float = 60.0,
    acquisition_s: float = 2.0,
    every_s: float = 0.0,
    time_constant_s: float = 20.0,
    target_ps: float | None = None,
    md: dict[str, object] | None = None,
):
    """Find how two nodes' clocks stand to each other and follow them; steer the second if it can be steered.

    Each acquisition is one event with offset, uncertainty, frequency and lock.  Where there are no pairs the clocks coast and
    the uncertainty grows; the lock is given up where the next pairs could not be told from chance.

    Parameters
    ----------
    pair_clock : PairClock
        The two taggers.
    source : PhotonSource
        Switched on for the run.
    oscillator : SteeredClock
        What makes the second node's frequency; with it the loop is closed.  Name it: none is taken by itself.
    duration_s : float
        Of the run, in lab seconds.
    acquisition_s : float
        Of each acquisition; with a 1 pps at least some 1.1 s.
    every_s : float
        From one acquisition's beginning to the next; at once if it is less than an acquisition takes.
    time_constant_s : float
        In which the loop takes an error of time away.
    target_ps : float
        Offset at which the loop holds the second clock; by default the one that is found first.
    md : dict
        Metadata.
    """
    from qlab.run.results import publish

    if not acquisition_s > 0 or not duration_s >= acquisition_s or not time_constant_s > 0:
        msg = (
            f"synchronise_clocks: duration_s = {duration_s:g}, acquisition_s = {acquisition_s:g}, time_constant_s = "
            f"{time_constant_s:g}; expected all above 0, and a duration of an acquisition or more"
        )
        raise PlanError(msg)
    taggers, clock = list(pair_clock.taggers), pair_clock.taggers[0].clock
    points = max(int(duration_s / max(acquisition_s, every_s)), 1)
    rows: list[tuple[float, float, float, float, int]] = []
    loop = Loop(pair_clock, oscillator, time_constant_s, target_ps) if oscillator is not None else None

    def body():
        for tagger in taggers:
            yield from bps.abs_set(tagger.acquisition_s, acquisition_s, wait=True)
        pair_clock.forget()
        begun_s = clock.now_s()
        while not rows or clock.now_s() - begun_s + acquisition_s <= duration_s:
            point_s = clock.now_s()
            yield from measure_setting(taggers, [] if oscillator is None else [oscillator], after=[pair_clock])
            signals = (
                pair_clock.at_s,
                pair_clock.offset_ps,
                pair_clock.sigma_ps,
                pair_clock.frequency,
                pair_clock.lock,
            )
            rows.append(tuple(signal.get() for signal in signals))
            if loop is not None:
                yield from loop.turn()
            left_s = every_s - (clock.now_s() - point_s)
            if left_s > 0 and clock.now_s() + left_s - begun_s + acquisition_s <= duration_s:
                yield from bps.sleep(left_s)
        found = summary(rows, loop)
        yield from publish("analysis", "clocks", found, clock.now_s())
        return found

    return (yield from with_source_on(source, recording_run("synchronise_clocks", taggers, body, points, md)))


def summary(rows, loop):
    """Return what a run says of two clocks."""
    at_s, offset_ps, sigma_ps, frequency, lock = np.array(rows, np.float64).T
    locked = lock > 0
    found = {
        "points": len(rows),
        "locked_share": float(locked.mean()),
        "at_s": at_s,
        "offset_ps": offset_ps,
        "offset_ps_sigma": sigma_ps,
        "frequency": frequency,
        "locked": bool(locked[-1]),
    }
    if loop is not None and loop.target_ps is not None and locked.any():
        error = offset_ps[locked] - loop.target_ps
        settled = error[error.size // 2 :]
        found |= {"target_ps": loop.target_ps, "steering": loop.oscillator.steering}
        found |= {"error_ps": float(error[-1]), "error_ps_rms": float(np.sqrt(np.mean(settled**2)))}
    return found


class Loop:
    """Holds the second clock at an offset by its frequency: a turn takes away the frequency error and a part of the time's.

    Parameters
    ----------
    pair_clock : PairClock
        What tells.
    oscillator : SteeredClock
        What turns.
    time_constant_s : float
        In which an error of time goes.
    target_ps : float, optional
        The offset; the first that is found if none is given.
    """

    def __init__(self, pair_clock, oscillator, time_constant_s, target_ps):
        self.pair_clock, self.oscillator = pair_clock, oscillator
        self.time_constant_s, self.target_ps = time_constant_s, target_ps

    def turn(self):
        """Steer once, if the last comparison had pairs."""
        pair_clock, oscillator = self.pair_clock, self.oscillator
        if not pair_clock.lock.get():
            return
        if self.target_ps is None:
            self.target_ps = float(pair_clock.offset_ps.get())
        error_s = (float(pair_clock.offset_ps.get()) - self.target_ps) * 1e-12
        before = oscillator.steering
        wanted = before - float(pair_clock.frequency.get()) - error_s / self.time_constant_s
        low, high = oscillator.steering_limits
        wanted = min(max(wanted, low), high)
        if abs(wanted - before) < oscillator.steering_step / 2.0:
            return
        yield from perform(f"{oscillator.name} steer", lambda: oscillator.steer(wanted))
        pair_clock.note_steering(oscillator.steering - before)
