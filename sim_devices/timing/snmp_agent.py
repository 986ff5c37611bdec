"""An SNMP v2c agent without I/O: a datagram in, a datagram out, or silence (RFC 3416; BER of X.690).

A message that cannot be decoded, another version or another community is not answered.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from sim_devices.timing.ber import INTEGER, OCTETS, OID, SEQUENCE, Oid, integer, oid_value, tlv
from sim_devices.timing.ber_reader import read_item, read_items, read_number, read_oid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Agent"]

NO_SUCH_OBJECT, NO_SUCH_INSTANCE, END_OF_VIEW = b"\x80\x00", b"\x81\x00", b"\x82\x00"
GET, GET_NEXT, RESPONSE, SET, GET_BULK = 0xA0, 0xA1, 0xA2, 0xA3, 0xA5
TOO_BIG, NO_ACCESS = 1, 6
VERSION_2C = 1
LARGEST = 1472  # [INF] bytes of a reply: what an Ethernet frame carries


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
            (whole,) = read_items(message, SEQUENCE)
            version, community, _ = read_items(whole, INTEGER, OCTETS, 0)
            pdu = read_item(whole, read_item(whole, read_item(whole).end).end)
            request, first, second, listed = read_items(pdu.body, INTEGER, INTEGER, INTEGER, SEQUENCE)
            names, at = [], 0
            while at < len(listed):
                bound = read_item(listed, at)
                if bound.tag != SEQUENCE:
                    return b""
                names.append(read_oid(read_items(bound.body, OID, 0)[0]))
                at = bound.end
            if read_number(version) != VERSION_2C or community != self._community:
                return b""
            return self._serve(pdu.tag, read_number(request), read_number(first), read_number(second), names, listed)
        except (ValueError, IndexError):
            return b""

    def refuse(self, message: bytes) -> bytes:
        """Answer a request with the error genErr (5)."""
        try:
            (whole,) = read_items(message, SEQUENCE)
            pdu = read_items(whole, INTEGER, OCTETS, 0)[2]
            request, _, _, listed = read_items(pdu, INTEGER, INTEGER, INTEGER, SEQUENCE)
            return self._reply(read_number(request), listed, 5, 1)
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
