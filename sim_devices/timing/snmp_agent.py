"""An SNMP v2c agent without I/O: a datagram in, a datagram out, or silence (RFC 3416; BER of X.690).

A message that cannot be decoded, another version or another community is not answered.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Agent", "Oid", "counter32", "counter64", "integer", "octets", "oid_value", "ticks", "unsigned"]

Oid: TypeAlias = tuple[int, ...]

INTEGER, OCTETS, NULL, OID, SEQUENCE = 0x02, 0x04, 0x05, 0x06, 0x30
COUNTER32, UNSIGNED32, TICKS, COUNTER64 = 0x41, 0x42, 0x43, 0x46
NO_SUCH_OBJECT, NO_SUCH_INSTANCE, END_OF_VIEW = b"\x80\x00", b"\x81\x00", b"\x82\x00"
GET, GET_NEXT, RESPONSE, SET, GET_BULK = 0xA0, 0xA1, 0xA2, 0xA3, 0xA5
TOO_BIG, NO_ACCESS = 1, 6
VERSION_2C = 1
LARGEST = 1472  # [INF] bytes of a reply: what an Ethernet frame carries


class _Item(NamedTuple):
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


def _item(data: bytes, at: int = 0) -> _Item:
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
    return _Item(tag, data[at : at + length], at + length)


def _items(body: bytes, *tags: int) -> list[bytes]:
    """Decode items one behind another, with just these tags (0: any)."""
    found, at = [], 0
    for tag in tags:
        item = _item(body, at)
        if tag not in (0, item.tag):
            msg = f"tag {item.tag:#x} instead of {tag:#x}"
            raise ValueError(msg)
        found.append(item.body)
        at = item.end
    if at != len(body):
        msg = "more behind the last item"
        raise ValueError(msg)
    return found


def _number(body: bytes) -> int:
    if not 1 <= len(body) <= 5:
        msg = "an integer of no or too many bytes"
        raise ValueError(msg)
    return int.from_bytes(body, "big", signed=True)


def _oid(body: bytes) -> Oid:
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


class Agent:
    """Answers for a tree of objects.

    Parameters
    ----------
    community:
        Who may read.
    objects:
        What gives the encoded value, by identifier with its instance.
    """

    def __init__(self, community: str, objects: Mapping[Oid, Callable[[], bytes]]) -> None:
        self._community = community.encode("latin-1")
        self._objects = dict(objects)
        self._order = sorted(objects)
        self._kinds = {oid[:-1] for oid in objects}

    def answer(self, message: bytes) -> bytes:
        """Return the reply, nothing for a message that deserves none."""
        try:
            (whole,) = _items(message, SEQUENCE)
            version, community, _ = _items(whole, INTEGER, OCTETS, 0)
            pdu = _item(whole, _item(whole, _item(whole).end).end)
            request, first, second, listed = _items(pdu.body, INTEGER, INTEGER, INTEGER, SEQUENCE)
            names, at = [], 0
            while at < len(listed):
                bound = _item(listed, at)
                if bound.tag != SEQUENCE:
                    return b""
                names.append(_oid(_items(bound.body, OID, 0)[0]))
                at = bound.end
            if _number(version) != VERSION_2C or community != self._community:
                return b""
            return self._serve(pdu.tag, _number(request), _number(first), _number(second), names, listed)
        except (ValueError, IndexError):
            return b""

    def refuse(self, message: bytes) -> bytes:
        """Answer a request with the error genErr (5)."""
        try:
            (whole,) = _items(message, SEQUENCE)
            pdu = _items(whole, INTEGER, OCTETS, 0)[2]
            request, _, _, listed = _items(pdu, INTEGER, INTEGER, INTEGER, SEQUENCE)
            return self._reply(_number(request), listed, 5, 1)
        except (ValueError, IndexError):
            return b""

    def _serve(self, kind: int, request: int, first: int, second: int, names: Sequence[Oid], listed: bytes) -> bytes:
        if kind == SET:
            return self._reply(request, listed, NO_ACCESS, 1)
        if kind == GET:
            bounds = [_bind(name, self._get(name)) for name in names]
        elif kind == GET_NEXT:
            bounds = [_bind(*self._next(name)) for name in names]
        elif kind == GET_BULK:
            return self._bulk(request, max(first, 0), max(second, 0), names)
        else:
            return b""
        reply = self._reply(request, b"".join(bounds))
        return reply if len(reply) <= LARGEST else self._reply(request, b"", TOO_BIG)

    def _bulk(self, request: int, single: int, repetitions: int, names: Sequence[Oid]) -> bytes:
        """Answer with what fits, as RFC 3416 (4.2.3) allows."""
        bounds = [_bind(*self._next(name)) for name in names[:single]]
        rest = list(names[single:])
        size, alive = sum(map(len, bounds)), True
        for _ in range(repetitions if rest else 0):
            row = [self._next(name) for name in rest]
            encoded = [_bind(*each) for each in row]
            size += sum(map(len, encoded))
            if size > LARGEST - 100 or not alive:
                break
            bounds += encoded
            alive = any(value != END_OF_VIEW for _, value in row)
            rest = [name for name, _ in row]
        return self._reply(request, b"".join(bounds))

    def _get(self, name: Oid) -> bytes:
        if name in self._objects:
            return self._objects[name]()
        return NO_SUCH_INSTANCE if name[:-1] in self._kinds else NO_SUCH_OBJECT

    def _next(self, name: Oid) -> tuple[Oid, bytes]:
        at = bisect_right(self._order, name)
        if at == len(self._order):
            return name, END_OF_VIEW
        return self._order[at], self._objects[self._order[at]]()

    def _reply(self, request: int, bounds: bytes, error: int = 0, index: int = 0) -> bytes:
        pdu = tlv(RESPONSE, integer(request) + integer(error) + integer(index) + tlv(SEQUENCE, bounds))
        return tlv(SEQUENCE, integer(VERSION_2C) + tlv(OCTETS, self._community) + pdu)


def _bind(name: Oid, value: bytes) -> bytes:
    return tlv(SEQUENCE, oid_value(name) + value)
