"""How many secret bits are in a block of decoy-state BB84: two decoy states (Lim 2014) or one (Rusca 2018).

Weak coherent pulses of intensities mu_1 > mu_2 (> mu_3), chosen with probabilities p_k, phase-randomised.  Detections
of pulses with n photons are bounded from the counts of each intensity by Hoeffding's inequality, whose terms cost
eps_sec / a each:

    n^{+-}_k = e^{mu_k} / p_k (n_k +- sqrt(n / 2 ln(a / eps_sec)))

C. C. W. Lim, M. Curty, N. Walenta, F. Xu, H. Zbinden, Phys. Rev. A 89, 022307 (2014), equations 1 to 5, a = 21.
D. Rusca, A. Boaron, F. Gruenenfelder, A. Martin, H. Zbinden, Appl. Phys. Lett. 112, 171104 (2018), a = 19.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from qlab.analysis.qber import binary_entropy
from qlab.errors import BadRequestError
from qlab.qkd.epsilons import Epsilon, EpsilonBudget
from qlab.qkd.sampling import gamma_deviation

if TYPE_CHECKING:
    from qlab.qkd.finite_key import SecurityTarget

__all__ = ["DecoyBounds", "DecoyCounts", "Intensities", "decoy_bounds", "decoy_budget", "decoy_secret_bits"]

_TERMS = {2: 19, 3: 21}  # in how many parts eps_sec is divided, by the number of intensities


@dataclass(frozen=True, slots=True)
class Intensities:
    """Mean photon numbers, falling, and with which probability each is chosen."""

    mean_photons: tuple[float, ...]
    probabilities: tuple[float, ...]

    def __post_init__(self) -> None:
        mu, p = self.mean_photons, self.probabilities
        fine = len(mu) == len(p) and len(mu) in _TERMS and min(mu) >= 0.0 and min(p) > 0.0 and abs(sum(p) - 1.0) < 1e-9
        if not fine or any(high <= low for high, low in pairwise(mu)):
            msg = f"intensities {mu} with probabilities {p}: expected 2 or 3, falling, probabilities above 0 that sum to 1"
            raise BadRequestError(msg)
        if (len(mu) == 3 and mu[0] <= mu[1] + mu[2]) or mu[-1 if len(mu) == 2 else 1] == 0.0:
            msg = f"intensities {mu}: expected mu_1 > mu_2 + mu_3 with two decoy states, and mu_2 > 0"
            raise BadRequestError(msg)

    @property
    def parts(self) -> int:
        """In how many parts eps_sec is divided."""
        return _TERMS[len(self.mean_photons)]

    def share(self, photons: int) -> float:
        """Return tau_n, the probability that a pulse has n photons."""
        total = sum(
            p * math.exp(-mu) * mu**photons for mu, p in zip(self.mean_photons, self.probabilities, strict=True)
        )
        return total / math.factorial(photons)


@dataclass(frozen=True, slots=True)
class DecoyCounts:
    """What was detected and what of it was wrong, by intensity, in the key basis and in the test basis."""

    key: tuple[int | float, ...]
    key_errors: tuple[int | float, ...]
    test: tuple[int | float, ...]
    test_errors: tuple[int | float, ...]

    def __post_init__(self) -> None:
        sizes = {len(self.key), len(self.key_errors), len(self.test), len(self.test_errors)}
        pairs = [*zip(self.key_errors, self.key, strict=False), *zip(self.test_errors, self.test, strict=False)]
        if len(sizes) != 1 or not all(0 <= wrong <= n for wrong, n in pairs) or sum(self.key) < 1 or sum(self.test) < 1:
            msg = f"{self}: expected as many numbers in each, 0 <= errors <= detections, and detections in both bases"
            raise BadRequestError(msg)


@dataclass(frozen=True, slots=True)
class DecoyBounds:
    """Bounds on what the block holds.

    Attributes
    ----------
    vacuum, single:
        Detections in the key basis of pulses with 0 and 1 photons, at least.
    single_test, single_errors:
        In the test basis: of pulses with 1 photon at least, and wrong ones of these at most.
    phase_error:
        Phase error rate of the single photons in the key basis, at most.
    """

    vacuum: float
    single: float
    single_test: float
    single_errors: float
    phase_error: float

    @property
    def entropy(self) -> float:
        """Bits that Eve does not know before anything is disclosed; 0 where single photons tell nothing."""
        if self.single <= 0.0 or self.phase_error >= 0.5:
            return 0.0
        return self.vacuum + self.single * (1.0 - binary_entropy(self.phase_error))


def decoy_bounds(intensities: Intensities, counts: DecoyCounts, eps_sec: float) -> DecoyBounds:
    """Return the bounds that hold together except with probability eps_sec.

    Raises
    ------
    BadRequestError
        Counts of another number of intensities, or eps_sec not between 0 and 1.
    """
    if len(counts.key) != len(intensities.mean_photons) or not 0.0 < eps_sec < 1.0:
        msg = f"decoy bounds of {len(counts.key)} counts for {intensities}, eps_sec {eps_sec:g}: they do not belong together"
        raise BadRequestError(msg)
    log = math.log(intensities.parts / eps_sec)
    if len(counts.key) == 3:
        vacuum, in_key = _single_two_decoys(intensities, counts.key, log)
        _, in_test = _single_two_decoys(intensities, counts.test, log)
    else:
        vacuum, in_key = _single_one_decoy(intensities, counts.key, counts.key_errors, log)
        _, in_test = _single_one_decoy(intensities, counts.test, counts.test_errors, log)
    # Errors of single photons: from the two weakest intensities.
    above, _ = _scaled(intensities, counts.test_errors, log, -2)
    _, below = _scaled(intensities, counts.test_errors, log, -1)
    mu, nu = intensities.mean_photons[-2:]
    wrong = max(intensities.share(1) * (above - below) / (mu - nu), 0.0)
    if in_key < 1.0 or in_test < 1.0 or wrong >= in_test / 2.0:
        return DecoyBounds(vacuum, max(in_key, 0.0), max(in_test, 0.0), wrong, 0.5)
    rate = wrong / in_test
    phase = rate + gamma_deviation(rate, in_key, in_test, (eps_sec / intensities.parts) ** 2)
    return DecoyBounds(vacuum, in_key, in_test, wrong, min(phase, 0.5))


def decoy_budget(target: SecurityTarget) -> EpsilonBudget:
    """Return the epsilons of one key: the proofs divide eps_sec in equal parts, which the bounds above use."""
    return EpsilonBudget(
        (
            Epsilon(
                "counts, phase errors, smoothing, privacy amplification", target.eps_sec, "decoy states, equal parts"
            ),
            Epsilon("keys differ unnoticed", target.eps_cor, "verification by universal hash"),
        )
    )


def decoy_secret_bits(bounds: DecoyBounds, disclosed_bits: float, eps_sec: float, parts: int) -> int:
    """Return the length of the key, floor(s_0 + s_1 (1 - h(phi)) - disclosed - 6 log2(a / eps_sec)), or 0.

    Parameters
    ----------
    bounds:
        From `decoy_bounds` with the same eps_sec.
    disclosed_bits:
        As counted: parities and tag; published formulas have lambda_EC + log2(2 / eps_cor) here.
    eps_sec, parts:
        Secrecy asked for, and `Intensities.parts`.
    """
    return max(math.floor(bounds.entropy - disclosed_bits - 6.0 * math.log2(parts / eps_sec)), 0)


def _scaled(intensities: Intensities, counts: tuple[float, ...], log: float, k: int) -> tuple[float, float]:
    """Return n^+_k and n^-_k; the latter may be negative, as in the papers, whose figures a cut at 0 would change."""
    scale = math.exp(intensities.mean_photons[k]) / intensities.probabilities[k]
    deviation = math.sqrt(sum(counts) / 2.0 * log)
    return scale * (counts[k] + deviation), scale * (counts[k] - deviation)


def _single_two_decoys(intensities: Intensities, counts: tuple[float, ...], log: float) -> tuple[float, float]:
    """Return s_0 and s_1 at least: Lim 2014, equations 2 and 3."""
    (plus_1, _), (plus_2, minus_2), (plus_3, minus_3) = (_scaled(intensities, counts, log, k) for k in range(3))
    mu_1, mu_2, mu_3 = intensities.mean_photons
    tau_0, tau_1 = intensities.share(0), intensities.share(1)
    vacuum = max(tau_0 * (mu_2 * minus_3 - mu_3 * plus_2) / (mu_2 - mu_3), 0.0)
    brackets = minus_2 - plus_3 - (mu_2**2 - mu_3**2) / mu_1**2 * (plus_1 - vacuum / tau_0)
    return vacuum, tau_1 * mu_1 * brackets / (mu_1 * (mu_2 - mu_3) - mu_2**2 + mu_3**2)


def _single_one_decoy(
    intensities: Intensities, counts: tuple[float, ...], errors: tuple[float, ...], log: float
) -> tuple[float, float]:
    """Return s_0 and s_1 at least: Rusca 2018; vacuum is bounded from above by errors, half of its detections being wrong."""
    (plus_1, _), (_, minus_2) = (_scaled(intensities, counts, log, k) for k in range(2))
    mu_1, mu_2 = intensities.mean_photons
    tau_0, tau_1 = intensities.share(0), intensities.share(1)
    deviation = math.sqrt(sum(counts) / 2.0 * log)
    # Any intensity serves, but one must be fixed beforehand; the weaker has fewer errors that are not the vacuum's.
    most = 2.0 * (tau_0 * _scaled(intensities, errors, log, 1)[0] + deviation)
    vacuum = max(tau_0 / (mu_1 - mu_2) * (mu_1 * minus_2 - mu_2 * plus_1), 0.0)
    brackets = minus_2 - (mu_2 / mu_1) ** 2 * plus_1 - (mu_1**2 - mu_2**2) / mu_1**2 * most / tau_0
    return vacuum, tau_1 * mu_1 / (mu_2 * (mu_1 - mu_2)) * brackets
