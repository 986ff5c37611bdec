"""What drivers talk to: queries, sets and dialogues under one policy (see `qlab.links.policy`)."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from qlab.clock import PS_PER_S
from qlab.errors import (
    BadReplyError,
    BadRequestError,
    InstrumentError,
    LinkClosedError,
    LinkError,
    LinkTimeoutError,
)
from qlab.links.channel import SHOWN
from qlab.links.policy import LinkPolicy
from qlab.links.steady import SteadyChannel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

    from qlab.clock import Clock, Peer

__all__ = ["Link"]

T = TypeVar("T")


class Link(SteadyChannel):
    """The byte channel to one instrument; safe to use from several threads, one dialogue at a time.

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
    encoding:
        Of commands and replies in text; a reply that it cannot decode is a bad reply.
    greeting:
        What ends the text that the instrument sends to each new client; empty where it does not speak first.

    Attributes
    ----------
    identify:
        Called after each opening and resynchronisation; asks who answers and raises `WrongIdentityError`.
    restore:
        Called after each opening and resynchronisation but the first; sets again what was set.
    on_bytes:
        Called with "write" or "read" and the bytes, for recordings; must be quick and not use the link.
    openings:
        How often the link was opened.
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
        encoding: str = "ascii",
        greeting: bytes = b"",
    ) -> None:
        policy = policy or LinkPolicy()
        super().__init__(address, name=name, clock=clock, peer=peer, policy=policy, greeting=greeting)
        self.terminator = terminator
        self.command_terminator = terminator if command_terminator is None else command_terminator
        self.encoding = encoding
        self.identify: Callable[[Link], None] | None = None
        self.restore: Callable[[Link], None] | None = None

    @contextmanager
    def transaction(self) -> Iterator[Self]:
        """Keep other threads away for a dialogue of several steps.

        The dialogue runs on one connection or fails as a whole: nothing inside is repeated, and where the connection is
        lost in the middle the rest raises `LinkClosedError`.  Whatever ends it early makes the link suspect, unless it
        is an `InstrumentError`: then the instrument did answer.
        """
        with self.lock:
            if self._depth == 0:
                self._ready()
                self._begun = False
            self._depth += 1
            try:
                yield self
            except InstrumentError:
                raise
            except BaseException:
                self.suspect = True
                raise
            finally:
                self._depth -= 1

    # Bytes.

    def write(self, data: bytes) -> None:
        """Send bytes as they are; raises `LinkClosedError` where the connection is lost."""
        with self.lock:
            self._ready()
            self._begun = True
            self._put(data)

    def read_until(self, terminator: bytes | None = None, timeout_s: float | None = None) -> bytes:
        """Read up to and including a terminator; returns without it."""
        end = self.terminator if terminator is None else terminator
        with self.lock:
            return self._read_until(end, self._deadline(self._patience_s(timeout_s)))

    def read_exact(self, count: int, timeout_s: float | None = None) -> bytes:
        """Read exactly `count` bytes."""
        with self.lock:
            return self._read_exact(count, self._deadline(self._patience_s(timeout_s)))

    def read_block(self, timeout_s: float | None = None) -> bytes:
        """Read an IEEE-488.2 definite-length block and the terminator behind it."""
        with self.lock:
            deadline_ps = self._deadline(self._patience_s(timeout_s))
            head = self._read_exact(2, deadline_ps)
            if head[:1] != b"#" or head[1:] not in b"123456789":
                raise self._bad(head, "the reply is not a block", "'#' and a digit from 1 to 9")
            length = self._read_exact(int(head[1:]), deadline_ps)
            if not length.isdigit():
                raise self._bad(length, "the block's length is not a number", "decimal digits")
            data = self._read_exact(int(length), deadline_ps)
            end = self._read_exact(len(self.terminator), deadline_ps)
            if end != self.terminator:
                raise self._bad(end, "the block is longer than it says", repr(self.terminator))
            return data

    def read_stream(self, seconds: float, silence_s: float | None = None) -> bytes:
        """Read all that comes within `seconds` of lab time, and what follows until nothing comes for `silence_s`.

        Parameters
        ----------
        seconds:
            How long the instrument sends at least.
        silence_s:
            By default the policy's.
        """
        quiet_s = self.policy.silence_s if silence_s is None else silence_s
        pieces: list[bytes] = []
        with self.lock:
            end_ps = self._deadline(seconds)
            while True:
                left_s = (end_ps - self.clock.now_ps()) / PS_PER_S
                if not self._arrive(self._deadline(max(left_s, quiet_s)), 1) and self.clock.now_ps() >= end_ps:
                    return b"".join(pieces)
                pieces.append(self._consume(len(self._buffer)))

    def discard(self) -> None:
        """Drop what came unasked: on a bus, the late word of another unit."""
        with self.lock:
            if self.is_open:
                if self.peer is not None:
                    while self.peer.emitted > self._taken and self._arrive(self.clock.now_ps(), 1):
                        pass
                self._look()
            self._forget()

    def clear(self, data: bytes) -> None:
        """End half a command that stands in the instrument's buffer by sending `data`, and drop what is answered.

        Raises `BadReplyError` for an instrument that does not fall silent.
        """
        with self.lock, self._limited(self.policy.recovery_s):
            self._put(data)
            self._wait_for_silence()

    # Dialogue.

    def query(
        self,
        command: bytes | str,
        *,
        terminator: bytes | None = None,
        delay_s: float = 0.0,
        timeout_s: float | None = None,
        retry: bool = True,
        read: Callable[[], bytes] | None = None,
    ) -> bytes:
        """Send a command and return its reply; repeated by the policy, but not within a transaction.

        Parameters
        ----------
        command:
            The bytes to send, terminator included; or text, to which the link's terminator is added.
        terminator:
            What ends this reply, instead of the link's.
        delay_s:
            Lab seconds that the instrument is known to need before it answers.
        timeout_s:
            Lab seconds for the reply, instead of the policy's.
        retry:
            False for a command that must not be executed twice.
        read:
            How to read the reply, instead of up to the terminator.
        """
        data = self._encode(command) if isinstance(command, str) else command
        reader = read or (lambda: self.read_until(terminator, timeout_s))
        return self._exchange(data, reader, delay_s=delay_s, timeout_s=timeout_s, retry=retry)

    def ask(self, text: str, *, delay_s: float = 0.0, timeout_s: float | None = None, retry: bool = True) -> str:
        """Query in text, terminators added and taken away."""
        return self.ask_value(text, str, delay_s=delay_s, timeout_s=timeout_s, retry=retry)

    def ask_value(
        self,
        text: str,
        parse: Callable[[str], T],
        *,
        delay_s: float = 0.0,
        timeout_s: float | None = None,
        retry: bool = True,
    ) -> T:
        """Query in text and parse the reply; what `parse` refuses with `ValueError` is a bad reply, so asked again."""

        def read() -> T:
            reply = self.read_until(timeout_s=timeout_s)
            try:
                return parse(reply.decode(self.encoding).rstrip("\r\n"))
            except ValueError as error:
                raise self._bad(reply[:SHOWN], "the reply makes no sense", str(error)) from error

        return self._exchange(self._encode(text), read, delay_s=delay_s, timeout_s=timeout_s, retry=retry)

    def tell(self, text: str) -> None:
        """Send a command that has no reply; never repeated."""
        with self.transaction():
            self._expect_silence()
            self.write(self._encode(text))

    # Inside.

    def _exchange(
        self, command: bytes, read: Callable[[], T], *, delay_s: float, timeout_s: float | None, retry: bool
    ) -> T:
        with self.lock:
            whole = self._depth == 0 and not self._recovering
            tries = self.policy.retries + 1 if retry and whole else 1
            with self._limited(self.policy.limit_s(timeout_s, delay_s)):
                for left in reversed(range(tries)):
                    try:
                        return self._exchange_once(command, read, delay_s)
                    except LinkTimeoutError as error:
                        if not left:
                            raise self._timeout(command, self._patience_s(timeout_s), tries, error) from error
                    except (LinkClosedError, BadReplyError):
                        if not left:
                            raise
            raise AssertionError  # pragma: no cover - the loop returns or raises

    def _exchange_once(self, command: bytes, read: Callable[[], T], delay_s: float) -> T:
        with self.transaction():
            self._expect_silence()
            self.write(command)
            if delay_s:
                self._sleep(delay_s)
            reply = read()
            if self._buffer:
                raise self._bad(bytes(self._buffer[:SHOWN]), "more bytes than one reply came", "one reply")
            return reply

    def _expect_silence(self) -> None:
        """Resynchronise where the connection was lost, or bytes came that belong to no question of ours."""
        try:
            unasked = self._look() or (self.peer is not None and self.peer.emitted > self._taken)
        except LinkClosedError:
            if self._recovering or self._begun:
                raise
            unasked = True
        if unasked and not self._recovering:
            if self._begun:
                raise self._bad(bytes(self._buffer[:SHOWN]), "bytes came that nobody asked for", "silence")
            self._recover()  # nothing of this dialogue was sent yet, so it may still begin

    def _identify(self) -> None:
        if self.identify is not None:
            self.identify(self)

    def _restore(self) -> None:
        if self.restore is not None:
            self.restore(self)

    def _patience_s(self, timeout_s: float | None) -> float:
        return self.policy.timeout_s if timeout_s is None else timeout_s

    def _encode(self, text: str) -> bytes:
        try:
            return text.encode(self.encoding) + self.command_terminator
        except UnicodeEncodeError as error:
            msg = f"{self.name}: command {text!r} cannot be sent as {self.encoding}; nothing was sent"
            raise BadRequestError(msg) from error

    def _timeout(self, command: bytes, wait_s: float, tries: int, error: LinkError) -> LinkTimeoutError:
        return LinkTimeoutError(
            f"no complete reply within {wait_s:g} s, tried {tries} times",
            device=self.name,
            command=command,
            found=error.found,
            expected=error.expected,
            hint=f"is the instrument at {self.address} switched on, and not in use by another program?",
        )
