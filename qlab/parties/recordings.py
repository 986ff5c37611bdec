"""A party's photons from a file that holds its tags and nobody else's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qlab.errors import BadRequestError
from qlab.tags.clean import find_echo, without_echoes
from qlab.tags.files.sniff import open_tags

if TYPE_CHECKING:
    from pathlib import Path

    from qlab.tags.stream import TagBlock

__all__ = ["RecordedTags"]


class RecordedTags:
    """A recording, cut in pieces of equal length, the first at the recording's time 0.

    Echoes that electronics add are removed; for a proof that is a detector with more dead time (`without_echoes`).

    Parameters
    ----------
    path, bin_ps:
        The file; the length of its time bin where it is text.
    piece_s:
        Length of a piece; the same on both sides.
    """

    def __init__(self, path: Path, *, bin_ps: float | None = None, piece_s: float = 0.04) -> None:
        if not piece_s > 0.0:
            msg = f"pieces of {piece_s:g} s: expected more than 0"
            raise BadRequestError(msg)
        block = open_tags(path, bin_ps=bin_ps)
        echoes = [find_echo(block, channel) for channel in sorted(set(block.ch.tolist()))]
        self.echoes = tuple(echo for echo in echoes if echo is not None)
        self._block = without_echoes(block, self.echoes)
        self._piece_ps = round(piece_s * 1e12)
        self._at = 0

    def turn(self, setting: int) -> None:
        """Refuse: nobody can choose any more how recorded photons were measured."""
        msg = f"setting {setting} of an analyser is asked of a recording: expected 'inputs', not 'choice', in the lab file"
        raise BadRequestError(msg)

    def start(self) -> None:
        """Begin; a recording is there already."""

    def finish(self) -> TagBlock | None:
        """Return the next piece."""
        begin = self._at * self._piece_ps
        if not self._block.n or begin > int(self._block.t[-1]):
            return None
        self._at += 1
        return self._block.between(begin, begin + self._piece_ps)
