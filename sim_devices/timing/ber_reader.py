"""Reading BER: what a datagram holds, or `ValueError` where it is broken."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from sim_devices.timing.ber import Oid

__all__ = ["Item", "read_item", "read_items", "read_number", "read_oid"]


class Item(NamedTuple):
    """Tag and body of one item, and where the next begins."""

    tag: int
    body: bytes
    end: int


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
