"""The prediction-based ratio run over a whole experiment: each batch is judged by factors that earlier batches chose.

Y. Zhang, S. Glancy and E. Knill, PRA 84, 062118 (2011) and PRA 88, 052119 (2013).  The factors are those of
`qlab.analysis.local_realism`; what the product of them has gained is the evidence, whatever happened between trials.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qlab.analysis.local_realism import best_factors
from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from qlab.analysis.game_tests import Selection

__all__ = ["RatioTest", "prediction_based_ratio"]


@dataclass(frozen=True, slots=True)
class RatioTest:
    """Evidence against local realism.

    Attributes
    ----------
    log10_p_value:
        Of the bound; 0 is no evidence.
    gain_bits:
        Mean of log2 R of the trials that counted: 0.0463 is the most that CHSH at random settings allows.
    trials:
        That counted, those of the first batch left out.
    trained_on:
        Trials of the first batch, which only chose factors.
    assumes:
        What has to be taken for granted.
    """

    log10_p_value: float
    gain_bits: float
    trials: int
    trained_on: int
    assumes: str
    method: str = "prediction-based ratio, factors from earlier batches"

    @property
    def p_value(self) -> float:
        """The bound itself, 0 where it is too small for a float."""
        return float(10.0**self.log10_p_value)


def prediction_based_ratio(
    batches: ArrayLike, settings: ArrayLike | None = None, *, selection: Selection = "event-ready"
) -> RatioTest:
    """Bound the p-value of trials in the order in which they were counted.

    Parameters
    ----------
    batches:
        Shape (batches, 2, 2, outcomes, outcomes): settings of Alice and Bob, then their outcomes, of 2 or 3; "nothing" is an
        outcome wherever trials without a click are counted.
    settings:
        Probabilities of the settings, shape (2, 2); equal where not given.
    selection:
        "event-ready": every trial that was announced beforehand is in the counts.  "post-selected": only those with
        clicks of both; then fair sampling is assumed, by which settings have the same probabilities among them.

    Raises
    ------
    BadRequestError
        Fewer than two batches, or an empty first one.
    """
    tables = np.asarray(batches, dtype=np.float64)
    if tables.ndim != 5 or tables.shape[0] < 2 or (tables < 0).any() or tables[0].sum() <= 0:
        msg = f"batches of shape {tables.shape}: expected (batches >= 2, 2, 2, outcomes, outcomes), the first not empty"
        raise BadRequestError(msg)
    gained, past = 0.0, tables[0].copy()
    for table in tables[1:]:
        factors = best_factors(past, settings)
        seen = table > 0
        if (factors[seen] <= 0).any():
            gained = -math.inf
            break
        gained += float((table[seen] * np.log2(factors[seen])).sum())
        past += table
    trials = int(tables[1:].sum())
    assumes = "settings random in every trial with these probabilities, no communication"
    if selection == "post-selected":
        assumes += ", and fair sampling: what is detected stands for all"
    return RatioTest(
        min(-gained * math.log10(2.0), 0.0), gained / max(trials, 1), trials, int(tables[0].sum()), assumes
    )
