"""Uncertainties by resampling: counts drawn anew around those that were counted, or blocks of time drawn again.

The parametric kind holds for Poisson counts; the kind over blocks also where a source drifts or flickers slower than a block.
Both need a statistic that is smooth at the truth: near the border of the states use `qlab.analysis.state_sampling`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qlab.analysis.intervals import ONE_SIGMA, Interval
from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

__all__ = ["Bootstrap", "bootstrap_blocks", "bootstrap_counts"]


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """What a statistic gave on the data, and on every resampling of them.

    Attributes
    ----------
    value:
        Shape of the statistic.
    replicas:
        Shape (resamplings, *that of the statistic).
    method:
        How the data were drawn.
    """

    value: NDArray[np.float64]
    replicas: NDArray[np.float64]
    method: str

    @property
    def sigma(self) -> NDArray[np.float64]:
        """Standard deviation of the replicas."""
        return np.asarray(self.replicas.std(axis=0, ddof=1))

    @property
    def bias(self) -> NDArray[np.float64]:
        """Mean of the replicas less the value: about what the value itself is too large."""
        return np.asarray(self.replicas.mean(axis=0) - self.value)

    def interval(self, level: float = ONE_SIGMA, *, index: tuple[int, ...] = (), units: str = "") -> Interval:
        """Return the basic interval, the quantiles of the replicas reflected at the value, which takes bias off.

        A. C. Davison and D. V. Hinkley, "Bootstrap methods and their application" (1997), equation 5.6.
        """
        if not 0.0 < level < 1.0:
            msg = f"bootstrap: level {level:g}; expected between 0 and 1, for example 0.68"
            raise BadRequestError(msg)
        value = float(self.value[index])
        replicas = np.moveaxis(self.replicas, 0, -1)[index]
        upper, lower = np.quantile(replicas, [(1.0 + level) / 2.0, (1.0 - level) / 2.0])
        return Interval(value, 2.0 * value - float(upper), 2.0 * value - float(lower), level, units, self.method)


def bootstrap_counts(
    counts: ArrayLike,
    statistic: Callable[[NDArray[np.float64]], ArrayLike],
    *,
    seed: int,
    resamplings: int = 400,
    mean: ArrayLike | None = None,
) -> Bootstrap:
    """Draw Poisson counts around those that were counted, and take the statistic of each draw.

    Parameters
    ----------
    counts:
        Of any shape, as the statistic takes them.
    statistic:
        Of counts; returns a number or an array.
    seed:
        Of the draws.
    resamplings:
        How many.
    mean:
        What to draw around instead, for example the counts that a fit expects.

    Raises
    ------
    BadRequestError
        Negative counts, or fewer than 2 resamplings.
    """
    table = np.asarray(counts, dtype=np.float64)
    centre = table if mean is None else np.asarray(mean, dtype=np.float64)
    if (table < 0).any() or (centre < 0).any() or centre.shape != table.shape or resamplings < 2:
        msg = f"bootstrap: counts {table.shape}, means {centre.shape}, {resamplings} draws; expected alike, none negative, 2"
        raise BadRequestError(msg)
    rng = np.random.default_rng(seed)
    draws = [statistic(rng.poisson(centre).astype(np.float64)) for _ in range(resamplings)]
    return Bootstrap(np.asarray(statistic(table), np.float64), np.asarray(draws, np.float64), "parametric bootstrap")


def bootstrap_blocks(
    blocks: ArrayLike,
    statistic: Callable[[NDArray[np.float64]], ArrayLike],
    *,
    seed: int,
    resamplings: int = 400,
    length: int = 1,
) -> Bootstrap:
    """Draw blocks of time with replacement, and take the statistic of their sum.

    Parameters
    ----------
    blocks:
        Counts of successive intervals of equal length, time first: shape (n, ...).
    statistic:
        Of the sum of blocks, shape (...); returns a number or an array.
    length:
        Neighbours that are drawn together, the last followed by the first: more than the correlation time of the drift
        (D. N. Politis and J. P. Romano 1992, circular block bootstrap).

    Raises
    ------
    BadRequestError
        Fewer than 8 runs of blocks: they do not tell a spread.
    """
    table = np.asarray(blocks, dtype=np.float64)
    n = table.shape[0] if table.ndim else 0
    if length < 1 or n < 8 * length or resamplings < 2:
        msg = f"bootstrap: {n} blocks drawn {length} together, {resamplings} times; expected at least 8 times {length}, and 2"
        raise BadRequestError(msg)
    rng = np.random.default_rng(seed)
    starts = rng.integers(0, n, (resamplings, n // length))
    picked = (starts[:, :, None] + np.arange(length)).reshape(resamplings, -1) % n
    # Where the length does not divide n the sum is scaled, so that extensive statistics keep their size.
    scale = n / picked.shape[1]
    draws = [statistic(scale * table[row].sum(axis=0)) for row in picked]
    method = f"bootstrap over {n} blocks of time, {length} together"
    return Bootstrap(np.asarray(statistic(table.sum(axis=0)), np.float64), np.asarray(draws, np.float64), method)
