"""A recording in the place of the world: recorded tags come out of a tagger's twin at a chosen lab time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qlab.errors import BadRequestError
from qlab.tags.stream import Gap, TagBlock

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ReplayFeed"]


class ReplayFeed:
    """Play a block of tags at `start_ps` of lab time (a `qlab.tags.stream.TagFeed`).

    Parameters
    ----------
    recording:
        The tags.
    start_ps:
        Lab time at which the recording's interval starts.
    channels:
        Recorded channel to input of this tagger; channels not named are left out.  Two taggers of four inputs can so
        play one recording of eight channels.  Without it, all channels stay what they are.
    repeat:
        Play it again and again, at intervals of its own length.  Off by default: a repeated recording correlates with
        itself, and nothing is known before and after one.

    Notes
    -----
    What is asked of lab time does not depend on how often or in which pieces.  Before, and without `repeat` after the
    recording, there are no tags and a gap: the recording knows nothing of that time.
    """

    def __init__(
        self,
        recording: TagBlock,
        *,
        start_ps: int = 0,
        channels: Mapping[int, int] | None = None,
        repeat: bool = False,
    ) -> None:
        self._length_ps = recording.stop_ps - recording.start_ps
        if self._length_ps <= 0:
            msg = f"replay: the recording's interval is empty (from {recording.start_ps} to {recording.stop_ps} ps)"
            raise BadRequestError(msg)
        # Tags shifted by a delay may lie outside the interval; they would come twice when repeated.
        inside = recording.between(recording.start_ps, recording.stop_ps)
        self._tags = _mapped(inside, channels).moved(start_ps - recording.start_ps)
        self._repeat = repeat

    @property
    def start_ps(self) -> int:
        """Lab time of the recording's start."""
        return self._tags.start_ps

    @property
    def stop_ps(self) -> int | None:
        """Lab time of the recording's end; None when it repeats."""
        return None if self._repeat else self._tags.stop_ps

    def read(self, start_ps: int, stop_ps: int) -> TagBlock:
        """Return the tags of the half-open interval of lab time."""
        if stop_ps < start_ps:
            msg = f"replay: asked for tags from {start_ps} to {stop_ps} ps"
            raise BadRequestError(msg)
        first, last = self._tags.start_ps, self._tags.stop_ps
        gaps = []
        if start_ps < first:
            gaps.append(Gap(start_ps, min(first, stop_ps)))
        pieces = []
        for turn in self._turns(start_ps, stop_ps):
            offset_ps = turn * self._length_ps
            low, high = max(start_ps - offset_ps, first), min(stop_ps - offset_ps, last)
            if low < high:
                pieces.append(self._tags.between(low, high).moved(offset_ps))
        gaps.extend(gap for piece in pieces for gap in piece.gaps)
        if not self._repeat and stop_ps > last:
            gaps.append(Gap(max(last, start_ps), stop_ps))
        t = np.concatenate([p.t for p in pieces]) if pieces else np.empty(0, dtype=np.int64)
        ch = np.concatenate([p.ch for p in pieces]) if pieces else np.empty(0, dtype=np.uint8)
        return TagBlock(t, ch, start_ps, stop_ps, tuple(gap for gap in gaps if gap.stop_ps > gap.start_ps))

    def _turns(self, start_ps: int, stop_ps: int) -> range:
        if not self._repeat:
            return range(1)
        first = self._tags.start_ps
        return range(max((start_ps - first) // self._length_ps, 0), max(-(-(stop_ps - first) // self._length_ps), 0))


def _mapped(block: TagBlock, channels: Mapping[int, int] | None) -> TagBlock:
    if channels is None:
        return block
    if len(set(channels.values())) != len(channels) or not all(0 <= c <= 255 for c in (*channels, *channels.values())):
        msg = f"replay: channels {dict(channels)} must map recorded channels to different inputs, all of 0 to 255"
        raise BadRequestError(msg)
    table = np.zeros(256, dtype=np.uint8)
    for recorded, channel in channels.items():
        table[recorded] = channel
    kept = block.select(channels)
    # Sorted again because ties are ordered by channel.
    return TagBlock.from_unsorted(kept.t, table[kept.ch], kept.start_ps, kept.stop_ps, kept.gaps)
