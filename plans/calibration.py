"""Delays of a tagger's inputs: found from photons or pulses that reach them together, and taken out."""

from typing import Literal

import bluesky.plan_stubs as bps
import numpy as np

from plans.goals import Goal
from plans.stubs import measure_setting, own_delays_ps, recording_run, with_source_on

__all__ = ["calibrate_tagger"]

CLEAR = 4.0
"""Standard uncertainties by which a residual must exceed the resolution before it counts as wrong."""


def calibrate_tagger(
    tagger,
    source=None,
    inputs: list[int] | None = None,
    reference: int | None = None,
    write: Literal["tagger", "document", "nothing"] = "tagger",
    acquisition_s: float = 1.0,
    resolution_ps: float = 1.0,
    max_rounds: int = 60,
    max_duration_s: float | None = None,
    search_ps: int = 1_000_000,
    width_ps: int = 8000,
    md: dict[str, object] | None = None,
):
    """Find the delays of all inputs, from the pairs of a source or from a pulser on all of them, take them out and check it.

    Everything between the pair's birth (or the pulser) and the tag is in a delay: fibres, detectors, cables, the inputs' own
    skews.  Rounds go on until each delay is known to half the resolution; after the delays were written, as many rounds
    measure what is left.

    Parameters
    ----------
    tagger : TimeTagger
        The tagger.
    source : PhotonSource
        Switched on for the run; leave it out for a pulser.
    inputs : list of int
        Inputs, from 1; by default 1 to 4.
    reference : int
        The input whose delay is 0 by definition; by default the first.
    write : str
        "tagger": into the tagger's delay settings; "document": into `calibrations/TAGGER.json` of the data folder, which
        the plans with two analysers then use; "nothing": only into the run.
    acquisition_s : float
        Seconds a round.
    resolution_ps : float
        Of the tagger: delays are settled to less than this.
    max_rounds : int
        Rounds after which the plan takes what there is.
    max_duration_s : float
        Lab seconds after which it does.
    search_ps : int
        Largest lag between two inputs.
    width_ps : int
        Full width of the window around each peak that is looked at: several times the peak's.
    md : dict
        Metadata.
    """
    from qlab.analysis.channel_graph import channel_delays
    from qlab.analysis.pair_peaks import PairPeaks
    from qlab.errors import PlanError
    from qlab.run.calibration import TaggerCalibration, write_calibration
    from qlab.run.results import publish

    channels = [n - 1 for n in inputs or [1, 2, 3, 4]]
    origin = channels[0] if reference is None else reference - 1
    if origin not in channels or len(set(channels)) < 2 or min(channels) < 0:
        msg = (
            f"calibrate_tagger: inputs {inputs}, reference {reference}; expected two or more, the reference among them"
        )
        raise PlanError(msg)
    if not resolution_ps > 0 or not acquisition_s > 0:
        msg = (
            f"calibrate_tagger: resolution_ps = {resolution_ps:g}, acquisition_s = {acquisition_s:g}; expected above 0"
        )
        raise PlanError(msg)
    settings = own_delays_ps(tagger)
    if write == "tagger" and len(settings) <= max(channels):
        msg = f'calibrate_tagger: {tagger.name} has no delay settings for all inputs {inputs}; use write="document"'
        raise PlanError(msg)

    def measured(words):
        """Take rounds until all delays are known; return them with the goal that ended it."""
        goal = Goal("calibrate_tagger", resolution_ps / 2.0, max_rounds, max_duration_s)
        goal.begin(tagger.clock)
        peaks = PairPeaks(channels, search_ps, width_ps)
        while True:
            yield from measure_setting([tagger], [])
            peaks.feed(tagger.last_block)
            found = channel_delays(peaks.fits(), channels, origin)
            if goal.reached(float(found.sigmas.max())):
                break
        lost = [c + 1 for c, value in zip(channels, found.values, strict=True) if np.isnan(value)]
        if lost:
            msg = (
                f"calibrate_tagger: {words}, nothing ties inputs {lost} to input {origin + 1} within +-{search_ps / 1e6:g} "
                "us; is the source on, are the acquisitions long enough?"
            )
            raise PlanError(msg)
        return found, goal

    def body():
        yield from bps.abs_set(tagger.acquisition_s, acquisition_s, wait=True)
        found, goal = yield from measured("before the calibration")
        delays = [round(float(value)) for value in found.values]
        values = {
            "channels": np.array(channels),
            "delays_ps": found.values,
            "delays_ps_sigma": found.sigmas,
            "chi2": found.chi2,
            "degrees_of_freedom": found.degrees_of_freedom,
            "written_to": write,
            **goal.figures(),
        }
        if write == "tagger":
            # An input can only be made later: the latest stays, the others wait for it.
            wanted = dict(enumerate(settings))
            wanted |= {c: settings[c] - delay for c, delay in zip(channels, delays, strict=True)}
            least = min(wanted[c] for c in channels)
            for c in channels:
                yield from bps.abs_set(tagger.inputs[c].delay_ps, wanted[c] - least, group="delays")
            yield from bps.wait(group="delays")
            left, _ = yield from measured("after the calibration")
            values |= {"residual_ps": left.values, "residual_ps_sigma": left.sigmas}
            values["settings_ps"] = np.array(own_delays_ps(tagger))
        elif write == "document":
            by_channel = dict(zip(channels, delays, strict=True))
            sigmas = {c: float(sigma) for c, sigma in zip(channels, found.sigmas, strict=True)}
            said = TaggerCalibration(
                tagger=tagger.name,
                delays_ps=by_channel,
                sigmas_ps=sigmas,
                settings_ps=settings,
                time_s=tagger.clock.now_s(),
            )
            values["written_to"] = str(write_calibration(tagger, said))
        units = dict.fromkeys(("delays_ps", "residual_ps", "settings_ps"), "ps")
        yield from publish("analysis", "calibration", values, tagger.clock.now_s(), units)
        if write == "tagger":
            wrong = np.abs(left.values) > resolution_ps + CLEAR * left.sigmas
            if wrong.any():
                what = ", ".join(
                    f"input {c + 1}: {v:.1f} +- {s:.1f} ps"
                    for c, v, s, bad in zip(channels, left.values, left.sigmas, wrong, strict=True)
                    if bad
                )
                msg = f"calibrate_tagger: {tagger.name} did not take its delays: {what} are left"
                raise PlanError(msg)
        return values

    points = max_rounds * (2 if write == "tagger" else 1)
    return (yield from with_source_on(source, recording_run("calibrate_tagger", [tagger], body, points, md)))
