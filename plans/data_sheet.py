"""Everything about the detectors of a pair source's two arms, in one run."""

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import numpy as np

from plans.goals import Goal
from plans.klyshko import arm_channels
from plans.stubs import Switch, measure_setting, recording_run

__all__ = ["measure_detectors"]


def measure_detectors(
    tagger,
    source,
    acquisition_s: float = 1.0,
    dark_s: float = 1.0,
    sigma: float = 0.005,
    dark_sigma: float = 0.05,
    max_rounds: int = 20,
    max_duration_s: float | None = None,
    inputs_a: list[int] | None = None,
    inputs_b: list[int] | None = None,
    window_ps: int = 2000,
    transmission_a: float = 1.0,
    transmission_b: float = 1.0,
    md: dict[str, object] | None = None,
):
    """Measure dark rates, efficiencies, dead times, afterpulses and jitters of all detectors, with one page for all.

    What `measure_darks`, `measure_klyshko_efficiency`, `characterise_detectors` and `measure_jitter` do, from the same data:
    rounds in the dark until every dark rate is known, then rounds with light until both arms' efficiencies are.

    Parameters
    ----------
    tagger : TimeTagger
        Sees both arms.
    source : PhotonSource
        Off for the dark rates, on for the rest; makes pairs continuously.
    acquisition_s, dark_s : float
        Seconds a round with light, and without.
    sigma : float
        Wanted standard uncertainty of both arms' efficiencies.
    dark_sigma : float
        Wanted relative standard uncertainty of each dark rate.
    max_rounds : int
        Rounds without light, and with, after which the plan takes what there is.
    max_duration_s : float
        Lab seconds without light, and with, after which it does.
    inputs_a, inputs_b : list of int
        Inputs of the arms, from 1; by default 1, 2 and 3, 4.
    window_ps : int
        Full width of the coincidence window.
    transmission_a, transmission_b : float
        Of the optics before each arm's detectors where it is known: the efficiencies are then those of the detectors alone.
    md : dict
        Metadata.

    Notes
    -----
    Pairs tell the width of two detectors together (`pair_fwhm_ps`); `jitter_fwhm_ps` is that of each where a ring of three
    inputs separates them, else NaN.
    """
    from qlab.analysis.channel_graph import channel_jitters
    from qlab.analysis.klyshko_gathering import DarkRates, KlyshkoGathering
    from qlab.errors import PlanError
    from qlab.run.results import publish

    a, b = arm_channels("measure_detectors", inputs_a, inputs_b)
    of_darks = Goal("measure_detectors", dark_sigma, max_rounds, max_duration_s)
    of_light = Goal("measure_detectors", sigma, max_rounds, max_duration_s)
    if not 0 < transmission_a <= 1 or not 0 < transmission_b <= 1 or not min(acquisition_s, dark_s) > 0:
        msg = (
            f"measure_detectors: transmissions {transmission_a:g} and {transmission_b:g}, acquisition_s = {acquisition_s:g}, "
            f"dark_s = {dark_s:g}; expected 0 < transmission <= 1 and times above 0"
        )
        raise PlanError(msg)
    switch, channels, darks = Switch(source), [*a, *b], DarkRates()
    light = KlyshkoGathering(a, b, window_ps, darks)

    def body():
        yield from bps.abs_set(switch, 0, group="dark", wait=True)
        yield from bps.abs_set(tagger.acquisition_s, dark_s, wait=True)
        of_darks.begin(tagger.clock)
        while True:
            yield from measure_setting([tagger], [])
            darks.feed(tagger.last_block)
            if of_darks.reached(float(1.0 / np.sqrt(max(darks.counts[channels].min(), 1)))):
                break
        yield from bps.abs_set(switch, 1, group="light", wait=True)
        yield from bps.abs_set(tagger.acquisition_s, acquisition_s, wait=True)
        of_light.begin(tagger.clock)
        while True:
            yield from measure_setting([tagger], [])
            light.feed(tagger.last_block)
            figures = light.figures()
            if of_light.reached(max(figures.arm_a_sigma, figures.arm_b_sigma)):
                break
        fits = light.fits()
        jitters = channel_jitters(fits, channels)
        values = {
            **_inputs(light, figures, transmission_a, transmission_b),
            "jitter_fwhm_ps": jitters.values,
            "jitter_fwhm_ps_sigma": jitters.sigmas,
            "pairs": np.array(list(fits)),
            "pair_fwhm_ps": np.array([fit.fwhm_ps for fit in fits.values()]),
            "pair_fwhm_ps_sigma": np.array([fit.fwhm_ps_sigma for fit in fits.values()]),
            "lags_ps": np.array([fit.centre_ps for fit in fits.values()]),
            "responses": np.array([light.response(pair)[1] for pair in fits]),
            "response_starts_ps": np.array([light.response(pair)[0] for pair in fits]),
            "pair_rate_hz": figures.pair_rate_hz,
            "pair_rate_hz_sigma": figures.pair_rate_hz_sigma,
            "dark_live_s": darks.live_s,
            "live_s": light.live_s,
            "window_ps": window_ps,
            "channels": np.array(channels),
            "dark_rounds": of_darks.rounds,
            "darks_stopped_by": of_darks.stopped_by,
            **of_light.figures(),
        }
        units = {"pair_rate_hz": "Hz", "live_s": "s", "dark_live_s": "s", "lags_ps": "ps", "response_starts_ps": "ps"}
        yield from publish("analysis", "sheet", values, tagger.clock.now_s(), units)
        return values

    def off():
        yield from bps.abs_set(switch, 0, group="dark", wait=True)

    run = recording_run("measure_detectors", [tagger], body, 2 * max_rounds, md)
    return (yield from bpp.finalize_wrapper(run, off))


def _inputs(light, figures, transmission_a, transmission_b):
    """Return what there is of each input, shape (inputs,), NaN where there were too few clicks to tell."""
    channels = light.channels
    transmissions = np.array([transmission_a] * len(light.a) + [transmission_b] * len(light.b))
    found = {
        "efficiency": np.concatenate([figures.inputs_a, figures.inputs_b]) / transmissions,
        "efficiency_sigma": np.concatenate([figures.inputs_a_sigma, figures.inputs_b_sigma]) / transmissions,
        # Of what counted in the dark, afterpulses are none of the dark rate, and dead time hides a little.
        "dark_hz": np.array([c.dark_clicks(1.0) / c.alive(1.0) for c in _at_one_second(light)]),
        "dark_hz_sigma": np.array(
            [light.clicks[c].dark_hz_sigma * (1.0 - light.clicks[c].afterpulses) for c in channels]
        ),
    }
    intervals = [light.intervals(c) for c in channels]
    for name in ("dead_time_ps", "afterpulse_probability", "afterpulse_tau_ps"):
        for key in (name, f"{name}_sigma"):
            found[key] = np.array([np.nan if one is None else getattr(one, key) for one in intervals])
    return found


def _at_one_second(light):
    """Return each input's clicks as those of one second."""
    from dataclasses import replace

    return [replace(light.clicks[c], singles=light.clicks[c].singles / light.live_s) for c in light.channels]
