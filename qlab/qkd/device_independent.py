"""Asymptotic key rate from a Bell violation, without trust in the devices: collective attacks, no finite-key terms.

A. Acin et al., Phys. Rev. Lett. 98, 230501 (2007); S. Pironio et al., New J. Phys. 11, 045021 (2009):

    r >= 1 - h(Q) - chi(S),   chi(S) = h((1 + sqrt((S/2)^2 - 1)) / 2)
"""

from __future__ import annotations

import math

from qlab.analysis.qber import binary_entropy
from qlab.errors import BadRequestError

__all__ = ["device_independent_rate", "eavesdropper_information"]


def eavesdropper_information(s: float) -> float:
    """Return chi(S), Eve's information on a bit of the key in bits; 1 without a violation.

    Raises
    ------
    BadRequestError
        |S| above 2 sqrt 2: no quantum state does that, so the estimate is no input for a key rate.
    """
    if not 0.0 <= s <= 2.0 * math.sqrt(2.0) + 1e-9:
        msg = f"CHSH value {s:g}: expected 0 to 2 sqrt 2; take the lower end of its confidence interval"
        raise BadRequestError(msg)
    if s <= 2.0:
        return 1.0
    return binary_entropy(min((1.0 + math.sqrt((s / 2.0) ** 2 - 1.0)) / 2.0, 1.0))


def device_independent_rate(qber: float, s: float) -> float:
    """Return secret bits a raw bit, 0 where the bound gives none; asymptotic."""
    return max(1.0 - binary_entropy(qber) - eavesdropper_information(s), 0.0)
