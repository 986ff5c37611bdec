"""Find the relation of two independent clocks from photon pairs, or say that there is none to be found."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qlab.errors import BadRequestError
from qlab.tags.clock_relation import ClockRelation
from qlab.timing.fit import fit_peak
from qlab.timing.near import near_pairs
from qlab.timing.search import Candidate, CoarseSearch, SearchGrid
from qlab.timing.zoom import Peak, zoom

__all__ = ["ClockLock", "NoLock", "Search", "acquire"]

Floats = NDArray[np.float64]
Times = NDArray[np.int64]
PS_PER_S = 10**12
SURE_SIGMAS = 6.0
"""A coarse peak that is looked at at once (of 2e7 places chance makes one in fifty so high); lower ones wait to the end."""
WIDEST_BIN = 24.0
"""Standard deviations in the last bin of the zoom, at most: an eighth of it would have held half of them."""


@dataclass(frozen=True, slots=True)
class Search:
    """What may be, and how hard to look.

    Parameters
    ----------
    max_offset_ps:
        Largest time difference, either way.
    max_frequency:
        Largest fractional frequency difference, either way.
    max_drift_per_s:
        Largest change of the frequency difference in a second, either way.
    span_s:
        How much data to use at most; over it the clocks are to follow a parabola.
    frequency_steps:
        Steps of the frequency in the coarse search, tried in this order; a finer one finds fewer pairs and takes longer.
    candidates:
        How many peaks of a coarse search are looked at closely.
    false_lock:
        Probability of a lock where there are no pairs, at most.
    max_jitter_ps:
        Largest standard deviation of the time difference of a pair; what is wider is light that comes and goes.
    """

    max_offset_ps: int = 200 * 10**9
    max_frequency: float = 1e-4
    max_drift_per_s: float = 1e-7
    span_s: float = 4.0
    frequency_steps: tuple[float, ...] = (4e-6, 1e-6, 5e-7)
    candidates: int = 12
    false_lock: float = 1e-9
    max_jitter_ps: float = 1e5


@dataclass(frozen=True, slots=True)
class ClockLock(ClockRelation):
    """How the second clock stands against the first, and how sure that is.

    Parameters
    ----------
    reference_ps, offset_ps, frequency, drift_per_s, covariance:
        The relation (`qlab.tags.clock_relation.ClockRelation`).
    jitter_ps:
        Standard deviation of the time difference of a pair.
    pair_rate_hz:
        Pairs a second.
    false_lock:
        Probability to find so high a peak anywhere in what was searched if there were no pairs.
    span_s:
        How much data was used.
    """

    jitter_ps: float
    pair_rate_hz: float
    false_lock: float
    span_s: float


@dataclass(frozen=True, slots=True)
class NoLock:
    """No pairs were found: the highest peak's probability by chance, and why."""

    false_lock: float
    reason: str


def acquire(t_a: Times, t_b: Times, search: Search | None = None) -> ClockLock | NoLock:
    """Find offset, frequency and drift between two taggers.

    Parameters
    ----------
    t_a, t_b:
        Sorted times of either tagger, int64 ps on its own clock, of the channels that share pairs.
    search:
        What may be.

    Returns
    -------
    A lock, or why there is none.
    """
    search = search or Search()
    _check(search)
    if t_a.size < 2 or t_b.size < 2:
        return NoLock(1.0, f"{min(t_a.size, t_b.size)} tags on a side; expected thousands")
    common = int(min(t_a[-1], t_b[-1]) - max(t_a[0], t_b[0]))
    span = min(round(search.span_s * PS_PER_S), common - 2 * search.max_offset_ps)
    if span < max(search.max_offset_ps // 4, PS_PER_S // 100):
        need_s = (search.max_offset_ps * 2.25) / PS_PER_S
        return NoLock(1.0, f"the two have {common / PS_PER_S:.3g} s in common; expected at least {need_s:.3g} s")
    start = int(max(t_a[0], t_b[0])) + search.max_offset_ps
    least, reason = 1.0, ""
    for step in search.frequency_steps:
        grid = SearchGrid(search.max_offset_ps, search.max_frequency, span, step)
        candidates = CoarseSearch(t_a, t_b, start, grid).candidates()[: search.candidates]
        for candidate in candidates:
            if candidate.sigmas <= SURE_SIGMAS and step != search.frequency_steps[-1]:
                break
            found = _closer(t_a, t_b, start, grid, search, candidate)
            if isinstance(found, ClockLock):
                return found
            if found.false_lock < least:
                least, reason = found.false_lock, found.reason
    return NoLock(least, reason or f"no peak is less likely by chance than {search.false_lock:g}")


def _check(search: Search) -> None:
    for name in ("max_offset_ps", "max_frequency", "span_s", "candidates", "false_lock", "max_jitter_ps"):
        if getattr(search, name) <= 0:
            msg = f"clock search: {name} is {getattr(search, name)}; expected more than 0"
            raise BadRequestError(msg)


def _closer(
    t_a: Times, t_b: Times, start: int, grid: SearchGrid, search: Search, candidate: Candidate
) -> ClockLock | NoLock:
    """Look at one candidate closely."""
    middle, span_s = start + grid.span_ps // 2, grid.span_ps / PS_PER_S
    a = t_a[slice(*np.searchsorted(t_a, [start, start + grid.span_ps]))]

    def predict(s: Floats) -> Floats:
        return candidate.offset_ps + candidate.frequency * PS_PER_S * s

    near = near_pairs(a, t_b, middle, predict, 2.0 * grid.bin_ps)
    rate = near.s.size / (2.0 * near.half_ps)
    peak = zoom(near, rate, grid.bin_ps, span_s, search.max_drift_per_s * PS_PER_S)
    false_lock = _by_chance(peak, search, span_s)
    if false_lock > search.false_lock:
        return NoLock(false_lock, "")
    if peak.width_ps > WIDEST_BIN * search.max_jitter_ps:
        return _too_wide(false_lock, peak.width_ps, search)
    band = near_pairs(
        a, t_b, middle, lambda s: predict(s) + peak.coefficients @ np.stack([s**0, s, s * s]), 4.0 * peak.width_ps
    )
    fit = fit_peak(band, peak.width_ps / 3.0, peak.excess / max(band.s.size, 1), 2)
    if fit.jitter_ps > search.max_jitter_ps:
        return _too_wide(false_lock, fit.jitter_ps, search)
    c = fit.coefficients + np.array([candidate.offset_ps, candidate.frequency * PS_PER_S, 0.0])
    c += peak.coefficients * [1.0, 1.0, 2.0]
    units = np.array([1.0, 1.0 / PS_PER_S, 1.0 / PS_PER_S])
    spread = 5.0 * np.sqrt(np.diag(fit.covariance))
    limits = np.array([search.max_offset_ps, search.max_frequency * PS_PER_S, search.max_drift_per_s * PS_PER_S])
    if (np.abs(c) > 1.01 * limits + spread).any():
        # Pairs that a wrong parabola catches for a part of the span.
        return NoLock(false_lock, "the best parabola lies outside of what was searched")
    return ClockLock(
        middle,
        float(c[0]),
        float(c[1] / PS_PER_S),
        float(c[2] / PS_PER_S),
        fit.covariance * np.outer(units, units),
        fit.jitter_ps,
        fit.pairs / span_s,
        false_lock,
        span_s,
    )


def _too_wide(false_lock: float, width_ps: float, search: Search) -> NoLock:
    text = (
        f"both sides' light comes and goes alike, within {width_ps / 1e3:.3g} ns: these are no photon pairs, which lie "
    )
    return NoLock(false_lock, f"{text}within {search.max_jitter_ps / 1e3:.3g} ns of one another")


def _by_chance(peak: Peak, search: Search, span_s: float) -> float:
    """Return the probability of so full a bin anywhere: a Poisson tail times the bins that could have been it.

    The bins are counted in the volume of offset, frequency and drift, eight to a cell in each direction because they overlap;
    the tail is bounded by its geometric series.
    """
    width_s = peak.width_ps / PS_PER_S
    trials = 2.0 * search.max_offset_ps / peak.width_ps * 2.0
    trials *= max(2.0 * search.max_frequency * span_s / width_s, 1.0) * 2.0
    trials *= max(search.max_drift_per_s * span_s**2 / (4.0 * width_s), 1.0) * 2.0
    n, mean = peak.count, max(peak.chance, 1e-12)
    if n <= mean:
        return 1.0
    log_tail = n * math.log(mean) - mean - math.lgamma(n + 1) - math.log1p(-mean / (n + 1))
    return math.exp(min(log_tail + math.log(trials), 0.0))
