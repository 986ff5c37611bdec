"""A source of entangled pairs over a night: what it does, and what happened when."""

import bluesky.plan_stubs as bps
import numpy as np
from bluesky.utils import FailedStatus

from plans.correlations import AXES_XYZ
from plans.pairs import PairCounter
from plans.stubs import Switch, measure_setting, recording_run, with_source_on
from plans.suspending import Watch

__all__ = ["monitor_stability"]

EXCESS, ACQUISITION = "error rate", "acquisition"
"""What incidents are called that no instrument owns up to."""
CLEAR = 3.0
"""Standard uncertainties by which an error rate must exceed the limit."""


def monitor_stability(
    tagger,
    alice,
    bob,
    source=None,
    watched=(),
    duration_s: float = 3600.0,
    acquisition_s: float = 1.0,
    every_s: float = 10.0,
    most_error_rate: float = 0.11,
    poll_s: float = 5.0,
    settle_s: float = 10.0,
    restart_source: bool = False,
    window_ps: int = 2000,
    delays_ps: list[int] | None = None,
    md: dict[str, object] | None = None,
):
    """Measure pair rate and error rates again and again; wait while something is wrong, go on, and say what happened when.

    After each acquisition, in ZZ and XX by turns, all instruments are asked how they are.  Where one is not well, does not
    answer, or the error rate exceeds its limit by three standard uncertainties, the acquisition stays in the data with `good`
    0; the run waits until all was well for a while and goes on with the same setting.  The stream `incidents` has an event
    for the beginning and one for the end of each: device, reason, times.

    Parameters
    ----------
    tagger : TimeTagger
        Records both parties.
    alice, bob : PolarisationAnalyser
        The analysers, aligned.
    source : PhotonSource
        Switched on for the run.
    watched : list of Monitored
        Instruments whose health counts; all of the lab if none is named.
    duration_s : float
        Lab seconds, waiting included.
    acquisition_s, every_s : float
        Seconds of an acquisition, and from the beginning of one to that of the next; as fast as it goes if that is longer.
    most_error_rate : float
        In either basis.
    poll_s, settle_s : float
        While waiting: seconds between two looks, and seconds for which all must have been well.
    restart_source : bool
        While waiting, switch the source on again and again, which ends what a tripped protection latched.  Where people may
        be at the laser, leave that to them.
    window_ps : int
        Full width of the coincidence window.
    delays_ps : list of int
        Delays of Alice's and Bob's transmitted and reflected channel; found from the data where not given.
    md : dict
        Metadata.
    """
    from qlab.analysis.qber import error_rate
    from qlab.errors import BadRequestError, PlanError
    from qlab.run.results import Results, publish

    if not min(duration_s, acquisition_s, poll_s) > 0 or min(every_s, settle_s) < 0 or not 0 < most_error_rate <= 1:
        msg = (
            f"monitor_stability: duration_s = {duration_s:g}, acquisition_s = {acquisition_s:g}, every_s = {every_s:g}, "
            f"most_error_rate = {most_error_rate:g}, poll_s = {poll_s:g}, settle_s = {settle_s:g}; expected positive times "
            "and a rate of at most 1"
        )
        raise PlanError(msg)
    clock = tagger.clock
    pairs = PairCounter(alice, bob, window_ps, delays_ps, tagger)
    taken = Results("point", {"time_s": "s", "live_s": "s", "pairs_hz": "Hz"})
    rows: list[dict[str, object]] = []

    def counted(basis):
        """Take one acquisition; returns its coincidences, or what was wrong with the tagger."""
        axis = AXES_XYZ["xyz".index(basis)]
        yield from measure_setting([tagger], [alice, bob], [(alice, axis), (bob, axis)])
        return pairs.add(basis, tagger.last_block)[-1][1]

    def excess(table):
        """Return what is wrong with an error rate."""
        try:
            rate = error_rate(table, relation="correlated")
        except BadRequestError:
            return {EXCESS: "no coincidences"}
        too_much = rate.value - CLEAR * rate.sigma > most_error_rate
        return {EXCESS: f"{100 * rate.value:.1f} % of {rate.n:.0f} coincidences"} if too_much else {}

    def point(watch, basis):
        """Measure and look; returns whether it was good."""
        begun_s = watch.elapsed_s()
        table, live_s, failed = np.zeros((2, 2), dtype=np.int64), 0.0, ""
        try:
            table = yield from counted(basis)
            live_s = tagger.last_block.live_s
        except FailedStatus as error:
            failed = _why(error)
        wrong = yield from watch.look()
        if failed and not wrong:
            wrong = {ACQUISITION: failed}
        if not failed:
            wrong = wrong or excess(table)
        row = {
            "time_s": begun_s,
            "basis": basis,
            "good": int(not wrong),
            "live_s": live_s,
            "counts": table,
            "pairs_hz": float(table.sum()) / live_s if live_s else 0.0,
            "error_rate": float((table[0, 1] + table[1, 0]) / max(table.sum(), 1)),
        }
        rows.append(row)
        yield from publish("points", taken, row, clock.now_s())
        yield from watch.note(wrong)
        return not wrong

    def restart():
        yield from bps.abs_set(Switch(source), 1, group="light", wait=True)

    revive = restart if restart_source and source is not None else None

    def body():
        yield from bps.abs_set(tagger.acquisition_s, acquisition_s, wait=True)
        if not pairs.delays_ps:  # at 22.5 degrees every pair of channels has coincidences
            yield from measure_setting([tagger], [alice, bob], [(alice, 0.0), (bob, 22.5)])
            pairs.add("search", tagger.last_block)
            pairs.settle()
        watch = Watch(watched, clock)
        number = 0
        while watch.elapsed_s() < duration_s:
            begun_s = watch.elapsed_s()
            basis = "zx"[number % 2]
            if (yield from point(watch, basis)):
                number += 1
                yield from bps.checkpoint()
                yield from bps.sleep(max(min(begun_s + every_s, duration_s) - watch.elapsed_s(), 0.0))
                continue

            def again(basis=basis):
                try:
                    return excess((yield from counted(basis)))
                except FailedStatus as error:
                    return {ACQUISITION: _why(error)}

            if not (yield from watch.wait(poll_s, settle_s, duration_s, revive, again)):
                break
        values = summary(rows, watch)
        units = {"point_time_s": "s", "point_pairs_hz": "Hz", "pairs_hz": "Hz", "lost_s": "s"}
        yield from publish("analysis", "stability", values, clock.now_s(), units)
        return values

    points = int(duration_s / max(every_s, acquisition_s)) + 2
    run = recording_run("monitor_stability", [tagger], body, points, md)
    return (yield from with_source_on(source, run))


def summary(rows, watch):
    """Return the figures of a run from its points and incidents."""
    from qlab.analysis.constancy import fit_drift

    good = [row for row in rows if row["good"]]
    end_s = watch.elapsed_s()
    lasts = [(e["end_s"] if e["end_s"] == e["end_s"] else end_s) - e["begin_s"] for e in watch.incidents]
    values = {
        "points": len(rows),
        "good_points": len(good),
        "incidents": len(watch.incidents),
        "lost_s": _union_s(watch.incidents, end_s),
        "incident_begin_s": np.array([e["begin_s"] for e in watch.incidents]),
        "incident_lasts_s": np.array(lasts),
        "incident_what": "\n".join(f"{e['device']}: {e['reason']}" for e in watch.incidents),
        "duration_s": end_s,
        "point_time_s": np.array([row["time_s"] for row in rows]),
        "point_good": np.array([row["good"] for row in rows]),
        "point_pairs_hz": np.array([row["pairs_hz"] for row in rows]),
        "point_error_rate": np.array([row["error_rate"] for row in rows]),
        "point_x_basis": np.array([int(row["basis"] == "x") for row in rows]),
    }
    for basis in "zx":
        tables = [row["counts"] for row in good if row["basis"] == basis]
        if tables:
            total = np.sum(tables, axis=0)
            rate = float((total[0, 1] + total[1, 0]) / max(total.sum(), 1))
            values |= {
                f"error_rate_{basis}": rate,
                f"error_rate_{basis}_sigma": float(np.sqrt(rate * (1 - rate) / max(total.sum(), 1))),
            }
    if len(good) >= 3:
        counts = np.array([row["counts"].sum() for row in good], dtype=np.float64)
        live = np.array([row["live_s"] for row in good])
        drift = fit_drift(
            np.array([row["time_s"] for row in good]), counts / live, np.sqrt(np.maximum(counts, 1)) / live
        )
        values |= {
            "pairs_hz": drift.mean,
            "pairs_hz_sigma": drift.mean_sigma,
            "drift_hz_per_s": drift.slope,
            "drift_hz_per_s_sigma": drift.slope_sigma,
            "excess_noise": drift.excess,
            "chi2": drift.chi2,
            "degrees_of_freedom": drift.degrees_of_freedom,
        }
    return values


def _why(error):
    return str(error.args[0].exception(0.0)) if error.args else "it failed"


def _union_s(incidents, end_s):
    """Return how long at least one incident lasted."""
    spans = sorted((e["begin_s"], e["end_s"] if e["end_s"] == e["end_s"] else end_s) for e in incidents)
    total = reached = 0.0
    for begin, end in spans:
        total += max(end - max(begin, reached), 0.0)
        reached = max(reached, end)
    return total
