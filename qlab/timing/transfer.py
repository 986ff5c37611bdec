"""Time from one place to another by photon pairs: one way with a known delay, both ways without, and who watches the way.

With x the far clock less the near one, pairs made near show the difference a = x + d_out (far less near), pairs made far show
b = x - d_home, so that

    x = (a + b) / 2 - (d_out - d_home) / 2,      a - b = d_out + d_home,

and of the way only its asymmetry matters (J. Lee, L. Shen, A. Cere, J. Troupe, A. Lamas-Linares, C. Kurtsiefer, Appl. Phys.
Lett. 114, 101102 (2019)).  Whoever delays one way alone moves x by half of it.  The round trip then shows all of it: that is
what can be watched.  Who takes off one way what is added to the other leaves the round trip as it was, and nothing in the
arrival times tells (the same authors, Appl. Phys. Lett. 115, 141101 (2019)); nor does polarisation, which a circulator keeps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from qlab.errors import BadRequestError

__all__ = ["Seen", "Transfer", "WayWatch", "one_way", "two_way"]


@dataclass(frozen=True, slots=True)
class Transfer:
    """The far clock less the near one, in ps, and its standard error.

    Parameters
    ----------
    offset_ps, sigma_ps:
        With what the delay or the asymmetry is uncertain.
    statistical_ps:
        Standard error from the pairs alone.
    round_trip_ps, round_trip_sigma_ps:
        Sum of both delays; NaN for one way.
    """

    offset_ps: float
    sigma_ps: float
    statistical_ps: float
    round_trip_ps: float = math.nan
    round_trip_sigma_ps: float = math.nan


def one_way(difference_ps: float, sigma_ps: float, delay_ps: float, delay_sigma_ps: float) -> Transfer:
    """Return the offset from pairs made near and a delay that is known from elsewhere.

    Parameters
    ----------
    difference_ps, sigma_ps:
        Far less near, of pairs made near, and its standard error.
    delay_ps, delay_sigma_ps:
        How much later the far photon is clicked than the near one, and how well that is known.
    """
    return Transfer(difference_ps - delay_ps, math.hypot(sigma_ps, delay_sigma_ps), sigma_ps)


def two_way(
    out: tuple[float, float],
    home: tuple[float, float],
    asymmetry_ps: float = 0.0,
    asymmetry_sigma_ps: float = 0.0,
) -> Transfer:
    """Return the offset from pairs made near and pairs made far.

    Parameters
    ----------
    out, home:
        Far less near and its standard error, of pairs made near and of pairs made far.
    asymmetry_ps, asymmetry_sigma_ps:
        Delay out less delay home, and how well it is known: half of it is the offset's error.
    """
    (a, sigma_a), (b, sigma_b) = out, home
    statistical = math.hypot(sigma_a, sigma_b) / 2.0
    return Transfer(
        (a + b - asymmetry_ps) / 2.0,
        math.hypot(statistical, asymmetry_sigma_ps / 2.0),
        statistical,
        a - b,
        math.hypot(sigma_a, sigma_b),
    )


@dataclass(frozen=True, slots=True)
class Seen:
    """What the watch says of a round trip: whether it moved more than the way may, and by how much since the last."""

    alarm: bool
    step_ps: float
    limit_ps: float


class WayWatch:
    """Watches the round trip: a delay that is put into one way alone must show in it.

    Parameters
    ----------
    drift_ps_per_s:
        How fast the way itself may change: 10 ps/(km K) times its length and the fastest change of temperature.
    false_alarm:
        Probability of an alarm at a comparison where nothing happened.
    calibrated_ps, calibrated_sigma_ps:
        The round trip where it is known from before; the first is then compared with it.
    """

    def __init__(
        self,
        drift_ps_per_s: float,
        *,
        false_alarm: float = 1e-6,
        calibrated_ps: float | None = None,
        calibrated_sigma_ps: float = 0.0,
    ) -> None:
        if drift_ps_per_s < 0.0 or not 0.0 < false_alarm < 1.0:
            msg = (
                f"watch: drift_ps_per_s = {drift_ps_per_s:g}, false_alarm = {false_alarm:g}; "
                "expected 0 or more, and a probability between 0 and 1"
            )
            raise BadRequestError(msg)
        self._drift = drift_ps_per_s
        self._sigmas = NormalDist().inv_cdf(1.0 - false_alarm / 2.0)
        self._last: tuple[float, float, float] | None = None
        self._calibrated = None if calibrated_ps is None else (calibrated_ps, calibrated_sigma_ps)

    def see(self, at_s: float, transfer: Transfer) -> Seen:
        """Take a round trip; an alarm's step is not forgotten: the next is compared with what is there now."""
        now, sigma = transfer.round_trip_ps, transfer.round_trip_sigma_ps
        if self._last is not None:
            before_s, before, before_sigma = self._last
            allowed = self._drift * max(at_s - before_s, 0.0)
        elif self._calibrated is not None:
            (before, before_sigma), allowed = self._calibrated, 0.0
        else:
            before, before_sigma, allowed = now, math.inf, 0.0
        limit = self._sigmas * math.hypot(sigma, before_sigma) + allowed
        self._last = (at_s, now, sigma)
        return Seen(abs(now - before) > limit, now - before, limit)
