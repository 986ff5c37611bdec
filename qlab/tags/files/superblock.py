"""The first 48 bytes of an HDF5 file: whether a writer has it open, and whether they are sound.

HDF5 File Format Specification 3.0, "Superblock, version 3": signature, version, sizes, file consistency flags (byte 11: bit 0
a writer, bit 2 a writer beside readers), four addresses, and a checksum of it all, Bob Jenkins' lookup3 (public domain,
2006).  A killed writer leaves the flags as they are.  They are checked here because the library, reading beside a writer,
tries again for ever where a checksum is wrong.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from qlab.errors import TagFileError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["has_writer_mark", "lookup3"]

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_BODY = 44
_MASK = 0xFFFF_FFFF


def has_writer_mark(path: Path) -> bool:
    """Tell whether a writer has a file open, or had when it died.

    Raises
    ------
    TagFileError
        The file says so, but its superblock is damaged.
    """
    with path.open("rb") as file:
        head = file.read(_BODY + 4)
    if len(head) < _BODY + 4 or head[:8] != _SIGNATURE or head[8] != 3 or head[9] != 8 or not head[11] & 0b101:
        return False
    if lookup3(head[:_BODY]) != struct.unpack("<I", head[_BODY:])[0]:
        msg = f"{path}: cannot be opened as a tag file: the checksum of its first {_BODY} bytes is wrong; they are damaged"
        raise TagFileError(msg)
    return True


def lookup3(data: bytes) -> int:
    """Return the hash of some bytes, `hashlittle` with initial value 0."""
    a = b = c = (0xDEADBEEF + len(data)) & _MASK
    blocks = max((len(data) - 1) // 12, 0)
    for k in range(blocks):
        x, y, z = struct.unpack_from("<III", data, 12 * k)
        a, b, c = _mixed((a + x) & _MASK, (b + y) & _MASK, (c + z) & _MASK)
    rest = data[12 * blocks :]
    if not rest:
        return c
    x, y, z = struct.unpack("<III", rest.ljust(12, b"\0"))
    return _final((a + x) & _MASK, (b + y) & _MASK, (c + z) & _MASK)


def _turned(x: int, by: int) -> int:
    return (x << by | x >> 32 - by) & _MASK


def _mixed(a: int, b: int, c: int) -> tuple[int, int, int]:
    for by in (4, 6, 8, 16, 19, 4):
        a = ((a - c) & _MASK) ^ _turned(c, by)
        c = (c + b) & _MASK
        a, b, c = b, c, a
    return a, b, c


def _final(a: int, b: int, c: int) -> int:
    for by in (14, 11, 25, 16, 4, 14, 24):
        c = ((c ^ b) - _turned(b, by)) & _MASK
        a, b, c = b, c, a
    return b
