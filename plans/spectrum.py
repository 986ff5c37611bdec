"""How wide the spectrum of photon pairs is, by the time that a known dispersion tears them apart."""

import bluesky.plan_stubs as bps
import numpy as np

from plans.goals import Goal
from plans.stubs import measure_setting, recording_run, with_source_on

__all__ = ["measure_bandwidth"]


def measure_bandwidth(
    tagger,
    source=None,
    dispersion_a_ps_nm: float = 0.0,
    dispersion_b_ps_nm: float = 0.0,
    dispersion_sigma: float = 0.0,
    reference_fwhm_ps: float = 0.0,
    reference_fwhm_ps_sigma: float = 0.0,
    signal_nm: float = 810.0,
    idler_nm: float = 810.0,
    acquisition_s: float = 1.0,
    sigma: float = 0.02,
    max_rounds: int = 20,
    max_duration_s: float | None = None,
    inputs: list[int] | None = None,
    search_ps: int = 1_000_000,
    width_ps: int = 8000,
    md: dict[str, object] | None = None,
):
    """Measure the width of a coincidence peak behind dispersive fibres, and from it the bandwidth of the pairs.

    `measure_jitter` with the fibres taken out gives the width without dispersion (`pair_fwhm_ps`).  The two photons of a
    narrow pump have opposite detunings, so that dispersions of opposite sign in both arms cancel.

    Parameters
    ----------
    tagger : TimeTagger
        Sees both photons.
    source : PhotonSource
        Switched on for the run.
    dispersion_a_ps_nm, dispersion_b_ps_nm : float
        Of the whole way of the signal and of the idler photon, known.
    dispersion_sigma : float
        Relative standard uncertainty of these.
    reference_fwhm_ps, reference_fwhm_ps_sigma : float
        Width of the peak without them, and its uncertainty.
    signal_nm, idler_nm : float
        Wavelengths.
    acquisition_s : float
        Seconds a round.
    sigma : float
        Wanted relative standard uncertainty of the bandwidth by counts.
    max_rounds : int
        Rounds after which the plan takes what there is.
    max_duration_s : float
        Lab seconds after which it does.
    inputs : list of int
        The signal's input and the idler's, from 1; by default 1 and 3.
    search_ps : int
        Largest lag between both.
    width_ps : int
        Full width of the window around the peak that is looked at: several times the peak's.
    md : dict
        Metadata.
    """
    from dataclasses import asdict

    from qlab.analysis.dispersion import pair_bandwidth, pair_dispersion
    from qlab.analysis.pair_peaks import PairPeaks
    from qlab.errors import BadRequestError, PlanError
    from qlab.run.results import publish

    channels = [n - 1 for n in inputs or [1, 3]]
    d = pair_dispersion(dispersion_a_ps_nm, dispersion_b_ps_nm, signal_nm, idler_nm)
    if len(channels) != 2 or not d > 0 or not acquisition_s > 0 or min(reference_fwhm_ps, dispersion_sigma) < 0:
        msg = (
            f"measure_bandwidth: inputs = {inputs}, dispersions {dispersion_a_ps_nm:g} and {dispersion_b_ps_nm:g} ps/nm, "
            f"acquisition_s = {acquisition_s:g}, reference_fwhm_ps = {reference_fwhm_ps:g}; expected two inputs, dispersions "
            "that do not cancel, and a time above 0"
        )
        raise PlanError(msg)
    goal = Goal("measure_bandwidth", sigma, max_rounds, max_duration_s)
    peaks, pair = PairPeaks(channels, search_ps, width_ps), (channels[0], channels[1])
    reference = (reference_fwhm_ps, reference_fwhm_ps_sigma)

    def body():
        goal.begin(tagger.clock)
        yield from bps.abs_set(tagger.acquisition_s, acquisition_s, wait=True)
        while True:
            yield from measure_setting([tagger], [])
            peaks.feed(tagger.last_block)
            fit = peaks.fits().get(pair)
            relative = np.inf
            if fit is not None and fit.fwhm_ps > reference_fwhm_ps:
                found = pair_bandwidth((fit.fwhm_ps, fit.fwhm_ps_sigma), reference, (d, 0.0))
                relative = found.signal_nm_sigma / found.signal_nm
            if goal.reached(relative):
                break
        if fit is None:
            msg = f"measure_bandwidth: inputs {inputs or [1, 3]} have no coincidences; is the source on?"
            raise PlanError(msg)
        width = (fit.fwhm_ps, fit.fwhm_ps_sigma)
        try:
            found = pair_bandwidth(width, reference, (d, d * dispersion_sigma), idler_nm / signal_nm)
        except BadRequestError as error:
            msg = f"measure_bandwidth: {error}"
            raise PlanError(msg) from error
        values = {
            **{f"bandwidth_{name}": value for name, value in asdict(found).items()},
            "fwhm_ps": fit.fwhm_ps,
            "fwhm_ps_sigma": fit.fwhm_ps_sigma,
            "reference_fwhm_ps": reference_fwhm_ps,
            "reference_fwhm_ps_sigma": reference_fwhm_ps_sigma,
            "dispersion_ps_nm": d,
            "lag_ps": fit.centre_ps,
            "lag_ps_sigma": fit.centre_ps_sigma,
            "response": peaks.counts[pair],
            "response_start_ps": peaks.starts[pair],
            "channels": np.array(channels),
            **goal.figures(),
        }
        units = {"fwhm_ps": "ps", "reference_fwhm_ps": "ps", "lag_ps": "ps", "response_start_ps": "ps"}
        yield from publish("analysis", "spectrum", values, tagger.clock.now_s(), units)
        return values

    return (yield from with_source_on(source, recording_run("measure_bandwidth", [tagger], body, max_rounds, md)))
