"""The header of PicoQuant's "Unified" files, PTU and PHU: magic, version, then tags of 48 bytes."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, BinaryIO

from qlab.errors import TagFileError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["HISTOGRAMS", "TAGS", "Value", "decimal", "integer", "read_header"]

TAGS, HISTOGRAMS = b"PQTTTR", b"PQHISTO"
_TAG = struct.Struct("<32siI8s")
# Tag types of the header: those that carry `n` bytes behind the tag, and those whose value is a float.
_LONG = (0x4001FFFF, 0x4002FFFF, 0xFFFFFFFF, 0x2001FFFF)
_TEXT = 0x4001FFFF
_MOST_TAGS = 100_000
_LONGEST = 64 << 20
_FLOATS = (0x20000008, 0x21000008)

Value = int | float | str | bytes


def read_header(path: Path, file: BinaryIO, magic: bytes) -> tuple[dict[str, Value], int]:
    """Return the header's tags and where the data begin; indexed tags are named "Name[index]".

    Raises
    ------
    TagFileError
        Another magic, a cut header, or a tag that claims more bytes than there are.
    """
    size = file.seek(0, 2)
    file.seek(0)
    start = file.read(16)
    if start[: len(magic)] != magic:
        msg = (
            f"{path}: not a {'PTU' if magic == TAGS else 'PHU'} file: it starts with {start[:8]!r}, not with {magic!r}"
        )
        raise TagFileError(msg)
    header: dict[str, Value] = {}
    for _ in range(_MOST_TAGS):
        raw_tag = file.read(_TAG.size)
        if len(raw_tag) < _TAG.size:
            msg = f"{path}: the file ends inside its header, at byte {size}; {len(header)} header tags are sound"
            raise TagFileError(msg)
        raw_name, index, kind, raw = _TAG.unpack(raw_tag)
        name = raw_name.split(b"\0")[0].decode("latin-1")
        value: Value = int.from_bytes(raw, "little", signed=True)
        if kind in _LONG:
            length = int.from_bytes(raw, "little", signed=True)
            left = size - file.tell()
            if not 0 <= length <= min(left, _LONGEST):
                msg = f"{path}: header tag {name!r} claims {length} bytes, {left} are left; the header lies"
                raise TagFileError(msg)
            content = file.read(length)
            value = content.split(b"\0")[0].decode("latin-1") if kind == _TEXT else content
        elif kind in _FLOATS:
            value = struct.unpack("<d", raw)[0]
        if name == "Header_End":
            return header, file.tell()
        header[name if index < 0 else f"{name}[{index}]"] = value
    msg = f"{path}: {_MOST_TAGS} header tags and no end of the header: it is damaged"
    raise TagFileError(msg)


def integer(path: Path, header: Mapping[str, Value], name: str) -> int:
    """Return a whole number of the header, at least 0."""
    value = header.get(name)
    if not isinstance(value, int) or value < 0:
        msg = f"{path}: header gives {value!r} as {name}; expected a whole number"
        raise TagFileError(msg)
    return value


def decimal(path: Path, header: Mapping[str, Value], name: str) -> float:
    """Return a time of the header in ps; 1e12 times a decimal such as 4e-12 is not whole in binary: 15 digits are meant."""
    value = header.get(name)
    if not isinstance(value, float) or not 1e-15 <= value <= 1e-3:
        msg = f"{path}: header gives {value!r} as {name}; expected seconds, such as 1e-12"
        raise TagFileError(msg)
    return float(f"{value * 1e12:.15g}")
