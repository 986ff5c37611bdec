"""Coincidences of two recordings whose taggers ran on clocks of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qlab.errors import BadRequestError
from qlab.tags.clock_relation import on_one_clock
from qlab.tags.commands import count_parties
from qlab.tags.files.sniff import stream_tags
from qlab.tags.stream import concat

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from qlab.tags.clock_relation import ClockRelation
    from qlab.tags.commands import TagsCoincidences

__all__ = ["two_taggers_coincidences"]

_CHANNELS = (0, 1, 2, 3)


def two_taggers_coincidences(
    first: Path | str,
    second: Path | str,
    relation: ClockRelation,
    *,
    bin_ps: float | None = None,
    window_ps: float | None = None,
    alice: Sequence[int] = _CHANNELS,
    bob: Sequence[int] = _CHANNELS,
) -> TagsCoincidences:
    """Bring Bob's recording to the time of Alice's, then do what `qlab.tags.commands.tags_coincidences` does.

    Parameters
    ----------
    first, second:
        The files, Alice's and Bob's.
    relation:
        How the clock of the second stands against that of the first.
    bin_ps, window_ps:
        As there.
    alice, bob:
        Channels in either file.  Where both have one of a number, Bob's are raised by the next multiple of eight.

    Raises
    ------
    BadRequestError
        The two were never listening at once.
    """
    step = 8 * (max(alice) // 8 + 1) if set(alice) & set(bob) else 0
    blocks = list(
        on_one_clock(
            (block.select(alice) for block in stream_tags(first, bin_ps=bin_ps)),
            (block.select(bob) for block in stream_tags(second, bin_ps=bin_ps)),
            relation,
            channel_step=step,
        )
    )
    if not blocks:
        msg = f"{first} and {second} have no time in common by this relation of clocks (offset {relation.offset_ps:.0f} ps)"
        raise BadRequestError(msg)
    if window_ps is None and bin_ps:
        window_ps = 12 * bin_ps  # times of the second are no whole bins any more
    name = f"{first} and {second}" + (f" (channels raised by {step})" if step else "")
    return count_parties(concat(*blocks), name, None, window_ps, alice, [c + step for c in bob])
