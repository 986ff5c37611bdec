"""What all links share: buffer, time-outs on the lab's clock, resync, reconnect, one transaction at a time."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING

from qlab.clock import PS_PER_S
from qlab.errors import BadReplyError, LinkClosedError, LinkError, LinkTimeoutError
from qlab.links.policy import LinkPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Self

    from qlab.clock import Clock, Peer

__all__ = ["Link"]

LOOK_AGAIN_S = 0.01
"""Lab seconds between two looks at a twin that has nothing to say yet."""
SETTLE_POLL_S = 0.0005
SETTLE_LIMIT_S = 2.0
"""Wall seconds after which a twin that never took our bytes in is no longer waited for."""


class Link(ABC):
    """The byte channel to one instrument.

    Parameters
    ----------
    address:
        Where the instrument is; its form depends on the kind of link.
    name:
        The instrument's name, for messages.
    clock:
        The lab's clock; every wait is on it.
    peer:
        The mount at the other end, if it is a twin in this process.
    policy:
        Time-outs and repetitions.
    terminator:
        What ends a reply; also put behind each command unless `command_terminator` says otherwise.
    """

    def __init__(
        self,
        address: str,
        *,
        name: str,
        clock: Clock,
        peer: Peer | None = None,
        policy: LinkPolicy | None = None,
        terminator: bytes = b"\n",
        command_terminator: bytes | None = None,
    ) -> None:
        self.address = address
        self.name = name
        self.clock = clock
        self.peer = peer
        self.policy = policy or LinkPolicy()
        self.terminator = terminator
        self.command_terminator = terminator if command_terminator is None else command_terminator
        self.identify: Callable[[Link], None] | None = None
        self.restore: Callable[[Link], None] | None = None
        self.on_bytes: Callable[[str, bytes], None] | None = None
        self.lock = threading.RLock()
        self.is_open = False
        self.reopened = 0
        self._buffer = bytearray()
        self._sent = 0
        self._taken = 0
        self._suspect = False
        self._opening = False

    # What a transport implements; it raises the exceptions of its `_lost`, and returns no bytes after a time-out.

    @abstractmethod
    def _open(self) -> None: ...

    @abstractmethod
    def _close(self) -> None: ...

    @abstractmethod
    def _send(self, data: bytes) -> None: ...

    @abstractmethod
    def _receive(self, wall_timeout_s: float, want: int | None) -> bytes:
        """Return at least one byte; up to `want`, or up to a terminator where that is None."""

    @property
    def _lost(self) -> tuple[type[Exception], ...]:
        """Exceptions of this transport that mean: refused or lost."""
        return (OSError,)

    # Life.

    def open(self) -> None:
        """Open, identify and restore; raises `LinkClosedError` where nobody answers at the address."""
        with self.lock:
            if self.is_open:
                return
            tries = self.policy.reconnects + 1
            for attempt in range(tries):
                try:
                    self._connect()
                except LinkClosedError:
                    if attempt + 1 == tries:
                        raise
                    self.clock.sleep(self.policy.reconnect_delay_s)
                else:
                    return

    def close(self) -> None:
        """Close; safe at any moment."""
        with self.lock:
            if self.is_open:
                self.is_open = False
                try:
                    self._close()
                except self._lost:
                    return  # it was lost already

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[Self]:
        """Keep other threads away for a dialogue of several steps; an error inside makes the link suspect."""
        with self.lock:
            self._ready()
            try:
                yield self
            except LinkError:
                self._suspect = True
                raise

    # Bytes.

    def write(self, data: bytes) -> None:
        """Send bytes as they are; raises `LinkClosedError` where the connection is lost."""
        with self.lock:
            self._ready()
            try:
                self._send(data)
            except self._lost as error:
                raise self._closed(error, data) from error
            self._sent += len(data)
            if self.on_bytes is not None:
                self.on_bytes("write", data)
            if self.peer is not None and self.clock.mode == "stepped":
                # Who writes and then waits must not let time pass while the bytes are still on their way.
                self._under_way(self.peer)

    def read_until(self, terminator: bytes | None = None, timeout_s: float | None = None) -> bytes:
        """Read up to and including a terminator; returns without it."""
        end = self.terminator if terminator is None else terminator
        with self.lock:
            deadline_ps = self._deadline(timeout_s)
            searched = 0
            while (found := self._buffer.find(end, searched)) < 0:
                searched = max(len(self._buffer) - len(end) + 1, 0)
                self._more(deadline_ps, None, f"a reply that ends with {end!r}")
            line = bytes(self._buffer[:found])
            del self._buffer[: found + len(end)]
            return line

    def read_exact(self, count: int, timeout_s: float | None = None) -> bytes:
        """Read exactly `count` bytes."""
        with self.lock:
            deadline_ps = self._deadline(timeout_s)
            while len(self._buffer) < count:
                self._more(deadline_ps, count - len(self._buffer), f"{count} bytes")
            data = bytes(self._buffer[:count])
            del self._buffer[:count]
            return data

    def read_block(self, timeout_s: float | None = None) -> bytes:
        """Read an IEEE-488.2 definite-length block and the terminator behind it."""
        head = self.read_exact(2, timeout_s)
        if head[:1] != b"#" or not head[1:].isdigit() or head == b"#0":
            self._suspect = True
            what = "the reply is not a block"
            raise BadReplyError(what, device=self.name, found=head, expected="'#' and a digit from 1 to 9")
        length = self.read_exact(int(head[1:]), timeout_s)
        if not length.isdigit():
            self._suspect = True
            what = "the block's length is not a number"
            raise BadReplyError(what, device=self.name, found=length, expected="decimal digits")
        data = self.read_exact(int(length), timeout_s)
        self.read_exact(len(self.terminator), timeout_s)
        return data

    # Dialogue.

    def query(
        self,
        command: bytes,
        *,
        delay_s: float = 0.0,
        timeout_s: float | None = None,
        retry: bool = True,
        read: Callable[[], bytes] | None = None,
    ) -> bytes:
        """Send a command and return its reply; repeated by the policy unless `retry` is false.

        Parameters
        ----------
        command:
            The bytes to send, terminator included.
        delay_s:
            Lab seconds that the instrument is known to need before it answers.
        timeout_s:
            Lab seconds for the reply, instead of the policy's.
        read:
            How to read the reply, instead of up to the terminator.
        """
        tries = self.policy.retries + 1 if retry else 1
        with self.lock:
            for attempt in range(tries):
                try:
                    with self.transaction():
                        self._expect_silence(command)
                        self.write(command)
                        if delay_s:
                            self.clock.sleep(delay_s)
                        reply = read() if read is not None else self.read_until(timeout_s=timeout_s)
                        if self._buffer:
                            self._suspect = True
                            what = "more bytes than one reply came"
                            extra = bytes(self._buffer[:80])
                            raise BadReplyError(
                                what, device=self.name, command=command, found=extra, expected="one reply"
                            )
                        return reply
                except LinkTimeoutError as error:
                    if attempt + 1 == tries:
                        raise self._timeout(command, timeout_s, tries, error.found) from error
                except (LinkClosedError, BadReplyError):
                    if attempt + 1 == tries:
                        raise
            raise AssertionError  # pragma: no cover - the loop returns or raises

    def ask(self, text: str, **how: float | bool) -> str:
        """Query in text, terminators added and taken away."""
        reply = self.query(text.encode("latin-1") + self.command_terminator, **how)  # type: ignore[arg-type]
        return reply.decode("latin-1").rstrip("\r\n")

    def tell(self, text: str) -> None:
        """Send a command that has no reply; never repeated."""
        self.write(text.encode("latin-1") + self.command_terminator)

    def discard(self) -> None:
        """Drop what came unasked: on a bus, the late word of another unit."""
        with self.lock:
            if self.peer is not None:
                while self.is_open and self.peer.emitted > self._taken:
                    left = self.peer.emitted - self._taken
                    data = self._receive(self.clock.wall_s(0.0), left)
                    if not data:
                        break
                    self._take(data)
            elif self.is_open:
                self._take(self._receive(0.0, None))
            self._buffer.clear()

    def distrust(self) -> None:
        """Make the link resynchronise before the next byte is believed."""
        self._suspect = True

    # Inside.

    def _ready(self) -> None:
        if self._suspect and not self._opening:
            self._suspect = False
            self.close()
        if not self.is_open:
            if self._opening:
                raise self._closed(None, None)
            self.open()

    def _connect(self) -> None:
        self._opening, again = True, self.reopened > 0
        try:
            self._buffer.clear()
            try:
                self._open()
            except self._lost as error:
                raise self._closed(error, None) from error
            self.is_open = True
            self.reopened += 1
            self._sent = self.peer.received if self.peer is not None else 0
            self._taken = self.peer.emitted if self.peer is not None else 0
            if self.identify is not None:
                self.identify(self)
            if again and self.restore is not None:
                self.restore(self)
        except LinkError as error:
            self.close()
            if isinstance(error, LinkTimeoutError):
                raise self._closed(error, None) from error
            raise
        finally:
            self._opening = False

    def _expect_silence(self, command: bytes) -> None:
        """Bytes that are there before we ask belong to no question of ours: resynchronise."""
        if self._opening:
            return
        if self.peer is not None:
            stale = self.peer.emitted > self._taken
        else:
            try:
                self._take(self._receive(0.0, None))
            except self._lost as error:
                raise self._closed(error, command) from error
            stale = bool(self._buffer)
        if stale:
            self._suspect = True
            self._ready()

    def _deadline(self, timeout_s: float | None) -> int:
        wait_s = self.policy.timeout_s if timeout_s is None else timeout_s
        return self.clock.now_ps() + round(wait_s * PS_PER_S)

    def _more(self, deadline_ps: int, want: int | None, wanted: str) -> None:
        """Wait for at least one more byte."""
        if not self.is_open:
            raise self._closed(None, None)
        left_s = (deadline_ps - self.clock.now_ps()) / PS_PER_S
        if self.clock.mode == "stepped" and self.peer is not None:
            while not self._under_way(self.peer):
                if self.clock.now_ps() >= deadline_ps:
                    self._time_is_up(wanted)
                self.clock.sleep(min(LOOK_AGAIN_S, max(deadline_ps - self.clock.now_ps(), 1) / PS_PER_S))
            want = self.peer.emitted - self._taken
        elif left_s <= 0:
            self._time_is_up(wanted)
        try:
            data = self._receive(self.clock.wall_s(left_s), want)
        except self._lost as error:
            raise self._closed(error, None) from error
        if not data:
            self._time_is_up(wanted)
        self._take(data)

    def _take(self, data: bytes) -> None:
        if data:
            self._taken += len(data)
            self._buffer += data
            if self.on_bytes is not None:
                self.on_bytes("read", data)

    def _under_way(self, peer: Peer) -> bool:
        """Wait (on the wall, microseconds) until the twin has digested our bytes; return whether it answered."""
        pause = threading.Event()
        waited_s = 0.0
        while (peer.received < self._sent or peer.busy) and peer.emitted <= self._taken and waited_s < SETTLE_LIMIT_S:
            pause.wait(SETTLE_POLL_S)
            waited_s += SETTLE_POLL_S
        if waited_s >= SETTLE_LIMIT_S:
            self._sent = peer.received  # bytes that went into a broken connection will never arrive
        return peer.emitted > self._taken

    def _time_is_up(self, wanted: str) -> None:
        self._suspect = True
        found = bytes(self._buffer[-80:]) or None
        self._buffer.clear()
        what = "no complete reply came in time"
        raise LinkTimeoutError(what, device=self.name, found=found, expected=wanted)

    def _timeout(
        self, command: bytes, timeout_s: float | None, tries: int, found: str | bytes | None
    ) -> LinkTimeoutError:
        wait_s = self.policy.timeout_s if timeout_s is None else timeout_s
        return LinkTimeoutError(
            f"no complete reply within {wait_s:g} s, tried {tries} times",
            device=self.name,
            command=command,
            found=found,
            expected=f"a reply that ends with {self.terminator!r}",
            hint=f"is the instrument at {self.address} switched on, and not in use by another program?",
        )

    def _closed(self, error: Exception | None, data: bytes | None) -> LinkClosedError:
        self._suspect = True
        if data is None and not self.is_open:
            what, hint = (
                f"cannot be reached at {self.address}",
                "check address, cable, power, and that nobody else uses it",
            )
        else:
            what, hint = f"the connection to {self.address} was lost", None
            if data is not None:
                hint = "whether the command was executed is unknown; look at the instrument before you repeat it"
        return LinkClosedError(what, device=self.name, command=data, found=str(error) if error else None, hint=hint)
