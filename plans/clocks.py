"""Clocks of two nodes kept together by photon pairs."""

import bluesky.plan_stubs as bps
import numpy as np

from plans.stubs import measure_setting, perform, recording_run, with_source_on
from qlab.errors import PlanError

__all__ = ["synchronise_clocks", "transfer_time"]


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
        What makes the second node's frequency; with it the loop is closed.  Where the lab has several none is taken by
        itself.
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


def transfer_time(
    out,
    home,
    sources,
    duration_s: float = 60.0,
    acquisition_s: float = 2.0,
    every_s: float = 0.0,
    asymmetry_ps: float = 0.0,
    asymmetry_sigma_ps: float = 0.0,
    known_delay_ps: float | None = None,
    drift_ps_per_s: float = 1.0,
    false_alarm: float = 1e-6,
    md: dict[str, object] | None = None,
):
    """Compare two clocks over a fibre by photons of two sources that pass it both ways, and watch the way.

    The mean of both ways is the offset whatever the fibre's length, as long as both are equally long; their difference is the
    round trip.  A round trip that moves faster than the fibre may raises an alarm: somebody delays one way.  Who takes off
    the one way what he adds to the other is not seen, and moves the offset by half the difference.

    Parameters
    ----------
    out, home : PairClock
        Pairs made at the near node and pairs made at the far one, with a delay of 0; both the far clock less the near one.
    sources : list of PhotonSource
        At both ends, on for the run; all of the lab if none is named.
    duration_s, acquisition_s, every_s : float
        Of the run and of each acquisition, and from one to the next, in lab seconds.
    asymmetry_ps, asymmetry_sigma_ps : float
        Delay out less delay home, and how well it is known.
    known_delay_ps : float
        Delay of the way out, where it is known from elsewhere: the offset by one way is then reported too.
    drift_ps_per_s : float
        How fast the round trip may change by itself.
    false_alarm : float
        Probability of an alarm at a comparison where nothing happened.
    md : dict
        Metadata.
    """
    from qlab.run.results import Results, publish
    from qlab.timing.transfer import WayWatch, one_way, two_way

    taggers = list({tagger.name: tagger for pair in (out, home) for tagger in pair.taggers}.values())
    clock = taggers[0].clock
    if len(taggers) != 2 or not 0 < acquisition_s <= duration_s:
        msg = (
            f"transfer_time: {len(taggers)} taggers, acquisition_s = {acquisition_s:g}, duration_s = {duration_s:g}; "
            "expected one tagger at either end, and acquisitions above 0 that are not longer than the run"
        )
        raise PlanError(msg)
    watch = WayWatch(drift_ps_per_s, false_alarm=false_alarm)
    results = Results(
        "transfer", dict.fromkeys(("offset_ps", "sigma_ps", "round_trip_ps", "step_ps", "limit_ps"), "ps")
    )
    points = max(int(duration_s / max(acquisition_s, every_s)), 1)
    rows: list[list[float]] = []

    def compare():
        yield from measure_setting(taggers, [], after=[out, home])
        differences = [(float(pair.offset_ps.get()), float(pair.sigma_ps.get())) for pair in (out, home)]
        at_s, locked = float(out.at_s.get()), bool(out.lock.get() and home.lock.get())
        values = {"at_s": at_s, "locked": int(locked), "alarm": 0}
        if locked:
            both = two_way(differences[0], differences[1], asymmetry_ps, asymmetry_sigma_ps)
            seen = watch.see(at_s, both)
            values |= {"offset_ps": both.offset_ps, "sigma_ps": both.sigma_ps, "alarm": int(seen.alarm)}
            values |= {"round_trip_ps": both.round_trip_ps, "step_ps": seen.step_ps, "limit_ps": seen.limit_ps}
        else:
            values |= dict.fromkeys(("offset_ps", "sigma_ps", "round_trip_ps", "step_ps", "limit_ps"), np.nan)
        single = np.nan if known_delay_ps is None else one_way(*differences[0], known_delay_ps, 0.0).offset_ps
        values["one_way_ps"] = single
        rows.append([values[key] for key in COLUMNS])
        yield from publish("transfer", results, values, clock.now_s())

    def body():
        for tagger in taggers:
            yield from bps.abs_set(tagger.acquisition_s, acquisition_s, wait=True)
        for pair in (out, home):
            pair.forget()
        begun_s = clock.now_s()
        while not rows or clock.now_s() - begun_s + acquisition_s <= duration_s:
            point_s = clock.now_s()
            yield from compare()
            left_s = every_s - (clock.now_s() - point_s)
            if left_s > 0 and clock.now_s() + left_s - begun_s + acquisition_s <= duration_s:
                yield from bps.sleep(left_s)
        table = np.array(rows, np.float64)
        columns = {key: table[:, i] for i, key in enumerate(COLUMNS)}
        shares = {"locked_share": float(columns["locked"].mean()), "alarms": int(columns["alarm"].sum())}
        last = {f"{key}_at_end": float(columns[key][-1]) for key in ("offset_ps", "sigma_ps", "round_trip_ps")}
        found = columns | shares | last
        yield from publish("analysis", "transfer", found, clock.now_s())
        return found

    lit = recording_run("transfer_time", taggers, body, points, md)
    for source in sources:
        lit = with_source_on(source, lit)
    return (yield from lit)


COLUMNS = ("at_s", "locked", "offset_ps", "sigma_ps", "round_trip_ps", "step_ps", "limit_ps", "alarm", "one_way_ps")


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

    As what is found of the frequency adds up in the steering, the loop is of type 2.  With turns T apart and a time constant
    tau an error of time goes as (1 - T / tau)^k, a constant frequency error leaves none, and a drift a leaves a T tau / 2.

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
