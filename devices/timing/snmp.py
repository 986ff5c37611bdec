"""The manager's half of SNMP v2c: requests to bytes and replies to values (RFC 3416; BER of X.690)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["GET", "GET_BULK", "GET_NEXT", "Missing", "Reply", "Value", "encode_request", "parse_reply"]

GET, GET_NEXT, RESPONSE, GET_BULK = 0xA0, 0xA1, 0xA2, 0xA5
UNSIGNED_TAGS = {0x41: "Counter32", 0x42: "Unsigned32", 0x43: "TimeTicks", 0x46: "Counter64"}
MISSING_TAGS = {0x80: "no such object", 0x81: "no such instance", 0x82: "end of the tree"}


@dataclass(frozen=True, slots=True)
class Missing:
    """Why there is no value."""

    why: str


Value: TypeAlias = "int | str | Missing | None"


@dataclass(frozen=True, slots=True)
class Reply:
    """A response: its request's number, its error (0: none), and identifiers with their values in order."""

    request: int
    error: int
    values: tuple[tuple[str, Value], ...]


def encode_request(kind: int, request: int, oids: Sequence[str], *, community: str, repetitions: int = 0) -> bytes:
    """Return the bytes of a request; `repetitions` is for GET_BULK."""
    bounds = b"".join(_wrap(0x30, _wrap(0x06, _pack_oid(oid)) + b"\x05\x00") for oid in oids)
    pdu = _wrap(kind, _pack_int(request) + _pack_int(0) + _pack_int(repetitions) + _wrap(0x30, bounds))
    return _wrap(0x30, _pack_int(1) + _wrap(0x04, community.encode("latin-1")) + pdu)


def parse_reply(data: bytes) -> Reply:
    """Return what a reply says; raises `ValueError` for what is no response of SNMP v2c."""
    try:
        reader = _Reader(_Reader(data).take(0x30))
        if reader.integer() != 1:
            msg = "another version of SNMP"
            raise ValueError(msg)
        reader.take(0x04)
        pdu = _Reader(reader.take(RESPONSE))
        request, error, _ = pdu.integer(), pdu.integer(), pdu.integer()
        bounds, values = _Reader(pdu.take(0x30)), []
        while bounds.left:
            bound = _Reader(bounds.take(0x30))
            values.append((_unpack_oid(bound.take(0x06)), _value(*bound.any())))
    except IndexError as error_:
        msg = "the reply ends in the middle"
        raise ValueError(msg) from error_
    return Reply(request, error, tuple(values))


class _Reader:
    """Reads items one behind another."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> bool:
        return self._at < len(self._data)

    def any(self) -> tuple[int, bytes]:
        """Return tag and body of the next item."""
        tag, size = self._data[self._at], self._data[self._at + 1]
        start = self._at + 2
        if size > 0x80:
            digits = self._data[start : start + size - 0x80]
            start, size = start + len(digits), int.from_bytes(digits, "big")
        self._at = start + size
        if size == 0x80 or self._at > len(self._data):
            msg = "a length makes no sense"
            raise ValueError(msg)
        return tag, self._data[start : self._at]

    def take(self, wanted: int) -> bytes:
        """Return the body of the next item, which must have this tag."""
        tag, body = self.any()
        if tag != wanted:
            msg = f"tag {tag:#x} where {wanted:#x} was expected"
            raise ValueError(msg)
        return body

    def integer(self) -> int:
        """Return the next item, an INTEGER."""
        return int.from_bytes(self.take(0x02), "big", signed=True)


def _value(tag: int, body: bytes) -> Value:
    if tag == 0x02:
        return int.from_bytes(body, "big", signed=True)
    if tag in UNSIGNED_TAGS:
        return int.from_bytes(body, "big")
    if tag == 0x04:
        return body.decode("latin-1")
    if tag == 0x05:
        return None
    if tag == 0x06:
        return _unpack_oid(body)
    if tag in MISSING_TAGS:
        return Missing(MISSING_TAGS[tag])
    msg = f"a value of unknown type {tag:#x}"
    raise ValueError(msg)


def _wrap(tag: int, body: bytes) -> bytes:
    size = len(body)
    if size > 0x7F:
        digits = size.to_bytes(2, "big").lstrip(b"\x00")
        return bytes([tag, 0x80 + len(digits)]) + digits + body
    return bytes([tag, size]) + body


def _pack_int(value: int) -> bytes:
    length = 1
    while not -(1 << 8 * length - 1) <= value < 1 << 8 * length - 1:
        length += 1
    return _wrap(0x02, value.to_bytes(length, "big", signed=True))


def _pack_oid(text: str) -> bytes:
    first, second, *rest = (int(part) for part in text.split("."))
    packed = bytes([40 * first + second])
    for number in rest:
        digits = [number & 0x7F]
        while number := number >> 7:
            digits.insert(0, 0x80 | number & 0x7F)
        packed += bytes(digits)
    return packed


def _unpack_oid(body: bytes) -> str:
    numbers, number = [body[0] // 40, body[0] % 40], 0
    for byte in body[1:]:
        number = number << 7 | byte & 0x7F
        if byte < 0x80:
            numbers.append(number)
            number = 0
    return ".".join(map(str, numbers))
