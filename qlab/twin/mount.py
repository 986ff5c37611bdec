"""What all mounts share: sessions, wake-ups, faults, power, and counts that are exact.

A mount owns everything a twin must not know of.  Twin code runs under one lock, the host's, either in the host's loop
(bytes came) or in a thread of the clock (a wake-up is due).  A reply is counted in `emitted` before its command is
counted in `received` and before a wake-up returns, so that stepped time never overtakes it; `busy` is true meanwhile.
`busy` is false while a reply waits for lab time (in the twin, or for the fault `late`): time has to move for it.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING, ClassVar
from zlib import crc32

from qlab.clock import PS_PER_S
from qlab.errors import TwinError
from qlab.twin.conversation import Attentive, Background, StreamUser
from qlab.twin.faults import DROP, FaultFilter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qlab.clock import Timer
    from qlab.twin.conversation import Conversation, OutputStream, Twin
    from qlab.twin.faults import Piece
    from qlab.twin.host import TwinHost

__all__ = ["Mount", "Session", "Tally"]

_log = logging.getLogger(__name__)
_CONTEXT = 4096
"""Bytes of a command that are remembered for the `match` of a fault."""


class _Alarm:
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
        self._action()  # waits for the host's loop, which may wait for the lock


class Tally:
    """The `qlab.clock.Peer` of one port of a mount that has several."""

    def __init__(self, mount: Mount) -> None:
        self._mount = mount
        self.received = 0
        self.emitted = 0

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
        self._release_alarm = _Alarm(mount, self._release)
        self._wake_alarm = _Alarm(mount, self._wake)
        if isinstance(self.conversation, Attentive):
            self.conversation.gate = mount.faults.verdict

    def receive(self, data: bytes) -> None:
        """Hand bytes to the twin and send what it answers."""
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
        faults = self._mount.faults
        identity = getattr(self.twin, "identity", None)
        for message, part, delay_s in self._parts(reply):
            for piece in faults.spoil(message, part, identity if isinstance(identity, str) else None):
                self._queue(piece, delay_s)

    def _parts(self, reply: bytes) -> list[tuple[bytes, bytes, float]]:
        """Return each message with its answer, and a delay; a conversation that does not tell counts as one message."""
        if isinstance(self.conversation, Attentive):
            parts, at = [], 0
            for message, length in self.conversation.exchanges():
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
            self._mount.in_loop(lambda: self._hang_up(self))
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
        self._mount.emitted += len(data)
        if self.tally is not None:
            self.tally.emitted += len(data)
        self.outbox.append(data)
        self._mount.in_loop(self.flush)


class Mount(ABC):
    """One twin on one wire.

    Attributes
    ----------
    address:
        What a link opens.
    faults:
        The wire faults, to be armed and cleared from any thread.
    received, emitted, busy:
        The `qlab.clock.Peer` protocol.
    """

    whole_frames: ClassVar[bool] = False
    """Whether a reply travels as one message that the wire cannot tear apart."""

    def __init__(self, host: TwinHost, twin: Twin, name: str) -> None:
        self.host = host
        self.twin = twin
        self.name = name
        self.clock = host.clock
        self.lock = host.lock
        self.faults = FaultFilter((host.seed, crc32(name.encode())), self._refuse, whole_frames=self.whole_frames)
        self.address = ""
        self.received = 0
        self.emitted = 0
        self.sessions: list[Session] = []
        self.powered = False
        self.closed = False
        self._working = 0
        self._boot_alarm = _Alarm(self, self._boot, locked=False)
        self._background_alarm = _Alarm(self, self._work)

    @property
    def busy(self) -> bool:
        """Whether the twin is working on bytes or on a wake-up right now."""
        return self._working > 0

    @property
    def connections(self) -> int:
        """How many clients there are."""
        return len(self.sessions)

    @property
    def reachable(self) -> bool:
        """Whether a client can connect: power is on, the instrument has booted, no fault refuses."""
        return self.powered and not self.faults.refusing and not self.closed

    # -- power

    def power_off(self) -> None:
        """Take the instrument's power: connections break, the front panel falls back to its power-on state."""
        with self.lock:
            self._boot_alarm.set(None)
            self.powered = False
            self._end_sessions()
            self.twin.reset_power()
            self._background_alarm.set(None)
        self.host.run(self.close_wire)

    def start(self) -> None:
        """Put a new twin, which is in its power-on state, on its wire."""
        self._boot()

    def power_on(self, boot_s: float = 0.0) -> None:
        """Give power back; the instrument can be reached after `boot_s` of lab time."""
        with self.lock:
            if self.powered:
                return
            self.twin.reset_power()
            if boot_s > 0:
                self._boot_alarm.set(self.clock.now_ps() + round(boot_s * PS_PER_S))
                return
        self._boot()

    def power_cycle(self, boot_s: float = 0.0) -> None:
        """Switch off and on."""
        self.power_off()
        self.power_on(boot_s)

    def close(self) -> None:
        """Take the twin off its wire for good."""
        with self.lock:
            if self.closed:
                return
            self.closed = True
            self.powered = False
            for alarm in (self._boot_alarm, self._background_alarm):
                alarm.set(None)
            self._end_sessions()
        self.host.run(self.remove_wire)
        self.host.forget(self)

    # -- for the wires

    @abstractmethod
    async def open_wire(self) -> None:
        """Make the twin reachable; runs in the host's loop, also where it is reachable already."""

    @abstractmethod
    async def close_wire(self) -> None:
        """Break all connections and refuse new ones; runs in the host's loop."""

    @abstractmethod
    async def remove_wire(self) -> None:
        """Give back everything that the wire took from the system; runs in the host's loop."""

    def in_loop(self, action: Callable[[], None]) -> None:
        """Run in the host's loop soon (at once where that is here)."""
        self.host.in_loop(action)

    def begin(self, twin: Twin, flush: Callable[[Session], None], hang_up: Callable[[Session], None]) -> Session:
        """Open a session; a wire calls it when a client connects."""
        with self.lock:
            session = Session(self, twin, flush, hang_up)
            self.sessions.append(session)
            self._arm_all()
            return session

    def end(self, session: Session) -> None:
        """Close a session; a wire calls it when the client has gone."""
        with self.lock:
            if session in self.sessions:
                self.sessions.remove(session)
            self.guarded(session.end, arm=False)

    def take(self, session: Session, data: bytes) -> None:
        """Take bytes of a client."""
        with self.lock:
            self._working += 1
            try:
                if session.open:
                    self.guarded(lambda: session.receive(data))
            finally:
                self.received += len(data)
                if session.tally is not None:
                    session.tally.received += len(data)
                self._working -= 1

    def guarded(self, action: Callable[[], None], *, arm: bool = True) -> None:
        """Run twin code; a bug in a twin must not take the loop or the clock with it, but fails the host's close."""
        self._working += 1
        try:
            action()
            if arm:
                self._arm_all()
        except Exception as exc:  # noqa: BLE001 - see above; logged, kept, and raised by the host
            _log.exception("twin %s failed", self.name)
            self.host.failures.append(f"{self.name}: {type(exc).__name__}: {exc}")
        finally:
            self._working -= 1

    def rearm(self) -> None:
        """Look again at what the twin waits for, after it was changed from outside its port."""
        with self.lock:
            self._arm_all()

    def open_stream(self, port: int) -> OutputStream:
        """Serve `StreamOpener` where the wire has output paths."""
        msg = f"{self.name}: this wire has no output path for port {port}"
        raise TwinError(msg)

    def attach(self) -> None:
        """Lend the twin what it asks for; called once, before the wire opens."""
        for twin in self.twins():
            if isinstance(twin, StreamUser):
                twin.attach_streams(self)

    def twins(self) -> Sequence[object]:
        """Return all that may work in the background or want streams; a wire with several ports has several."""
        return (self.twin,)

    def _arm_all(self) -> None:
        # A command of one client may move what another one waits for.
        for session in self.sessions:
            if session.open:
                session.arm()
        if self.powered:
            dues = [twin.background_due_ps() for twin in self.twins() if isinstance(twin, Background)]
            self._background_alarm.set(min((due for due in dues if due is not None), default=None))

    def _work(self) -> None:
        now_ps = self.clock.now_ps()
        for twin in self.twins():
            if not isinstance(twin, Background):
                continue
            due_ps = twin.background_due_ps()
            if due_ps is not None and due_ps <= now_ps:
                twin.background()
                again_ps = twin.background_due_ps()
                if again_ps is not None and again_ps <= due_ps:
                    msg = f"{type(twin).__name__} asks for background work at {again_ps} ps again and again"
                    raise TwinError(msg)

    def _end_sessions(self) -> None:
        for session in list(self.sessions):
            self.end(session)

    def _boot(self) -> None:
        with self.lock:
            self.powered = True
            self._arm_all()
        self._show_wire()

    def _show_wire(self) -> None:
        if self.reachable:
            self.host.run(self.open_wire)

    def _refuse(self, refusing: bool) -> None:
        if self.closed:
            return
        if not refusing:
            self._show_wire()
            return
        with self.lock:
            self._end_sessions()
        self.host.run(self.close_wire)
