"""Single-photon detectors: efficiency, darks, jitter, dead time, and afterpulses of every order."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qlab.physics.keys import QUANTILES, normal_table
from qlab.physics.knob import Knob
from qlab.physics.settle import AfterpulseLaw

if TYPE_CHECKING:
    from qlab.physics.pulses import PulseTrain

__all__ = ["Detector", "exponential_table", "jitter_table"]

Times = NDArray[np.int64]
FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
LONGEST_TAIL = math.log(2.0 * QUANTILES)


@lru_cache(maxsize=64)
def jitter_table(fwhm_ps: float) -> NDArray[np.int32]:
    """Return 65536 quantiles of a Gaussian response in ps, moved to begin at 0: a click never precedes its photon."""
    table = normal_table() * (fwhm_ps / FWHM_PER_SIGMA)
    quantiles: NDArray[np.int32] = np.round(table - table[0]).astype(np.int32)
    return quantiles


@lru_cache(maxsize=64)
def exponential_table(tau_ps: float) -> Times:
    """Return 65536 quantiles of an exponential delay in ps."""
    return np.array([round(-tau_ps * math.log1p(-(i + 0.5) / QUANTILES)) for i in range(QUANTILES)], dtype=np.int64)


@lru_cache(maxsize=64)
def _followed_after(tau_ps: float, dead_time_ps: int) -> Times:
    return exponential_table(tau_ps) + dead_time_ps


@lru_cache(maxsize=1)
def _no_jitter() -> NDArray[np.int32]:
    return np.zeros(QUANTILES, dtype=np.int32)


@dataclass(slots=True)
class Detector:
    """A non-paralysable click detector, free-running or gated.

    Parameters
    ----------
    efficiency, dark_rate_hz, afterpulse_probability:
        Knobs; an afterpulse follows any click, afterpulses included, with this probability.
    jitter_fwhm_ps:
        Full width at half maximum of the timing response.
    jitter_scale:
        Knob by which it is multiplied.
    dead_time_ps:
        Nothing clicks for this long after a click.
    afterpulse_tau_ps:
        Mean delay of an afterpulse after the end of the dead time.
    gate:
        It clicks only during these pulses; None: always.  What a photon, a dark or a trapped carrier would have done
        outside them is lost and makes no dead time; a carrier that is set free in a later gate clicks there, so that
        afterpulses die out over the gates with `afterpulse_tau_ps`.
    """

    efficiency: Knob = field(default_factory=lambda: Knob(0.5))
    dark_rate_hz: Knob = field(default_factory=lambda: Knob(0.0))
    afterpulse_probability: Knob = field(default_factory=lambda: Knob(0.0))
    jitter_fwhm_ps: float = 0.0
    dead_time_ps: int = 0
    afterpulse_tau_ps: float = 50_000.0
    jitter_scale: Knob = field(default_factory=lambda: Knob(1.0))
    gate: PulseTrain | None = None

    def jitter_ps(self, t_ps: int) -> NDArray[np.int32]:
        """Return the timing response by 16 bits, int32 ps, shape (65536,), to a tenth of a picosecond."""
        fwhm_ps = round(self.jitter_fwhm_ps * self.jitter_scale.value(t_ps), 1)
        return jitter_table(fwhm_ps) if fwhm_ps else _no_jitter()

    @property
    def latency_ps(self) -> int:
        """The mean delay of a click after its photon, which the jitter table adds."""
        return int(np.round(jitter_table(self.jitter_fwhm_ps).mean())) if self.jitter_fwhm_ps else 0

    def law(self, probability: float, key: int) -> AfterpulseLaw | None:
        """Return who is followed by an afterpulse with this probability; None where nobody is.

        A draw is keyed by the time of the click that is followed, so that no order of calculation can change it.
        """
        if probability <= 0.0:
            return None
        limit = min(round(probability * 2.0**32), 2**32)
        return AfterpulseLaw(limit, key, _followed_after(self.afterpulse_tau_ps, max(self.dead_time_ps, 1)), self.gate)
