"""Frames: messages of any length over a transport that loses, repeats, swaps, damages and breaks.

A message is cut into segments.  Each is a frame with a number, and is sent again until the peer says it has it; the peer puts
them in order, so that what comes out is what went in, once, or nothing.  Bytes, big-endian:

    version (1) | kind (1) | number (8) | have (8) | also (8) | payload | code (16)

`have` says up to which number the sender of the frame has everything, `also` by bits which of the next 64 too.  The
code is HMAC-SHA256 with a key of the session, from the channel key and a nonce of each party: a damaged frame, a repeated
one of another session, or one of somebody else is dropped at once.  That is for robustness and rests on computational
security; what makes a *key* authentic is the Wegman-Carter tag over all that was said (`qlab.qkd.authentication`).

A greeting has number 0 from who has not heard the peer's, who then repeats its own.
A party that was started again has another nonce: its peer sees that the session is a new one and forgets the old one.

No sockets and no clock here: `receive` takes a frame, `outgoing` returns those to be sent by now; times are in seconds of
any origin.
"""

from __future__ import annotations

import hmac
import struct
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.qkd.authentication import Role

__all__ = ["CHANNEL_KEY_BYTES", "LARGEST_FRAME", "FrameCounts", "FrameLink"]

VERSION = 1
CHANNEL_KEY_BYTES = 32
_HEADER = struct.Struct(">BBQQQ")
_CODE_BYTES, _NONCE_BYTES = 16, 16
_HELLO, _MORE, _LAST, _ACK = 0, 1, 2, 3
_SEGMENT, _WINDOW = 1 << 15, 64
LARGEST_FRAME = _HEADER.size + _SEGMENT + _CODE_BYTES
_OVERTAKEN = 3
_FIRST_RTO_S, _LEAST_RTO_S, _MOST_RTO_S = 0.3, 0.02, 5.0


@dataclass(slots=True)
class FrameCounts:
    """Frames that were sent, sent again, received, and dropped because they came twice or were not genuine."""

    sent: int = 0
    resent: int = 0
    received: int = 0
    repeated: int = 0
    not_genuine: int = 0


@dataclass(slots=True)
class _Flying:
    """A frame that the peer has not confirmed."""

    kind: int
    payload: bytes
    sent_s: float = -1.0
    times: int = 0
    waits: int = 0
    overtaken: int = 0


@dataclass(slots=True)
class _Session:
    """What is counted between two nonces."""

    key: bytes
    next_out: int = 0
    flying: dict[int, _Flying] = field(default_factory=dict)
    next_in: int = 0
    early: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    parts: list[bytes] = field(default_factory=list)


class FrameLink:
    """One party's end.

    Parameters
    ----------
    role:
        Which party this is.
    channel_key:
        The secret that both have, `CHANNEL_KEY_BYTES` long.
    entropy:
        Returns so many random bytes.
    """

    def __init__(self, role: Role, channel_key: bytes, entropy: Callable[[int], bytes]) -> None:
        if len(channel_key) != CHANNEL_KEY_BYTES:
            msg = f"channel key of {len(channel_key)} bytes: expected {CHANNEL_KEY_BYTES}"
            raise BadRequestError(msg)
        self._role: Role = role
        self._channel_key = channel_key
        self._nonce = entropy(_NONCE_BYTES)
        self._peer_nonce = b""
        self._session: _Session | None = None
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._greet = self._acknowledge = False
        self._greeted_s = -_MOST_RTO_S
        self._rtt_s = self._spread_s = 0.0
        self.counts = FrameCounts()
        self.sessions = 0
        """How often the peer has appeared with a new nonce."""

    @property
    def idle(self) -> bool:
        """Whether the peer has confirmed everything."""
        return not self._waiting and not (self._session and self._session.flying)

    def send(self, message: bytes) -> None:
        """Take a message, to be sent as the window allows."""
        for at in range(0, max(len(message), 1), _SEGMENT):
            kind = _LAST if at + _SEGMENT >= len(message) else _MORE
            self._waiting.append((kind, message[at : at + _SEGMENT]))

    def connected(self) -> None:
        """Begin with a new connection: greet, and send again what the old one may have lost."""
        self._greet = True
        if self._session is not None:
            for flying in self._session.flying.values():
                flying.sent_s, flying.waits = -1.0, 0

    def outgoing(self, now_s: float) -> list[bytes]:
        """Return the frames that are to be sent by now, in their order."""
        frames = []
        session = self._session
        if self._greet or (session is None and now_s >= self._greeted_s + _FIRST_RTO_S):
            self._greet, self._greeted_s = False, now_s
            frames.append(self._frame(_HELLO, int(session is not None), self._nonce))
        if session is None:
            return frames
        while self._waiting and len(session.flying) < _WINDOW:
            session.flying[session.next_out] = _Flying(*self._waiting.popleft())
            session.next_out += 1
        for number, flying in session.flying.items():
            if flying.sent_s < 0.0 or now_s >= flying.sent_s + self._rto_s(flying.waits):
                self.counts.resent += flying.times > 0
                flying.waits += flying.sent_s >= 0.0
                flying.sent_s, flying.times, flying.overtaken = now_s, flying.times + 1, 0
                frames.append(self._frame(flying.kind, number, flying.payload))
                self._acknowledge = False
        if self._acknowledge:
            self._acknowledge = False
            frames.append(self._frame(_ACK, 0, b""))
        self.counts.sent += len(frames)
        return frames

    def due_s(self) -> float | None:
        """Return when `outgoing` is to be called next if nothing else happens; None: only after something did."""
        if self._session is None:
            return self._greeted_s + _FIRST_RTO_S
        if not self._session.flying:
            return None
        return min(max(flying.sent_s, 0.0) + self._rto_s(flying.waits) for flying in self._session.flying.values())

    def receive(self, frame: bytes, now_s: float) -> list[bytes]:
        """Take a frame, and return the messages that it completes, in their order."""
        if len(frame) < _HEADER.size + _CODE_BYTES:
            self.counts.not_genuine += 1
            return []
        body, code = frame[:-_CODE_BYTES], frame[-_CODE_BYTES:]
        version, kind, number, have, also = _HEADER.unpack_from(body)
        payload = body[_HEADER.size :]
        key = self._channel_key if kind == _HELLO else self._session.key if self._session is not None else None
        if version != VERSION or key is None or not hmac.compare_digest(self._code(key, body, mine=False), code):
            self.counts.not_genuine += 1
            return []
        self.counts.received += 1
        if kind == _HELLO:
            self._meet(payload, knows=number == 1)
            return []
        if self._session is None:
            return []
        self._confirmed(self._session, have, also, now_s)
        return self._deliver(self._session, kind, number, payload) if kind in (_MORE, _LAST) else []

    def _meet(self, nonce: bytes, *, knows: bool) -> None:
        if nonce == self._peer_nonce:
            self._greet |= not knows  # it has not heard of us
            return
        mine, theirs = self._nonce, nonce
        both = mine + theirs if self._role == "reference" else theirs + mine
        self._peer_nonce = nonce
        if self.sessions:  # the peer was started again: what was meant for its former self means nothing to it
            self._waiting.clear()
        self._session = _Session(hmac.digest(self._channel_key, b"session" + both, "sha256"))
        self._greet |= not knows
        self.sessions += 1

    def _deliver(self, session: _Session, kind: int, number: int, payload: bytes) -> list[bytes]:
        self._acknowledge = True
        if number < session.next_in or number in session.early:
            self.counts.repeated += 1
            return []
        if number > session.next_in + 2 * _WINDOW:
            return []
        session.early[number] = kind, payload
        messages = []
        while session.next_in in session.early:
            kind, payload = session.early.pop(session.next_in)
            session.next_in += 1
            session.parts.append(payload)
            if kind == _LAST:
                messages.append(b"".join(session.parts))
                session.parts = []
        return messages

    def _confirmed(self, session: _Session, have: int, also: int, now_s: float) -> None:
        confirmed = -1
        for number in list(session.flying):
            if number < have or (number < have + 64 and also >> (number - have) & 1):
                flying, confirmed = session.flying.pop(number), number
                if flying.times == 1:  # of others nobody knows which sending was confirmed (P. Karn)
                    self._measure(now_s - flying.sent_s)
        for number, flying in session.flying.items():
            flying.overtaken += number < confirmed
            if flying.overtaken >= _OVERTAKEN:  # not late but lost (fast retransmission, RFC 5681)
                flying.sent_s, flying.overtaken = -1.0, 0

    def _measure(self, rtt_s: float) -> None:
        """Follow the round-trip time as RFC 6298 does."""
        if self._rtt_s == 0.0:
            self._rtt_s, self._spread_s = rtt_s, rtt_s / 2.0
            return
        self._spread_s += (abs(rtt_s - self._rtt_s) - self._spread_s) / 4.0
        self._rtt_s += (rtt_s - self._rtt_s) / 8.0

    def _rto_s(self, waits: int) -> float:
        first = max(self._rtt_s + 4.0 * self._spread_s, _LEAST_RTO_S) if self._rtt_s else _FIRST_RTO_S
        return min(first * 2.0**waits, _MOST_RTO_S)

    def _frame(self, kind: int, number: int, payload: bytes) -> bytes:
        have, also = 0, 0
        session = self._session
        if session is not None:
            have = session.next_in
            also = sum(1 << (n - have) for n in session.early if n < have + 64)
        key = self._channel_key if kind == _HELLO or session is None else session.key
        body = _HEADER.pack(VERSION, kind, number, have, also) + payload
        return body + self._code(key, body, mine=True)

    def _code(self, key: bytes, body: bytes, *, mine: bool) -> bytes:
        of_reference = (self._role == "reference") == mine
        return hmac.digest(key, (b"R" if of_reference else b"C") + body, "sha256")[:_CODE_BYTES]
