"""Key rate and key length from a Bell violation, without trust in what the devices measure.

A. Acin et al., Phys. Rev. Lett. 98, 230501 (2007); S. Pironio et al., New J. Phys. 11, 045021 (2009):

    r >= 1 - h(Q) - chi(S),   chi(S) = h((1 + sqrt((S/2)^2 - 1)) / 2)

That is asymptotic and for collective attacks: every round is alike and independent of the others.  Under the same premise a
block of n bits has the length

    l = n (1 - chi(S_low)) - 4 log2(2 + sqrt 2) sqrt(n log2(2 / eps^2)) - disclosed - 2 log2(1 / eps_sec)

by the asymptotic equipartition property (M. Tomamichel, R. Colbeck, R. Renner, IEEE Trans. Inf. Theory 55, 5840 (2009),
theorem 9: for bits 2^(-H_min/2) + 2^(H_max/2) + 1 is at most 2 + sqrt 2) and the leftover hash lemma.  S_low is what the true
S does not undercut while the test passes, by Hoeffding's inequality.  Against general attacks it claims nothing: that takes
entropy accumulation (R. Arnon-Friedman et al., Nat. Commun. 9, 459 (2018)).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qlab.analysis.qber import binary_entropy
from qlab.errors import BadRequestError
from qlab.qkd.epsilons import Epsilon, EpsilonBudget

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qlab.qkd.finite_key import SecurityTarget

__all__ = [
    "TSIRELSON",
    "chsh_budget",
    "chsh_deviation",
    "device_independent_bits",
    "device_independent_rate",
    "eavesdropper_information",
    "enough_rounds",
    "implied_error_rate",
    "sampling_tail",
    "tolerated_s",
]

TSIRELSON = 2.0 * math.sqrt(2.0)
_AEP = 4.0 * math.log2(2.0 + math.sqrt(2.0))
_SMOOTHING, _SAMPLING = 1.0 / 8.0, 1.0 / 4.0
"""Parts of eps_sec; smoothing counts twice, privacy amplification has the other half."""


def eavesdropper_information(s: float) -> float:
    """Return chi(S), Eve's information on a bit of the key in bits; 1 without a violation.

    Raises
    ------
    BadRequestError
        |S| above 2 sqrt 2: no quantum state does that, so the estimate is no input for a key rate.
    """
    if not 0.0 <= s <= TSIRELSON + 1e-9:
        msg = f"CHSH value {s:g}: expected 0 to 2 sqrt 2; take the lower end of its confidence interval"
        raise BadRequestError(msg)
    if s <= 2.0:
        return 1.0
    return binary_entropy(min((1.0 + math.sqrt((s / 2.0) ** 2 - 1.0)) / 2.0, 1.0))


def device_independent_rate(qber: float, s: float) -> float:
    """Return secret bits a raw bit, 0 where the bound gives none; asymptotic."""
    return max(1.0 - binary_entropy(qber) - eavesdropper_information(s), 0.0)


def implied_error_rate(s: float) -> float:
    """Return the error rate of a Werner state with this S: S = 2 sqrt 2 (1 - 2 Q)."""
    return (1.0 - s / TSIRELSON) / 2.0


def tolerated_s(tolerance: float) -> float:
    """Return the S that a block needs to be taken, of a Werner state with the tolerated error rate."""
    return TSIRELSON * (1.0 - 2.0 * tolerance)


def chsh_deviation(rounds: Sequence[int], tail: float) -> float:
    """Return by how much an observed S exceeds the true one with a probability of at most `tail`, for independent rounds.

    Parameters
    ----------
    rounds:
        Of each of the four pairs of settings.
    tail:
        Probability.

    Notes
    -----
    S is a sum of independent terms, n_i of which lie in an interval of length 2 / n_i: by W. Hoeffding, J. Am. Stat. Assoc.
    58, 13 (1963), theorem 2, P[S > true + t] <= exp(-t^2 / (2 sum 1/n_i)).
    """
    if len(rounds) != 4 or min(rounds) < 1 or not 0.0 < tail < 1.0:
        msg = (
            f"CHSH test with {list(rounds)} rounds, failure {tail:g}: expected four pairs of settings, 0 < failure < 1"
        )
        raise BadRequestError(msg)
    return math.sqrt(2.0 * math.log(1.0 / tail) * math.fsum(1.0 / n for n in rounds))


def sampling_tail(eps_sec: float) -> float:
    """Return the probability with which the bound on S may fail."""
    return _SAMPLING * eps_sec


def enough_rounds(n_key: int, eps_sec: float) -> bool:
    """Return whether the equipartition bound holds: n >= 8/5 log2(2 / eps^2)."""
    return n_key >= 1.6 * math.log2(2.0 / (_SMOOTHING * eps_sec) ** 2)


def device_independent_bits(n_key: int, s_low: float, disclosed_bits: float, eps_sec: float) -> int:
    """Return the length of a key against collective attacks, 0 where there is none or no bound holds.

    Parameters
    ----------
    n_key:
        Bits of the raw key.
    s_low:
        What S does not undercut.
    disclosed_bits:
        All that was told about the raw key: parities, tag.
    eps_sec:
        Secrecy asked for.
    """
    if not enough_rounds(n_key, eps_sec):
        return 0
    spread = _AEP * math.sqrt(n_key * math.log2(2.0 / (_SMOOTHING * eps_sec) ** 2))
    entropy = n_key * (1.0 - eavesdropper_information(max(s_low, 0.0))) - spread
    return max(math.floor(entropy - disclosed_bits - 2.0 * math.log2(1.0 / eps_sec)), 0)


def chsh_budget(target: SecurityTarget) -> EpsilonBudget:
    """Return the epsilons of one key."""
    return EpsilonBudget(
        (
            Epsilon("S above its bound", _SAMPLING * target.eps_sec, "Hoeffding, independent rounds"),
            Epsilon("smoothing", 2.0 * _SMOOTHING * target.eps_sec, "asymptotic equipartition, collective attacks"),
            Epsilon("privacy amplification", target.eps_sec / 2.0, "leftover hash lemma"),
            Epsilon("keys differ unnoticed", target.eps_cor, "verification by universal hash"),
        )
    )
