"""The two-photon state: nine settings, 36 projections, and what they say with how much doubt."""

import bluesky.plan_stubs as bps
import numpy as np

from plans.goals import Goal
from plans.pairs import PairCounter
from plans.stubs import measure_setting, publish_counts, recording_run, with_source_on

__all__ = ["measure_tomography"]

BELL = ("phi+", "phi-", "psi+", "psi-")


def measure_tomography(
    tagger,
    alice,
    bob,
    source=None,
    acquisition_s: float = 0.5,
    sigma: float = 0.005,
    max_rounds: int = 10,
    max_duration_s: float | None = None,
    window_ps: int = 2000,
    delays_ps: list[int] | None = None,
    target: str = "phi+",
    extinction_db: float = 60.0,
    seed: int = 0,
    md: dict[str, object] | None = None,
):
    """Measure all pairs of Bloch axes, round by round, until the fidelity is known well enough.

    The result has the state of maximum likelihood and, from the posterior, fidelity, concurrence, purity and the largest
    reachable S with intervals that hold them with probability 68 %.

    Parameters
    ----------
    tagger : TimeTagger
        Records both parties.
    alice, bob : PolarisationAnalyser
        The analysers; the state is that in their aligned frames.
    source : PhotonSource
        Switched on for the run.
    acquisition_s : float
        Seconds a setting and round.
    sigma : float
        Wanted standard uncertainty of the fidelity.
    max_rounds : int
        Rounds after which the plan gives up waiting for it.
    max_duration_s : float
        Lab seconds after which it does.
    window_ps : int
        Full width of the coincidence window.
    delays_ps : list of int
        Delays of Alice's and Bob's transmitted and reflected channel; found from the data where not given.
    target : str
        phi+, phi-, psi+ or psi-: the state that fidelity is with.
    extinction_db : float
        Of the analysers' splitters, where it is known: what they let through wrongly is not held against the state.
    seed : int
        Of the samples of the posterior.
    md : dict
        Metadata.
    """
    from qlab.analysis.accidentals import accidental_counts
    from qlab.analysis.projections import NINE_SETTINGS, analyser_counts
    from qlab.analysis.state_estimation import maximum_likelihood
    from qlab.analysis.state_report import describe_state
    from qlab.errors import PlanError
    from qlab.run.results import publish

    if target not in BELL:
        msg = f"measure_tomography: target {target!r}; expected one of {', '.join(BELL)}"
        raise PlanError(msg)
    goal = Goal("measure_tomography", sigma, max_rounds, max_duration_s)
    if not acquisition_s > 0:
        msg = f"measure_tomography: acquisition_s = {acquisition_s:g}; expected above 0"
        raise PlanError(msg)
    if extinction_db < 10.0:
        msg = f"measure_tomography: extinction_db = {extinction_db:g}; expected at least 10 dB"
        raise PlanError(msg)
    pairs = PairCounter(alice, bob, window_ps, delays_ps, tagger)
    contrast = 1.0 - 2.0 * 10.0 ** (-extinction_db / 10.0)
    n = len(NINE_SETTINGS)

    def body():
        goal.begin(tagger.clock)
        yield from bps.abs_set(tagger.acquisition_s, acquisition_s, wait=True)
        counts = np.zeros((n, 2, 2), dtype=np.int64)
        accidentals = np.zeros((n, 2, 2))
        live_s = np.zeros(n)
        while True:
            for k, (a, b) in enumerate(NINE_SETTINGS):
                yield from measure_setting([tagger], [alice, bob], [(alice, a), (bob, b)])
                block = tagger.last_block
                counted = pairs.add(k, block)
                for setting, table in counted:
                    counts[setting] += table
                singles = pairs.singles(block)
                live_s[k] += block.live_s
                accidentals[k] += accidental_counts(singles[:2], singles[2:], window_ps, block.live_s)
                yield from publish_counts(pairs.results, counted, tagger.clock)
            pairs.settle()
            data = analyser_counts(NINE_SETTINGS, counts, live_s=live_s, accidentals=accidentals, contrast=contrast)
            figures = describe_state(data, target, seed)
            if goal.reached(figures["fidelity_sigma"]):
                break
        fit = maximum_likelihood(data)
        values = {
            **figures,
            "target": target,
            "extinction_db": extinction_db,
            "rho_real": fit.rho.real,
            "rho_imag": fit.rho.imag,
            "likelihood_gap": fit.gap,
            "counts": counts,
            "accidentals": accidentals,
            "live_s": live_s,
            "window_ps": window_ps,
            "channels": np.array(pairs.channels),
            "delays_ps": np.array(pairs.delays()),
            **goal.figures(),
        }
        units = {"live_s": "s", "window_ps": "ps", "delays_ps": "ps"}
        yield from publish("analysis", "tomography", values, tagger.clock.now_s(), units)
        return values

    return (yield from with_source_on(source, recording_run("measure_tomography", [tagger], body, n * max_rounds, md)))
