"""Active basis choice: a party's own random bits set its analyser before each piece of photons.

Passive choice is a beam splitter's, photon by photon, and every basis has its own detectors.  Here one analyser with two
detectors takes one basis after the other.  What a detector's click means then depends on the piece, so its channel is
counted anew: 2 * setting + port.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from qlab.errors import BadRequestError
from qlab.tags.stream import TagBlock

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.qkd.aligning import Tags

__all__ = ["ChosenTags", "Turn"]


class Turn(Protocol):
    """Brings a party's analyser to a setting."""

    def turn(self, setting: int) -> None:
        """Return when it stands there, or has been told to whoever moves it before the piece."""
        ...


@dataclass(slots=True)
class ChosenTags:
    """Tags of a party that chooses its basis, a piece at a time.

    Attributes
    ----------
    tags, turn:
        Where tags come from, and what moves the analyser.
    ports:
        The tagger's channels behind the analyser's two ports: bit 0, bit 1.
    shares:
        Probability of each setting: the bias.
    entropy:
        Returns so many random bytes; `os.urandom` outside of tests.
    """

    tags: Tags
    turn: Turn
    ports: tuple[int, int]
    shares: tuple[float, ...]
    entropy: Callable[[int], bytes]
    setting: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        """Refuse shares that are no probabilities."""
        if len(self.shares) < 2 or min(self.shares) <= 0.0 or self.ports[0] == self.ports[1]:
            msg = f"settings with shares {self.shares} at ports {self.ports}: expected two or more, above 0; two ports"
            raise BadRequestError(msg)

    def prepare(self, setting: int | None = None) -> None:
        """Set the analyser for the next piece: where none is asked for, as random bits say."""
        self.setting = self._draw() if setting is None else setting
        self.turn.turn(self.setting)

    def start(self) -> None:
        """Begin to record."""
        self.tags.start()

    def finish(self) -> TagBlock | None:
        """Return the piece, its channels by setting and port."""
        block = self.tags.finish()
        if block is None:
            return None
        clicks = block.select(self.ports)
        ch = np.uint8(2 * self.setting) + (clicks.ch == self.ports[1]).astype(np.uint8)
        return TagBlock(clicks.t, ch, clicks.start_ps, clicks.stop_ps, clicks.gaps)

    def _draw(self) -> int:
        # 56 bits against the shares: a bias below 2^-50 is beneath every epsilon here.
        point = int.from_bytes(self.entropy(7), "big") / 2**56 * sum(self.shares)
        return min(int(np.searchsorted(np.cumsum(self.shares), point, side="right")), len(self.shares) - 1)
