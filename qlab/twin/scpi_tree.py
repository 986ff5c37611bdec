"""SCPI headers: the manual's spelling as a pattern, and what a client may write for it.

`SENSe:CORRection[:LOSS]` is matched by `SENS:CORR`, `sense:correction:loss` and any mixture (SCPI-1999, 6.2.1: the short
form is the capitals, the long form all letters, nothing in between).  A number behind a node in the pattern is its
default suffix, written in brackets where a client may leave it out: `OUTPut[1]`; `#` captures any suffix: `INPUt#`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from qlab.errors import TwinError

__all__ = ["Header", "Node"]

_NODE = re.compile(r":?(?P<open>\[:?)?(?P<name>\*?[A-Za-z_]+)(?P<suffix>\[\d+\]|\d+|#)?(?(open):?\])")
_TOKEN = re.compile(r"(\*?[A-Za-z_]+)([0-9]{0,9})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Node:
    """One node of a header pattern."""

    short: str
    long: str
    suffix: str
    optional: bool

    def match(self, token: str) -> int | None:
        """Return the token's suffix (1 if it has none) where the token names this node, else None."""
        parts = _TOKEN.fullmatch(token)
        if parts is None or parts[1].upper() not in (self.short, self.long):
            return None
        digits = parts[2]
        if self.suffix == "#":
            return int(digits) if digits else 1
        if self.suffix.startswith("["):
            return 1 if not digits or digits == self.suffix[1:-1] else None
        return 1 if digits == self.suffix else None


class Header:
    """A header pattern as the manual prints it.

    Parameters
    ----------
    pattern:
        Nodes with capitals for the short form, `[:NODE]` or `[NODE:]` for one that may be left out, `?` for a query.
    """

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.query = pattern.endswith("?")
        body = pattern.removesuffix("?")
        nodes: list[Node] = []
        position = 0
        while position < len(body):
            match = _NODE.match(body, position)
            if match is None:
                msg = f"SCPI pattern {pattern!r} cannot be read at {body[position:]!r}"
                raise TwinError(msg)
            name = match["name"]
            short = "".join(c for c in name if not c.islower())
            nodes.append(Node(short, name.upper(), match["suffix"] or "", optional=bool(match["open"])))
            position = match.end()
        if all(node.optional for node in nodes):
            msg = f"SCPI pattern {pattern!r} has no node that must be there"
            raise TwinError(msg)
        self.nodes = tuple(nodes)

    def match(self, tokens: list[str]) -> tuple[int, ...] | None:
        """Return the captured suffixes where the tokens spell this header, else None."""
        return _match(self.nodes, tokens)


def _match(nodes: tuple[Node, ...], tokens: list[str]) -> tuple[int, ...] | None:
    if not nodes:
        return () if not tokens else None
    node = nodes[0]
    if tokens:
        number = node.match(tokens[0])
        if number is not None:
            rest = _match(nodes[1:], tokens[1:])
            if rest is not None:
                return (number, *rest) if node.suffix == "#" else rest
    if not node.optional:
        return None
    rest = _match(nodes[1:], tokens)
    return rest if rest is None or node.suffix != "#" else (1, *rest)
