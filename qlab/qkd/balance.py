"""Do a party's detectors click alike?  Counted in every block, from detections that are in no key.

Proofs take for granted that detection does not depend on the bit.  Where detectors of one basis differ, in the mean or at
the edges of a gate, Eve learns bits by choosing when light arrives, and no error tells (B. Qi, C.-H. F. Fung, H.-K. Lo,
X. Ma, Quantum Inf. Comput. 7, 73 (2007)).  What was detected in the other basis than the peer's, or by one party only, is
never in the key; its outcomes should be even at all times, and are counted by setting, by third of the coincidence window,
and by bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from qlab.qkd.sifting import Detections

__all__ = ["ALONE", "Balance", "Imbalance", "thirds"]

ALONE = 3
"""Of a detection without a partner: it is counted with those in the middle of the window."""
SIGMAS = 5.0
_NAMES = ("early", "in the middle", "late")


@dataclass(frozen=True, slots=True)
class Imbalance:
    """The worst pair of detectors.

    Attributes
    ----------
    mismatch:
        1 less the smaller count over the larger one: the relative difference of efficiencies.
    at_least:
        What it exceeds by the spread of the counts, with five standard deviations; 0 where they may be alike.
    where:
        Setting and time, for people.
    counted:
        Detections of both.
    """

    mismatch: float
    at_least: float
    where: str
    counted: int

    def __str__(self) -> str:
        """Return it in a few words."""
        return f"{self.mismatch:.2%} of {self.counted} counted {self.where}" + (
            "" if self.at_least else ", within chance"
        )


@dataclass(slots=True)
class Balance:
    """Counts of a party, shape (settings, thirds, bits)."""

    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros((3, 3, 2), dtype=np.int64))

    def add(self, found: Detections, kept: NDArray[np.int64], third: NDArray[np.uint8] | None = None) -> None:
        """Count a piece.

        Parameters
        ----------
        found, kept:
            Detections, and which of them may be in the key or the test, by index.
        third:
            Where in the window each detection is, 0 to 2, or `ALONE`; None: nobody knows.
        """
        free = np.ones(found.t_ps.size, dtype=np.bool_)
        free[kept] = False
        bits, settings = found.bits.reveal()[free], found.settings[free]
        where = np.ones(bits.size, dtype=np.int64)
        if third is not None and third.size == free.size:
            where = np.where(third[free] > 2, 1, third[free]).astype(np.int64)
        cells = (settings.astype(np.int64) * 3 + where) * 2 + bits
        self.counts += np.bincount(cells, minlength=18).reshape(3, 3, 2)

    def worst(self) -> Imbalance | None:
        """Return the pair of detectors that differs most surely; None where nothing was counted."""
        found = []
        for setting, name in enumerate(("key basis", "test basis", "third setting")):
            for third, when in enumerate(_NAMES):
                zeros, ones = (int(n) for n in self.counts[setting, third])
                if zeros + ones:
                    apart, more = abs(ones - zeros), max(ones, zeros)
                    surely = max(apart - SIGMAS * math.sqrt(zeros + ones), 0.0) / more
                    found.append(Imbalance(apart / more, surely, f"{when}, {name}", zeros + ones))
        return max(found, key=lambda one: (one.at_least, one.counted), default=None)


def thirds(lags_ps: NDArray[np.int64], window_ps: int) -> NDArray[np.uint8]:
    """Return in which third of the window each lag lies: 0 early, 1 in the middle, 2 late."""
    return (1 + (6 * lags_ps > window_ps).astype(np.int8) - (6 * lags_ps < -window_ps).astype(np.int8)).astype(np.uint8)
