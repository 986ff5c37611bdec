"""Cases of two clocks for the benchmarks of the clock search: a table measured with fpfind 3.3.6, then drifts and fades.

All have 100 kcps and a jitter of 0.35 ns a side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tests.timing.pairs import Times, TwoClocks, tags_of_pairs

__all__ = ["CASES", "Case", "cramer_rao"]

JITTER_PS = 350.0
PRECISE, FAST = "-q23 -R64", "-q20 -R256"
SCAN = "-q20 -R256 -P --precomp-step 1e-6"


@dataclass(frozen=True)
class Case:
    """Clocks, the part of tags that are pairs, when there are none (and no other light), and fpfind's options to try."""

    name: str
    pairs: float
    clocks: TwoClocks
    fade_s: tuple[float, float] = (0.0, 0.0)
    dark: bool = False
    peers: tuple[str, ...] = ("", SCAN)

    def tags(self, seed: int, duration_s: float) -> tuple[Times, Times]:
        """Return the tags of both."""
        return tags_of_pairs(
            self.clocks,
            seed=seed,
            pairs=self.pairs,
            duration_s=duration_s,
            jitter_ps=JITTER_PS,
            fade_s=self.fade_s,
            dark=self.dark,
        )


MS = 10**9
CASES = [
    Case("5 %", 0.05, TwoClocks(MS)),
    Case("5 %, 0.1 ppm", 0.05, TwoClocks(MS, 1e-7)),
    Case("5 %, 10 ppm", 0.05, TwoClocks(MS, 1e-5), peers=("", PRECISE, FAST, SCAN)),
    Case("10 %, 10 ppm", 0.10, TwoClocks(MS, 1e-5), peers=(FAST, SCAN)),
    Case("2 %, 10 ppm", 0.02, TwoClocks(MS, 1e-5), peers=(FAST, SCAN)),
    Case("1 %, 10 ppm", 0.01, TwoClocks(37 * MS, 1e-5), peers=(SCAN,)),
    Case("1 %, -95 ppm, -190 ms", 0.01, TwoClocks(-190 * MS, -9.5e-5), peers=(SCAN,)),
    Case("5 %, 10 ppm, 2e-8/s", 0.05, TwoClocks(MS, 1e-5, 2e-8), peers=(SCAN,)),
    Case("2 %, 10 ppm, 2e-8/s", 0.02, TwoClocks(MS, 1e-5, 2e-8), peers=(SCAN,)),
    Case("5 %, 10 ppm, -9e-8/s", 0.05, TwoClocks(MS, 1e-5, -9e-8), peers=(SCAN,)),
    Case("5 %, no pairs 1..3 s", 0.05, TwoClocks(MS, 1e-5), (1.0, 3.0), peers=(SCAN,)),
    Case("5 %, dark 1..3 s", 0.05, TwoClocks(MS, 1e-5), (1.0, 3.0), dark=True, peers=(SCAN,)),
    Case("2 %, 2e-8/s, dark 1..2 s", 0.02, TwoClocks(MS, 1e-5, 2e-8), (1.0, 2.0), dark=True, peers=(SCAN,)),
]


def cramer_rao(case: Case, used_s: float) -> tuple[float, float, float]:
    """Return the bound of offset (ps), frequency and drift (1/s) in mid-span from all pairs of the span, for a parabola.

    The unbiased estimate of least variance for n time differences of one Gaussian jitter is that of least squares.
    """
    a, _ = tags_of_pairs(case.clocks, seed=0, pairs=1.0, duration_s=used_s + 0.4, fade_s=case.fade_s)
    s = (a - 0.2e12) * 1e-12 - used_s / 2.0  # the search leaves 200 ms out at either end
    s = s[np.abs(s) < used_s / 2.0]
    phi = np.stack([s**0, s, s * s / 2.0], axis=1)
    covariance = np.linalg.inv(phi.T @ phi * case.pairs / (2.0 * JITTER_PS**2))
    offset, frequency, drift = np.sqrt(np.diag(covariance))
    return float(offset), float(frequency * 1e-12), float(drift * 1e-12)
