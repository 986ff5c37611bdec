"""One client of an APT controller: it is answered at once, and told later when motors have arrived."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qlab.clock import PS_PER_S
from sim_devices.polarisation.apt_messages import Message, framer

if TYPE_CHECKING:
    from qlab.twin.conversation import Gate
    from sim_devices.polarisation.apt_controller import AptTwin

__all__ = ["AptConversation"]

UPDATE_PS = PS_PER_S // 10
UPDATES_WITHOUT_ACK = 50
"""[INF] After so many updates without a keep-alive the controller falls silent."""


class AptConversation:
    """Implements `qlab.twin.conversation.Conversation`, and `Attentive` for wire faults."""

    def __init__(self, twin: AptTwin) -> None:
        self.gate: Gate | None = None
        self._twin = twin
        self._framer = framer()
        self._arrivals: dict[int, bytes | None] = {}
        self._next_update_ps: int | None = None
        self._updates_left = 0
        self._exchanges: list[tuple[bytes, int]] = []

    def receive(self, data: bytes) -> bytes:
        """Take bytes and return the answers."""
        out = bytearray()
        for frame in self._framer.feed(data):
            if self.gate is not None and self.gate(frame) is not None:
                continue  # the protocol has no word for busy: it is not answered
            answer = self._twin.answer(Message.parse(frame), self)
            if answer:
                self._exchanges.append((frame, len(answer)))
            out += answer
        return bytes(out)

    def due_ps(self) -> int | None:
        """Return when the next motor arrives or the next update is due."""
        times = [self._twin.axes[channel].end_ps for channel in self._arrivals if self._twin.axes[channel].end_ps]
        if self._next_update_ps is not None:
            times.append(self._next_update_ps)
        return min(times, default=None)

    def wake(self) -> bytes:
        """Report the motors that have arrived, and send updates."""
        out, now = b"", self._twin.clock.now_ps()
        for channel in list(self._arrivals):
            axis = self._twin.axes[channel]
            if axis.end_ps and axis.end_ps <= now:
                said = self._arrivals.pop(channel)
                out += said if said is not None else self._twin.completed(0x0464, channel)
        if self._next_update_ps is not None and self._next_update_ps <= now:
            out += b"".join(self._twin.status(channel) for channel in self._twin.axes)
            self._updates_left -= 1
            self._next_update_ps = now + UPDATE_PS if self._updates_left else None
        return out

    def close(self) -> None:
        """Forget the client; what moves goes on."""
        self._next_update_ps = None

    def exchanges(self) -> list[tuple[bytes, int]]:
        """Return each message answered since the last call with the length of its answer."""
        done, self._exchanges = self._exchanges, []
        return done

    def expect(self, channel: int, said: bytes | None) -> None:
        """Report a motor's arrival, by `said` or as a completed move; a stalled one never arrives."""
        self._arrivals.pop(channel, None)
        if not self._twin.axes[channel].stalled:
            self._arrivals[channel] = said

    def forget(self, channel: int) -> None:
        """Report nothing: the move was stopped."""
        self._arrivals.pop(channel, None)

    def update(self, *, on: bool) -> None:
        """Begin or end status updates."""
        self._updates_left = UPDATES_WITHOUT_ACK
        self._next_update_ps = self._twin.clock.now_ps() + UPDATE_PS if on else None

    def keep_alive(self) -> None:
        """Hear that the host still listens."""
        self._updates_left = UPDATES_WITHOUT_ACK
