"""The wire end of a twin: counts bytes, serves due times, applies faults.  The kind of wire is left to subclasses."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from qlab.clock import PS_PER_S
from qlab.twin.faults import FaultFilter

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.clock import Clock, Timer
    from qlab.twin.conversation import Conversation, Twin

__all__ = ["Channel", "Mount"]


class Channel:
    """One connection of a mount.

    Parameters
    ----------
    send:
        Puts bytes onto the wire; may be called from any thread and never blocks.
    hang_up:
        Closes the connection.
    """

    def __init__(self, conversation: Conversation, send: Callable[[bytes], None], hang_up: Callable[[], None]) -> None:
        self.conversation = conversation
        self.send = send
        self.hang_up = hang_up
        self.timer: Timer | None = None
        self.last_command = b""
        self.open = True


class Mount:
    """A twin at an address.

    Attributes
    ----------
    address:
        What a driver opens.
    received, emitted, busy:
        The `qlab.clock.Peer` of the link at the other end.
    faults:
        The wire faults armed here.
    powered:
        False while the instrument is off or boots: it takes nothing and says nothing.
    """

    def __init__(self, twin: Twin, clock: Clock, faults: FaultFilter | None = None) -> None:
        self.twin = twin
        self.clock = clock
        self.faults = faults or FaultFilter()
        self.address = ""
        self.received = 0
        self.emitted = 0
        self.powered = True
        self._working = 0
        self._lock = threading.RLock()
        self._channels: set[Channel] = set()

    @property
    def busy(self) -> bool:
        """Whether a reply may be under way."""
        return self._working > 0

    def attach(self, send: Callable[[bytes], None], hang_up: Callable[[], None]) -> Channel:
        """Begin a conversation for a new connection."""
        with self._lock:
            channel = Channel(self.twin.connect(), send, hang_up)
            self._channels.add(channel)
            return channel

    def detach(self, channel: Channel) -> None:
        """End the conversation of a connection that has gone."""
        with self._lock:
            channel.open = False
            self._channels.discard(channel)
            if channel.timer is not None:
                channel.timer.cancel()
            channel.conversation.close()

    def incoming(self, channel: Channel, data: bytes) -> None:
        """Take bytes from the wire; every reply is counted in `emitted` before they are counted in `received`."""
        with self._lock:
            self._working += 1
            try:
                if self.powered:
                    fault = self.faults.take(data, "command")
                    if fault is None:
                        self._converse(channel, data)
                    else:
                        self._after(fault.delay_s, lambda: self._converse(channel, data))
            finally:
                self.received += len(data)
                self._working -= 1

    def power_off(self) -> None:
        """Cut the power: connections are lost."""
        with self._lock:
            self.powered = False
            for channel in list(self._channels):
                channel.hang_up()

    def power_on(self, boot_s: float = 0.0) -> None:
        """Switch the power on; the instrument is back after `boot_s` of lab time, in its power-on state."""
        with self._lock:
            self.twin.reset_power()
            self._after(boot_s, self._booted)

    def close(self) -> None:
        """Unmount."""
        with self._lock:
            for channel in list(self._channels):
                self.detach(channel)

    def _booted(self) -> None:
        self.powered = True

    def _converse(self, channel: Channel, data: bytes) -> None:
        channel.last_command = data
        if channel.open and self.powered:
            self._reply(channel, channel.conversation.receive(data))

    def _wake(self, channel: Channel) -> None:
        with self._lock:
            channel.timer = None
            if channel.open and self.powered:
                self._working += 1
                try:
                    self._reply(channel, channel.conversation.wake())
                finally:
                    self._working -= 1

    def _reply(self, channel: Channel, reply: bytes) -> None:
        if reply:
            fault = self.faults.take(channel.last_command, "reply")
            if fault is None:
                self._emit(channel, reply)
            elif fault.kind in ("drop", "refuse"):
                channel.hang_up()
                return
            else:
                for delay_s, piece in self.faults.pieces(fault, reply):
                    self._after(delay_s, lambda piece=piece: self._emit(channel, piece))  # type: ignore[misc]
        self._schedule(channel)

    def _schedule(self, channel: Channel) -> None:
        due_ps = channel.conversation.due_ps()
        if channel.timer is not None and channel.timer.t_ps != due_ps:
            channel.timer.cancel()
            channel.timer = None
        if due_ps is not None and channel.timer is None:
            channel.timer = self.clock.call_at(due_ps, lambda: self._wake(channel))

    def _emit(self, channel: Channel, data: bytes) -> None:
        with self._lock:
            if channel.open and self.powered:
                self.emitted += len(data)
                channel.send(data)

    def _after(self, delay_s: float, action: Callable[[], None]) -> None:
        if delay_s <= 0.0:
            action()
        else:

            def guarded() -> None:
                with self._lock:
                    action()

            self.clock.call_at(self.clock.now_ps() + round(delay_s * PS_PER_S), guarded)
