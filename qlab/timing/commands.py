"""What `qlab tags clocks` does: how the clocks of two recordings stand to each other, from the photon pairs in them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qlab.errors import BadRequestError
from qlab.tags.files.sniff import open_tags
from qlab.timing.acquire import ClockLock, NoLock, Search, acquire

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from qlab.timing.acquire import Times

__all__ = ["FileClocks", "clocks_of_files"]


@dataclass(frozen=True, slots=True)
class FileClocks:
    """The relation of two recordings' clocks, or why there is none."""

    first: str
    second: str
    found: ClockLock | NoLock

    def render(self) -> str:
        """Return it as lines for a person."""
        found = self.found
        if isinstance(found, NoLock):
            return f"no lock between {self.first} and {self.second}: {found.reason}"
        return "\n".join(
            [
                f"clock of {self.second} less clock of {self.first}, at {found.reference_ps * 1e-12:.6f} s of {self.first}:",
                f"  offset      {found.offset_ps / 1e3:.4f} ns +- {found.sigma_ps / 1e3:.4f}",
                f"  frequency   {found.frequency:.6e} +- {found.sigma_frequency:.1e}",
                f"  drift       {found.drift_per_s:.2e} /s +- {found.covariance[2, 2] ** 0.5:.1e}",
                f"  pairs       {found.pair_rate_hz:.1f} /s, each to {found.jitter_ps / 1e3:.3f} ns; {found.span_s:.3g} s",
                f"  by chance   with a probability below {max(found.false_lock, 1e-300):.1e}",
            ]
        )

    def to_json(self) -> str:
        """Return it as JSON."""
        found = self.found
        if isinstance(found, NoLock):
            return json.dumps({"lock": False, "reason": found.reason}, indent=2)
        return json.dumps(
            {
                "lock": True,
                **found.as_json(),
                "jitter_ps": found.jitter_ps,
                "pair_rate_hz": found.pair_rate_hz,
                "false_lock": found.false_lock,
                "span_s": found.span_s,
            },
            indent=2,
        )


def clocks_of_files(
    first: Path | str,
    second: Path | str,
    search: Search,
    *,
    channels: tuple[Sequence[int] | None, Sequence[int] | None] = (None, None),
    bin_ps: float | None = None,
) -> FileClocks:
    """Find the relation of the clocks of two recordings, which may be one file with two parties' channels.

    Parameters
    ----------
    first, second:
        Tag files of any known format.
    search:
        What may be.
    channels:
        Which channels of either to take; all where there are none.
    bin_ps:
        Length of one time bin, for text.

    Raises
    ------
    BadRequestError
        A side has no tags on its channels.
    """
    sides = [_times(path, wanted, bin_ps) for path, wanted in zip((first, second), channels, strict=True)]
    return FileClocks(str(first), str(second), acquire(sides[0], sides[1], search))


def _times(path: Path | str, wanted: Sequence[int] | None, bin_ps: float | None) -> Times:
    block = open_tags(path, bin_ps=bin_ps)
    if wanted is not None:
        chosen = block.select(wanted)
        if not chosen.n:
            there = ", ".join(str(c) for c in sorted(set(block.ch.tolist())))
            msg = f"{path}: no tags on channels {', '.join(map(str, wanted))}; it has tags on {there}"
            raise BadRequestError(msg)
        block = chosen
    return block.t
