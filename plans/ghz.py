"""Photons of two pairs that meet on a polarising splitter: a GHZ state of all four parties, its witness and its fidelity."""

from typing import Literal

import bluesky.plan_stubs as bps
import numpy as np

from plans.goals import Goal
from plans.multifolds import PatternCounter
from plans.parties import joined
from plans.stubs import measure_setting, publish_counts, recording_run, with_source_on

__all__ = ["measure_ghz"]

PARTIES = 4
Z = (1.0, 0.0, 0.0)
"""As an analyser takes Bloch vectors: (Z, X, Y)."""


def measure_ghz(
    taggers,
    analysers,
    source=None,
    phase: Literal["+", "-"] = "-",
    acquisition_s: float = 0.1,
    search_s: float = 0.05,
    sigma: float = 0.01,
    max_acquisitions: int = 100,
    max_duration_s: float | None = None,
    window_ps: int = 1000,
    delays_ps: list[int] | None = None,
    search_ps: int = 100_000,
    md: dict[str, object] | None = None,
):
    """Measure four-fold coincidences along Z and along four directions of the equator, which give the fidelity with GHZ.

    With M_k along cos(k pi/4) X + sin(k pi/4) Y for every party, F = (P(0000) + P(1111)) / 2 + sum_k (-1)^k <MMMM_k> / 8
    for (|0000> + |1111>)/sqrt 2 (Guehne, Lu, Gao, Pan, PRA 76, 030305(R), 2007); of these Z and X make a witness of genuine
    entanglement of all four (`qlab.analysis.witnesses.ghz_witness`).  After one acquisition each, the next is always of the
    setting that the fidelity's variance owes most to.

    Parameters
    ----------
    taggers : list of TimeTagger
        On one clock; all of the lab if none is named.  Their inputs are counted through.
    analysers : list of PolarisationAnalyser
        Four analysers, aligned, their inputs in the taggers' order: first the two whose photons go straight to them, then
        those behind the splitter.  All of the lab, in its order, if none is named.
    source : PhotonSource
        Switched on for the run.
    phase : str
        Of the state (|0000> + |1111>)/sqrt 2; "-" is what two sources of phi+ make.
    acquisition_s : float
        Seconds an acquisition.
    search_s : float
        Seconds of the first acquisition, which tells the delays of the inputs; not used where these are given.
    sigma : float
        Wanted standard uncertainty of the fidelity.
    max_acquisitions : int
        After which the plan gives up waiting for it.
    max_duration_s : float
        Lab seconds after which it does.
    window_ps : int
        Full width of the coincidence window.
    delays_ps : list of int
        Delays of all inputs, each party's transmitted and reflected one in turn; found where not given.
    search_ps : int
        Largest lag between two inputs that is looked for: less than the pulses' period.
    md : dict
        Metadata.
    """
    from qlab.analysis.witnesses import ghz_witness
    from qlab.errors import PlanError
    from qlab.run.results import publish

    if len(analysers) != PARTIES:
        names = ", ".join(one.name for one in analysers) or "none"
        msg = f"measure_ghz: analysers = {names}; expected four analysers"
        raise PlanError(msg)
    if phase not in ("+", "-"):
        msg = f"measure_ghz: phase = {phase!r}; expected + or -"
        raise PlanError(msg)
    if not min(acquisition_s, search_s) > 0:
        msg = f"measure_ghz: acquisition_s = {acquisition_s:g}, search_s = {search_s:g}; expected above 0"
        raise PlanError(msg)
    goal = Goal("measure_ghz", sigma, max_acquisitions, max_duration_s, word="max_acquisitions", fewest=PARTIES + 1)
    inputs = counted_through(taggers, analysers)
    counter = PatternCounter(inputs[:4], inputs[4:], window_ps, delays_ps, search_ps)
    angles = np.arange(PARTIES) * np.pi / PARTIES
    settings = [Z, *((0.0, float(np.cos(a)), float(np.sin(a))) for a in angles)]
    wanted = (1.0 if phase == "+" else -1.0) * (-1.0) ** np.arange(PARTIES)

    def measure(setting, stream="primary"):
        turns = [(one, settings[setting]) for one in analysers]
        yield from measure_setting(taggers, list(analysers), turns, stream)
        return joined(taggers)

    def body():
        if not counter.delays_ps:
            yield from _acquire_for(taggers, search_s)
            # Along X every detector of the first two has coincidences with every one behind the splitter.
            counter.find((yield from measure(1, "search")))
        goal.begin(taggers[0].clock)
        yield from _acquire_for(taggers, acquisition_s)
        counts = np.zeros((PARTIES + 1, *(2,) * PARTIES), dtype=np.int64)
        times = np.zeros(PARTIES + 1, dtype=np.int64)
        variances = np.zeros(PARTIES + 1)
        while True:
            n = goal.rounds
            setting = n if n <= PARTIES else int(np.argmax(variances / times))
            block = yield from measure(setting)
            table = fourfolds(counter.count(block))
            counts[setting] += table
            times[setting] += 1
            yield from publish_counts(counter.results, [(setting, table)], taggers[0].clock)
            population, coherences, variances = contributions(counts, wanted)
            fidelity_sigma = float(np.sqrt(variances.sum()))
            if goal.reached(fidelity_sigma):
                break
        if not counts.reshape(PARTIES + 1, -1).sum(axis=1).all():
            msg = (
                f"measure_ghz: a setting without four-fold coincidences in {goal.rounds} acquisitions; pump harder or "
                "count longer"
            )
            raise PlanError(msg)
        # A minus is a turn of one party about Z, which exchanges its outcomes along X.
        along_x = counts[1] if phase == "+" else counts[1][..., ::-1]
        witness = ghz_witness(along_x, counts[0])
        values = {
            "fidelity": float(population / 2.0 + coherences.mean() / 2.0),
            "fidelity_sigma": fidelity_sigma,
            "witness": witness.value,
            "witness_sigma": witness.sigma,
            "population": float(population),
            "coherences": coherences,
            "counts": counts,
            "acquisitions": times,
            "acquisition_s": acquisition_s,
            "fourfolds_hz": float(counts.sum() / (times.sum() * acquisition_s)),
            "window_ps": window_ps,
            "channels": np.array(counter.channels),
            "delays_ps": np.array(counter.delays()),
            **goal.figures(),
        }
        units = {"acquisition_s": "s", "fourfolds_hz": "Hz", "window_ps": "ps", "delays_ps": "ps"}
        yield from publish("analysis", "ghz", values, taggers[0].clock.now_s(), units)
        return values

    return (yield from with_source_on(source, recording_run("measure_ghz", taggers, body, max_acquisitions, md)))


def counted_through(taggers, analysers):
    """Return the inputs of all parties, from 1 and through all taggers: those of a party lie behind those of the one before.

    A party's numbers are those of its own tagger; a number that is not above the one before begins the next tagger.
    """
    inputs, tagger, before = [], 0, 0
    for party in analysers:
        if before and party.transmitted <= before and tagger + 1 < len(taggers):
            tagger += 1
        first = sum(len(one.inputs) for one in taggers[:tagger])
        inputs += [first + party.transmitted, first + party.reflected]
        before = max(party.transmitted, party.reflected)
    return inputs


def fourfolds(patterns):
    """Return the pulses with one click of each party, shape (2, 2, 2, 2); outcome 0 is the transmitted one."""
    result = np.zeros((2,) * PARTIES, dtype=np.int64)
    for outcome in np.ndindex(result.shape):
        result[outcome] = patterns[sum(1 << (2 * party + port) for party, port in enumerate(outcome))]
    return result


def contributions(counts, wanted):
    """Return population, signed coherences, and what each setting adds to the variance of the fidelity.

    Parameters
    ----------
    counts : array of shape (5, 2, 2, 2, 2)
    wanted : array of shape (4,)
        Signs of the coherences in the state that is meant.
    """
    parity = np.ones(())
    for _ in range(PARTIES):
        parity = np.multiply.outer(parity, np.array([1.0, -1.0]))
    totals = np.maximum(counts.reshape(PARTIES + 1, -1).sum(axis=1), 1)
    alike = counts[0, 0, 0, 0, 0] + counts[0, 1, 1, 1, 1]
    population = alike / totals[0]
    coherences = wanted * (counts[1:] * parity).reshape(PARTIES, -1).sum(axis=1) / totals[1:]
    # Two events more, one of each kind: few that all agree are no certainty.
    blunt = (alike + 1.0) / (totals[0] + 2.0)
    shrunk = coherences * totals[1:] / (totals[1:] + 2.0)
    variances = np.concatenate([[blunt * (1.0 - blunt) / 4.0], (1.0 - shrunk**2) / (2.0 * PARTIES) ** 2])
    return population, coherences, variances / totals


def _acquire_for(taggers, seconds):
    for tagger in taggers:
        yield from bps.abs_set(tagger.acquisition_s, seconds, wait=True)
