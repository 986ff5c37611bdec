"""The dip of two heralded photons that meet: points are put where they tell most."""

import bluesky.plan_stubs as bps
import numpy as np

from plans.goals import Goal
from plans.multifolds import PatternCounter
from plans.parties import joined
from plans.stubs import measure_setting, publish_counts, recording_run, with_source_on

__all__ = ["scan_hom"]

HORIZONTAL_DEG = 0.0


def scan_hom(
    taggers,
    delay_line,
    alice=None,
    bob=None,
    source=None,
    heralds: list[int] | None = None,
    ports: list[int] | None = None,
    centre_ps: float = 0.0,
    range_ps: float = 24.0,
    coarse_points: int = 9,
    acquisition_s: float = 0.2,
    search_s: float = 0.05,
    sigma: float = 0.02,
    max_points: int = 60,
    max_duration_s: float | None = None,
    window_ps: int = 1000,
    delays_ps: list[int] | None = None,
    search_ps: int = 100_000,
    md: dict[str, object] | None = None,
):
    """Scan a delay coarsely, fit the dip of four-fold coincidences, and go on where it lowers the visibility's error most.

    The count is that of pulses in which both heralds and both ports of the splitter clicked.

    Parameters
    ----------
    taggers : list of TimeTagger
        On one clock; all of the lab if none is named.  Their inputs are counted through.
    delay_line : DelayLine
        Delays one of the photons that meet.
    alice, bob : PolarisationAnalyser
        Where they stand before the heralds: both are set to H.
    source : PhotonSource
        Switched on for the run.
    heralds : list of int
        Inputs of the two heralds, from 1; Alice's and Bob's transmitted ones where not given.
    ports : list of int
        Inputs of the detectors behind the two ports of the splitter.
    centre_ps, range_ps : float
        Middle and width of the coarse scan.
    coarse_points : int
        Points of the coarse scan, at least 6.
    acquisition_s : float
        Seconds a point.
    search_s : float
        Seconds of the first acquisition, which tells the delays of the inputs; not used where these are given.
    sigma : float
        Wanted standard uncertainty of the visibility.
    max_points : int
        Points after which the plan gives up waiting for it.
    max_duration_s : float
        Lab seconds after which it does.
    window_ps : int
        Full width of the coincidence window.
    delays_ps : list of int
        Delays of the two heralds and the two ports; found from the data where not given.
    search_ps : int
        Largest lag between two inputs that is looked for: less than the pulses' period.
    md : dict
        Metadata.
    """
    from qlab.analysis.adaptive_dip import next_delay
    from qlab.analysis.two_photon_interference import fit_dip
    from qlab.errors import BadRequestError, PlanError
    from qlab.run.results import publish

    if heralds is None and alice is not None and bob is not None:
        heralds = [alice.transmitted, bob.transmitted]
    if heralds is None or ports is None or len(heralds) != 2 or len(ports) != 2:
        msg = (
            f"scan_hom: heralds = {heralds}, ports = {ports}; expected two inputs each, for example heralds=[1,3] "
            "ports=[5,7]"
        )
        raise PlanError(msg)
    if coarse_points < 6 or not (acquisition_s > 0 and search_s > 0 and range_ps > 0):
        msg = (
            f"scan_hom: coarse_points = {coarse_points}, acquisition_s = {acquisition_s:g}, search_s = {search_s:g}, "
            f"range_ps = {range_ps:g}; expected at least 6, and all above 0"
        )
        raise PlanError(msg)
    goal = Goal("scan_hom", sigma, max_points, max_duration_s, word="max_points", fewest=coarse_points)
    low, high = centre_ps - range_ps / 2.0, centre_ps + range_ps / 2.0
    least, most = delay_line.limits_ps
    if not least <= low < high <= most:
        msg = f"scan_hom: delays of {low:g} to {high:g} ps; {delay_line.name} reaches {least:.4g} to {most:.4g} ps"
        raise PlanError(msg)
    counter = PatternCounter(heralds, ports, window_ps, delays_ps, search_ps)
    analysers = [analyser for analyser in (alice, bob) if analyser is not None]
    turns = [(analyser, HORIZONTAL_DEG) for analyser in analysers]
    readables = [delay_line, *analysers]

    def seen(reached, counts):
        """Return the dip; None where there is none, one outside of what was scanned, or deeper than there is light."""
        try:
            dip = fit_dip(reached, counts)
        except BadRequestError:
            return None
        return dip if low <= dip.centre_ps <= high and dip.fwhm_ps <= high - low else None

    def body():
        if not counter.delays_ps:
            yield from _acquire_for(taggers, search_s)
            yield from measure_setting(taggers, readables, [*turns, (delay_line, low)], stream="search")
            counter.find(joined(taggers))
        goal.begin(taggers[0].clock)
        yield from _acquire_for(taggers, acquisition_s)
        reached: list[float] = []
        counts: list[int] = []
        dip = None
        while True:
            n = len(counts)
            if n < coarse_points:
                delay = low + (high - low) * n / (coarse_points - 1)
            elif dip is None:
                # Nothing to be seen yet: again, between the points of the scan before.
                delay = low + (high - low) * ((n % coarse_points + 0.5) / coarse_points)
            else:
                near = dip.centre_ps + dip.fwhm_ps * np.linspace(-2.0, 2.0, 81)
                delay = next_delay(dip, reached, np.unique(np.clip([*near, low, high], low, high)))
            yield from measure_setting(taggers, readables, [*turns, (delay_line, float(delay))])
            found = int(counter.count(joined(taggers))[15])
            reached.append(float(delay_line.delay_ps.get()))
            counts.append(found)
            yield from publish_counts(counter.results, [(n, np.array([found]))], taggers[0].clock)
            if len(counts) >= coarse_points:
                dip = seen(reached, counts)
            if goal.reached(np.inf if dip is None else dip.visibility_sigma):
                break
        if dip is None:
            msg = (
                f"scan_hom: no dip in {len(counts)} points with {sum(counts)} four-folds between {low:g} and {high:g} ps; "
                "scan another range or count longer"
            )
            raise PlanError(msg)
        values = {
            "visibility": dip.visibility,
            "visibility_sigma": dip.visibility_sigma,
            "centre_ps": dip.centre_ps,
            "centre_ps_sigma": dip.centre_sigma_ps,
            "fwhm_ps": dip.fwhm_ps,
            "fwhm_ps_sigma": dip.fwhm_sigma_ps,
            "level": dip.level,
            "level_sigma": dip.level_sigma,
            "chi2": dip.chi2,
            "degrees_of_freedom": dip.degrees_of_freedom,
            "points_ps": np.array(reached),
            "fourfolds": np.array(counts),
            "acquisition_s": acquisition_s,
            "channels": np.array(counter.channels),
            "delays_ps": np.array(counter.delays()),
            **goal.figures(),
        }
        units = {key: "ps" for key in values if key.endswith(("_ps", "_ps_sigma"))} | {"acquisition_s": "s"}
        yield from publish("analysis", "hom", values, taggers[0].clock.now_s(), units)
        return values

    return (yield from with_source_on(source, recording_run("scan_hom", taggers, body, max_points, md)))


def _acquire_for(taggers, seconds):
    for tagger in taggers:
        yield from bps.abs_set(tagger.acquisition_s, seconds, wait=True)
