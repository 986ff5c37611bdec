"""What single-photon detectors are like, from nothing but their clicks."""

from dataclasses import asdict

import bluesky.plan_stubs as bps
import numpy as np

from plans.goals import Goal
from plans.stubs import measure_setting, recording_run, with_source_off

__all__ = ["characterise_detectors", "measure_darks"]

FIGURES = ("rate_hz", "dead_time_ps", "afterpulse_probability", "afterpulse_tau_ps")


def characterise_detectors(
    tagger,
    inputs: list[int] | None = None,
    clicks: int = 20_000,
    acquisition_s: float = 1.0,
    max_s: float = 600.0,
    md: dict[str, object] | None = None,
):
    """Measure rate, dead time and afterpulsing of detectors, by the intervals between their clicks.

    Whatever light there is stays as it is: in the dark the rates are dark rates.  Acquisitions go on until every input has
    given enough clicks.

    Parameters
    ----------
    tagger : TimeTagger
        Records the detectors.
    inputs : list of int
        Inputs, from 1; by default all that click.
    clicks : int
        Wanted of each input; the uncertainty of the afterpulse probability p is about sqrt(p / clicks).
    acquisition_s : float
        Seconds an acquisition.
    max_s : float
        Seconds after which the plan takes what there is.
    md : dict
        Metadata.
    """
    from qlab.analysis.click_intervals import FEWEST
    from qlab.analysis.interval_gathering import ClickIntervals
    from qlab.errors import PlanError
    from qlab.run.results import publish

    if clicks < FEWEST or not 0 < acquisition_s <= max_s:
        msg = (
            f"characterise_detectors: clicks = {clicks}, acquisition_s = {acquisition_s:g}, max_s = {max_s:g}; "
            f"expected at least {FEWEST} clicks, and 0 < acquisition_s <= max_s"
        )
        raise PlanError(msg)

    def body():
        yield from bps.abs_set(tagger.acquisition_s, acquisition_s, wait=True)
        gathered = ClickIntervals()
        chosen: list[int] = []
        while gathered.live_s < max_s:
            yield from measure_setting([tagger], [])
            gathered.feed(tagger.last_block)
            chosen = gathered.channels if inputs is None else [n - 1 for n in inputs]
            if chosen and min(gathered.number(channel) for channel in chosen) >= clicks:
                break
        found = [gathered.figures(channel) for channel in chosen]
        silent = [channel + 1 for channel, figures in zip(chosen, found, strict=True) if figures is None]
        if silent or not chosen:
            words = f"too few clicks on inputs {silent or inputs} in {gathered.live_s:g} s; is it bright enough?"
            msg = f"characterise_detectors: {words}"
            raise PlanError(msg)
        rows = [asdict(one) for one in found if one is not None]
        names = [*FIGURES, *(f"{name}_sigma" for name in FIGURES)]
        values: dict[str, object] = {name: np.array([row[name] for row in rows]) for name in names}
        values |= {"channels": np.array(chosen), "live_s": gathered.live_s}
        units = {"rate_hz": "Hz", "dead_time_ps": "ps", "afterpulse_tau_ps": "ps", "live_s": "s"}
        yield from publish("analysis", "detectors", values, tagger.clock.now_s(), units)
        return values

    points = round(max_s / acquisition_s)
    return (yield from recording_run("characterise_detectors", [tagger], body, points, md))


def measure_darks(
    tagger,
    source=None,
    inputs: list[int] | None = None,
    acquisition_s: float = 1.0,
    sigma: float = 0.05,
    max_rounds: int = 60,
    max_duration_s: float | None = None,
    md: dict[str, object] | None = None,
):
    """Count in the dark until every input's rate is known well enough; afterpulses are told from darks.

    Parameters
    ----------
    tagger : TimeTagger
        Records the detectors.
    source : PhotonSource
        Switched off for the run; leave it out where a shutter or cap does it.
    inputs : list of int
        Inputs, from 1; by default all that click.
    acquisition_s : float
        Seconds a round.
    sigma : float
        Wanted relative standard uncertainty of each rate; that of an input that hardly clicks is reached late or never.
    max_rounds : int
        Rounds after which the plan takes what there is.
    max_duration_s : float
        Lab seconds after which it does.
    md : dict
        Metadata.

    Notes
    -----
    `counted_hz` is what clicks, with the exact interval of its Poisson count; `rate_hz` what is left of it without dead time
    and afterpulses, where there were 100 intervals or more to tell them by (NaN elsewhere).
    """
    from qlab.analysis.click_intervals import FEWEST
    from qlab.analysis.interval_gathering import ClickIntervals
    from qlab.analysis.intervals import poisson_interval
    from qlab.errors import PlanError
    from qlab.run.results import publish

    goal = Goal("measure_darks", sigma, max_rounds, max_duration_s)
    if not acquisition_s > 0:
        msg = f"measure_darks: acquisition_s = {acquisition_s:g}; expected above 0"
        raise PlanError(msg)

    def body():
        goal.begin(tagger.clock)
        yield from bps.abs_set(tagger.acquisition_s, acquisition_s, wait=True)
        gathered = ClickIntervals()
        counts = np.zeros(256, dtype=np.int64)
        chosen: list[int] = []
        while True:
            yield from measure_setting([tagger], [])
            gathered.feed(tagger.last_block)
            counts += tagger.last_block.counts(256)
            chosen = np.flatnonzero(counts).tolist() if inputs is None else [n - 1 for n in inputs]
            fewest = min((counts[channel] for channel in chosen), default=0)
            if goal.reached(float(1.0 / np.sqrt(max(fewest, 1)))):
                break
        if not chosen:
            msg = f"measure_darks: no input clicked in {gathered.live_s:g} s; are the detectors on, the inputs enabled?"
            raise PlanError(msg)
        intervals = [poisson_interval(int(counts[channel])) for channel in chosen]
        found = [gathered.figures(channel) if counts[channel] > FEWEST else None for channel in chosen]
        values = {
            "counted_hz": counts[chosen] / gathered.live_s,
            "counted_hz_low": np.array([one.low for one in intervals]) / gathered.live_s,
            "counted_hz_high": np.array([one.high for one in intervals]) / gathered.live_s,
            "rate_hz": np.array([np.nan if one is None else one.rate_hz for one in found]),
            "rate_hz_sigma": np.array([np.nan if one is None else one.rate_hz_sigma for one in found]),
            "channels": np.array(chosen),
            "live_s": gathered.live_s,
            **goal.figures(),
        }
        units = {"counted_hz": "Hz", "rate_hz": "Hz", "live_s": "s"}
        yield from publish("analysis", "darks", values, tagger.clock.now_s(), units)
        return values

    run = recording_run("measure_darks", [tagger], body, max_rounds, md)
    return (yield from (run if source is None else with_source_off(source, run)))
