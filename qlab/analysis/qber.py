"""Quantum bit error rate of one basis, from a 2x2 table of coincidences."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["ErrorRate", "Relation", "binary_entropy", "error_rate"]

Relation = Literal["correlated", "anticorrelated"]


@dataclass(frozen=True, slots=True)
class ErrorRate:
    """Error rate with its binomial standard error; `n` is the number of coincidences it stands on."""

    value: float
    sigma: float
    n: float
    relation: Relation


def error_rate(
    counts: ArrayLike, accidentals: ArrayLike | None = None, *, relation: Relation | None = None
) -> ErrorRate:
    """Return the fraction of coincidences with the wrong relation of outcomes.

    Parameters
    ----------
    counts:
        Shape (2, 2), rows Alice's outcomes.
    accidentals:
        Expected accidentals, subtracted where given: what the state does, not what a key would have.
    relation:
        Which outcomes are right; the majority decides where it is not given.
    """
    table = np.asarray(counts, dtype=np.float64)
    if table.shape != (2, 2) or not (table >= 0).all():
        msg = f"counts {table.tolist()}: expected two rows of two numbers, none negative"
        raise BadRequestError(msg)
    net = table if accidentals is None else table - np.asarray(accidentals, dtype=np.float64)
    total = float(net.sum())
    if total <= 0:
        msg = f"error rate of {table.tolist()}: {total:g} coincidences (accidentals taken off); expected more than 0"
        raise BadRequestError(msg)
    if relation is None:
        relation = "correlated" if 2 * np.trace(net) >= total else "anticorrelated"
    wrong = ~np.eye(2, dtype=bool) if relation == "correlated" else np.eye(2, dtype=bool)
    value = float(net[wrong].sum()) / total
    # Poisson counts: each wrong one moves the rate by (1 - q) / N, each right one by -q / N.
    variance = float(((wrong - value) ** 2 * table).sum()) / total**2
    return ErrorRate(value, math.sqrt(variance), total, relation)


def binary_entropy(p: float) -> float:
    """Return h(p) = -p log2 p - (1 - p) log2 (1 - p)."""
    if not 0 <= p <= 1:
        msg = f"binary entropy of {p}: expected a probability"
        raise BadRequestError(msg)
    return 0.0 if p in {0.0, 1.0} else -p * math.log2(p) - (1 - p) * math.log2(1 - p)
