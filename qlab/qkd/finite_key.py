"""How many secret bits are in a block of BBM92, or of BB84 with single photons.

M. Tomamichel, C. C. W. Lim, N. Gisin, R. Renner, Nat. Commun. 3, 634 (2012):

    l = floor( n (q - h(Q_tol + mu)) - leak_EC - log2(2 / (eps_sec^2 eps_cor)) )

Here it stands in two steps, which give the same number.  The uncertainty relation bounds the smooth min-entropy of the
raw key by n (q - h(phi)), where phi is passed with a probability of at most (eps_sec / 2)^2 only: smoothing costs
eps_sec / 2.  The leftover hash lemma takes what was disclosed and 2 log2(1 / eps_sec) bits off: that costs the other half.
What was disclosed is *counted*: parities, and the tag of the verification, of at most log2(2 / eps_cor) bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from qlab.analysis.qber import binary_entropy
from qlab.errors import BadRequestError
from qlab.qkd.epsilons import Epsilon, EpsilonBudget
from qlab.qkd.sampling import hypergeometric_bound, serfling_deviation

__all__ = ["SamplingBound", "SecurityTarget", "phase_error_bound", "secret_bits"]

SamplingBound = Literal["exact", "serfling"]


@dataclass(frozen=True, slots=True)
class SecurityTarget:
    """What is asked of each key.

    Attributes
    ----------
    eps_sec:
        Distance from a key that Eve knows nothing of.
    eps_cor:
        Probability that both keys differ and nobody notices.
    """

    eps_sec: float = 1e-10
    eps_cor: float = 1e-15

    def __post_init__(self) -> None:
        if not (0.0 < self.eps_sec < 1.0 and 0.0 < self.eps_cor < 1.0):
            msg = f"eps_sec {self.eps_sec:g}, eps_cor {self.eps_cor:g}: expected both between 0 and 1"
            raise BadRequestError(msg)

    @property
    def sampling_tail(self) -> float:
        """Probability with which the bound on phase errors may fail."""
        return (self.eps_sec / 2.0) ** 2

    def budget(self) -> EpsilonBudget:
        """Return the epsilons of one key."""
        half = self.eps_sec / 2.0
        return EpsilonBudget(
            (
                Epsilon("phase errors, smoothing", half, "sampling bound fails with its square"),
                Epsilon("privacy amplification", half, "leftover hash lemma"),
                Epsilon("keys differ unnoticed", self.eps_cor, "verification by universal hash"),
            )
        )


def phase_error_bound(n_key: int, n_test: int, tolerance: float, tail: float, bound: SamplingBound = "exact") -> float:
    """Return the rate that phase errors pass with a probability of at most `tail`, given a test within tolerance.

    Parameters
    ----------
    n_key, n_test:
        Bits of the key basis, and of the test basis, all of which were compared.
    tolerance:
        Error rate up to which a test passes, fixed beforehand.
    tail:
        `SecurityTarget.sampling_tail`.
    bound:
        `exact` (hypergeometric) or `serfling` (as published).
    """
    if bound not in get_args(SamplingBound):
        msg = f"sampling bound {bound!r}: expected 'exact' or 'serfling'"
        raise BadRequestError(msg)
    if not 0.0 <= tolerance < 0.5:
        msg = f"tolerated error rate {tolerance:g}: expected 0 <= rate < 0.5"
        raise BadRequestError(msg)
    if bound == "exact":
        return hypergeometric_bound(n_key, n_test, math.floor(tolerance * n_test), tail)
    return tolerance + serfling_deviation(n_key, n_test, tail)


def secret_bits(n_key: int, phase_error: float, disclosed_bits: float, eps_sec: float, quality: float = 1.0) -> int:
    """Return the length of the key, 0 where there is none.

    Parameters
    ----------
    n_key:
        Bits of the raw key.
    phase_error:
        From `phase_error_bound`; at 1/2 and above there is no key.
    disclosed_bits:
        All that was told about the raw key: parities, tag.
    eps_sec:
        Secrecy asked for.
    quality:
        q = log2(1 / c) of the preparation or measurement; 1 for mutually unbiased bases.
    """
    if not 0.0 < quality <= 1.0:
        msg = f"preparation quality {quality:g}: expected 0 < q <= 1"
        raise BadRequestError(msg)
    if phase_error >= 0.5:
        return 0
    entropy = n_key * (quality - binary_entropy(phase_error))
    return max(math.floor(entropy - disclosed_bits - 2.0 * math.log2(1.0 / eps_sec)), 0)
