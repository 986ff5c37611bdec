"""How a Polatis switch writes lists of ports in SCPI: `(@1,2)`, and `(@1:8)` for a range [INF]; `(@)` is empty."""

from __future__ import annotations

import re

from qlab.twin.scpi import Kind, ScpiError

__all__ = ["port_list", "port_number", "write_ports"]

LONGEST = 4096
"""More ports than any list has."""


def _read_ports(text: str) -> list[int]:
    inside = re.fullmatch(r"\(@\s*([\d,:\s]*)\)", text.strip(), re.ASCII)
    if inside is None:
        raise ScpiError(-104)
    found: list[int] = []
    for part in filter(None, (each.strip() for each in inside[1].split(","))):
        ends = re.fullmatch(r"(\d{1,5})(?:\s*:\s*(\d{1,5}))?", part, re.ASCII)
        if ends is None or len(found) > LONGEST:
            raise ScpiError(-104)
        first, last = int(ends[1]), int(ends[2] or ends[1])
        found += range(first, min(last, first + LONGEST) + 1)
    return found


def _read_number(text: str) -> int:
    if not re.fullmatch(r"\d{1,5}", text.strip(), re.ASCII):
        raise ScpiError(-104)
    return int(text)


def write_ports(ports: list[int]) -> str:
    """Write a list of ports."""
    return f"(@{','.join(map(str, ports))})"


port_list: Kind[list[int]] = Kind(_read_ports)
port_number: Kind[int] = Kind(_read_number)
