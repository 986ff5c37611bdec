"""The two-photon state, or what a link does to one photon of it, and with how much doubt."""

from functools import partial
from typing import Literal

import bluesky.plan_stubs as bps
import numpy as np

from plans.goals import Goal
from plans.pairs import PairCounter
from plans.setting_counts import SettingCounts
from plans.stubs import recording_run, with_source_on

__all__ = ["measure_process", "measure_tomography"]

BELL = ("phi+", "phi-", "psi+", "psi-")
SIGNED = tuple(tuple(sign * float(k == i) for k in range(3)) for i in range(3) for sign in (1, -1))
"""The six directions along the Bloch axes."""
SETTINGS = {"nine": 9, "thirty-six": 36, "adaptive": 9}
"""Settings a round."""


def measure_tomography(
    tagger,
    alice,
    bob,
    source=None,
    acquisition_s: float = 0.5,
    sigma: float = 0.005,
    max_rounds: int = 10,
    max_duration_s: float | None = None,
    settings: Literal["nine", "thirty-six", "adaptive"] = "nine",
    window_ps: int = 2000,
    delays_ps: list[int] | None = None,
    target: str = "phi+",
    extinction_db: float = 60.0,
    seed: int = 0,
    md: dict[str, object] | None = None,
):
    """Measure pairs of Bloch axes, round by round, until the fidelity is known well enough.

    The result has the state of maximum likelihood and fidelity, concurrence, purity, negativity, entropy and the largest
    reachable S with intervals that hold them with probability 68 %; entropy's at least.

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
    settings : str
        Of each round.  "nine": all pairs of axes, both outcomes of both parties at once, which are 36 projections.
        "thirty-six": also all axes the other way round, so that detectors swap their parts and unequal efficiencies cancel.
        "adaptive": after a first round of nine, the nine along the axes of the state as it looks so far.
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
    from qlab.analysis.projections import analyser_counts
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
    if settings not in SETTINGS:
        msg = f"measure_tomography: settings = {settings!r}; expected one of {', '.join(SETTINGS)}"
        raise PlanError(msg)
    if extinction_db < 10.0:
        msg = f"measure_tomography: extinction_db = {extinction_db:g}; expected at least 10 dB"
        raise PlanError(msg)
    pairs = PairCounter(alice, bob, window_ps, delays_ps, tagger)
    contrast = 1.0 - 2.0 * 10.0 ** (-extinction_db / 10.0)

    def body():
        goal.begin(tagger.clock)
        yield from bps.abs_set(tagger.acquisition_s, acquisition_s, wait=True)
        taken, fit = SettingCounts(tagger, alice, bob, pairs), None
        while True:
            for setting in _round(settings, fit):
                yield from taken.measure(setting)
            pairs.settle()
            found = taken.figures()
            times, background = found["live_s"], found["accidentals"]
            data = analyser_counts(
                taken.settings, found["counts"], live_s=times, accidentals=background, contrast=contrast
            )
            fit = maximum_likelihood(data)
            figures = describe_state(data, target, seed)
            if goal.reached(figures["fidelity_sigma"]):
                break
        values = {
            **figures,
            "target": target,
            "extinction_db": extinction_db,
            "rho_real": fit.rho.real,
            "rho_imag": fit.rho.imag,
            "likelihood_gap": fit.gap,
            **found,
            "window_ps": window_ps,
            "channels": np.array(pairs.channels),
            "delays_ps": np.array(pairs.delays()),
            **goal.figures(),
        }
        units = {"live_s": "s", "window_ps": "ps", "delays_ps": "ps"}
        yield from publish("analysis", "tomography", values, tagger.clock.now_s(), units)
        return values

    points = SETTINGS[settings] * max_rounds
    return (yield from with_source_on(source, recording_run("measure_tomography", [tagger], body, points, md)))


def _round(settings, fit):
    """Return the settings of the next round, Bloch vectors of both parties."""
    from qlab.analysis.adaptive_settings import second_step_settings
    from qlab.analysis.projections import NINE_SETTINGS

    if settings == "thirty-six":
        return [(a, b) for a in SIGNED for b in SIGNED]
    return NINE_SETTINGS if settings == "nine" or fit is None else second_step_settings(fit.rho)


def measure_process(
    tagger,
    alice,
    bob,
    source=None,
    reference: str = "",
    acquisition_s: float = 0.5,
    sigma: float = 0.005,
    max_rounds: int = 10,
    max_duration_s: float | None = None,
    keeps_trace: bool = True,
    window_ps: int = 2000,
    delays_ps: list[int] | None = None,
    extinction_db: float = 60.0,
    seed: int = 0,
    md: dict[str, object] | None = None,
):
    """Measure what a link does to the polarisation of Bob's photon, by the pair's state with the link and without.

    Alice's outcomes prepare Bob's photon from afar.  The state without the link comes from a run of `measure_tomography`
    with the link taken out, and the analysers as they are.

    Parameters
    ----------
    tagger : TimeTagger
        Records both parties.
    alice, bob : PolarisationAnalyser
        The analysers; the channel is that between their frames.
    source : PhotonSource
        Switched on for the run.
    reference : str
        The run of `measure_tomography` without the link, by the beginning of its uid, or -1, -2, ... from the last, in the
        same data folder.  Its state counts as exact: measure it longer than the link.
    acquisition_s : float
        Seconds a setting and round.
    sigma : float
        Wanted standard uncertainty of the process fidelity with the nearest unitary.
    max_rounds : int
        Rounds after which the plan gives up waiting for it.
    max_duration_s : float
        Lab seconds after which it does.
    keeps_trace : bool
        Hold the channel to lose the same of all polarisations; else `pdl_db` is its polarisation-dependent loss, the median
        of the posterior.
    window_ps : int
        Full width of the coincidence window.
    delays_ps : list of int
        Delays of Alice's and Bob's transmitted and reflected channel; found from the data where not given.
    extinction_db : float
        Of the analysers' splitters, where it is known.
    seed : int
        Of the samples of the posterior.
    md : dict
        Metadata.
    """
    from qlab.analysis.process_measures import (
        average_fidelity,
        mueller_matrix,
        nearest_unitary,
        pdl_db,
        process_fidelity,
    )
    from qlab.analysis.process_tomography import ancilla_counts, fit_process, sample_process
    from qlab.analysis.projections import NINE_SETTINGS
    from qlab.analysis.state_intervals import linear_state
    from qlab.errors import PlanError
    from qlab.run.results import publish

    goal = Goal("measure_process", sigma, max_rounds, max_duration_s)
    if not acquisition_s > 0 or extinction_db < 10.0 or not reference:
        msg = (
            f"measure_process: reference = {reference!r}, acquisition_s = {acquisition_s:g}, extinction_db = "
            f"{extinction_db:g}; expected a run of measure_tomography without the link, above 0, and at least 10 dB"
        )
        raise PlanError(msg)
    pair = _reference_state(tagger, reference)
    pairs = PairCounter(alice, bob, window_ps, delays_ps, tagger)
    contrast = 1.0 - 2.0 * 10.0 ** (-extinction_db / 10.0)

    def body():
        goal.begin(tagger.clock)
        yield from bps.abs_set(tagger.acquisition_s, acquisition_s, wait=True)
        taken = SettingCounts(tagger, alice, bob, pairs)
        while True:
            for setting in NINE_SETTINGS:
                yield from taken.measure(setting)
            pairs.settle()
            found = taken.figures()
            data = ancilla_counts(
                pair,
                taken.settings,
                found["counts"],
                live_s=found["live_s"],
                accidentals=found["accidentals"],
                contrast=contrast,
            )
            fit = fit_process(data, keeps_trace=keeps_trace)
            unitary = nearest_unitary(fit.choi)
            # The posterior would draw a channel that is nearly unitary towards worse ones.
            raw = linear_state(data, fit.choi / 2.0)
            fidelity = raw.interval(partial(process_fidelity, unitary=unitary))
            if goal.reached(fidelity.sigma):
                break
        mean = raw.interval(partial(average_fidelity, unitary=unitary))
        values = {
            "fidelity": fidelity.value,
            "fidelity_sigma": fidelity.sigma,
            "fidelity_low": fidelity.low,
            "fidelity_high": fidelity.high,
            "average_fidelity": mean.value,
            "average_fidelity_sigma": mean.sigma,
            "mueller": mueller_matrix(fit.choi),
            "choi_real": fit.choi.real,
            "choi_imag": fit.choi.imag,
            "unitary_real": unitary.real,
            "unitary_imag": unitary.imag,
            "likelihood_gap": fit.gap,
            "reference": reference,
            "window_ps": window_ps,
            **found,
            "channels": np.array(pairs.channels),
            "delays_ps": np.array(pairs.delays()),
            **goal.figures(),
        }
        if not keeps_trace:
            loss = sample_process(data, seed, keeps_trace=False).interval(pdl_db)
            values |= {"pdl_db": loss.value, "pdl_db_sigma": loss.sigma}
        units = {"live_s": "s", "window_ps": "ps", "delays_ps": "ps"}
        yield from publish("analysis", "process", values, tagger.clock.now_s(), units)
        return values

    points = len(NINE_SETTINGS) * max_rounds
    return (yield from with_source_on(source, recording_run("measure_process", [tagger], body, points, md)))


def _reference_state(tagger, reference):
    """Return the density matrix of an earlier tomography in the same data folder, shape (4, 4)."""
    from qlab.errors import PlanError
    from qlab.run.journal import find_run, read_run

    record = read_run(find_run(tagger.recorder.folder.parent / "runs", reference))
    results = record.events.get("analysis", [{}])[-1]
    if "tomography_rho_real" not in results:
        what = f"run {record.uid[:8]} of {record.start.get('plan_name')}"
        msg = f"measure_process: {what} has no state; expected one of measure_tomography that came to its end"
        raise PlanError(msg)
    return np.array(results["tomography_rho_real"]) + 1j * np.array(results["tomography_rho_imag"])
