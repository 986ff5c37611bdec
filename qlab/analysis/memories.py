"""How entangled two memories are, from outcomes along three axes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["bell_fidelity", "bell_weights", "correlation", "expected_purification", "purified", "success_rate"]

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


def bell_weights(x: float, y: float, z: float) -> tuple[float, float, float, float]:
    """Return how much of a pair is what it was told to be, has the other phase, the other parity, and both other.

    Parameters
    ----------
    x, y, z:
        The three correlations, each in the sign of the label: 1 for a perfect pair.
    """
    return (1 + x + y + z) / 4, (1 - x - y + z) / 4, (1 + x - y - z) / 4, (1 - x + y - z) / 4


def purified(weights: Sequence[float]) -> tuple[float, float]:
    """Return fidelity and success probability of two equal pairs made one, without errors of gates and memories.

    Deutsch et al., Phys. Rev. Lett. 77, 2818 (1996): with (A, B) the weights without and (C, D) those with the kind of error
    that is looked for, F' = (A^2 + B^2)/p and p = (A + B)^2 + (C + D)^2.  Both ends turned both halves by a quarter about Y,
    so what is found are phases: with phase flips alone, F' = F^2/(F^2 + (1 - F)^2).

    Parameters
    ----------
    weights:
        As `bell_weights` returns them.
    """
    right, phase, parity, both = weights
    success = (right + parity) ** 2 + (phase + both) ** 2
    return (right**2 + parity**2) / success, success


def expected_purification(counts: Mapping[str, Sequence[int]]) -> dict[str, float]:
    """Return fidelity and success probability to expect of pairs like these when two are made one, with errors.

    Parameters
    ----------
    counts:
        Of single pairs, as for `bell_fidelity`.
    """
    found = bell_fidelity(counts)
    names = [f"correlation_{axis.lower()}" for axis in _SIGNS]
    values, sigmas = [found[name] for name in names], [found[f"{name}_sigma"] for name in names]
    centre = purified(bell_weights(*values))
    variances = [0.0, 0.0]
    for n, sigma in enumerate(sigmas):  # to first order, the correlations being independent
        ends = [
            purified(bell_weights(*(v + side * sigma * (m == n) for m, v in enumerate(values)))) for side in (-1, 1)
        ]
        for of in (0, 1):
            variances[of] += ((ends[1][of] - ends[0][of]) / 2.0) ** 2
    result = dict(zip(("expected_fidelity", "expected_success"), centre, strict=True))
    return result | {f"{name}_sigma": math.sqrt(v) for name, v in zip(tuple(result), variances, strict=True)}


def success_rate(good: int, bad: int) -> dict[str, float]:
    """Return the share of tries that succeeded; its error is binomial, of the rule of succession so that it is not 0."""
    share = (good + 1) / (good + bad + 2)
    return {"success": good / (good + bad), "success_sigma": math.sqrt(share * (1.0 - share) / (good + bad))}
