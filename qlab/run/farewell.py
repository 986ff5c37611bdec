"""A terminal that closes, or a polite kill, ends a run as Ctrl-C and abort would: finalisers run, the laser goes dark."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from qlab.run.engine import Session

__all__ = ["Farewell", "farewell"]

_KINDS = ("SIGTERM", "SIGHUP")
"""What is caught where the system has it, unless somebody else looks after it: `nohup` stays deaf to the terminal's end."""


class Farewell:
    """What a signal to end does.

    Parameters
    ----------
    session:
        Whose run is aborted; None where there is none.
    also:
        Called as well, for example to end a prompt.
    """

    def __init__(self, session: Session | None = None, also: Callable[[], None] | None = None) -> None:
        self._session = session
        self._also = also
        self._said: int | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Take the signal, in the main thread."""
        del frame
        signal.signal(number, signal.SIG_IGN)  # once is enough, and what follows takes its seconds
        if number == getattr(signal, "SIGHUP", None):
            _silence()
        self._said = number
        if self._also is not None:
            self._also()
        if self._session is not None and self._session.RE.state in ("running", "pausing", "suspending"):
            # Returns at once: the finalisers run in the engine's own thread, and whoever started the run waits for them.
            self._session.abort(f"ended by {signal.Signals(number).name}")
        else:
            self.leave()

    def leave(self) -> None:
        """Leave the program if a signal said so: everything that is open closes on the way."""
        if self._said is not None:
            name = signal.Signals(self._said).name
            print(f"qlab: ended by {name}; instruments were left safe", file=sys.stderr)  # noqa: T201
            raise SystemExit(128 + self._said)


def _silence() -> None:
    """Let what is printed from now on go nowhere: the terminal that would take it is closed."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    os.close(nowhere)


@contextmanager
def farewell(session: Session | None = None, also: Callable[[], None] | None = None) -> Iterator[Farewell]:
    """Catch the signals to end; the parameters are those of `Farewell`.  Outside the main thread nothing is caught."""
    found = Farewell(session, also)
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for name in _KINDS:
            number: int | None = getattr(signal, name, None)
            if number is None:
                continue
            handler = signal.getsignal(number)
            if handler is signal.SIG_DFL or isinstance(handler, Farewell):
                before[number] = signal.signal(number, found)
    try:
        yield found
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
