"""A time scale of many clocks that is steadier than any of them, from their differences alone.

The algorithm is the one that NIST calls AT1 (J. Levine, "Invited review article: The statistical modeling of atomic clocks
and the design of time scales", Rev. Sci. Instrum. 83, 021101 (2012), section IX): each clock's time against the scale is
foreseen from its last time and frequency; the scale is the weighted mean of what the clocks foresee; frequencies are
filtered exponentially; a clock weighs by the inverse square of how badly it was foreseen of late, none more than a limit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qlab.errors import BadRequestError

__all__ = ["EnsembleScale"]

Floats = NDArray[np.float64]
FORGETS = 20.0
"""Updates over which errors and frequencies are averaged."""


class EnsembleScale:
    """The scale.

    Parameters
    ----------
    clocks:
        How many there are.
    most_weight:
        Largest weight of a clock, 1 / clocks or more; by default 0.3, of few clocks twice their share.

    Attributes
    ----------
    offset_ps, frequency:
        Each clock less the scale, in ps and as a fraction, shape (clocks,).
    weights:
        Of the clocks, shape (clocks,), sum 1.
    """

    def __init__(self, clocks: int, *, most_weight: float | None = None) -> None:
        if most_weight is None:
            most_weight = max(0.3, min(2.0 / max(clocks, 1), 1.0))
        if clocks < 2 or not 1.0 / clocks <= most_weight <= 1.0:
            msg = f"ensemble: {clocks} clocks, most_weight = {most_weight:g}; expected two or more, and from 1/clocks to 1"
            raise BadRequestError(msg)
        self._most = most_weight
        self.offset_ps: Floats = np.zeros(clocks)
        self.frequency: Floats = np.zeros(clocks)
        self.weights: Floats = np.full(clocks, 1.0 / clocks)
        self._errors: Floats = np.zeros(clocks)
        self._updates = 0
        self._at_s = 0.0

    def update(self, at_s: float, differences_ps: ArrayLike, frequencies: ArrayLike | None = None) -> None:
        """Take the clocks' times against one of them, or against anything else that they have in common.

        Parameters
        ----------
        at_s:
            When, in s.
        differences_ps:
            Each clock less the common one, shape (clocks,).
        frequencies:
            The same of their frequencies, used at the first update if they are known.

        Raises
        ------
        BadRequestError
            Another number of clocks, or a time that is not later than the last.
        """
        x = np.asarray(differences_ps, dtype=np.float64)
        if x.shape != self.offset_ps.shape or not np.isfinite(x).all():
            unknown = int((~np.isfinite(x)).sum())
            msg = (
                f"ensemble: {x.size} differences, {unknown} of them unknown; expected {self.offset_ps.size} known ones"
            )
            raise BadRequestError(msg)
        if not self._updates:
            self.offset_ps = x - x.mean()
            if frequencies is not None:
                y = np.asarray(frequencies, dtype=np.float64)
                self.frequency = y - y.mean()
            self._at_s, self._updates = at_s, 1
            return
        tau = at_s - self._at_s
        if not tau > 0.0:
            msg = f"ensemble: an update at {at_s:g} s after one at {self._at_s:g} s; expected a later one"
            raise BadRequestError(msg)
        foreseen = self.offset_ps + self.frequency * tau * 1e12
        # x_j = sum_i w_i (foreseen_i - x_i + x_j): what the clocks foresee, less what they show against each other.
        scale = float(self.weights @ (foreseen - x))
        now = x + scale
        error = foreseen - now
        rate = (now - self.offset_ps) * 1e-12 / tau
        depth = min(float(self._updates), FORGETS)
        self.frequency = (rate + depth * self.frequency) / (1.0 + depth)
        # A clock's own weight pulls the scale after it, so that its error looks smaller than it is.
        square = error**2 / np.maximum(1.0 - self.weights, 1e-3)
        self._errors = square if self._updates == 1 else (square + depth * self._errors) / (1.0 + depth)
        self.weights = _limited(1.0 / np.maximum(self._errors, 1e-12), self._most)
        self.offset_ps, self._at_s = now, at_s
        self._updates += 1


def _limited(weights: Floats, most: float) -> Floats:
    """Scale weights to the sum 1 with none above the limit."""
    found = weights / weights.sum()
    for _ in range(found.size):
        over = found >= most
        if not (found > most + 1e-12).any():
            break
        rest = found[~over].sum()
        found = np.where(over, most, found * ((1.0 - most * over.sum()) / rest if rest > 0 else 0.0))
    scaled: Floats = found / found.sum()
    return scaled
