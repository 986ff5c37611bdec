"""Entanglement of photons that never met: what a Bell-state measurement of their partners leaves them in."""

import bluesky.plan_stubs as bps
import numpy as np

from plans.goals import Goal
from plans.multifolds import PatternCounter
from plans.parties import joined
from plans.stubs import measure_setting, publish_counts, recording_run, with_source_on

__all__ = ["measure_swapping"]

AXES = ("zz", "xx", "yy")
BLOCH = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
"""The same as an analyser takes them, (Z, X, Y)."""
SIGNS = {"phi+": (1, 1, -1), "phi-": (1, -1, 1), "psi+": (-1, 1, 1), "psi-": (-1, -1, -1)}
"""Correlations of the Bell states along these axes."""
HERALDS = (((0, 3), (1, 2)), ((0, 1), (2, 3)))
"""Of the station's detectors ch, cv, dh, dv: which pairs herald psi- (both outputs), and psi+ (one output)."""


def measure_swapping(
    taggers,
    alice,
    bob,
    source=None,
    delay_line=None,
    delay_ps: float = 0.0,
    station: list[int] | None = None,
    targets: list[str] | None = None,
    acquisition_s: float = 0.25,
    search_s: float = 0.05,
    sigma: float = 0.02,
    max_acquisitions: int = 60,
    max_duration_s: float | None = None,
    window_ps: int = 1000,
    delays_ps: list[int] | None = None,
    search_ps: int = 100_000,
    md: dict[str, object] | None = None,
):
    """Measure the correlations of Alice's and Bob's photons in pulses in which the station heralds a Bell state.

    Along ZZ, XX and YY, which give the fidelity with a Bell state, F = (1 + s_z E_z + s_x E_x + s_y E_y) / 4.  After one
    acquisition each, the next is always of the axis that the fidelity's variance owes most to, until that is small enough.

    Parameters
    ----------
    taggers : list of TimeTagger
        On one clock; all of the lab if none is named.  Their inputs are counted through; the first is Alice's and Bob's.
    alice, bob : PolarisationAnalyser
        The analysers, aligned.
    source : PhotonSource
        Switched on for the run.
    delay_line : DelayLine
        Where there is one, it is set first: photons that do not meet at the station swap nothing.
    delay_ps : float
        Where: the middle of the dip that `scan_hom` finds.
    station : list of int
        Inputs, from 1, of the detectors behind the interferometer: H and V of its output c, H and V of d; 5 to 8 by default.
    targets : list of str
        The states that a heralded psi- and psi+ leave: by default these themselves, as sources of phi+ do.
    acquisition_s : float
        Seconds an acquisition.
    search_s : float
        Seconds of the first acquisition, which tells the delays of the inputs; not used where these are given.
    sigma : float
        Wanted standard uncertainty of the fidelity, both heralded states together.
    max_acquisitions : int
        After which the plan gives up waiting for it.
    max_duration_s : float
        Lab seconds after which it does.
    window_ps : int
        Full width of the coincidence window.
    delays_ps : list of int
        Delays of Alice's and Bob's transmitted and reflected inputs and of the station's four; found where not given.
    search_ps : int
        Largest lag between two inputs that is looked for: less than the pulses' period.
    md : dict
        Metadata.
    """
    from qlab.errors import PlanError
    from qlab.run.results import publish

    station = [5, 6, 7, 8] if station is None else station
    targets = ["psi-", "psi+"] if targets is None else targets
    if len(station) != 4 or len(targets) != 2 or not set(targets) <= set(SIGNS):
        msg = (
            f"measure_swapping: station = {station}, targets = {targets}; expected four inputs, and two of "
            f"{', '.join(SIGNS)}"
        )
        raise PlanError(msg)
    goal = Goal("measure_swapping", sigma, max_acquisitions, max_duration_s, word="max_acquisitions", fewest=3)
    if not min(acquisition_s, search_s) > 0:
        msg = f"measure_swapping: acquisition_s = {acquisition_s:g}, search_s = {search_s:g}; expected above 0"
        raise PlanError(msg)
    outer = [alice.transmitted, alice.reflected, bob.transmitted, bob.reflected]
    counter = PatternCounter(outer, station, window_ps, delays_ps, search_ps)
    signs = np.array([SIGNS[target] for target in targets])

    def measure(axis, stream="primary"):
        vector = BLOCH[axis]
        yield from measure_setting(taggers, [alice, bob], [(alice, vector), (bob, vector)], stream)
        return joined(taggers)

    def body():
        if delay_line is not None:
            yield from bps.abs_set(delay_line, delay_ps, wait=True)
        if not counter.delays_ps:
            yield from _acquire_for(taggers, search_s)
            # Along X every outer detector has coincidences with every detector of the station.
            counter.find((yield from measure(1, "search")))
        goal.begin(taggers[0].clock)
        yield from _acquire_for(taggers, acquisition_s)
        counts = np.zeros((2, 3, 2, 2), dtype=np.int64)
        times = np.zeros(3, dtype=np.int64)
        variance = np.zeros(3)
        while True:
            n = goal.rounds
            axis = n if n < 3 else int(np.argmax(variance / times))
            block = yield from measure(axis)
            tables = fourfolds(counter.count(block))
            counts[:, axis] += tables
            times[axis] += 1
            yield from publish_counts(counter.results, [(axis, tables)], taggers[0].clock)
            together = correlations((signs[:, :, None, None] * _signed(counts)).sum(axis=0), counts.sum(axis=0))
            # What one more acquisition takes off the variance of E is about the variance over the number there are.
            variance = together[1] ** 2
            fidelity_sigma = float(np.sqrt(variance.sum()) / 4.0)
            if goal.reached(fidelity_sigma):
                break
        if not counts.sum():
            msg = (
                f"measure_swapping: no four-fold coincidence in {goal.rounds} acquisitions; pump harder or count longer"
            )
            raise PlanError(msg)
        values = {
            "fidelity": float((1.0 + together[0].sum()) / 4.0),
            "fidelity_sigma": fidelity_sigma,
            "counts": counts,
            "acquisitions": times,
            "acquisition_s": acquisition_s,
            "fourfolds_hz": float(counts.sum() / (times.sum() * acquisition_s)),
            "window_ps": window_ps,
            "channels": np.array(counter.channels),
            "delays_ps": np.array(counter.delays()),
            **goal.figures(),
        }
        for k, name in enumerate(("psi_minus", "psi_plus")):
            e, e_sigma = correlations(_signed(counts[k]), counts[k])
            values |= {
                f"{name}_target": targets[k],
                f"{name}_e": e,
                f"{name}_e_sigma": e_sigma,
                f"{name}_fidelity": float((1.0 + signs[k] @ e) / 4.0),
                f"{name}_fidelity_sigma": float(np.sqrt((e_sigma**2).sum()) / 4.0),
            }
        units = {"acquisition_s": "s", "fourfolds_hz": "Hz", "window_ps": "ps", "delays_ps": "ps"}
        yield from publish("analysis", "swapping", values, taggers[0].clock.now_s(), units)
        return values

    return (yield from with_source_on(source, recording_run("measure_swapping", taggers, body, max_acquisitions, md)))


def fourfolds(patterns):
    """Return the pulses with one click of Alice, one of Bob and a heralding pair, shape (2 heralds, 2, 2)."""
    result = np.zeros((2, 2, 2), dtype=np.int64)
    for k, pairs in enumerate(HERALDS):
        for a in range(2):
            for b in range(2):
                outer = 1 << a | 1 << (2 + b)
                result[k, a, b] = sum(patterns[outer | 1 << (4 + i) | 1 << (4 + j)] for i, j in pairs)
    return result


def correlations(signed, counts):
    """Return E and its uncertainty for each axis, from signed and from plain counts of shape (3, 2, 2)."""
    total = counts.sum(axis=(-1, -2))
    e = signed.sum(axis=(-1, -2)) / np.maximum(total, 1)
    # Two events more, one of each sign: few that all agree are no certainty.
    shrunk = e * total / (total + 2.0)
    return e, np.sqrt((1.0 - shrunk**2) / np.maximum(total, 1))


def _signed(counts):
    return counts * np.array([[1, -1], [-1, 1]])


def _acquire_for(taggers, seconds):
    for tagger in taggers:
        yield from bps.abs_set(tagger.acquisition_s, seconds, wait=True)
