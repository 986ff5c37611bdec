"""A party's photons from its tagger, an acquisition a piece."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from qlab.errors import PeerError
from qlab.qkd.aligning import Tags
from qlab.qkd.choosing import Turn

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from qlab.tags.stream import TagBlock

__all__ = ["FedTags", "TaggerTags", "TurningTags"]


class TurningTags(Tags, Turn, Protocol):
    """Tags of a party whose analyser may be set before each piece."""


class _Shared(Protocol):
    """What is asked of a clock that both parties step (`qlab.twin.served_clock.ServedClock`)."""

    def join(self) -> None:
        """Let time pass only while all parties wait."""
        ...

    def part(self) -> None:
        """Do so no longer."""
        ...


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
    clock:
        The time of a served world that this party and its peer step together; None: time runs by itself.
    mount, positions:
        Of a party that chooses its settings: what turns the plate, and to which position for each of them.
    """

    def __init__(
        self,
        tagger: _Tagger,
        piece_s: float,
        clock: _Shared | None = None,
        mount: Any = None,
        positions: Sequence[float] = (),
    ) -> None:
        self._tagger = tagger
        self._clock = clock
        self._mount = mount
        self._positions = positions
        self._status: Any = None
        tagger.acquisition_s.set(piece_s).wait()

    def turn(self, setting: int) -> None:
        """Turn the plate, and wait until it stands."""
        self._mount.set(self._positions[setting]).wait()

    def start(self) -> None:
        """Begin an acquisition."""
        if self._clock is not None:
            self._clock.join()
        self._status = self._tagger.trigger()

    def finish(self) -> TagBlock | None:
        """Return the acquisition's tags when it has ended."""
        try:
            self._status.wait()
        finally:
            if self._clock is not None:
                self._clock.part()
        return self._tagger.last_block


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
