"""JSON objects on the WebSQ's control port: cut from a stream that has no terminators, and told to all clients."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from qlab.twin.conversation import Dialogue

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.clock import Clock
    from qlab.twin.conversation import Script

__all__ = ["ETB", "ControlClient", "JsonFramer", "encode"]

ETB = b"\x17"
"""[V2] Ends each object, or group of objects, from the device."""
LONGEST = 1 << 20
_JUST = json.JSONDecoder()


class JsonFramer:
    """Cuts objects by their braces; what stands between them is passed over."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._at = self._depth = self._begin = 0
        self._text = self._escaped = False

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes and return the objects that they complete."""
        self._buffer += data
        found = []
        while self._at < len(self._buffer):
            byte = self._buffer[self._at]
            self._at += 1
            if self._text:
                self._text = self._escaped or byte != 0x22
                self._escaped = byte == 0x5C and not self._escaped
            elif byte == 0x22 and self._depth:
                self._text = True
            elif byte == 0x7B:
                if not self._depth:
                    self._begin = self._at - 1
                self._depth += 1
            elif byte == 0x7D and self._depth:
                self._depth -= 1
                if not self._depth:
                    found.append(bytes(self._buffer[self._begin : self._at]))
                    self._drop()
            if not self._depth:
                self._drop()
        if len(self._buffer) > LONGEST:
            self._depth, self._text = 0, False
            self._drop()
        return found

    def _drop(self) -> None:
        del self._buffer[: self._at]
        self._at = 0


def encode(*objects: dict[str, Any]) -> bytes:
    """Return objects glued together and ended as a group."""
    return "".join(json.dumps(each, separators=(",", ":")) for each in objects).encode() + ETB


class ControlClient(Dialogue):
    """One client of the control port: what changes is told to it, whoever changed it."""

    def __init__(
        self, carry_out: Callable[[dict[str, Any]], bytes], leave: Callable[[ControlClient], None], clock: Clock
    ) -> None:
        super().__init__(self, JsonFramer(), clock)
        self._carry_out = carry_out
        self._leave = leave
        self._news = bytearray()

    def post(self, data: bytes) -> None:
        """Put something into what this client is told next."""
        self._news += data

    def answer(self, message: bytes) -> Script:
        """Carry out one object; its news are the acknowledgement."""
        try:
            said = _JUST.decode(message.decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            return
        own = self._carry_out(said) if isinstance(said, dict) else b""
        news, self._news = bytes(self._news), bytearray()
        yield news + own

    def refuse(self, message: bytes, kind: str, text: str) -> bytes:
        """Answer with an error label instead."""
        del message, kind
        return encode({"label": "CommandError", "value": text or "busy"})

    def due_ps(self) -> int | None:
        """Return at once where there is news, else until when an answer waits."""
        return 0 if self._news else super().due_ps()

    def wake(self) -> bytes:
        """Tell the news, or go on with an answer."""
        news, self._news = bytes(self._news), bytearray()
        if news:
            self._exchanges.append((b"", len(news)))
        return news + super().wake()

    def close(self) -> None:
        """Forget the client."""
        super().close()
        self._leave(self)
