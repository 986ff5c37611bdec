"""The joint spectrum of a pulsed pair source, by when its photons arrive behind dispersive fibres."""

import bluesky.plan_stubs as bps
import numpy as np

from plans.goals import Goal
from plans.stubs import measure_setting, recording_run, with_source_on

__all__ = ["measure_joint_spectrum"]


def measure_joint_spectrum(
    tagger,
    source=None,
    trigger: int = 4,
    inputs: list[int] | None = None,
    dispersion_a_ps_nm: float = 0.0,
    dispersion_b_ps_nm: float = 0.0,
    dispersion_sigma: float = 0.0,
    reference: str = "",
    acquisition_s: float = 1.0,
    sigma: float = 0.01,
    max_rounds: int = 20,
    max_duration_s: float | None = None,
    pulses_per_trigger: int = 1,
    search_ps: int = 1_000_000,
    width_ps: int = 8000,
    md: dict[str, object] | None = None,
):
    """Measure when both photons of a pair arrive after the pump's pulse; from it, their spectra and Schmidt number.

    Run it twice: with the fibres taken out (both dispersions 0), for what detectors and the pulse smear, and behind the
    fibres with that run as `reference`.

    Parameters
    ----------
    tagger : TimeTagger
        Sees both photons and the pulses' trigger.
    source : PhotonSource
        Switched on for the run.
    trigger : int
        The trigger's input, from 1.
    inputs : list of int
        The signal's input and the idler's, from 1; by default 1 and 3.
    dispersion_a_ps_nm, dispersion_b_ps_nm : float
        Of the whole way of the signal and of the idler photon, known, with their signs; 0 in both arms for a reference.
    dispersion_sigma : float
        Relative standard uncertainty of these.
    reference : str
        The run without dispersion, by the beginning of its uid, or -1, -2, ... from the last, in the same data folder.
        Without it jitter counts as 0, and the purity is an upper bound.
    acquisition_s : float
        Seconds a round.
    sigma : float
        Wanted standard uncertainty of the purity; of a reference, the relative one of both widths.
    max_rounds : int
        Rounds after which the plan takes what there is.
    max_duration_s : float
        Lab seconds after which it does.
    pulses_per_trigger : int
        Of the pump, where the tagger sees only some of the triggers.
    search_ps : int
        Largest lag of the idler behind the signal, either way.
    width_ps : int
        Full width of the window around the middle of each photon's arrivals: eight times their standard deviation or more.
    md : dict
        Metadata.
    """
    from dataclasses import asdict

    from qlab.analysis.joint_arrivals import JointArrivals
    from qlab.analysis.joint_spectrum import joint_spectrum
    from qlab.errors import BadRequestError, PlanError
    from qlab.run.results import publish

    both = [1, 3] if inputs is None else inputs
    dispersions = (dispersion_a_ps_nm, dispersion_b_ps_nm)
    bare = dispersions == (0.0, 0.0)
    if len(both) != 2 or not acquisition_s > 0 or dispersion_sigma < 0 or (0.0 in dispersions and not bare):
        msg = (
            f"measure_joint_spectrum: inputs = {both}, dispersions {dispersions[0]:g} and {dispersions[1]:g} ps/nm, "
            f"acquisition_s = {acquisition_s:g}; expected two inputs, dispersion in both arms or in none, and a time above 0"
        )
        raise PlanError(msg)
    goal = Goal("measure_joint_spectrum", sigma, max_rounds, max_duration_s)
    try:
        arrivals = JointArrivals(
            trigger - 1, both[0] - 1, both[1] - 1, pulses_per_trigger, float(search_ps), float(width_ps)
        )
    except BadRequestError as error:
        msg = f"measure_joint_spectrum: {error}"
        raise PlanError(msg) from error
    known = _reference_spread(tagger, reference) if reference else None

    def judged():
        """Return the spread, the spectrum where there is one, and what the goal is about; None, None, infinite so far."""
        try:
            spread = arrivals.spread()
            found = None if bare else joint_spectrum(spread, dispersions, known, dispersion_sigma)
        except BadRequestError as error:
            return None, error, np.inf
        return spread, found, spread.relative_error if found is None else found.purity.sigma

    def body():
        goal.begin(tagger.clock)
        yield from bps.abs_set(tagger.acquisition_s, acquisition_s, wait=True)
        while True:
            yield from measure_setting([tagger], [])
            try:
                arrivals.feed(tagger.last_block)
            except BadRequestError as error:
                msg = f"measure_joint_spectrum: {error}"
                raise PlanError(msg) from error
            spread, found, reached = judged()
            if goal.reached(reached):
                break
        if spread is None:
            msg = f"measure_joint_spectrum: {found}"
            raise PlanError(msg) from found
        half_ps = arrivals.width_ps / 2.0
        values = {
            "pairs": spread.pairs,
            "covariance": spread.covariance,
            "covariance_errors": spread.errors,
            "histogram": arrivals.counts - arrivals.accidentals,
            "edges_ps": np.linspace(-half_ps, half_ps, arrivals.counts.shape[0] + 1),
            "dispersions_ps_nm": np.array(dispersions),
            "reference": reference,
            "period_ps": arrivals.period_ps,
            "lag_ps": arrivals.lag_ps,
            "inputs": np.array([trigger, *both]),
            **goal.figures(),
        }
        if found is not None:
            values |= {name: value for name, value in asdict(found).items() if isinstance(value, float)}
            for name in ("purity", "schmidt_number"):
                one = getattr(found, name)
                values |= {
                    name: one.value,
                    f"{name}_sigma": one.sigma,
                    f"{name}_low": one.low,
                    f"{name}_high": one.high,
                }
        units = {"edges_ps": "ps", "period_ps": "ps", "lag_ps": "ps"}
        yield from publish("analysis", "joint", values, tagger.clock.now_s(), units)
        return values

    run = recording_run("measure_joint_spectrum", [tagger], body, max_rounds, md)
    return (yield from with_source_on(source, run))


def _reference_spread(tagger, reference):
    """Return the `ArrivalSpread` of an earlier run without dispersion in the same data folder."""
    from qlab.analysis.joint_spectrum import ArrivalSpread
    from qlab.errors import PlanError
    from qlab.run.journal import find_run, read_run

    record = read_run(find_run(tagger.recorder.folder.parent / "runs", reference))
    found = record.events.get("analysis", [{}])[-1]
    if "joint_covariance" not in found or np.any(found["joint_dispersions_ps_nm"]):
        what = f"run {record.uid[:8]} of {record.start.get('plan_name')}"
        msg = (
            f"measure_joint_spectrum: {what} is no reference; expected one of measure_joint_spectrum without dispersion"
        )
        raise PlanError(msg)
    covariance, errors = np.array(found["joint_covariance"]), np.array(found["joint_covariance_errors"])
    return ArrivalSpread(float(found["joint_pairs"]), covariance, errors)
