"""BER of X.690 as far as SNMP needs it: tag, length and body, numbers, texts and object identifiers."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

__all__ = [
    "INTEGER",
    "NULL",
    "OCTETS",
    "OID",
    "SEQUENCE",
    "Oid",
    "counter32",
    "counter64",
    "integer",
    "octets",
    "oid_value",
    "read_item",
    "read_items",
    "read_number",
    "read_oid",
    "ticks",
    "tlv",
    "unsigned",
]


Oid: TypeAlias = tuple[int, ...]

INTEGER, OCTETS, NULL, OID, SEQUENCE = 0x02, 0x04, 0x05, 0x06, 0x30
COUNTER32, UNSIGNED32, TICKS, COUNTER64 = 0x41, 0x42, 0x43, 0x46


class Item(NamedTuple):
    tag: int
    body: bytes
    end: int


def tlv(tag: int, body: bytes) -> bytes:
    """Encode tag, length and body."""
    if len(body) < 0x80:
        return bytes((tag, len(body))) + body
    size = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(size))) + size + body


def integer(value: int, tag: int = INTEGER) -> bytes:
    """Encode an integer in the fewest bytes of two's complement."""
    return tlv(tag, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def unsigned(value: int) -> bytes:
    """Encode an Unsigned32."""
    return integer(value % 2**32, UNSIGNED32)


def counter32(value: int) -> bytes:
    """Encode a Counter32, which wraps."""
    return integer(value % 2**32, COUNTER32)


def counter64(value: int) -> bytes:
    """Encode a Counter64, which wraps; a negative number comes out above 2^63."""
    return integer(value % 2**64, COUNTER64)


def ticks(seconds: float) -> bytes:
    """Encode TimeTicks of 10 ms."""
    return integer(int(seconds * 100.0) % 2**32, TICKS)


def octets(text: str) -> bytes:
    """Encode a text."""
    return tlv(OCTETS, text.encode("latin-1"))


def oid_value(oid: Oid) -> bytes:
    """Encode an object identifier."""
    body = bytearray((40 * oid[0] + oid[1],))
    for arc in oid[2:]:
        groups = [arc >> shift & 0x7F for shift in range(0, max(arc.bit_length(), 1), 7)]
        body += bytes([group | 0x80 for group in groups[:0:-1]] + groups[:1])
    return tlv(OID, bytes(body))


def read_item(data: bytes, at: int = 0) -> Item:
    """Decode one item; raises `ValueError` or `IndexError` for what is none."""
    tag, length, at = data[at], data[at + 1], at + 2
    if length & 0x80:
        count = length & 0x7F
        if not 1 <= count <= 4:
            msg = "a length of no or too many bytes"
            raise ValueError(msg)
        length, at = int.from_bytes(data[at : at + count], "big"), at + count
    if at + length > len(data):
        msg = "the item is longer than the message"
        raise ValueError(msg)
    return Item(tag, data[at : at + length], at + length)


def read_items(body: bytes, *tags: int) -> list[bytes]:
    """Decode items one behind another, with just these tags (0: any)."""
    found, at = [], 0
    for tag in tags:
        item = read_item(body, at)
        if tag not in (0, item.tag):
            msg = f"tag {item.tag:#x} instead of {tag:#x}"
            raise ValueError(msg)
        found.append(item.body)
        at = item.end
    if at != len(body):
        msg = "more behind the last item"
        raise ValueError(msg)
    return found


def read_number(body: bytes) -> int:
    """Decode an integer of up to five bytes."""
    if not 1 <= len(body) <= 5:
        msg = "an integer of no or too many bytes"
        raise ValueError(msg)
    return int.from_bytes(body, "big", signed=True)


def read_oid(body: bytes) -> Oid:
    """Decode an object identifier."""
    if not body or body[-1] & 0x80:
        msg = "an identifier ends in the middle"
        raise ValueError(msg)
    arcs, arc = [], 0
    for byte in body:
        arc = arc << 7 | byte & 0x7F
        if not byte & 0x80:
            arcs.append(arc)
            arc = 0
    first = min(arcs[0] // 40, 2)
    return (first, arcs[0] - 40 * first, *arcs[1:])
