"""A worse channel than loopback: latency, jitter, and frames that are lost, repeated or damaged, as often as asked for."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from qlab.errors import BadRequestError

__all__ = ["Impairments", "Spoiler"]


@dataclass(frozen=True, slots=True)
class Impairments:
    """What is done to each frame that one side sends.

    Attributes
    ----------
    latency_s, jitter_s:
        Each frame comes later by the latency and a uniform share of the jitter, so that frames may overtake each other.
    loss, repeat, damage:
        Probabilities that a frame is lost, comes twice, or has a bit turned.
    break_every:
        The connection breaks after so many frames; 0: never.
    seed:
        Of all that.
    """

    latency_s: float = 0.0
    jitter_s: float = 0.0
    loss: float = 0.0
    repeat: float = 0.0
    damage: float = 0.0
    break_every: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        shares = (self.loss, self.repeat, self.damage)
        if min(self.latency_s, self.jitter_s, self.break_every, self.seed) < 0 or not all(
            0.0 <= p < 1.0 for p in shares
        ):
            msg = f"{self}: expected times and counts of at least 0, and probabilities from 0 to below 1"
            raise BadRequestError(msg)

    @classmethod
    def parse(cls, text: str) -> Impairments:
        """Return them from text such as `latency_s=0.01,loss=0.05`.

        Raises
        ------
        BadRequestError
            A name or a value makes no sense.
        """
        known = {f.name: int if f.name in ("break_every", "seed") else float for f in fields(cls)}
        values = {}
        for pair in filter(None, text.split(",")):
            name, _, value = pair.partition("=")
            try:
                values[name] = known[name](value)
            except (KeyError, ValueError) as error:
                msg = f"channel {pair!r}: expected NAME=NUMBER with NAME one of {', '.join(known)}"
                raise BadRequestError(msg) from error
        return cls(**values)  # type: ignore[arg-type]


class Spoiler:
    """Decides the fate of one frame after the other."""

    def __init__(self, impairments: Impairments) -> None:
        self._of = impairments
        self._rng = np.random.Generator(np.random.PCG64(impairments.seed))
        self._frames = 0

    def fate(self, frame: bytes) -> list[tuple[float, bytes]]:
        """Return what arrives of a frame: after how many seconds, and which bytes."""
        of, rng = self._of, self._rng
        lost, repeated, damaged = rng.random(3) < (of.loss, of.repeat, of.damage)
        if damaged:
            at = int(rng.integers(len(frame)))
            frame = frame[:at] + bytes([frame[at] ^ 1 << int(rng.integers(8))]) + frame[at + 1 :]
        copies = int(not lost) + int(repeated)
        return [(of.latency_s + of.jitter_s * float(rng.random()), frame) for _ in range(copies)]

    def breaks(self) -> bool:
        """Count a frame, and return whether the connection breaks behind it."""
        self._frames += 1
        return self._of.break_every > 0 and self._frames % self._of.break_every == 0
