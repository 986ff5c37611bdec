"""Oscillators under test: their stability, what they do without their reference, and ways of comparing them side by side."""

import bluesky.plan_stubs as bps
import numpy as np

from plans.stubs import measure_setting, perform, perform_together, recording_run, with_source_on
from qlab.errors import PlanError

__all__ = ["characterise_oscillator", "compare_time_transfer", "holdover_test"]


def characterise_oscillator(
    pair_clock,
    source=None,
    points: int = 64,
    every_s: float = 2.0,
    acquisition_s: float = 1.2,
    md: dict[str, object] | None = None,
):
    """Measure a node's clock against another's at even intervals; deviations with confidence intervals, and telecom masks.

    Parameters
    ----------
    pair_clock : PairClock
        The second clock is the one under test; the first should be the better one.
    source : PhotonSource
        Switched on for the run.
    points : int
        Time errors; the longest averaging time is a third or so of them.
    every_s, acquisition_s : float
        Between them, and of each acquisition, in lab seconds.
    md : dict
        Metadata.
    """
    from qlab.run.results import publish
    from qlab.timing.masks import MASKS, judge
    from qlab.timing.stability import stability

    if points < 16 or not 0 < acquisition_s < every_s:
        msg = (
            f"characterise_oscillator: points = {points}, acquisition_s = {acquisition_s:g}, every_s = {every_s:g}; "
            "expected 16 or more, and acquisitions shorter than what lies between them"
        )
        raise PlanError(msg)
    taggers = list(pair_clock.taggers)
    clock = taggers[0].clock
    series = Series(pair_clock)

    def body():
        yield from _prepare(taggers, acquisition_s, [pair_clock])
        yield from _evenly(clock, points, every_s, lambda: _point(taggers, [pair_clock], [], [series]))
        x_s = series.even_s(every_s)
        found = {"every_s": every_s, "time_error_s": x_s, "sigma_ps": float(np.median(series.sigma_ps))}
        for kind in ("oadev", "mdev", "tdev", "mtie"):
            one = stability(x_s - _line(x_s), every_s, kind)
            found |= {f"{kind}_tau_s": one.tau_s, kind: one.deviation, f"{kind}_low": one.low, f"{kind}_high": one.high}
            for mask in (mask for mask, limit in MASKS.items() if limit.kind == kind):
                result = judge(one, mask)
                key = mask.replace(".", "").replace(" ", "_").lower()  # bluesky's keys have no dots
                found[key] = f"{'holds' if result.holds else 'FAILS'}, {result.worst_share:.2g} of the limit"
        # n pairs of one jitter tell their middle to jitter / sqrt(n) at best, whatever is done with them.
        pairs = float(pair_clock.pair_rate_hz.get()) * acquisition_s
        found["bound_ps"] = pair_clock.jitter_ps / max(pairs, 1.0) ** 0.5
        slope = np.polyfit(np.arange(x_s.size) * every_s, x_s, 1)[0]
        found["frequency"] = float(slope)
        yield from publish("analysis", "oscillator", found, clock.now_s())
        return found

    lit = recording_run("characterise_oscillator", taggers, body, points, md)
    return (yield from with_source_on(source, lit))


def holdover_test(
    pair_clock,
    holding_clock,
    source=None,
    outage_s: float = 3600.0,
    every_s: float = 60.0,
    acquisition_s: float = 1.2,
    limit_ns: float = 100.0,
    md: dict[str, object] | None = None,
):
    """Take its reference from a clock and see by photon pairs how far it goes; then give it back and see it return.

    Parameters
    ----------
    pair_clock : PairClock
        The second node runs on the clock under test.
    holding_clock : HoldingClock
        The clock; it is locked again at the end, whatever happens.
    source : PhotonSource
        Switched on for the run.
    outage_s, every_s, acquisition_s : float
        How long it is without, from one acquisition to the next, and of each, in lab seconds.
    limit_ns : float
        Time error that is asked for: after how long it is reached.
    md : dict
        Metadata.
    """
    import bluesky.preprocessors as bpp

    from qlab.run.results import publish

    if not 0 < acquisition_s < every_s or outage_s < 4 * every_s or not limit_ns > 0:
        msg = (
            f"holdover_test: acquisition_s = {acquisition_s:g}, every_s = {every_s:g}, outage_s = {outage_s:g}, limit_ns = "
            f"{limit_ns:g}; expected 0 < acquisition_s < every_s, an outage of four of these or more, and a limit above 0"
        )
        raise PlanError(msg)
    taggers = list(pair_clock.taggers)
    clock = taggers[0].clock
    points = int(outage_s / every_s)
    series = Series(pair_clock)

    def point():
        yield from _point(taggers, [pair_clock], [holding_clock], [series])

    def body():
        yield from _prepare(taggers, acquisition_s, [pair_clock])
        yield from _evenly(clock, 4, every_s, point)
        before_ps = float(np.mean(series.offset_ps))
        yield from perform(f"{holding_clock.name} hold over", holding_clock.hold_over)
        begun_s = clock.now_ps() * 1e-12
        yield from _evenly(clock, points, every_s, point)
        held = np.array(series.offset_ps[4:]) - before_ps
        since_s = np.array(series.at_s[4:]) - begun_s
        yield from perform(f"{holding_clock.name} return", lambda: holding_clock.hold_over(on=False))
        yield from perform(f"{holding_clock.name} lock", holding_clock.wait_for_lock)
        yield from _evenly(clock, 4, every_s, point)
        # x(t) = y t + a t^2 / 2 from what the outage began with
        y, a = np.linalg.lstsq(np.stack([since_s, since_s**2 / 2.0], 1), held * 1e-12, rcond=None)[0]
        over = np.flatnonzero(np.abs(held) > limit_ns * 1e3)
        found = {
            "since_s": since_s,
            "error_ps": held,
            "at_end_ns": float(held[-1] * 1e-3),
            "frequency": float(y),
            "ageing_per_day": float(a * 86400.0),
            "limit_ns": limit_ns,
            "limit_reached_s": float(since_s[over[0]]) if over.size else np.inf,
            "after_return_ns": float((series.offset_ps[-1] - before_ps) * 1e-3),
        }
        yield from publish("analysis", "holdover", found, clock.now_s())
        return found

    def give_back():
        yield from perform(f"{holding_clock.name} return", lambda: holding_clock.hold_over(on=False))

    lit = recording_run("holdover_test", taggers, body, points + 8, md)
    return (yield from bpp.finalize_wrapper(with_source_on(source, lit), give_back()))


def compare_time_transfer(
    pair_clocks,
    clocks,
    source=None,
    points: int = 32,
    every_s: float = 10.0,
    acquisition_s: float = 1.2,
    md: dict[str, object] | None = None,
):
    """Compare ways of time transfer in one run: photon pairs, and what White Rabbit and GPS receivers say of themselves.

    Parameters
    ----------
    pair_clocks : list of PairClock
        Clocks of nodes by photon pairs; all of the lab if none is named.
    clocks : list of Clock
        What else tells a time offset; all of the lab if none is named.
    source : PhotonSource
        Switched on for the run.
    points, every_s, acquisition_s : int, float, float
        Comparisons, from one to the next, and of each, in lab seconds.
    md : dict
        Metadata.
    """
    from qlab.run.results import publish
    from qlab.timing.stability import stability

    if not pair_clocks or points < 16 or not 0 < acquisition_s < every_s:
        msg = (
            f"compare_time_transfer: {len(pair_clocks)} pair clocks, points = {points}, acquisition_s = {acquisition_s:g}, "
            f"every_s = {every_s:g}; expected one or more, 16 or more, and 0 < acquisition_s < every_s"
        )
        raise PlanError(msg)
    taggers = list({tagger.name: tagger for pair in pair_clocks for tagger in pair.taggers}.values())
    clock = taggers[0].clock

    def body():
        if clocks:
            yield from perform_together({f"{one.name} look": one.trigger for one in clocks})
        told = [one for one in clocks if one.offset_s is not None]  # a rubidium has no time of its own
        series = [Series(one) for one in (*pair_clocks, *told)]
        yield from _prepare(taggers, acquisition_s, pair_clocks)
        yield from _evenly(clock, points, every_s, lambda: _point(taggers, pair_clocks, told, series))
        found: dict[str, object] = {"every_s": every_s, "names": np.array([one.name for one in series])}
        table = np.array([one.offset_ps for one in series])
        found |= {"offset_ps": table, "mean_ps": table.mean(axis=1), "rms_ps": table.std(axis=1, ddof=1)}
        deviations = [stability((row - _line(row)) * 1e-12, every_s, "tdev") for row in table]
        found |= {"tau_s": deviations[0].tau_s, "tdev_s": np.array([one.deviation for one in deviations])}
        found |= {
            "tdev_low_s": np.array([d.low for d in deviations]),
            "tdev_high_s": np.array([d.high for d in deviations]),
        }
        yield from publish("analysis", "comparison", found, clock.now_s())
        return found

    lit = recording_run("compare_time_transfer", taggers, body, points, md)
    return (yield from with_source_on(source, lit))


class Series:
    """Time errors of one clock, point by point.

    Parameters
    ----------
    one : PairClock or Clock
        The clock.
    """

    def __init__(self, one):
        self.one, self.name = one, one.name
        self.at_s, self.offset_ps, self.sigma_ps, self.frequency = [], [], [], []

    def take(self):
        """Take what was measured last."""
        if hasattr(self.one, "at_s"):
            if not self.one.lock.get():
                msg = f"{self.name} finds no pairs: {self.one.health.reason.get() or 'no lock'}"
                raise PlanError(msg)
            signals = (self.one.at_s, self.one.offset_ps, self.one.sigma_ps, self.one.frequency)
            values = [float(signal.get()) for signal in signals]
        else:
            offset_s = self.one.offset_s
            values = [self.one.clock.now_ps() * 1e-12, np.nan if offset_s is None else offset_s * 1e12, np.nan, 0.0]
        for known, value in zip((self.at_s, self.offset_ps, self.sigma_ps, self.frequency), values, strict=True):
            known.append(value)

    def even_s(self, every_s):
        """Return the time errors in s at even times, each carried there by its frequency over a fraction of a second."""
        at = np.array(self.at_s)
        places = at[0] + np.arange(at.size) * every_s
        return np.array(self.offset_ps) * 1e-12 + np.array(self.frequency) * (places - at)


def _line(x):
    """Return the straight line through a series, at its places: the mean frequency error is no instability."""
    n = np.arange(len(x))
    return np.polyval(np.polyfit(n, x, 1), n)


def _prepare(taggers, acquisition_s, pair_clocks):
    for tagger in taggers:
        yield from bps.abs_set(tagger.acquisition_s, acquisition_s, wait=True)
    for pair_clock in pair_clocks:
        pair_clock.forget()


def _point(taggers, pair_clocks, clocks, series):
    if clocks:
        yield from perform_together({f"{one.name} look": one.trigger for one in clocks})
    yield from measure_setting(taggers, clocks, after=pair_clocks)
    for one in series:
        one.take()


def _evenly(clock, points, every_s, point):
    """Do something so many times at even intervals; late ones follow at once."""
    begun_s = clock.now_s()
    for number in range(points):
        left_s = begun_s + number * every_s - clock.now_s()
        if left_s > 0:
            yield from bps.sleep(left_s)
        yield from point()
