"""Tags of two taggers on clocks of their own, made here from the definition and from nothing of the library."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.int64]


@dataclass(frozen=True)
class TwoClocks:
    """The second clock shows t + offset + frequency t + drift t^2 / 2 when the first shows t."""

    offset_ps: int = 0
    frequency: float = 0.0
    drift_per_s: float = 0.0

    def difference_ps(self, t_ps: Times | int) -> NDArray[np.float64]:
        s = np.asarray(t_ps, dtype=np.float64) * 1e-12
        return self.offset_ps + (self.frequency * s + self.drift_per_s * s * s / 2.0) * 1e12


def tags_of_pairs(
    clocks: TwoClocks,
    *,
    seed: int,
    pairs: float,
    duration_s: float,
    rate_hz: float = 1e5,
    jitter_ps: float = 350.0,
    fade_s: tuple[float, float] = (0.0, 0.0),
    dark: bool = False,
) -> tuple[Times, Times]:
    """Return the tags of both; `pairs` is the part of a side's tags that has a partner.

    Within the fade there are no pairs, and if it is dark no tags at all.
    """
    draw = np.random.default_rng(seed)

    def uniform(rate: float) -> Times:
        return np.sort(draw.integers(0, round(duration_s * 1e12), draw.poisson(rate * duration_s)))

    def jitter(n: int) -> Times:
        return np.rint(draw.normal(0.0, jitter_ps, n)).astype(np.int64)

    shared = uniform(rate_hz * pairs)
    shared = shared[(shared < fade_s[0] * 1e12) | (shared >= fade_s[1] * 1e12)]
    alone_a, alone_b = uniform(rate_hz * (1.0 - pairs)), uniform(rate_hz * (1.0 - pairs))
    if dark:
        alone_a, alone_b = (t[(t < fade_s[0] * 1e12) | (t >= fade_s[1] * 1e12)] for t in (alone_a, alone_b))
    a = np.sort(np.concatenate([shared + jitter(shared.size), alone_a]))
    b = np.concatenate([shared + jitter(shared.size), alone_b])
    return a, np.sort(b + np.rint(clocks.difference_ps(b)).astype(np.int64))
