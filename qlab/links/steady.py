"""A connection that is brought back into step whenever what comes over it cannot be trusted.

Opening, asking who answers, setting again what was set, waiting out late bytes: as often and as long as the policy allows.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from qlab.errors import BadReplyError, LinkClosedError, LinkError, LinkTimeoutError, WrongIdentityError
from qlab.links.channel import SHOWN, Channel
from qlab.links.lock import ClockLock

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from qlab.clock import Clock, Peer
    from qlab.links.policy import LinkPolicy

__all__ = ["SteadyChannel"]

LONGEST_REPLY = 1 << 24
"""Bytes without a terminator behind which nobody waits for one: something that never stops would fill the memory."""


class SteadyChannel(Channel):
    """A channel with a life: opened, identified, distrusted, recovered, closed; one thread at a time."""

    drains: ClassVar[bool] = False
    """Whether closing and opening leaves late bytes on the wire, so that they must be waited out."""

    def __init__(
        self, address: str, *, name: str, clock: Clock, peer: Peer | None, policy: LinkPolicy, greeting: bytes
    ) -> None:
        super().__init__(address, name=name, clock=clock, peer=peer)
        self.policy = policy
        self.greeting = greeting
        self.openings = 0
        self.lock = ClockLock(clock)
        self._depth = 0
        """How many dialogues of several steps are under way, one in the other."""
        self._known = False
        """Whether it was identified once, so that there may be settings to restore."""
        self._recovering = False

    @abstractmethod
    def _identify(self) -> None:
        """Ask who answers; raises `WrongIdentityError` where it is another."""

    @abstractmethod
    def _restore(self) -> None:
        """Set again what was set; only called where this connection is not the first."""

    # Life.

    def open(self) -> None:
        """Open, identify and restore; raises `LinkClosedError` where nobody answers at the address."""
        with self.lock:
            if not self.is_open:
                self._recover()

    def close(self) -> None:
        """Close; safe at any moment, and waits for another thread's dialogue to end."""
        with self.lock:
            self._unplug()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def distrust(self) -> None:
        """Make the link resynchronise before the next byte is believed."""
        self.suspect = True

    # Inside.

    def _ready(self) -> None:
        """Be open and in step before a dialogue begins; in the middle of one it is too late for that."""
        if self.is_open and (self._recovering or not self.suspect):
            return
        if self._recovering or self._depth:
            raise self._gone(None)
        self._recover()

    def _recover(self) -> None:
        """Open, or resynchronise; identify and restore; as often and as long as the policy allows."""
        late, begun = self.suspect and self.drains, self._begun
        self.suspect = self._recovering = True
        try:
            with self._limited(self.policy.recovery_s):
                for left in reversed(range(self.policy.reconnects + 1)):
                    try:
                        self._recover_once(late)
                        break
                    except (LinkClosedError, LinkTimeoutError, BadReplyError, WrongIdentityError) as error:
                        again = self.drains or not isinstance(error, WrongIdentityError)
                        late = self.drains
                        if isinstance(error, LinkClosedError) or not late:
                            self._unplug()
                        if not left or not again or self._time_is_over():
                            raise self._unreachable(error) from error
                    self._sleep(self.policy.reconnect_delay_s)
            self.suspect = False
        except LinkError:
            self._unplug()
            raise
        finally:
            self._recovering, self._begun = False, begun

    def _recover_once(self, late: bool) -> None:
        """Do one attempt; `late` where bytes of an earlier dialogue may still come over the line."""
        if not (late and self.is_open):
            self._plug()
            self.openings += 1
            if self.greeting:
                self._hear_greeting()
        if late:
            self._wait_for_silence()
        self._identify()
        if late and self._wait_for_silence():
            # Two replies to the identity query were under way: the one that we believed was not the last.
            raise self._bad(None, "bytes came that nobody asked for", "silence")
        if self._known:
            self._restore()
        self._known = True

    def _hear_greeting(self) -> None:
        self._await_greeting(self.greeting)
        self._read_until(self.greeting, self._deadline(self.policy.timeout_s))
        self._forget()

    def _wait_for_silence(self) -> bool:
        """Drop what comes until nothing does for `silence_s`; return whether anything came."""
        came = bool(self._buffer)
        self._forget()
        while self._arrive(self._deadline(self.policy.silence_s), 1):
            came = True
            self._forget()
            if self._time_is_over():
                raise self._bad(None, "the instrument does not fall silent", f"{self.policy.silence_s:g} s of silence")
        return came

    def _time_is_over(self) -> bool:
        return self._limit_ps is not None and self.clock.now_ps() >= self._limit_ps

    def _read_exact(self, count: int, deadline_ps: int) -> bytes:
        while len(self._buffer) < count:
            self._need(deadline_ps, count - len(self._buffer))
        return self._consume(count)

    def _read_until(self, end: bytes, deadline_ps: int) -> bytes:
        searched = 0
        while (found := self._buffer.find(end, searched)) < 0:
            if len(self._buffer) > LONGEST_REPLY:
                shown = bytes(self._buffer[:SHOWN])
                self._forget()
                raise self._bad(shown, "the reply does not end", f"{end!r} within {LONGEST_REPLY} bytes")
            searched = max(len(self._buffer) - len(end) + 1, 0)
            self._need(deadline_ps, end)
        return self._consume(found, len(end))

    def _bad(self, found: bytes | None, what: str, expected: str) -> BadReplyError:
        self.suspect = True
        return BadReplyError(what, device=self.name, command=self._command, found=found, expected=expected)

    def _unreachable(self, error: LinkError) -> LinkError:
        """Say what a failed recovery means: who answers nothing, or nonsense, cannot be reached."""
        if isinstance(error, (LinkClosedError, WrongIdentityError)):
            return error
        self._unplug()
        return LinkClosedError(
            f"cannot be reached at {self.address}: {error.what}",
            device=self.name,
            command=error.command,
            found=error.found,
            expected=error.expected,
            hint="is it switched on, is the address right, does another program use it?",
        )
