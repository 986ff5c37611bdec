"""Detection efficiencies without a standard, by photon pairs, corrected for what real detectors do.

D. N. Klyshko, Sov. J. Quantum Electron. 10, 1112 (1980): a click of one arm says that a photon went into the other, whose
clicks are then counted.  Corrections for accidentals, darks, dead time and afterpulses as in M. Ware, A. Migdall,
J. C. Bienfang and S. V. Polyakov, J. Mod. Opt. 54, 361 (2007), and for the pairs that jitter takes out of the window.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qlab.analysis.accidentals import accidental_counts
from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["DetectorClicks", "KlyshkoFigures", "klyshko_figures"]


@dataclass(frozen=True, slots=True)
class DetectorClicks:
    """What one detector counted, and how it misbehaves.

    Parameters
    ----------
    singles:
        Clicks in the light.
    dark_hz:
        Clicks a second in the dark.
    dead_time_ps:
        After each click.
    afterpulses, afterpulses_sigma:
        Share of clicks that are afterpulses.
    dark_hz_sigma:
        Standard uncertainty of `dark_hz`: the root of the clicks that were counted in the dark, over the time.
    """

    singles: float
    dark_hz: float = 0.0
    dead_time_ps: float = 0.0
    afterpulses: float = 0.0
    afterpulses_sigma: float = 0.0
    dark_hz_sigma: float = 0.0

    def alive(self, live_s: float) -> float:
        """Return the share of time in which it can click."""
        return 1.0 - self.singles / live_s * self.dead_time_ps * 1e-12

    def dark_clicks(self, live_s: float) -> float:
        """Return the primary dark clicks among those in the light, which leaves the darks less time."""
        primary_hz = self.dark_hz * (1.0 - self.afterpulses) / (1.0 - self.dark_hz * self.dead_time_ps * 1e-12)
        return primary_hz * self.alive(live_s) * live_s

    def dark_clicks_sigma(self, live_s: float) -> float:
        """Return how well these are known, as their rate is."""
        return self.dark_hz_sigma * (1.0 - self.afterpulses) * self.alive(live_s) * live_s

    def light(self, live_s: float) -> float:
        """Return the clicks that photons made."""
        return self.singles * (1.0 - self.afterpulses) - self.dark_clicks(live_s)


@dataclass(frozen=True, slots=True)
class KlyshkoFigures:
    """Efficiencies from the pair's birth to the click, each with its standard uncertainty.

    Attributes
    ----------
    inputs_a, inputs_b:
        Of each detector, shapes (na,) and (nb,); behind a splitter its share of the photons is part of it.
    arm_a, arm_b:
        Of all detectors of an arm together.
    pair_rate_hz:
        Pairs that are made.
    accidentals:
        Expected, of all pairs of detectors.
    """

    inputs_a: NDArray[np.float64]
    inputs_a_sigma: NDArray[np.float64]
    inputs_b: NDArray[np.float64]
    inputs_b_sigma: NDArray[np.float64]
    arm_a: float
    arm_a_sigma: float
    arm_b: float
    arm_b_sigma: float
    pair_rate_hz: float
    pair_rate_hz_sigma: float
    accidentals: float


def klyshko_figures(
    a: Sequence[DetectorClicks],
    b: Sequence[DetectorClicks],
    coincidences: ArrayLike,
    window_ps: float,
    live_s: float,
    capture: ArrayLike = 1.0,
) -> KlyshkoFigures:
    """Return the efficiencies of all detectors of two arms.

    Parameters
    ----------
    a, b:
        The detectors of each arm.
    coincidences:
        Within the window, shape (na, nb).
    window_ps:
        Full width.
    live_s:
        Seconds in which light was counted.
    capture:
        Share of the pairs that jitter leaves in the window, one number or shape (na, nb).

    Notes
    -----
    eta_i = sum_j (C_ij - A_ij) / (f_ij L_ij) / sum_j P_j with P_j the clicks that photons made on j and L_ij the chance that
    i is not dead when its partner clicks on j.  Since j was not dead itself, clicks of i that were coincident with one of j
    cannot be what i is dead from: L_ij = 1 - (m_i - c_ij) min(tau_i, tau_j) - m_i max(tau_i - tau_j, 0) with rates m of
    clicks and c of coincidences.

    Raises
    ------
    BadRequestError
        Shapes that do not fit, no light, or no coincidences above the accidental ones.
    """
    counts = np.asarray(coincidences, dtype=np.float64)
    caught = np.broadcast_to(np.asarray(capture, dtype=np.float64), counts.shape)
    if counts.shape != (len(a), len(b)) or live_s <= 0 or (caught <= 0).any():
        msg = (
            f"Klyshko: coincidences of shape {counts.shape} for {len(a)} and {len(b)} detectors in {live_s:g} s, capture "
            f"{np.asarray(capture).tolist()}; expected one count a pair, and time and capture above 0"
        )
        raise BadRequestError(msg)
    background = accidental_counts([d.singles for d in a], [d.singles for d in b], window_ps, live_s)
    true = counts - background
    light = [np.array([d.light(live_s) for d in side]) for side in (a, b)]
    if true.sum() <= 0 or (light[0] <= 0).any() or (light[1] <= 0).any():
        msg = (
            f"Klyshko: {counts.sum():g} coincidences, {background.sum():.1f} of them accidental, and {light[0].round()} and "
            f"{light[1].round()} clicks of photons: there are no pairs; is the source on, do the delays fit?"
        )
        raise BadRequestError(msg)
    whole_a = true / caught / _alive_given_partner(a, b, true / live_s, live_s)
    whole_b = true.T / caught.T / _alive_given_partner(b, a, true.T / live_s, live_s)
    of_a = _arm(whole_a, true, background, a, b, light[1], live_s)
    of_b = _arm(whole_b, true.T, background.T, b, a, light[0], live_s)
    # Both alive: the partner's own share of time, times that of the other given it.
    both = float((whole_a / np.array([d.alive(live_s) for d in b])).sum())
    rate_a, rate_b = (
        float((clicks / [d.alive(live_s) for d in side]).sum()) for clicks, side in zip(light, (a, b), strict=True)
    )
    lost = (1.0 - of_a.total) * (1.0 - of_b.total) + background.sum() / true.sum()
    noise = [_shared(side, clicks, live_s) for side, clicks in zip((a, b), light, strict=True)]
    accidental = _accidental_sigma(background, a, b) / true.sum()
    pair_rate_hz = rate_a * rate_b / both / live_s
    return KlyshkoFigures(
        of_a.eta,
        of_a.sigma,
        of_b.eta,
        of_b.sigma,
        of_a.total,
        of_a.total_sigma,
        of_b.total,
        of_b.total_sigma,
        pair_rate_hz,
        pair_rate_hz * math.hypot(math.sqrt(max(lost, 0.0) / true.sum()), accidental, *noise),
        float(background.sum()),
    )


@dataclass(frozen=True, slots=True)
class _Arm:
    eta: NDArray[np.float64]
    sigma: NDArray[np.float64]
    total: float
    total_sigma: float


def _arm(
    whole: NDArray[np.float64],
    true: NDArray[np.float64],
    background: NDArray[np.float64],
    own: Sequence[DetectorClicks],
    partners: Sequence[DetectorClicks],
    clicks: NDArray[np.float64],
    live_s: float,
) -> _Arm:
    """Return an arm's efficiencies from corrected coincidences, shape (detectors, partners), and the partners' clicks.

    Pairs that are each detected independently are a binomial draw from the heralds.  Darks and accidentals come on top as
    they happened (Poisson), and with what is not known of how many were to be expected.
    """
    heralds = float(clicks.sum())
    darks = sum(d.dark_clicks(live_s) for d in partners)
    known = _shared(partners, clicks, live_s)

    def figure(corrected: float, counted: float, accidental: float, accidental_sigma: float) -> tuple[float, float]:
        eta, stands_for = corrected / heralds, corrected / max(counted, 1e-300)
        seen = eta / stands_for
        counting = max(seen * (1.0 - seen), 0.0) * heralds + accidental + accidental_sigma**2 + seen**2 * darks
        return eta, math.hypot(stands_for * math.sqrt(counting) / heralds, eta * known)

    each = [
        figure(float(w.sum()), float(t.sum()), float(row.sum()), _accidental_sigma(row[None, :], [d], partners))
        for w, t, row, d in zip(whole, true, background, own, strict=True)
    ]
    all_sigma = _accidental_sigma(background, own, partners)
    total, total_sigma = figure(float(whole.sum()), float(true.sum()), float(background.sum()), all_sigma)
    return _Arm(np.array([e for e, _ in each]), np.array([s for _, s in each]), total, total_sigma)


def _shared(side: Sequence[DetectorClicks], clicks: NDArray[np.float64], live_s: float) -> float:
    """Return the relative uncertainty of an arm's clicks by that of its afterpulses and dark rates."""
    afterpulses = (d.afterpulses_sigma * d.singles for d in side)
    return math.hypot(*afterpulses, *(d.dark_clicks_sigma(live_s) for d in side)) / float(clicks.sum())


def _accidental_sigma(
    background: NDArray[np.float64], a: Sequence[DetectorClicks], b: Sequence[DetectorClicks]
) -> float:
    """Return the uncertainty of all expected accidentals, which are a product of two counts."""
    of_a = sum((float(row.sum()) / max(d.singles, 1.0)) ** 2 * d.singles for row, d in zip(background, a, strict=True))
    of_b = sum(
        (float(row.sum()) / max(d.singles, 1.0)) ** 2 * d.singles for row, d in zip(background.T, b, strict=True)
    )
    return math.sqrt(of_a + of_b)


def _alive_given_partner(
    side: Sequence[DetectorClicks], partners: Sequence[DetectorClicks], pairs_hz: NDArray[np.float64], live_s: float
) -> NDArray[np.float64]:
    """Return the chance that a detector is not dead when its partner clicks, shape (side, partners)."""
    alive = np.ones((len(side), len(partners)))
    for i, one in enumerate(side):
        rate_hz = one.singles / live_s
        for j, partner in enumerate(partners):
            common = min(one.dead_time_ps, partner.dead_time_ps) * 1e-12
            longer = max(one.dead_time_ps - partner.dead_time_ps, 0.0) * 1e-12
            alive[i, j] -= (rate_hz - pairs_hz[i, j]) * common + rate_hz * longer
    return alive
