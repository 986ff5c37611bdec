"""What all mounts share: sessions, wake-ups, faults, power, and counts that are exact.

A mount owns everything a twin must not know of.  Twin code runs under one lock, the host's, either in the host's loop
(bytes came) or in a thread of the clock (a wake-up is due).  A reply is counted in `emitted` before its command is
counted in `received` and before a wake-up returns, so that stepped time never overtakes it; `busy` is true meanwhile.
`busy` is false while a reply waits for lab time (in the twin, or for the fault `late`): time has to move for it.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar
from zlib import crc32

from qlab.clock import PS_PER_S
from qlab.errors import TwinError
from qlab.twin.conversation import Background, Neighbour, StreamUser
from qlab.twin.faults import FaultFilter
from qlab.twin.session import Alarm, Session

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qlab.twin.conversation import OutputStream, Twin
    from qlab.twin.host import TwinHost

__all__ = ["Mount"]

_log = logging.getLogger(__name__)


class Mount(ABC):
    """One twin on one wire.

    Attributes
    ----------
    address:
        What a link opens.
    faults:
        The wire faults, to be armed and cleared from any thread.
    received, emitted, begun, busy:
        The `qlab.clock.Peer` protocol.
    powered_with:
        Further ports of the same instrument, which lose and get their power with this one; each names all the others.
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
        self.begun = 0
        self.sessions: list[Session] = []
        self.powered_with: tuple[Mount, ...] = ()
        self.powered = False
        self.closed = False
        self._working = 0
        self._workers: list[Background] = []
        self._boot_alarm = Alarm(self, self._boot, locked=False)
        self._background_alarm = Alarm(self, self._work)

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
        """Take the instrument's power: connections to all its ports break, the front panel falls back to power-on."""
        for mount in (self, *self.powered_with):
            mount.go_dark()

    def go_dark(self) -> None:
        """Take this port's power."""
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
        for mount in (self, *self.powered_with):
            mount.come_up(boot_s)

    def come_up(self, boot_s: float) -> None:
        """Give this port its power."""
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

    def work_in_loop(self, action: Callable[[], None]) -> None:
        """Run in the host's loop soon; the mount is busy until it is done, so that stepped time waits for it."""
        with self.lock:
            self._working += 1

        def work() -> None:
            try:
                action()
            finally:
                with self.lock:
                    self._working -= 1

        self.in_loop(work)

    def begin(self, twin: Twin, flush: Callable[[Session], None], hang_up: Callable[[Session], None]) -> Session:
        """Open a session; a wire calls it when a client connects."""
        with self.lock:
            session = Session(self, twin, flush, hang_up)
            self.sessions.append(session)
            session.greet()
            self.begun += 1
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
            self.report(exc)
        finally:
            self._working -= 1

    def report(self, exc: Exception) -> None:
        """Keep a failure that has no caller who could handle it; the host's close raises it."""
        _log.error("twin %s failed", self.name, exc_info=exc)
        self.host.failures.append(f"{self.name}: {type(exc).__name__}: {exc}")

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
        self._workers = [twin for twin in self.twins() if isinstance(twin, Background)]
        for twin in self.twins():
            if isinstance(twin, StreamUser):
                twin.attach_streams(self)
            if isinstance(twin, Neighbour):
                twin.attach_alarm(self.rearm)

    def twins(self) -> Sequence[object]:
        """Return all that may work in the background or want streams; a wire with several ports has several."""
        return (self.twin,)

    def _arm_all(self) -> None:
        # A command of one client may move what another one waits for.
        for session in self.sessions:
            if session.open:
                session.arm()
        if self.powered:
            dues = [twin.background_due_ps() for twin in self._workers]
            self._background_alarm.set(min((due for due in dues if due is not None), default=None))

    def _work(self) -> None:
        now_ps = self.clock.now_ps()
        for twin in self._workers:
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
