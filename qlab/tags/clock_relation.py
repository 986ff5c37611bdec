"""How the clock of one tagger stands to that of another: what clock search and following give, and counting takes.

Convention: the time difference is *second less first*, as a parabola in the first clock's time,
``second = first + offset + 1e12 (frequency s + drift s^2 / 2)`` with s the seconds of the first clock since the reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qlab.errors import BadRequestError
from qlab.tags.stream import Gap, TagBlock, merge

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["ClockRelation", "on_one_clock"]

Floats = NDArray[np.float64]
Times = NDArray[np.int64]
PS_PER_S = 10**12
# Steps in which a time of the second clock is found on the first: each takes the error down by the frequency difference.
_STEPS = 8


@dataclass(frozen=True, slots=True)
class ClockRelation:
    """How the second clock stands against the first.

    Parameters
    ----------
    reference_ps:
        Time of the first clock at which the rest holds.
    offset_ps, frequency, drift_per_s:
        Time difference (second less first), fractional frequency difference, and its change in a second.
    covariance:
        Of the three, in their units; shape (3, 3).
    """

    reference_ps: int
    offset_ps: float
    frequency: float
    drift_per_s: float
    covariance: Floats

    @classmethod
    def exact(
        cls, offset_ps: float, frequency: float = 0.0, drift_per_s: float = 0.0, *, reference_ps: int = 0
    ) -> ClockRelation:
        """Return a relation that is known without error."""
        return ClockRelation(reference_ps, offset_ps, frequency, drift_per_s, np.zeros((3, 3)))

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ClockRelation:
        """Return the relation that `qlab tags clocks --json` printed, or `as_json` made.

        Raises
        ------
        BadRequestError
            It says that there is no lock, or lacks a figure.
        """
        if values.get("lock") is False:
            msg = f"no relation of clocks: {values.get('reason', 'the search found no lock')}"
            raise BadRequestError(msg)
        try:
            covariance = np.array(values.get("covariance", np.zeros((3, 3))), dtype=np.float64).reshape(3, 3)
            offset_ps, frequency, drift = (float(values[name]) for name in ("offset_ps", "frequency", "drift_per_s"))
            return ClockRelation(int(values["reference_ps"]), offset_ps, frequency, drift, covariance)
        except (KeyError, TypeError, ValueError) as error:
            msg = (
                f"no relation of clocks ({type(error).__name__}: {error}); expected reference_ps, offset_ps, frequency and "
                "drift_per_s, as `qlab tags clocks --json` prints them"
            )
            raise BadRequestError(msg) from error

    def as_json(self) -> dict[str, object]:
        """Return the relation as JSON has it."""
        return {
            "reference_ps": self.reference_ps,
            "offset_ps": self.offset_ps,
            "frequency": self.frequency,
            "drift_per_s": self.drift_per_s,
            "covariance": self.covariance.tolist(),
        }

    @property
    def sigma_ps(self) -> float:
        """Standard error of the offset at the reference time."""
        return float(np.sqrt(self.covariance[0, 0]))

    @property
    def sigma_frequency(self) -> float:
        """Standard error of the frequency difference."""
        return float(np.sqrt(self.covariance[1, 1]))

    def offset_at(self, t_ps: int) -> float:
        """Return the time difference in ps at a time of the first clock."""
        s = (t_ps - self.reference_ps) / PS_PER_S
        return self.offset_ps + (self.frequency * s + self.drift_per_s * s * s / 2.0) * PS_PER_S

    def sigma_at(self, t_ps: int) -> float:
        """Return the standard error in ps of the time difference at a time of the first clock."""
        s = (t_ps - self.reference_ps) / PS_PER_S
        by = np.array([1.0, s * PS_PER_S, s * s / 2.0 * PS_PER_S])
        return float(np.sqrt(max(by @ self.covariance @ by, 0.0)))

    def to_second(self, t_ps: Times) -> Times:
        """Return the second clock's times at times of the first, int64 ps."""
        return t_ps + np.rint(self._offsets((t_ps - self.reference_ps) * 1e-12)).astype(np.int64)

    def to_first(self, t_ps: Times) -> Times:
        """Return the first clock's times at times of the second, int64 ps; there and back again is right to 1 ps.

        The parabola is inverted by iteration from its tangent.  float64 holds differences of up to a second to 1e-4 ps.
        """
        s = (t_ps - self.reference_ps) * 1e-12
        offset = self._offsets((s - self.offset_ps * 1e-12) / (1.0 + self.frequency))
        for _ in range(_STEPS):
            before, offset = offset, self._offsets(s - offset * 1e-12)
            if not offset.size or float(np.abs(offset - before).max()) < 1e-2:
                break
        return t_ps - np.rint(offset).astype(np.int64)

    def block_to_first(self, block: TagBlock) -> TagBlock:
        """Return a block of the second tagger, its interval and gaps included, in the first clock's time."""
        edges = [block.start_ps, block.stop_ps, *(edge for gap in block.gaps for edge in (gap.start_ps, gap.stop_ps))]
        start, stop, *of_gaps = self.to_first(np.array(edges, dtype=np.int64)).tolist()
        gaps = tuple(Gap(a, b, gap.missed) for a, b, gap in zip(of_gaps[::2], of_gaps[1::2], block.gaps, strict=True))
        t = self.to_first(block.t)
        # A clock that runs slower lets two times fall together; tags of one time stand in order of their channels.
        tied = np.flatnonzero(t[1:] == t[:-1])
        if tied.size and (block.ch[tied + 1] < block.ch[tied]).any():
            return TagBlock.from_unsorted(t, block.ch, start, stop, gaps)
        return TagBlock(t, block.ch, start, stop, gaps)

    def _offsets(self, s: NDArray[np.floating[Any]]) -> Floats:
        offsets: Floats = self.offset_ps + s * (self.frequency * PS_PER_S + s * (self.drift_per_s * PS_PER_S / 2.0))
        return offsets


def on_one_clock(
    first: Iterable[TagBlock], second: Iterable[TagBlock], relation: ClockRelation, *, channel_step: int = 0
) -> Iterator[TagBlock]:
    """Yield the tags of two taggers as one stream in the first one's time, in constant memory.

    Only where both were listening: a gap of either is a gap, and what lies before both began or after one ended is left out,
    so that rates of coincidences are those of the time in which there could be any.

    Parameters
    ----------
    first, second:
        Blocks of either, in order of its own time.
    relation:
        How the second clock stands against the first.
    channel_step:
        Added to the second one's channels.

    Raises
    ------
    BadRequestError
        Channels beyond 255, or blocks out of order.
    """
    sides = iter(first), (_raised(relation.block_to_first(block), channel_step) for block in second)
    blocks: list[TagBlock | None] = [next(side, None) for side in sides]
    while (a := blocks[0]) is not None and (b := blocks[1]) is not None:
        start, stop = max(a.start_ps, b.start_ps), min(a.stop_ps, b.stop_ps)
        if start < stop:
            yield merge(a.between(start, stop), b.between(start, stop))
        for k, block in enumerate((a, b)):
            if block.stop_ps <= stop or block.stop_ps <= start:
                blocks[k] = _following(block, next(sides[k], None))


def _following(block: TagBlock, after: TagBlock | None) -> TagBlock | None:
    if after is not None and after.start_ps < block.stop_ps:
        msg = f"two taggers: a block begins at {after.start_ps} ps, before the last one ended at {block.stop_ps} ps"
        raise BadRequestError(msg)
    return after


def _raised(block: TagBlock, step: int) -> TagBlock:
    if not step:
        return block
    if block.n and not 0 <= int(block.ch.max()) + step <= 255:
        msg = f"channel {int(block.ch.max())} raised by {step}: a tag block has channels 0 to 255"
        raise BadRequestError(msg)
    return TagBlock(block.t, block.ch + np.uint8(step), block.start_ps, block.stop_ps, block.gaps)
