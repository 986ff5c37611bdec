"""Tags of a file into order: what hardware wrote a little out of order is sorted, what cannot be true ends the stream.

Records come a little out of order (several channels, one buffer each), so tags younger than the newest one by less than a
limit are kept back until nothing earlier can come.  A tag that stands further out of order is a fault of the file, or the
one before it is: a flipped bit that sends a tag far ahead is only seen by the tags that follow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qlab.errors import TagFileError
from qlab.tags.stream import Gap, TagBlock

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from qlab.tags.files.streaming import Piece

__all__ = ["SLACK_PS", "in_order"]

SLACK_PS = 10**9
"""How far out of order records may be, unless a format knows better: 1 ms."""
_NEVER = -(2**62)
"""Earlier than all tags."""


def in_order(
    pieces: Iterable[Piece], path: Path | str, *, slack_ps: int = SLACK_PS, start_ps: int | None = None
) -> Iterator[TagBlock]:
    """Sort pieces into adjoining blocks; the tags do not depend on how the file was cut into pieces.

    Parameters
    ----------
    pieces, path:
        The tags, and the file's name for errors.
    slack_ps:
        How much later than its successors a tag may stand in the file.
    start_ps:
        When the recording began; with its first tag where the file does not say.

    Raises
    ------
    TagFileError
        A tag further out of order, or what the pieces raise: in either case after all tags before the fault.
    """
    order = _Order(path, slack_ps, start_ps)
    try:
        for piece in pieces:
            block = order.add(piece)
            if block is not None:
                yield block
    except TagFileError:
        block = order.rest()
        if block is not None:
            yield block
        raise
    block = order.rest()
    if block is not None:
        yield block


class _Order:
    """Tags that wait until nothing earlier can come."""

    def __init__(self, path: Path | str, slack_ps: int, start_ps: int | None) -> None:
        self._path, self._slack_ps = path, slack_ps
        self._begin_ps = start_ps
        self._t, self._ch = np.empty(0, np.int64), np.empty(0, np.int16)
        self._gaps: list[Gap] = []
        self._n = 0
        self._newest_ps = _NEVER
        self._witnessed_ps = _NEVER
        """The newest but for the very last tag, of which nothing yet says that it is true."""
        self._until_ps = _NEVER

    def add(self, piece: Piece) -> TagBlock | None:
        """Take the next piece and return what is ready; raises `TagFileError` behind what is sound of it."""
        self._gaps += piece.gaps
        newest = np.maximum.accumulate(np.concatenate([[self._newest_ps], piece.t]))  # before each tag, and at the end
        late = piece.t < newest[:-1] - self._slack_ps
        if self._newest_ps == _NEVER and self._begin_ps is not None:
            late |= piece.t < self._begin_ps
        if late.any():
            raise self._fault(piece, newest, int(np.argmax(late)))
        self._hold(piece.t, piece.ch)
        if piece.t.size:
            self._newest_ps, self._witnessed_ps = int(newest[-1]), int(newest[-2])
        if piece.until_ps is not None:
            self._until_ps = piece.until_ps
            self._newest_ps = max(self._newest_ps, piece.until_ps)
            self._witnessed_ps = max(self._witnessed_ps, piece.until_ps)
        return self._ready()

    def _fault(self, piece: Piece, newest: NDArray[np.int64], at: int) -> TagFileError:
        """Hold what stands before the fault at a tag or at the one before it, and return the error."""
        off_ps = (int(newest[at]) if newest[at] > _NEVER else int(self._begin_ps or 0)) - int(piece.t[at])
        number, what = self._n + at + 1, "late"
        others = int(newest[at - 1]) if at else self._witnessed_ps
        if _NEVER < others <= int(piece.t[at]) + self._slack_ps:  # without the one before, all goes on as it did
            number, what = number - 1, "early"
        if number > self._n:
            self._hold(piece.t[: number - 1 - self._n], piece.ch[: number - 1 - self._n])
        else:
            self._t, self._ch = self._t[:-1], self._ch[:-1]
        msg = (
            f"{self._path}: tag {number} stands {off_ps} ps too {what}; expected at most {self._slack_ps} ps out of "
            f"order; the {number - 1} tags before are sound"
        )
        return TagFileError(msg)

    def _hold(self, t: NDArray[np.int64], ch: NDArray[np.uint8] | NDArray[np.int16]) -> None:
        self._t, self._ch = np.concatenate([self._t, t]), np.concatenate([self._ch, ch.astype(np.int16)])
        self._n += t.size

    def _ready(self) -> TagBlock | None:
        edge = self._witnessed_ps - self._slack_ps
        # A gap is not cut: what lies in it waits for its end.
        edge = min([edge, *(gap.start_ps for gap in self._gaps if gap.start_ps < edge < gap.stop_ps)])
        ready = self._t < edge
        if self._begin_ps is None:
            if not ready.any():
                return None
            self._begin_ps = int(self._t[ready].min())
        if edge <= self._begin_ps:
            return None
        block = _block(
            self._t[ready], self._ch[ready], self._begin_ps, edge, [g for g in self._gaps if g.start_ps < edge]
        )
        self._gaps = [gap for gap in self._gaps if gap.start_ps >= edge]
        self._begin_ps, self._t, self._ch = edge, self._t[~ready], self._ch[~ready]
        return block

    def rest(self) -> TagBlock | None:
        """Return all that is left, or None where there was nothing."""
        if self._begin_ps is None:
            if not self._t.size:
                return None
            self._begin_ps = int(self._t.min())
        newest = int((self._t + (self._ch >= 0)).max()) if self._t.size else self._begin_ps
        return _block(self._t, self._ch, self._begin_ps, max(newest, self._until_ps), self._gaps)


def _block(t: NDArray[np.int64], ch: NDArray[np.int16], start_ps: int, stop_ps: int, gaps: list[Gap]) -> TagBlock:
    clicks = ch >= 0
    return TagBlock.from_unsorted(t[clicks], ch[clicks], start_ps, stop_ps, gaps)
