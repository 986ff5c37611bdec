"""HiSLIP (IVI-6.1, revision 1.1) in front of a twin: messages in frames on two connections, one of them for status and clear.

Synchronised mode.  A frame is `HS`, type, control code, a parameter of four bytes and a length of eight, then its payload.
The port is a twin itself, so that any mount for TCP serves it; what it says is wrapped into frames.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qlab.twin.framing import FixedFramer

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.twin.conversation import Conversation, Twin

__all__ = ["HislipPort"]

HEADER = struct.Struct("!2sBBIQ")
LONGEST = 1 << 16
"""Bytes of a frame's payload."""
(
    INITIALIZE,
    INITIALIZED,
    FATAL,
    ERROR,
    LOCK,
    LOCKED,
    DATA,
    DATA_END,
    CLEARED,
    CLEAR_DONE,
    REMOTE,
    REMOTE_DONE,
    TRIGGER,
) = range(13)
SIZE, SIZE_IS, ASYNC, ASYNC_DONE, CLEAR, _, STATUS, STATUS_IS, CLEAR_BEGUN, LOCK_INFO, LOCK_INFO_IS = range(15, 26)
NOT_HISLIP, NOT_INITIALIZED, BAD_INITIALIZE = 1, 2, 3
"""Fatal errors."""
UNKNOWN_TYPE = 1
VERSION = 1 << 8
VENDOR = int.from_bytes(b"QL", "big")
FAILED, SUCCESS = 0, 1


def frame(kind: int, control: int = 0, parameter: int = 0, payload: bytes = b"") -> bytes:
    """Return a frame."""
    return HEADER.pack(b"HS", kind, control, parameter, len(payload)) + payload


@dataclass(slots=True, eq=False)
class _Client:
    """One client's session: what it says to the twin, and where its answers belong."""

    talk: Conversation
    message: int = 0


class HislipPort:
    """The port.

    Parameters
    ----------
    twin:
        Speaks in lines.
    status_byte:
        Returns what `*STB?` would.
    after:
        Called after each message, for a twin that has work of its own.
    sub_address:
        What clients ask for.
    """

    def __init__(
        self,
        twin: Twin,
        status_byte: Callable[[], int],
        after: Callable[[], None] = lambda: None,
        sub_address: str = "hislip0",
    ) -> None:
        self.twin = twin
        self.status_byte = status_byte
        self.after = after
        self.sub_address = sub_address
        self.clients: dict[int, _Client] = {}
        self.owner: _Client | None = None
        self._number = 0

    def connect(self) -> _Channel:
        """Begin with one connection, of which nobody knows yet which it is."""
        return _Channel(self)

    def reset_power(self) -> None:
        """Forget the sessions; their connections are gone."""
        self.clients.clear()
        self.owner = None

    def visa_address(self, host: str, port: int) -> str:
        """Return how pyvisa finds the port."""
        return f"TCPIP0::{host}::{self.sub_address},{port}::INSTR"

    def admit(self, name: bytes) -> int | None:
        """Begin a session; None for a sub-address that there is not."""
        if name.decode("latin-1").lower() not in ("", self.sub_address):
            return None
        self._number = self._number % 0xFFFF + 1
        self.clients[self._number] = _Client(self.twin.connect())
        return self._number

    def dismiss(self, number: int) -> None:
        """End a session."""
        client = self.clients.pop(number, None)
        if client is not None:
            client.talk.close()
            self.owner = None if self.owner is client else self.owner


class _Channel:
    """One of a client's two connections."""

    def __init__(self, port: HislipPort) -> None:
        self._port = port
        self._framer = FixedFramer(HEADER.size, lambda head: HEADER.unpack(head)[4] if head[:2] == b"HS" else -1)
        self._number = 0
        self._synchronous = False

    def receive(self, data: bytes) -> bytes:
        """Take frames and return frames."""
        out = b""
        for message in self._framer.feed(data):
            _, kind, control, parameter, _ = HEADER.unpack_from(message)
            out += self._answer(kind, control, parameter, message[HEADER.size :])
        self._port.after()
        return out

    def due_ps(self) -> int | None:
        """Return when an answer goes on."""
        client = self._port.clients.get(self._number)
        return client.talk.due_ps() if client is not None and self._synchronous else None

    def wake(self) -> bytes:
        """Go on with the answer."""
        client = self._port.clients.get(self._number)
        return self._wrapped(client, client.talk.wake()) if client is not None else b""

    def close(self) -> None:
        """End the session with its synchronous connection."""
        if self._synchronous:
            self._port.dismiss(self._number)

    def _answer(self, kind: int, control: int, parameter: int, payload: bytes) -> bytes:
        if kind == INITIALIZE:
            number = self._port.admit(payload)
            if number is None:
                return frame(FATAL, BAD_INITIALIZE, 0, b"no such sub-address")
            self._number, self._synchronous = number, True
            return frame(INITIALIZED, 0, VERSION << 16 | number)
        if kind == ASYNC and parameter in self._port.clients:
            self._number = parameter
            return frame(ASYNC_DONE, 0, VENDOR)
        client = self._port.clients.get(self._number)
        if client is None:
            return frame(FATAL, NOT_INITIALIZED, 0, b"initialize first")
        return (
            self._synchronous_answer(client, kind, parameter, payload)
            if self._synchronous
            else self._other_answer(client, kind, control)
        )

    def _synchronous_answer(self, client: _Client, kind: int, parameter: int, payload: bytes) -> bytes:
        if kind in (DATA, DATA_END):
            client.message = parameter
            end = b"\n" if kind == DATA_END and not payload.endswith(b"\n") else b""
            return self._wrapped(client, client.talk.receive(payload + end))
        if kind == CLEARED:
            return frame(CLEAR_DONE)
        return b"" if kind == TRIGGER else frame(ERROR, UNKNOWN_TYPE, 0, b"unknown message")

    def _other_answer(self, client: _Client, kind: int, control: int) -> bytes:
        port = self._port
        if kind == SIZE:
            return frame(SIZE_IS, 0, 0, struct.pack("!Q", LONGEST))
        if kind == CLEAR:
            client.talk.close()
            client.talk = port.twin.connect()
            return frame(CLEAR_BEGUN)
        if kind == STATUS:
            return frame(STATUS_IS, port.status_byte())
        if kind == LOCK:
            if control:
                port.owner = port.owner or client
                return frame(LOCKED, SUCCESS if port.owner is client else FAILED)
            released, port.owner = port.owner is client, None if port.owner is client else port.owner
            return frame(LOCKED, SUCCESS if released else FAILED)
        if kind == LOCK_INFO:
            return frame(LOCK_INFO_IS, int(port.owner is not None))
        return frame(REMOTE_DONE) if kind == REMOTE else frame(ERROR, UNKNOWN_TYPE, 0, b"unknown message")

    @staticmethod
    def _wrapped(client: _Client, said: bytes) -> bytes:
        return frame(DATA_END, 0, client.message, said) if said else b""
