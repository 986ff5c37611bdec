"""Single-photon detectors: efficiency, darks, jitter, dead time, and afterpulses of every order."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from qlab.physics.keys import QUANTILES, mix, normal_table
from qlab.physics.knob import Knob

__all__ = ["Detector", "exponential_table", "jitter_table"]

Times = NDArray[np.int64]
FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
LONGEST_TAIL = math.log(2.0 * QUANTILES)


@lru_cache(maxsize=64)
def jitter_table(fwhm_ps: float) -> Times:
    """Return 65536 quantiles of a Gaussian response in ps, moved to begin at 0: a click never precedes its photon."""
    table = normal_table() * (fwhm_ps / FWHM_PER_SIGMA)
    quantiles: Times = np.round(table - table[0]).astype(np.int64)
    return quantiles


@lru_cache(maxsize=64)
def exponential_table(tau_ps: float) -> Times:
    """Return 65536 quantiles of an exponential delay in ps."""
    return np.array([round(-tau_ps * math.log1p(-(i + 0.5) / QUANTILES)) for i in range(QUANTILES)], dtype=np.int64)


@dataclass(slots=True)
class Detector:
    """A non-paralysable click detector.

    Parameters
    ----------
    efficiency, dark_rate_hz, afterpulse_probability:
        Knobs; an afterpulse follows any click, afterpulses included, with this probability.
    jitter_fwhm_ps:
        Full width at half maximum of the timing response.
    dead_time_ps:
        Nothing clicks for this long after a click.
    afterpulse_tau_ps:
        Mean delay of an afterpulse after the end of the dead time.
    """

    efficiency: Knob = field(default_factory=lambda: Knob(0.5))
    dark_rate_hz: Knob = field(default_factory=lambda: Knob(0.0))
    afterpulse_probability: Knob = field(default_factory=lambda: Knob(0.0))
    jitter_fwhm_ps: float = 0.0
    dead_time_ps: int = 0
    afterpulse_tau_ps: float = 50_000.0

    @property
    def latency_ps(self) -> int:
        """The mean delay of a click after its photon, which the jitter table adds."""
        return int(np.round(jitter_table(self.jitter_fwhm_ps).mean())) if self.jitter_fwhm_ps else 0

    def clicks(self, t: Times, last_ps: int, probability: float, key: int) -> tuple[Times, NDArray[np.bool_]]:
        """Return the clicks that sorted candidates lead to, and which are afterpulses.

        An afterpulse's draw is keyed by the time of the click that it follows, so that no order of calculation can
        change it.  Causality makes the fixed point unique: what is right up to a click is right up to its afterpulse.

        Parameters
        ----------
        t:
            Candidates in ps, sorted, shape (n,).
        last_ps:
            The last click before them.
        probability, key:
            Of afterpulsing, and of its draws.
        """
        accepted = t[alive(t, self.dead_time_ps, last_ps)]
        if probability <= 0.0:
            return accepted, np.zeros(accepted.size, dtype=np.bool_)
        children = self.afterpulses(accepted, probability, key)
        while True:
            merged = np.concatenate([t, children])
            order = np.argsort(merged, kind="stable")
            merged, born = merged[order], order >= t.size
            keep = alive(merged, self.dead_time_ps, last_ps)
            accepted = merged[keep]
            again = self.afterpulses(accepted, probability, key)
            if np.array_equal(again, children):
                return accepted, born[keep]
            children = again

    def afterpulses(self, clicks: Times, probability: float, key: int) -> Times:
        """Return the candidates that these clicks leave behind, sorted."""
        bits = mix(clicks, key)
        limit = np.uint64(min(round(probability * 2.0**32), 2**32))
        chosen = (bits & np.uint64(0xFFFFFFFF)) < limit
        delays = exponential_table(self.afterpulse_tau_ps)[(bits[chosen] >> np.uint64(48)).astype(np.intp)]
        return np.sort(clicks[chosen] + self.dead_time_ps + delays, kind="stable")


def alive(t: Times, dead_time_ps: int, last_ps: int) -> NDArray[np.bool_]:
    """Return which of the sorted events a non-paralysable detector accepts; of a tie, the first.

    An event with a gap of at least the dead time to its predecessor is accepted whatever happened before, so that only
    the runs between such events have to be walked.
    """
    keep = np.ones(t.size, dtype=np.bool_)
    if not t.size:
        return keep
    dead = max(dead_time_ps, 1)
    gaps = np.diff(t, prepend=np.int64(last_ps))
    short = np.flatnonzero(gaps < dead)
    if not short.size:
        return keep
    # The first short event of a run follows an accepted one and is lost; the others have to be looked at in turn.
    follows = np.flatnonzero(np.diff(short, prepend=np.int64(-2)) == 1)
    keep[short] = False
    if follows.size or short[0] == 0:
        _walk(t, keep, short, dead, last_ps)
    return keep


def _walk(t: Times, keep: NDArray[np.bool_], short: NDArray[np.intp], dead: int, last_ps: int) -> None:
    previous, last = -2, last_ps
    times = t[short].tolist()
    for position, i in enumerate(short.tolist()):
        if i != previous + 1:
            last = int(t[i - 1]) if i > 0 else last_ps
        if times[position] - last >= dead:
            keep[i] = True
            last = times[position]
        previous = i
