"""A party's photons from its tagger, an acquisition a piece."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Protocol

from qlab.errors import PeerError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from qlab.tags.stream import TagBlock

__all__ = ["FedTags", "TaggerTags"]

_STEP_S = 0.05


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
    """

    def __init__(self, tagger: _Tagger, piece_s: float, step: Callable[[float], object] | None = None) -> None:
        self._tagger = tagger
        self._piece_s = piece_s
        self._step = step
        self._status: Any = None
        tagger.acquisition_s.set(piece_s).wait()

    def start(self) -> None:
        """Begin an acquisition."""
        self._status = self._tagger.trigger()

    def finish(self) -> TagBlock | None:
        """Return the acquisition's tags when it has ended."""
        if self._step is not None:
            while not self._status.done:
                # No faster than the wall: the peer begins a little earlier or later, and steps as well.
                self._step(_STEP_S)
                with contextlib.suppress(TimeoutError):
                    self._status.wait(_STEP_S)
        self._status.wait()
        return self._tagger.last_block


class FedTags:
    """Tags that somebody else takes and hands over: a plan that triggers both parties' taggers together.

    Parameters
    ----------
    changed:
        Told when this party wants a piece, or gets one.

    Attributes
    ----------
    wants:
        Whether this party waits for a piece.
    """

    def __init__(self, changed: threading.Condition) -> None:
        self._changed = changed
        self._block: TagBlock | None = None
        self._ended = False
        self.wants = False

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
