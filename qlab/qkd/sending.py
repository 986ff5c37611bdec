"""What Alice sent, as her record tells: drives of a state and of an intensity modulator, recorded by taggers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qlab.qkd.bits import SecretBits
from qlab.qkd.sifting import Detections
from qlab.tags.one_to_one import one_to_one_pairs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from qlab.qkd.aligning import Tags
    from qlab.qkd.sifting import Outcome

__all__ = ["LEVELS_FROM", "SentReceiver"]

LEVELS_FROM = 32
"""In a piece of tags, channels from here on are drives of the intensity modulator."""


@dataclass(slots=True)
class SentReceiver:
    """Pulses that were sent, as detections with a level; a pulse of which a drive is missing is left out.

    Attributes
    ----------
    tags:
        Where the drives' pulses come from.
    outcomes:
        What each channel of the state modulator's drives means.
    levels:
        Number of the intensity by channel, from `LEVELS_FROM` on.
    window_ps:
        Both drives of a pulse come within half of this.
    """

    tags: Tags
    outcomes: Mapping[int, Outcome]
    levels: Mapping[int, int]
    window_ps: int

    def prepare(self) -> None:
        """Nothing needs to be set: the modulators choose, pulse by pulse."""

    def start(self) -> None:
        """Begin to record."""
        self.tags.start()

    def finish(self) -> Detections | None:
        """Return what was sent in the piece."""
        block = self.tags.finish()
        if block is None:
            return None
        states, levels = block.select(self.outcomes), block.select(self.levels)
        i, j = one_to_one_pairs(states.t, levels.t, self.window_ps // 2)
        basis, bits, level = (np.zeros(256, dtype=np.uint8) for _ in range(3))
        for channel, outcome in self.outcomes.items():
            basis[channel], bits[channel] = outcome.basis == "test", outcome.bit
        for channel, number in self.levels.items():
            level[channel] = number
        state, drive = states.ch[i], levels.ch[j]
        return Detections(states.t[i], basis[state], SecretBits(bits[state]), 0, 0, level[drive])

    def locate(self, found: Detections, theirs_ps: NDArray[np.int64]) -> Detections:
        """Return the piece as it is: the sender's clock is the one that counts."""
        del theirs_ps
        return found

    def follow(self, lag_ps: float) -> None:
        """Take note of nothing: the corrector follows."""
