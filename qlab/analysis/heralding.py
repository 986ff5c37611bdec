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
    accidentals_sigma: float = 0.0,
    darks_a_sigma: float = 0.0,
    darks_b_sigma: float = 0.0,
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
    accidentals_sigma, darks_a_sigma, darks_b_sigma:
        How well these expectations are known.

    Notes
    -----
    eta_a = C / S_b and R = S_a S_b / C with C, S less accidentals and darks.  To first order, for pairs that are each
    detected independently, var eta_a = eta_a (1 - eta_a) / S_b + (A + eta_a^2 D_b) / S_b^2 and
    var R = R^2 (((1 - eta_a)(1 - eta_b) + A / C) / C + D_a / S_a^2 + D_b / S_b^2) around the pairs that there were.  What is
    not known of the expected darks and accidentals adds to D and A as its square.

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

    wild = accidentals + accidentals_sigma**2
    dark_a, dark_b = darks_a + darks_a_sigma**2, darks_b + darks_b_sigma**2

    def sigma(eta: float, partner: float, dark: float) -> float:
        caught = eta * capture
        variance = max(caught * (1.0 - caught), 0.0) / partner + (wild + caught**2 * dark) / partner**2
        return math.sqrt(variance) / capture

    rate_hz = light_a * light_b * capture / true / live_s
    lost = max((1.0 - eta_a * capture) * (1.0 - eta_b * capture), 0.0) + wild / true
    noise = dark_a / light_a**2 + dark_b / light_b**2
    ratio = ratio_sigma = math.inf
    if accidentals > 0:
        ratio = car(coincidences, accidentals)
        ratio_sigma = math.hypot(math.sqrt(coincidences), coincidences * accidentals_sigma / accidentals) / accidentals
    return PairFigures(
        eta_a,
        sigma(eta_a, light_b, dark_b),
        eta_b,
        sigma(eta_b, light_a, dark_a),
        rate_hz,
        rate_hz * math.sqrt(lost / true + noise),
        ratio,
        ratio_sigma,
    )
