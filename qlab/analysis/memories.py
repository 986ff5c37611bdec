"""How entangled two memories are, from outcomes along three axes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["bell_fidelity", "correlation"]

_SIGNS = {"X": (1, -1, 1, -1), "Y": (-1, 1, 1, -1), "Z": (1, 1, -1, -1)}
"""<XX>, <YY>, <ZZ> of Phi+, Phi-, Psi+, Psi-."""


def correlation(label: int, axis: str) -> int:
    """Return the product of outcomes (+1, -1) along an axis in a Bell state: 0 Phi+, 1 Phi-, 2 Psi+, 3 Psi-."""
    return _SIGNS[axis][label]


def bell_fidelity(counts: Mapping[str, Sequence[int]]) -> dict[str, float]:
    """Return the fidelity with the Bell state that was told, and the three correlations, each with NAME_sigma.

    F = (1 + c_x + c_y + c_z)/4 with c the correlation in the sign of the label: exact for any state, as the Bell state is
    (1 + s_x XX + s_y YY + s_z ZZ)/4.  Errors are binomial, of the rule of succession so that none is 0.

    Parameters
    ----------
    counts:
        By axis X, Y, Z: how often the product of outcomes was the label's, and how often not.
    """
    result: dict[str, float] = {}
    variance = 0.0
    for axis in _SIGNS:
        good, bad = counts[axis]
        total = good + bad
        if not total:
            msg = f"no outcome along {axis}; expected at least one along each of X, Y, Z"
            raise BadRequestError(msg)
        share = (good + 1) / (total + 2)
        sigma = 2.0 * math.sqrt(share * (1.0 - share) / total)
        result[f"correlation_{axis.lower()}"] = (good - bad) / total
        result[f"correlation_{axis.lower()}_sigma"] = sigma
        variance += sigma**2
    result["fidelity"] = (1.0 + sum(result[f"correlation_{axis.lower()}"] for axis in _SIGNS)) / 4.0
    result["fidelity_sigma"] = math.sqrt(variance) / 4.0
    return result
