"""One connection of a mount: the conversation, what becomes of its replies, and when it is woken."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from qlab.clock import PS_PER_S
from qlab.errors import TwinError
from qlab.twin.conversation import Attentive, Greeter
from qlab.twin.faults import DROP

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.clock import Timer
    from qlab.twin.conversation import Conversation, Twin
    from qlab.twin.faults import Piece
    from qlab.twin.mount import Mount

__all__ = ["Alarm", "Session", "Tally"]

_CONTEXT = 4096
"""Bytes of a command that are remembered for the `match` of a fault."""


class Alarm:
    """One wake-up on the lab's clock that can be moved; `locked` where it runs twin code."""

    def __init__(self, mount: Mount, action: Callable[[], None], *, locked: bool = True) -> None:
        self._mount = mount
        self._action = action
        self._locked = locked
        self._timer: Timer | None = None
        self._number = 0  # of the setting: a timer that fires while it is cancelled must not ring
        self._t_ps = 0

    def set(self, t_ps: int | None) -> None:
        """Ring at `t_ps`, or not at all."""
        with self._mount.lock:
            if self._timer is not None:
                if t_ps == self._t_ps:
                    return
                self._timer.cancel()
                self._timer = None
            self._number += 1
            if t_ps is not None:
                number = self._number
                self._t_ps = t_ps
                self._timer = self._mount.clock.call_at(t_ps, lambda: self._ring(number))

    def _ring(self, number: int) -> None:
        with self._mount.lock:
            if number != self._number:
                return
            self._timer = None
            if self._locked:
                self._mount.guarded(self._action)
                return
        try:
            self._action()  # waits for the host's loop, which may wait for the lock
        except (TwinError, OSError) as exc:
            self._mount.report(exc)  # the clock's thread can do nothing about it


class Tally:
    """The `qlab.clock.Peer` of one port of a mount that has several."""

    def __init__(self, mount: Mount) -> None:
        self._mount = mount
        self.received = 0
        self.emitted = 0
        self.begun = 0

    @property
    def busy(self) -> bool:
        """Whether the instrument is working on bytes or on a wake-up right now."""
        return self._mount.busy


class Session:
    """One connection: the conversation, the bytes on their way out and the way they go.

    Parameters
    ----------
    mount, twin:
        Where it belongs and whom it talks to.
    flush:
        Called in the host's loop when there are bytes in `outbox`.
    hang_up:
        Called in the host's loop to close the connection.
    """

    def __init__(
        self, mount: Mount, twin: Twin, flush: Callable[[Session], None], hang_up: Callable[[Session], None]
    ) -> None:
        self.twin = twin
        self.conversation: Conversation = twin.connect()
        self.open = True
        self.outbox: deque[bytes] = deque()
        self.tally: Tally | None = None
        self._mount = mount
        self._flush_to = flush
        self._hang_up = hang_up
        self._context = bytearray()
        self._waiting: deque[tuple[int, bytes]] = deque()  # by lab time; a wire does not overtake itself
        self._release_alarm = Alarm(mount, self._release)
        self._wake_alarm = Alarm(mount, self._wake)
        self._attentive = self.conversation if isinstance(self.conversation, Attentive) else None
        if self._attentive is not None:
            self._attentive.gate = mount.faults.verdict

    def greet(self) -> None:
        """Send what the twin says of itself to each new client; no wire fault touches it."""
        if isinstance(self.conversation, Greeter):
            self._emit(self.conversation.greeting())

    def receive(self, data: bytes) -> None:
        """Hand bytes to the twin and send what it answers."""
        if self._attentive is None:
            self._context += data
        self._send(self.conversation.receive(data))

    def flush(self) -> None:
        """Let the wire take what is in `outbox`; runs in the host's loop."""
        self._flush_to(self)

    def arm(self) -> None:
        """Set the alarm to when the conversation wants to be woken."""
        self._wake_alarm.set(self.conversation.due_ps())

    def end(self) -> None:
        """Forget the client and all that was on its way."""
        if self.open:
            self.open = False
            self._wake_alarm.set(None)
            self._release_alarm.set(None)
            self._waiting.clear()
            self.conversation.close()

    def _wake(self) -> None:
        due_ps = self.conversation.due_ps()
        self._send(self.conversation.wake())
        again_ps = self.conversation.due_ps()
        if due_ps is not None and again_ps is not None and again_ps <= min(due_ps, self._mount.clock.now_ps()):
            msg = f"{type(self.twin).__name__} asks to be woken at {again_ps} ps again and again"
            raise TwinError(msg)

    def _send(self, reply: bytes) -> None:
        for message, part, delay_s in self._parts(reply):
            for piece in self._mount.faults.spoil(message, part, self._identity):
                self._queue(piece, delay_s)

    def _identity(self) -> str | None:
        """Return how the twin names itself, where it says so."""
        identify = getattr(self.twin, "identify", None)
        identity = identify() if callable(identify) else getattr(self.twin, "identity", None)
        return identity if isinstance(identity, str) else None

    def _parts(self, reply: bytes) -> list[tuple[bytes, bytes, float]]:
        """Return each message with its answer, and a delay; a conversation that does not tell counts as one message."""
        if self._attentive is not None:
            parts, at = [], 0
            for message, length in self._attentive.exchanges():
                parts.append((message, reply[at : at + length], 0.0))
                at += length
            if at < len(reply):
                parts.append((b"", reply[at:], 0.0))
            return parts
        if not reply:
            del self._context[:-_CONTEXT]
            return []
        message = bytes(self._context[-_CONTEXT:])
        self._context.clear()
        verdict = self._mount.faults.verdict(message)
        if verdict is None:
            return [(message, reply, 0.0)]
        if verdict.delay_s == 0:
            said = verdict.text.encode("latin-1")
            reply = said + reply[len(reply.rstrip(b"\r\n")) :] if said else b""
        return [(message, reply, verdict.delay_s)]

    def _queue(self, piece: Piece, delay_s: float) -> None:
        now_ps = self._mount.clock.now_ps()
        last_ps = self._waiting[-1][0] if self._waiting else now_ps
        if piece is DROP:
            self._mount.work_in_loop(lambda: self._hang_up(self))
        elif piece.delay_s + delay_s == 0 and last_ps <= now_ps:
            self._emit(piece.data)
        else:
            due_ps = max(last_ps, now_ps) + round((piece.delay_s + delay_s) * PS_PER_S)
            self._waiting.append((due_ps, piece.data))
            self._release_alarm.set(self._waiting[0][0])

    def _release(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._mount.clock.now_ps():
            self._emit(self._waiting.popleft()[1])
        self._release_alarm.set(self._waiting[0][0] if self._waiting else None)

    def _emit(self, data: bytes) -> None:
        if not self.open:
            return
        self._mount.emitted += len(data)
        if self.tally is not None:
            self.tally.emitted += len(data)
        self.outbox.append(data)
        self._mount.in_loop(self.flush)

    def take_back(self, size: int) -> None:
        """Uncount bytes that the wire could not send, as their client is gone; runs in the host's loop."""
        with self._mount.lock:
            self._mount.emitted -= size
            if self.tally is not None:
                self.tally.emitted -= size
