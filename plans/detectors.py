"""What single-photon detectors are like, from nothing but their clicks."""

from dataclasses import asdict

import bluesky.plan_stubs as bps
import numpy as np

from plans.stubs import measure_setting, recording_run

__all__ = ["characterise_detectors"]

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
    from qlab.analysis.click_intervals import FEWEST, click_figures
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
        gaps: dict[int, list[np.ndarray]] = {}
        live_s = 0.0
        while live_s < max_s:
            yield from measure_setting([tagger], [])
            block = tagger.last_block
            live_s += block.live_s
            for channel in np.unique(block.ch).tolist():
                # An interval that reaches over the end of an acquisition, or over a blind time, is left out.
                edges = [gap.start_ps for gap in block.gaps]
                t = block.t[block.ch == channel]
                inside = np.searchsorted(edges, t[:-1]) == np.searchsorted(edges, t[1:])
                gaps.setdefault(channel, []).append(np.diff(t)[inside])
            chosen = sorted(gaps) if inputs is None else [n - 1 for n in inputs]
            have = {channel: sum(part.size for part in gaps.get(channel, [])) for channel in chosen}
            if chosen and min(have.values()) >= clicks:
                break
        silent = [channel + 1 for channel, number in have.items() if number < FEWEST]
        if silent or not chosen:
            msg = f"characterise_detectors: too few clicks on inputs {silent or inputs} in {live_s:g} s; is it bright enough?"
            raise PlanError(msg)
        found = [click_figures(np.cumsum(np.concatenate([[0], *gaps[channel]])), live_s) for channel in chosen]
        values: dict[str, object] = {name: np.array([asdict(one)[name] for one in found]) for name in FIGURES}
        values |= {f"{name}_sigma": np.array([asdict(one)[f"{name}_sigma"] for one in found]) for name in FIGURES}
        values |= {"channels": np.array(chosen), "live_s": live_s}
        units = {"rate_hz": "Hz", "dead_time_ps": "ps", "afterpulse_tau_ps": "ps", "live_s": "s"}
        yield from publish("analysis", "detectors", values, tagger.clock.now_s(), units)
        return values

    points = round(max_s / acquisition_s)
    return (yield from recording_run("characterise_detectors", [tagger], body, points, md))
