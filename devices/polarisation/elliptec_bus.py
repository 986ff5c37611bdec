"""The bus of Elliptec modules: one wire, up to sixteen addresses, replies in any order.

A module answers the end of a move when it comes, in between the replies of others.  The bus keeps such words for whom they
belong to, so that no module's reply is taken for another's.
"""

from __future__ import annotations

import re
import threading
import weakref
from typing import TYPE_CHECKING

from qlab.errors import BadReplyError, LinkClosedError, LinkTimeoutError
from qlab.links.lock import ClockLock

if TYPE_CHECKING:
    from qlab.links.link import Link

__all__ = ["ElliptecBus", "bus_of"]

FRAME = re.compile(r"[0-9A-F][A-Z][A-Z0-9][0-9A-F]*")
BUTTONS = ("BS", "BO")
BUSY_STATUS = "GS09"
FOREIGN_LINES = 64
"""So many words of other modules are read before ours is given up."""


class ElliptecBus:
    """The modules' common wire.

    Attributes
    ----------
    lock:
        Held for a dialogue of several steps.
    generation:
        How often the link was opened; after each opening a module has to say again who it is.
    """

    def __init__(self, link: Link) -> None:
        self.link = link
        self.lock = ClockLock(link.clock)
        self.generation = 0
        self._moves: dict[str, str | None] = {}
        self._interrupted: set[str] = set()
        link.identify = self._opened

    def _opened(self, link: Link) -> None:
        del link
        self.generation += 1
        self._moves.clear()

    def exchange(self, unit: str, letters: str) -> str:
        """Ask one module; repeated as the link's policy says, so it must be a query."""
        tries = self.link.policy.retries + 1
        with self.lock:
            for attempt in range(tries):
                try:
                    with self.link.transaction():
                        self._send(unit, letters)
                        return self._read(unit, letters)
                except (LinkTimeoutError, LinkClosedError, BadReplyError):
                    if attempt + 1 == tries:
                        raise
        raise AssertionError  # pragma: no cover - the loop returns or raises

    def start(self, unit: str, letters: str, generation: int) -> None:
        """Begin a move on the opening of the link that the way was reckoned on; its reply comes at its end."""
        with self.lock, self.link.transaction():
            if generation != self.generation:
                what, hint = "the bus was opened again before a move", "look where the mount stands"
                raise LinkClosedError(what, device=self.link.name, command=f"{unit}{letters}", hint=hint)
            self._send(unit, letters)
            self._moves[unit] = None

    def finish(self, unit: str) -> str | None:
        """Return the reply to a move that should be over; None where it was lost and the module must be asked."""
        with self.lock:
            if unit not in self._moves:
                return None
            try:
                while self._moves[unit] is None:
                    with self.link.transaction():
                        line = self._read(unit, "the end of a move")
                    if line[1:5] != BUSY_STATUS:
                        self._moves[unit] = line
            except (LinkTimeoutError, LinkClosedError, BadReplyError):
                self._moves.pop(unit, None)
            if unit in self._interrupted:
                self._interrupted.discard(unit)
                self.link.distrust()  # whether `st` is answered beside the move is not documented
            return self._moves.pop(unit, None)

    def interrupt(self, unit: str) -> bool:
        """Stop a move; its end comes as that of the move.  Returns False where nothing moves."""
        with self.lock:
            if unit not in self._moves:
                return False
            self.link.write(f"{unit}st".encode())
            self._interrupted.add(unit)
            return True

    def _send(self, unit: str, letters: str) -> None:
        if not self._moves:
            self.link.discard()  # nobody owes a word: what is there is stale
        self.link.write(f"{unit}{letters}".encode())

    def _read(self, unit: str, letters: str) -> str:
        for _ in range(FOREIGN_LINES):
            line = self.link.read_until().decode("latin-1")
            if FRAME.fullmatch(line) is None:
                self.link.distrust()
                what = "garbage on the bus"
                raise BadReplyError(what, device=self.link.name, command=f"{unit}{letters}", found=line)
            if line[1:3] in BUTTONS:
                continue
            if letters == "in" and line[1:3] == "PO":
                continue  # the end of a move that somebody else began
            if line[0] == unit:
                return line
            if line[0] in self._moves and line[1:5] != BUSY_STATUS:
                self._moves[line[0]] = line
        self.link.distrust()
        what = "other modules talk without end"
        raise BadReplyError(what, device=self.link.name, command=f"{unit}{letters}", found=line)


_buses: weakref.WeakKeyDictionary[Link, ElliptecBus] = weakref.WeakKeyDictionary()
_guard = threading.Lock()


def bus_of(link: Link) -> ElliptecBus:
    """Return the bus on a link, the same for all its modules."""
    with _guard:
        if link not in _buses:
            _buses[link] = ElliptecBus(link)
        return _buses[link]
