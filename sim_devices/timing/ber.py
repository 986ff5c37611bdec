"""BER of X.690 as far as SNMP needs it, written: tag, length and body, numbers, texts and object identifiers."""

from __future__ import annotations

from typing import TypeAlias

__all__ = ["Oid", "counter32", "counter64", "integer", "octets", "oid_value", "ticks", "tlv", "unsigned"]


Oid: TypeAlias = tuple[int, ...]

INTEGER, OCTETS, NULL, OID, SEQUENCE = 0x02, 0x04, 0x05, 0x06, 0x30
COUNTER32, UNSIGNED32, TICKS, COUNTER64 = 0x41, 0x42, 0x43, 0x46


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
