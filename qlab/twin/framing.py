"""Cut a byte stream into messages; the result depends on the bytes alone, never on how the wire has split them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MAX_MESSAGE", "BlockFramer", "FixedFramer", "LineFramer", "MessageFramer"]

MAX_MESSAGE = 1 << 16
"""A longer message is dropped as a whole: an instrument's input buffer is finite."""


class MessageFramer:
    """Every piece is a message by itself, as ZeroMQ delivers them."""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the piece, if there is anything in it."""
        return [data] if data else []


class LineFramer:
    """Messages that end with any of several one-byte terminators.

    Parameters
    ----------
    terminators:
        The bytes that end a message, each on its own; CR LF then gives one message and one empty one.
    ignored:
        Bytes that are swallowed wherever they stand.
    keep_empty:
        Whether an empty message counts.
    max_length:
        Longer messages are dropped.
    """

    def __init__(
        self,
        terminators: bytes = b"\n",
        *,
        ignored: bytes = b"",
        keep_empty: bool = False,
        max_length: int = MAX_MESSAGE,
    ) -> None:
        self._split = re.compile(b"[" + re.escape(terminators) + b"]").split
        self._ignored = ignored
        self._keep_empty = keep_empty
        self._max_length = max_length
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes and return the messages that they complete, without terminators."""
        if self._ignored:
            data = data.translate(None, self._ignored)
        *complete, rest = self._split(data)
        messages = []
        for part in complete:
            message = bytes(self._buffer) + part
            self._buffer.clear()
            if len(message) <= self._max_length and (message or self._keep_empty):
                messages.append(message)
        # One byte beyond the limit is remembered so that the message is known to be too long when it ends.
        self._buffer += rest[: self._max_length + 1 - len(self._buffer)]
        return messages


class FixedFramer:
    """Messages whose length stands in a header of fixed size, or is always the same.

    Parameters
    ----------
    head:
        Bytes of the header, or of the whole message.
    body:
        Gives the number of bytes that follow a complete header; negative where the header is nonsense, whose first
        byte is then dropped so that the reader finds its way back.
    """

    def __init__(self, head: int, body: Callable[[bytes], int] = lambda _: 0) -> None:
        self._head = head
        self._body = body
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes and return the messages that they complete."""
        self._buffer += data
        messages = []
        while len(self._buffer) >= self._head:
            body = self._body(bytes(self._buffer[: self._head]))
            if not 0 <= body <= MAX_MESSAGE:
                del self._buffer[0]
                continue
            length = self._head + body
            if len(self._buffer) < length:
                break
            messages.append(bytes(self._buffer[:length]))
            del self._buffer[:length]
        return messages


class BlockFramer:
    r"""Lines whose parameters may be IEEE-488.2 blocks: `#<n><n digits><bytes>`, any bytes inside.

    A block begins after a blank or a comma.  `#0` begins an indefinite block, which ends with the line.

    Parameters
    ----------
    terminator:
        The byte that ends a message outside a block.
    max_length:
        Longer messages are dropped; a block that claims more is read as text.
    """

    def __init__(self, terminator: bytes = b"\n", *, max_length: int = MAX_MESSAGE) -> None:
        self._terminator = terminator[0]
        self._max_length = max_length
        self._buffer = bytearray()
        self._digits = bytearray()
        self._wanted = 0  # digits of the length still to come
        self._inside = 0  # bytes of the block still to come
        self._hash = False

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes and return the messages that they complete, without terminators."""
        messages = []
        at = 0
        while at < len(data):
            if self._inside:
                part = data[at : at + self._inside]
                self._buffer += part
                self._inside -= len(part)
                at += len(part)
                continue
            if self._take(data[at]):
                if 0 < len(self._buffer) <= self._max_length:
                    messages.append(bytes(self._buffer))
                self._buffer.clear()
            at += 1
        return messages

    def _take(self, byte: int) -> bool:
        """Take one byte outside a block and tell whether it ends the message."""
        if byte == self._terminator:
            self._hash, self._wanted = False, 0
            return True
        if self._wanted:
            self._length_digit(byte)
        elif self._hash:
            self._hash = False
            if ord("1") <= byte <= ord("9"):
                self._wanted = byte - ord("0")
                self._digits.clear()
        elif byte == ord("#"):
            self._hash = not self._buffer or self._buffer[-1] in b" \t,"
        if len(self._buffer) <= self._max_length:
            self._buffer.append(byte)
        return False

    def _length_digit(self, byte: int) -> None:
        if not ord("0") <= byte <= ord("9"):
            self._wanted = 0
            return
        self._digits.append(byte)
        self._wanted -= 1
        if self._wanted == 0 and int(self._digits) + len(self._buffer) < self._max_length:
            self._inside = int(self._digits)
