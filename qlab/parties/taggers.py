"""A party's photons from its tagger, an acquisition a piece."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Protocol

from qlab.errors import PeerError
from qlab.qkd.aligning import Tags
from qlab.qkd.choosing import Turn

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from qlab.tags.stream import TagBlock

__all__ = ["FedTags", "TaggerTags", "TurningTags"]

_STEP_S = 0.05


class TurningTags(Tags, Turn, Protocol):
    """Tags of a party whose analyser may be set before each piece."""


class _Tagger(Protocol):
    """What is asked of a tagger beside its role (`qlab.roles.TimeTagger`)."""

    acquisition_s: Any
    last_block: TagBlock

    def trigger(self) -> Any:
        """Take one acquisition; returns its status."""
        ...


class TaggerTags:
    """A tagger that this party triggers itself.

    Parameters
    ----------
    tagger, piece_s:
        The tagger; how long an acquisition is.
    step:
        Lets stepped lab time pass, where this party is the one who does; takes seconds.
    analyser, positions:
        Of a party that chooses its settings: what is set, and to which position for each of them.
    """

    def __init__(
        self,
        tagger: _Tagger,
        piece_s: float,
        step: Callable[[float], object] | None = None,
        analyser: Any = None,
        positions: Sequence[float] = (),
    ) -> None:
        self._tagger = tagger
        self._piece_s = piece_s
        self._step = step
        self._analyser = analyser
        self._positions = positions
        self._status: Any = None
        tagger.acquisition_s.set(piece_s).wait()

    def start(self) -> None:
        """Begin an acquisition."""
        self._status = self._tagger.trigger()

    def turn(self, setting: int) -> None:
        """Set the analyser, and wait until it stands."""
        self._finish(self._analyser.set(self._positions[setting]))

    def finish(self) -> TagBlock | None:
        """Return the acquisition's tags when it has ended."""
        self._finish(self._status)
        return self._tagger.last_block

    def _finish(self, status: Any) -> None:
        if self._step is not None:
            while not status.done:
                # No faster than the wall: the peer begins a little earlier or later, and steps as well.
                self._step(_STEP_S)
                with contextlib.suppress(TimeoutError):
                    status.wait(_STEP_S)
        status.wait()


class FedTags:
    """Tags that somebody else takes and hands over: a plan that triggers both parties' taggers together.

    Parameters
    ----------
    changed:
        Told when this party wants a piece, or gets one.
    positions:
        Of the plate before its detectors, for each of its settings; none where beam splitters choose.

    Attributes
    ----------
    wants:
        Whether this party waits for a piece.
    position:
        What its plate is to be set to before; None: it has none.
    """

    def __init__(self, changed: threading.Condition, positions: Sequence[float] = ()) -> None:
        self._changed = changed
        self._positions = positions
        self._block: TagBlock | None = None
        self._ended = False
        self.wants = False
        self.position: float | None = None

    def turn(self, setting: int) -> None:
        """Say what the plate is to be set to before the next piece."""
        with self._changed:
            self.position = self._positions[setting]

    def start(self) -> None:
        """Ask for a piece."""
        with self._changed:
            self.wants = True
            self._changed.notify_all()

    def finish(self) -> TagBlock | None:
        """Return the piece when it was handed over; None when there will be no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._block is not None or self._ended)
            block, self._block = self._block, None
            return block

    def feed(self, block: TagBlock) -> None:
        """Hand over a piece."""
        with self._changed:
            if not self.wants:
                msg = "a piece of tags was handed to a party that did not ask for one"
                raise PeerError(msg)
            self._block, self.wants = block, False
            self._changed.notify_all()

    def end(self) -> None:
        """Say that there will be no more."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
