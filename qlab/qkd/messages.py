"""What the two parties say to each other: typed, versioned messages and their bytes.

A message is a frozen dataclass whose fields are declared with the codec of their bytes; big-endian throughout:

    version (1 byte) | kind (1) | block (8) | fields in their order

Nothing here is secret: Eve may read all of it.  The channel that carries the bytes adds order and authentication.
`secret_bits` says how many bits about the key a message gives away; the parties' leakage is the sum over what was sent.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar, Protocol, TypeVar, get_type_hints

import numpy as np
from numpy.typing import NDArray

from qlab.errors import BadRequestError, PeerError
from qlab.qkd.bits import Bits, pack, unpack

__all__ = [
    "F64",
    "U8",
    "U32",
    "U64",
    "BitString",
    "Blob",
    "Indices",
    "Message",
    "Times",
    "decode",
    "encode",
    "register",
]

VERSION = 1
_HEADER = struct.Struct(">BBQ")
_LENGTH = struct.Struct(">I")


class Codec(Protocol):
    """How one field becomes bytes and back."""

    def write(self, value: Any) -> bytes:
        """Return the bytes of a value."""
        ...

    def read(self, data: bytes, at: int) -> tuple[Any, int]:
        """Return the value that begins at `at`, and where the next one begins."""
        ...


class _Number:
    def __init__(self, code: str) -> None:
        self._struct = struct.Struct(">" + code)

    def write(self, value: float) -> bytes:
        return self._struct.pack(value)

    def read(self, data: bytes, at: int) -> tuple[Any, int]:
        return self._struct.unpack_from(data, at)[0], at + self._struct.size


class _Blob:
    def write(self, value: bytes) -> bytes:
        return _LENGTH.pack(len(value)) + value

    def read(self, data: bytes, at: int) -> tuple[bytes, int]:
        (size,) = _LENGTH.unpack_from(data, at)
        begin = at + _LENGTH.size
        if begin + size > len(data):
            msg = f"{size} bytes announced, {len(data) - begin} there"
            raise ValueError(msg)
        return data[begin : begin + size], begin + size


class _BitString:
    def write(self, value: Bits) -> bytes:
        return _LENGTH.pack(value.size) + pack(value)

    def read(self, data: bytes, at: int) -> tuple[Bits, int]:
        (n,) = _LENGTH.unpack_from(data, at)
        begin = at + _LENGTH.size
        end = begin + (n + 7) // 8
        return unpack(data[begin:end], n), end


class _Indices:
    def write(self, value: NDArray[np.int64]) -> bytes:
        return _LENGTH.pack(value.size) + value.astype(">u4").tobytes()

    def read(self, data: bytes, at: int) -> tuple[NDArray[np.int64], int]:
        (n,) = _LENGTH.unpack_from(data, at)
        begin = at + _LENGTH.size
        return np.frombuffer(data, dtype=">u4", count=n, offset=begin).astype(np.int64), begin + 4 * n


class _Times:
    def write(self, value: NDArray[np.int64]) -> bytes:
        return _LENGTH.pack(value.size) + value.astype(">i8").tobytes()

    def read(self, data: bytes, at: int) -> tuple[NDArray[np.int64], int]:
        (n,) = _LENGTH.unpack_from(data, at)
        begin = at + _LENGTH.size
        return np.frombuffer(data, dtype=">i8", count=n, offset=begin).astype(np.int64), begin + 8 * n


U8 = Annotated[int, _Number("B")]
U32 = Annotated[int, _Number("I")]
U64 = Annotated[int, _Number("Q")]
F64 = Annotated[float, _Number("d")]
Blob = Annotated[bytes, _Blob()]
BitString = Annotated[Bits, _BitString()]
Indices = Annotated[NDArray[np.int64], _Indices()]
Times = Annotated[NDArray[np.int64], _Times()]


@dataclass(frozen=True, slots=True, eq=False)
class Message:
    """Base of all messages; `kind` is the number that stands for a class on the wire."""

    kind: ClassVar[int] = 0

    @property
    def secret_bits(self) -> int:
        """How many bits of information about the key the message gives to who listens."""
        return 0


MessageType = TypeVar("MessageType", bound=type[Message])
_KINDS: dict[int, tuple[type[Message], list[tuple[str, Codec]]]] = {}


def register(kind: MessageType) -> MessageType:
    """Make a message class known by its `kind`; a decorator."""
    hints = get_type_hints(kind, include_extras=True)
    if kind.kind in _KINDS or kind.kind == 0:
        msg = f"message {kind.__name__}: kind {kind.kind} is taken"
        raise BadRequestError(msg)
    _KINDS[kind.kind] = kind, [(f.name, hints[f.name].__metadata__[0]) for f in fields(kind)]
    return kind


def encode(message: Message, block: int) -> bytes:
    """Return the bytes of a message that belongs to `block`."""
    body = b"".join(codec.write(getattr(message, name)) for name, codec in _KINDS[message.kind][1])
    return _HEADER.pack(VERSION, message.kind, block) + body


def decode(data: bytes) -> tuple[Message, int]:
    """Return a message and its block.

    Raises
    ------
    PeerError
        The bytes are not a message of this version.
    """
    try:
        version, kind, block = _HEADER.unpack_from(data)
        if version != VERSION or kind not in _KINDS:
            msg = f"message of version {version}, kind {kind}: this side speaks version {VERSION}; run the same qlab on both"
            raise PeerError(msg)
        cls, codecs = _KINDS[kind]
        values, at = {}, _HEADER.size
        for name, codec in codecs:
            values[name], at = codec.read(data, at)
        if at != len(data):
            msg = f"{len(data) - at} bytes too many"
            raise ValueError(msg)
    except (struct.error, ValueError) as error:
        msg = f"message of {len(data)} bytes, beginning {data[:12].hex()}, cannot be read: {error}"
        raise PeerError(msg) from error
    return cls(**values), block
