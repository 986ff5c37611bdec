"""Second-order correlations at zero delay, free and heralded, and what they say of a source's modes.

Both estimators are ratios in which the detectors' efficiencies cancel.  With threshold detectors they are those of the
light as long as clicks are rare.
"""

from __future__ import annotations

import math

from qlab.analysis.intervals import ONE_SIGMA, Interval, poisson_interval
from qlab.errors import BadRequestError

__all__ = [
    "continuous_g2",
    "heralded_g2",
    "heralded_g2_poisson",
    "heralded_g2_thermal",
    "mode_number",
    "pulsed_g2",
    "purity_from_g2",
]


def pulsed_g2(clicks_1: int, clicks_2: int, both: int, pulses: int, level: float = ONE_SIGMA) -> Interval:
    """Return g2(0) of a pulsed source behind a splitter, N_12 N / (N_1 N_2).

    Parameters
    ----------
    clicks_1, clicks_2, both:
        Pulses with a click of the first, the second, and of both detectors.
    pulses:
        In all.
    level:
        Of the interval.
    """
    return _ratio("g2", both, pulses, clicks_1, clicks_2, level)


def heralded_g2(heralds: int, with_1: int, with_2: int, with_both: int, level: float = ONE_SIGMA) -> Interval:
    """Return g2(0) of the photons that a click announces, N_h N_h12 / (N_h1 N_h2): P. Grangier, G. Roger and A. Aspect,
    Europhys. Lett. 1, 173 (1986).

    Parameters
    ----------
    heralds, with_1, with_2, with_both:
        Heralds, and those with a click of the first, the second, and of both detectors in the window.
    level:
        Of the interval.
    """  # noqa: D205 - the source belongs to the sentence
    return _ratio("heralded g2", with_both, heralds, with_1, with_2, level)


def continuous_g2(
    clicks_1: int, clicks_2: int, coincidences: int, window_ps: float, live_s: float, level: float = ONE_SIGMA
) -> Interval:
    """Return g2(0) of continuous light, averaged over a window: N_12 T / (N_1 N_2 T_w).

    Parameters
    ----------
    window_ps:
        Full width of the window; far below the coherence time this is g2(0), above it tends to 1.
    """
    if not window_ps > 0 or not live_s > 0:
        msg = f"g2: window of {window_ps:g} ps and {live_s:g} s of data; expected both above 0"
        raise BadRequestError(msg)
    return _ratio("g2", coincidences, live_s / (window_ps * 1e-12), clicks_1, clicks_2, level)


def heralded_g2_thermal(mu: float) -> float:
    """Return the heralded g2(0) of a source of one thermal mode with mean pair number mu, at low efficiency.

    With p(n) = mu^n / (1 + mu)^(n+1) the n-weighted moments are (4 mu + 6 mu^2) / (1 + 2 mu)^2.
    """
    return (4.0 * mu + 6.0 * mu * mu) / (1.0 + 2.0 * mu) ** 2


def heralded_g2_poisson(mu: float) -> float:
    """Return that of a source of many modes, (2 mu + mu^2) / (1 + mu)^2."""
    return (2.0 * mu + mu * mu) / (1.0 + mu) ** 2


def mode_number(g2: Interval) -> Interval:
    """Return the effective number of modes K = 1 / (g2 - 1) of one arm of a pair source; its inverse is the spectral purity.

    A. Christ, K. Laiho, A. Eckstein, K. N. Cassemiro and C. Silberhorn, New J. Phys. 13, 033027 (2011).

    Raises
    ------
    BadRequestError
        g2 is not above 1.
    """
    if g2.value <= 1.0:
        msg = f"number of modes from g2 = {g2.value:g} of one arm: expected above 1; take more data, mind the dead time"
        raise BadRequestError(msg)
    low = 1.0 / (g2.high - 1.0)
    high = 1.0 / (g2.low - 1.0) if g2.low > 1.0 else math.inf
    return Interval(1.0 / (g2.value - 1.0), low, high, g2.level, "modes", f"1/(g2 - 1), {g2.method}")


def purity_from_g2(g2: Interval) -> Interval:
    """Return the spectral purity P = g2 - 1 of one arm of a pair source, 1 for a single mode (the same reference).

    Its interval may reach beyond 0 and 1, where the truth is not: so it holds the truth as often as it says.
    """
    return Interval(g2.value - 1.0, g2.low - 1.0, g2.high - 1.0, g2.level, "", f"g2 - 1, {g2.method}")


def _ratio(name: str, both: int, total: float, one: int, other: int, level: float) -> Interval:
    """Return both * total / (one * other).

    Multinomial counts give var ln r = 1/both - 1/one - 1/other + 2 both / (one other) - 1/total to first order.  The first
    term is all that matters where coincidences are rare: it is that of the exact Poisson interval, which the others shrink.
    """
    if both < 0 or one <= 0 or other <= 0 or total <= 0 or both > min(one, other):
        msg = f"{name} from {both} double, {one} and {other} single clicks of {total:g}: expected 0 <= double <= single > 0"
        raise BadRequestError(msg)
    scale = total / (float(one) * float(other))
    counted = poisson_interval(both, level)
    rest = -1.0 / one - 1.0 / other + 2.0 * both / (float(one) * float(other)) - 1.0 / total
    value = both * scale
    shrink = math.sqrt(max(1.0 + rest * max(both, 1), 0.0))
    low, high = (value + (edge * scale - value) * shrink for edge in (counted.low, counted.high))
    return Interval(
        value, low, high, level, "", "Poisson interval of the double clicks, multinomial covariance of the rest"
    )
