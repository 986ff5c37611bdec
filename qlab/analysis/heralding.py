"""What a pair source and its two arms are worth, from singles, dark clicks and coincidences of one acquisition."""

from __future__ import annotations

import math
from dataclasses import dataclass

from qlab.analysis.accidentals import car, klyshko_efficiency
from qlab.errors import BadRequestError

__all__ = ["PairFigures", "pair_figures"]


@dataclass(frozen=True, slots=True)
class PairFigures:
    """Each figure with its standard uncertainty.

    Attributes
    ----------
    efficiency_a, efficiency_b:
        Of the arms, from the source to the click (Klyshko).
    pair_rate_hz:
        Pairs that the source sends into the arms.
    car:
        True coincidences by accidental ones.
    """

    efficiency_a: float
    efficiency_a_sigma: float
    efficiency_b: float
    efficiency_b_sigma: float
    pair_rate_hz: float
    pair_rate_hz_sigma: float
    car: float
    car_sigma: float


def pair_figures(
    singles_a: float,
    singles_b: float,
    coincidences: float,
    accidentals: float,
    live_s: float,
    *,
    darks_a: float = 0.0,
    darks_b: float = 0.0,
    capture: float = 1.0,
) -> PairFigures:
    """Return efficiencies, pair rate and coincidence-to-accidental ratio.

    Parameters
    ----------
    singles_a, singles_b, coincidences:
        Counts in `live_s`, dark clicks and accidentals included.
    accidentals:
        Expected ones among the coincidences.
    darks_a, darks_b:
        Expected dark clicks in `live_s`.
    capture:
        Fraction of pairs that jitter leaves in the window.

    Notes
    -----
    eta_a = C / S_b and R = S_a S_b / C with C, S less accidentals and darks.  To first order, for pairs that are each
    detected independently, var eta_a = eta_a (1 - eta_a) / S_b + (A + eta_a^2 D_b) / S_b^2 and
    var R = R^2 (((1 - eta_a)(1 - eta_b) + A / C) / C + D_a / S_a^2 + D_b / S_b^2) around the pairs that there were.  Expected
    darks and accidentals are taken as known.

    Raises
    ------
    BadRequestError
        There is no light, or there are no true coincidences.
    """
    true = coincidences - accidentals
    if true <= 0 or live_s <= 0:
        msg = f"{coincidences:g} coincidences, {accidentals:g} of them accidental, in {live_s:g} s: there are no pairs"
        raise BadRequestError(msg)
    light_a, light_b = singles_a - darks_a, singles_b - darks_b
    eta_a = klyshko_efficiency(coincidences, accidentals, singles_b, darks_b, capture)
    eta_b = klyshko_efficiency(coincidences, accidentals, singles_a, darks_a, capture)

    def sigma(eta: float, partner: float, dark: float) -> float:
        caught = eta * capture
        variance = max(caught * (1.0 - caught), 0.0) / partner + (accidentals + caught**2 * dark) / partner**2
        return math.sqrt(variance) / capture

    rate_hz = light_a * light_b * capture / true / live_s
    lost = max((1.0 - eta_a * capture) * (1.0 - eta_b * capture), 0.0) + accidentals / true
    noise = darks_a / light_a**2 + darks_b / light_b**2
    ratio = car(coincidences, accidentals) if accidentals > 0 else math.inf
    return PairFigures(
        eta_a,
        sigma(eta_a, light_b, darks_b),
        eta_b,
        sigma(eta_b, light_a, darks_a),
        rate_hz,
        rate_hz * math.sqrt(lost / true + noise),
        ratio,
        math.sqrt(coincidences) / accidentals if accidentals > 0 else math.inf,
    )
