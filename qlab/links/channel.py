"""Bytes in and out under the lab's clock: the buffer, the counts, the wait for more, the errors of the transport.

In *stepped* time a link whose twin lives in this process knows from the mount's counts (`qlab.clock.Peer`) whether bytes
are on their way.  If so it reads; if not, nothing is coming before time moves, so it lets time move by a small step and
looks again.  A late reply costs no wall time, and no reply is ever overtaken by the clock.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from qlab.clock import PS_PER_S
from qlab.errors import LinkClosedError, LinkTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from qlab.clock import Clock, Peer

__all__ = ["Channel"]

LOOK_AGAIN_S = 0.01
"""Lab seconds between two looks at a twin that has nothing to say yet."""
SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 20e-6, 1e-3
"""Wall seconds between two looks at the counts of a twin that has not taken our bytes in yet."""
ARRIVAL_LIMIT_S = 60.0
"""Wall seconds after which bytes that never reached the twin count as lost."""
WAIT_S = 0.05
"""Wall seconds between two looks at the counts while bytes are under way."""
ON_THE_WAY_S = 5.0
"""Wall seconds after which bytes that the twin has emitted count as lost."""
SHOWN = 80
"""Bytes of a bad reply that an error shows."""


class Channel(ABC):
    """An open or closed connection, and what came over it."""

    def __init__(self, address: str, *, name: str, clock: Clock, peer: Peer | None) -> None:
        self.address = address
        self.name = name
        self.clock = clock
        self.peer = peer
        self.on_bytes: Callable[[str, bytes], None] | None = None
        self.is_open = False
        self.suspect = False
        """Whether bytes of an earlier dialogue may still come."""
        self._buffer = bytearray()
        self._sent = 0
        self._taken = 0
        self._begun_before = 0
        self._command: bytes | None = None
        self._begun = False
        """Whether something was sent in this dialogue."""
        self._limit_ps: int | None = None

    # What a transport implements, with the exceptions of its own library.

    @abstractmethod
    def _open(self) -> None:
        """Connect; raises one of `_lost` where that fails."""

    @abstractmethod
    def _close(self) -> None:
        """Give everything back, also after a failed `_open`."""

    @abstractmethod
    def _send(self, data: bytes) -> None:
        """Send all bytes; raises one of `_lost` where the connection is lost or takes no more."""

    @abstractmethod
    def _receive(self, wanted: int | bytes, wall_timeout_s: float) -> bytes:
        """Return what has come, at least one byte; nothing after the time-out.

        `wanted` says how many bytes are missing, or the terminator that is looked for; a transport that can return
        whatever is there does not need it.
        """

    def _glance(self) -> bytes:
        """Return what is there already; nothing where looking would disturb the instrument."""
        return self._receive(1, 0.0)

    @property
    def _lost(self) -> tuple[type[Exception], ...]:
        """Exceptions of this transport that mean: refused or lost."""
        return (OSError,)

    # Connection.

    def _plug(self) -> None:
        """Open; nothing from before is left."""
        self._unplug()
        self._begun_before = self.peer.begun if self.peer is not None else 0
        try:
            with self._converted():
                self._open()
                self.is_open = True
        finally:
            if not self.is_open:
                with suppress(*self._lost):
                    self._close()
        # The mount's counts go on over all connections.
        self._sent = self.peer.received if self.peer is not None else 0
        self._taken = self.peer.emitted if self.peer is not None else 0

    def _unplug(self) -> None:
        self._forget()
        if self.is_open:
            self.is_open = False
            with suppress(*self._lost):  # it was lost already
                self._close()

    @contextmanager
    def _converted(self) -> Iterator[None]:
        """Turn the transport's exceptions into ours."""
        try:
            yield
        except self._lost as error:
            raise self._gone(error) from error
        except BaseException:  # Ctrl-C in the middle of a reply: the rest of it must not answer the next question
            self.suspect = True
            raise

    def _gone(self, error: BaseException | None) -> LinkClosedError:
        self.suspect = True
        found = str(error) if error is not None else None
        if not self.is_open:
            what = f"cannot be reached at {self.address}"
            hint = "check address, cable and power, and that no other program uses it"
            return LinkClosedError(what, device=self.name, found=found, hint=hint)
        what = f"the connection to {self.address} was lost"
        hint = "whether the command was executed is unknown; look at the instrument before you repeat it"
        command = self._command if self._begun else None
        return LinkClosedError(
            what, device=self.name, command=command, found=found, hint=hint if command is not None else None
        )

    # Bytes.

    def _put(self, data: bytes) -> None:
        self._command = data
        with self._converted():
            self._send(data)
            self._sent += len(data)
            if self.on_bytes is not None:
                self.on_bytes("write", data)
            if self.peer is not None and self.clock.mode == "stepped":
                # Who writes and then waits must not let time pass while the bytes are still on their way.
                self._settle(self.peer)

    def _take(self, data: bytes) -> None:
        if data:
            self._taken += len(data)
            self._buffer += data
            if self.on_bytes is not None:
                self.on_bytes("read", data)

    def _consume(self, count: int, end: int = 0) -> bytes:
        """Take `count` bytes out of the buffer, and `end` more that are dropped."""
        data = bytes(self._buffer[:count])
        del self._buffer[: count + end]
        return data

    def _forget(self) -> None:
        self._buffer.clear()

    def _look(self) -> bool:
        """Take what is there without waiting; return whether anything is."""
        with self._converted():
            self._take(self._glance())
        return bool(self._buffer)

    def _deadline(self, timeout_s: float) -> int:
        deadline_ps = self.clock.now_ps() + round(timeout_s * PS_PER_S)
        return deadline_ps if self._limit_ps is None else min(deadline_ps, self._limit_ps)

    def _sleep(self, seconds: float) -> None:
        self.clock.wait_until(self._deadline(seconds))

    @contextmanager
    def _limited(self, seconds: float) -> Iterator[None]:
        """Cut everything inside off after `seconds` of lab time."""
        before = self._limit_ps
        self._limit_ps = self._deadline(seconds)
        try:
            yield
        finally:
            self._limit_ps = before

    def _need(self, deadline_ps: int, wanted: int | bytes) -> None:
        """Wait for at least one more byte; raises `LinkTimeoutError` at the deadline."""
        if self._arrive(deadline_ps, wanted):
            return
        self.suspect = True
        found = bytes(self._buffer[-SHOWN:]) or None
        self._forget()
        expected = f"{wanted} more bytes" if isinstance(wanted, int) else f"a reply that ends with {wanted!r}"
        what = "no complete reply came in time"
        raise LinkTimeoutError(what, device=self.name, command=self._command, found=found, expected=expected)

    def _arrive(self, deadline_ps: int, wanted: int | bytes) -> bool:
        """Wait until at least one more byte is in the buffer; return whether it came before the deadline."""
        if not self.is_open:
            raise self._gone(None)
        with self._converted():
            if self.peer is not None and self.clock.mode == "stepped":
                return self._arrive_stepped(self.peer, deadline_ps)
            while True:
                left_s = (deadline_ps - self.clock.now_ps()) / PS_PER_S
                data = self._receive(wanted, self.clock.wall_s(left_s)) if left_s > 0 else self._glance()
                self._take(data)
                if data or left_s <= 0 or not self.clock.runs:
                    return bool(data)

    def _arrive_stepped(self, peer: Peer, deadline_ps: int) -> bool:
        had = len(self._buffer)
        while True:
            self._settle(peer)
            # Also where nothing is under way: a lost connection shows at once.
            waited_s = 0.0
            while len(self._buffer) == had:
                self._taken = min(self._taken, peer.emitted)  # the twin took back what its wire could not send
                under_way = peer.emitted - self._taken
                self._take(self._receive(under_way, WAIT_S) if under_way > 0 else self._glance())
                waited_s += WAIT_S
                if under_way <= 0 or waited_s > ON_THE_WAY_S:
                    break
            if len(self._buffer) > had:
                return True
            self._taken = max(self._taken, peer.emitted)  # what was emitted and did not come was lost on the way
            now_ps = self.clock.now_ps()
            if now_ps >= deadline_ps:
                return False
            self.clock.wait_until(min(now_ps + round(LOOK_AGAIN_S * PS_PER_S), deadline_ps))

    def _await_greeting(self, end: bytes) -> None:
        """Wait (on the wall) for what a twin in this process says first: lab time must not pass before it is there."""
        if self.peer is None or self.clock.mode != "stepped":
            return
        pause, waited_s = threading.Event(), 0.0
        with self._converted():
            while waited_s < ON_THE_WAY_S and (self.peer.begun == self._begun_before or end not in self._buffer):
                if self.peer.begun == self._begun_before:
                    pause.wait(LONGEST_PAUSE_S)
                    waited_s += LONGEST_PAUSE_S
                else:
                    self._take(self._receive(end, WAIT_S))
                    waited_s += WAIT_S
        self._taken = self.peer.emitted

    def _settle(self, peer: Peer) -> None:
        """Wait (on the wall, microseconds) until the twin has digested our bytes."""
        pause, waited_s, pause_s = threading.Event(), 0.0, SHORTEST_PAUSE_S
        while peer.busy or peer.received < self._sent:
            pause.wait(pause_s)
            waited_s = 0.0 if peer.busy else waited_s + pause_s
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            if pause_s == LONGEST_PAUSE_S:
                self._take(self._glance())  # raises where the connection was lost, and the bytes with it
            if waited_s > ARRIVAL_LIMIT_S:
                self._sent = peer.received
