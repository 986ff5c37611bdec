"""What a pair source and its arms are worth."""

from dataclasses import asdict

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import numpy as np

from plans.stubs import Switch, measure_setting, recording_run

__all__ = ["characterise_source"]


def characterise_source(
    tagger,
    source,
    acquisition_s: float = 1.0,
    dark_s: float = 1.0,
    inputs_a: list[int] | None = None,
    inputs_b: list[int] | None = None,
    window_ps: int = 2000,
    md: dict[str, object] | None = None,
):
    """Measure dark rates, efficiencies of both arms (Klyshko), pair rate and coincidence-to-accidental ratio.

    One acquisition in the dark, one with the source on; delays are found from the second.  Dead time is not corrected: at
    singles of S it hides a share of S times dead time.

    Parameters
    ----------
    tagger : TimeTagger
        Sees both arms.
    source : PhotonSource
        Off for the dark rates, on for the rest.
    acquisition_s, dark_s : float
        Seconds with light and without.
    inputs_a, inputs_b : list of int
        Inputs of the arms, from 1; by default 1, 2 and 3, 4.
    window_ps : int
        Full width of the coincidence window.
    md : dict
        Metadata.
    """
    from qlab.analysis.accidentals import accidental_counts
    from qlab.analysis.heralding import pair_figures
    from qlab.errors import PlanError
    from qlab.run.results import publish
    from qlab.tags.coincidence import coincidence_matrix
    from qlab.tags.delays import find_delays

    sides = [[n - 1 for n in chosen] for chosen in (inputs_a or [1, 2], inputs_b or [3, 4])]
    a, b = sides
    if set(a) & set(b) or min(*a, *b) < 0:
        msg = f"characterise_source: inputs_a = {inputs_a}, inputs_b = {inputs_b}; expected inputs from 1, each in one arm"
        raise PlanError(msg)
    switch = Switch(source)

    def body():
        yield from bps.abs_set(switch, 0, group="dark", wait=True)
        yield from bps.abs_set(tagger.acquisition_s, dark_s, wait=True)
        yield from measure_setting([tagger], [])
        dark = tagger.last_block
        yield from bps.abs_set(switch, 1, group="light", wait=True)
        yield from bps.abs_set(tagger.acquisition_s, acquisition_s, wait=True)
        yield from measure_setting([tagger], [])
        block = tagger.last_block
        found = find_delays(block, a, b, search_ps=1_000_000, width_ps=max(window_ps, 1000))
        used = {channel: found.delays_ps.get(channel, 0) for channel in (*a, *b)}
        coincidences = int(coincidence_matrix(block, a, b, window_ps, used).sum())
        counts, darks = block.counts(256), dark.counts(256) / dark.live_s
        singles = [float(counts[side].sum()) for side in sides]
        expected = [float(darks[side].sum()) * block.live_s for side in sides]
        accidentals = float(accidental_counts([singles[0]], [singles[1]], window_ps, block.live_s)[0, 0])
        # Each click in the dark stands for so many in the light, and (n + 1) for n where there were none.
        scale = block.live_s / dark.live_s
        of_darks = [scale * float(np.sqrt(dark.counts(256)[side].sum() + 1)) for side in sides]
        darks_ab = {
            "darks_a": expected[0],
            "darks_b": expected[1],
            "darks_a_sigma": of_darks[0],
            "darks_b_sigma": of_darks[1],
            "accidentals_sigma": accidentals * float(np.sqrt(1.0 / singles[0] + 1.0 / singles[1]))
            if accidentals
            else 0.0,
        }
        figures = pair_figures(singles[0], singles[1], coincidences, accidentals, block.live_s, **darks_ab)
        values = {
            **asdict(figures),
            "singles_hz": counts[[*a, *b]] / block.live_s,
            "darks_hz": darks[[*a, *b]],
            "coincidences": coincidences,
            "accidentals": accidentals,
            "live_s": block.live_s,
            "window_ps": window_ps,
            "channels": np.array([*a, *b]),
            "delays_ps": np.array([used[channel] for channel in (*a, *b)]),
        }
        units = {"pair_rate_hz": "Hz", "singles_hz": "Hz", "darks_hz": "Hz", "live_s": "s", "delays_ps": "ps"}
        yield from publish("analysis", "source", values, tagger.clock.now_s(), units)
        return values

    def off():
        yield from bps.abs_set(switch, 0, group="dark", wait=True)

    return (yield from bpp.finalize_wrapper(recording_run("characterise_source", [tagger], body, 2, md), off))
