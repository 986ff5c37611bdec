"""What stands between a SIM900 and the module in one of its slots: bytes on their way, and arguments as they are written."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sim_devices.detectors.sim900_modules import Module

__all__ = ["QUEUE", "SlotQueue", "parse_string", "split_arguments"]


QUEUE = 512  # [V2] bytes


ARGUMENT = re.compile(r"""\s*("(?:[^"]|"")*"|'(?:[^']|'')*'|#(\d).*|[^,]*)\s*(?:,|$)""", re.DOTALL)


@dataclass
class SlotQueue:
    """A module and the bytes between it and the host."""

    module: Module
    end: bytes = b"\n"
    coming: list[tuple[int, bytes]] = field(default_factory=list)

    def waiting(self, now_ps: int) -> bytes:
        """Return what has come from the module."""
        return b"".join(data for due, data in self.coming if due <= now_ps)[-QUEUE:]

    def fetch(self, count: int, now_ps: int) -> bytes:
        """Take bytes from the queue."""
        data = self.waiting(now_ps)
        self.coming = [(0, data[count:]), *(each for each in self.coming if each[0] > now_ps)]
        return data[:count]


def split_arguments(text: str) -> list[bytes]:
    """Split at commas outside strings and blocks."""
    found, at = [], 0
    while at < len(text):
        match = ARGUMENT.match(text, at)
        if match is None or match.end() == at:
            break
        found.append(match[1].strip().encode("latin-1"))
        at = match.end()
    return found


def parse_string(text: bytes) -> bytes:
    """Return what stands in quotes, or in a definite-length block; raises `ValueError` for neither."""
    if len(text) >= 2 and text[:1] in (b'"', b"'") and text[-1:] == text[:1]:
        return text[1:-1].replace(text[:1] * 2, text[:1])
    if text[:1] == b"#" and text[1:2].isdigit():
        head = 2 + int(text[1:2])
        return text[head : head + int(text[2:head])]
    raise ValueError(text)
