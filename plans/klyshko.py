"""Detection efficiencies by photon pairs, and jitters by their coincidences' widths."""

from dataclasses import asdict

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import numpy as np

from plans.goals import Goal
from plans.stubs import Switch, measure_setting, recording_run, with_source_on

__all__ = ["measure_jitter", "measure_klyshko_efficiency"]


def arm_channels(plan, inputs_a, inputs_b):
    """Return both arms' channels from 0, by default inputs 1, 2 and 3, 4."""
    from qlab.errors import PlanError

    sides = [[n - 1 for n in chosen] for chosen in (inputs_a or [1, 2], inputs_b or [3, 4])]
    if set(sides[0]) & set(sides[1]) or min(*sides[0], *sides[1]) < 0:
        msg = f"{plan}: inputs_a = {inputs_a}, inputs_b = {inputs_b}; expected inputs from 1, each in one arm"
        raise PlanError(msg)
    return sides


def measure_klyshko_efficiency(
    tagger,
    source,
    acquisition_s: float = 1.0,
    dark_s: float = 1.0,
    sigma: float = 0.005,
    max_rounds: int = 20,
    max_duration_s: float | None = None,
    inputs_a: list[int] | None = None,
    inputs_b: list[int] | None = None,
    window_ps: int = 2000,
    transmission_a: float = 1.0,
    transmission_b: float = 1.0,
    md: dict[str, object] | None = None,
):
    """Measure each detector's efficiency by photon pairs, less accidentals, darks, dead time, afterpulses and jitter.

    One acquisition in the dark, then rounds with the source on until each arm's efficiency is known well enough.  Dead time
    and afterpulses come from the intervals between the clicks of the same data, the share of pairs that jitter takes out of
    the window from the width of their peak.

    Parameters
    ----------
    tagger : TimeTagger
        Sees both arms.
    source : PhotonSource
        Off for the dark rates, on for the rest; makes pairs continuously.
    acquisition_s, dark_s : float
        Seconds a round with light, and seconds without.
    sigma : float
        Wanted standard uncertainty of both arms' efficiencies.
    max_rounds : int
        Rounds after which the plan takes what there is.
    max_duration_s : float
        Lab seconds after which it does.
    inputs_a, inputs_b : list of int
        Inputs of the arms, from 1; by default 1, 2 and 3, 4.
    window_ps : int
        Full width of the coincidence window.
    transmission_a, transmission_b : float
        Of the optics before each arm's detectors where it is known: the efficiencies are then those of the detectors alone.
    md : dict
        Metadata.
    """
    from qlab.analysis.klyshko_gathering import DarkRates, KlyshkoGathering
    from qlab.errors import PlanError
    from qlab.run.results import publish

    a, b = arm_channels("measure_klyshko_efficiency", inputs_a, inputs_b)
    goal = Goal("measure_klyshko_efficiency", sigma, max_rounds, max_duration_s)
    if not 0 < transmission_a <= 1 or not 0 < transmission_b <= 1 or not min(acquisition_s, dark_s) > 0:
        msg = (
            f"measure_klyshko_efficiency: transmissions {transmission_a:g} and {transmission_b:g}, acquisition_s = "
            f"{acquisition_s:g}, dark_s = {dark_s:g}; expected 0 < transmission <= 1 and times above 0"
        )
        raise PlanError(msg)
    switch, channels = Switch(source), [*a, *b]
    darks = DarkRates()
    light = KlyshkoGathering(a, b, window_ps, darks)

    def body():
        goal.begin(tagger.clock)
        yield from bps.abs_set(switch, 0, group="dark", wait=True)
        yield from bps.abs_set(tagger.acquisition_s, dark_s, wait=True)
        yield from measure_setting([tagger], [])
        darks.feed(tagger.last_block)
        yield from bps.abs_set(switch, 1, group="light", wait=True)
        yield from bps.abs_set(tagger.acquisition_s, acquisition_s, wait=True)
        while True:
            yield from measure_setting([tagger], [])
            light.feed(tagger.last_block)
            figures = light.figures()
            if goal.reached(max(figures.arm_a_sigma, figures.arm_b_sigma)):
                break
        values = asdict(figures)
        for key, transmission in (("a", transmission_a), ("b", transmission_b)):
            for name in (f"inputs_{key}", f"inputs_{key}_sigma", f"arm_{key}", f"arm_{key}_sigma"):
                values[name] = values[name] / transmission
        values |= {
            "coincidences": int(light.table.sum()),
            "capture": light.capture,
            "dead_time_ps": np.array([light.clicks[c].dead_time_ps for c in channels]),
            "afterpulses": np.array([light.clicks[c].afterpulses for c in channels]),
            "afterpulses_sigma": np.array([light.clicks[c].afterpulses_sigma for c in channels]),
            "singles_hz": light.singles_hz(),
            "darks_hz": np.array([darks.rate(c)[0] for c in channels]),
            "darks_hz_sigma": np.array([darks.rate(c)[1] for c in channels]),
            "live_s": light.live_s,
            "window_ps": window_ps,
            "channels": np.array(channels),
            **goal.figures(),
        }
        units = {"pair_rate_hz": "Hz", "singles_hz": "Hz", "darks_hz": "Hz", "live_s": "s", "dead_time_ps": "ps"}
        yield from publish("analysis", "klyshko", values, tagger.clock.now_s(), units)
        return values

    def off():
        yield from bps.abs_set(switch, 0, group="dark", wait=True)

    run = recording_run("measure_klyshko_efficiency", [tagger], body, 1 + max_rounds, md)
    return (yield from bpp.finalize_wrapper(run, off))


def measure_jitter(
    tagger,
    source=None,
    inputs: list[int] | None = None,
    acquisition_s: float = 1.0,
    sigma_ps: float = 5.0,
    max_rounds: int = 20,
    max_duration_s: float | None = None,
    search_ps: int = 1_000_000,
    width_ps: int = 8000,
    md: dict[str, object] | None = None,
):
    """Measure the widths of all inputs' coincidence peaks, and from them each input's jitter where they tell it.

    A peak's width is that of two detectors.  Where an odd ring of inputs has peaks (three detectors that see each other's
    pulses, or two and a trigger's input), each input's own jitter follows; elsewhere `fwhm_ps` is NaN, and `pair_fwhm_ps`
    divided by the square root of 2 is what each would have if both were equal.

    Parameters
    ----------
    tagger : TimeTagger
        Records the inputs.
    source : PhotonSource
        Switched on for the run.
    inputs : list of int
        Inputs, from 1, a pulser's among them if there is one; by default 1 to 4.
    acquisition_s : float
        Seconds a round.
    sigma_ps : float
        Wanted standard uncertainty of every peak's full width at half maximum.
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
    from qlab.analysis.channel_graph import channel_jitters
    from qlab.analysis.pair_peaks import PairPeaks
    from qlab.errors import PlanError
    from qlab.run.results import publish

    goal = Goal("measure_jitter", sigma_ps, max_rounds, max_duration_s)
    channels = [n - 1 for n in inputs or [1, 2, 3, 4]]
    peaks = PairPeaks(channels, search_ps, width_ps)

    def body():
        goal.begin(tagger.clock)
        yield from bps.abs_set(tagger.acquisition_s, acquisition_s, wait=True)
        while True:
            yield from measure_setting([tagger], [])
            peaks.feed(tagger.last_block)
            fits = peaks.fits()
            if goal.reached(max((fit.fwhm_ps_sigma for fit in fits.values()), default=np.inf)):
                break
        if not fits:
            msg = f"measure_jitter: no inputs of {inputs or [1, 2, 3, 4]} have coincidences; is the source on?"
            raise PlanError(msg)
        single = channel_jitters(fits, channels)
        rows = list(fits.values())
        values = {
            "pairs": np.array(list(fits)),
            "pair_fwhm_ps": np.array([fit.fwhm_ps for fit in rows]),
            "pair_fwhm_ps_sigma": np.array([fit.fwhm_ps_sigma for fit in rows]),
            "lags_ps": np.array([fit.centre_ps for fit in rows]),
            "lags_ps_sigma": np.array([fit.centre_ps_sigma for fit in rows]),
            "fwhm_ps": single.values,
            "fwhm_ps_sigma": single.sigmas,
            "chi2": single.chi2,
            "degrees_of_freedom": single.degrees_of_freedom,
            "responses": np.array([peaks.counts[pair] for pair in fits]),
            "response_starts_ps": np.array([peaks.starts[pair] for pair in fits]),
            "channels": np.array(channels),
            **goal.figures(),
        }
        units = {"pair_fwhm_ps": "ps", "fwhm_ps": "ps", "lags_ps": "ps", "response_starts_ps": "ps"}
        yield from publish("analysis", "jitter", values, tagger.clock.now_s(), units)
        return values

    return (yield from with_source_on(source, recording_run("measure_jitter", [tagger], body, max_rounds, md)))
