"""The ID900's dialect of SCPI: every command is answered, errors stand at the end of the reply text.

Written from protocol sheet 10, "Grammar". A command table is a list of `Node` entries in the manual's spelling,
`INPUt#:COUNter:MODE`, where `#` stands for the number of the block and brackets for a part that may be left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["INVALID_COMMAND", "PARAMETER_TYPE", "ID900Error", "Node", "Table", "choice", "number", "switch", "time_ps"]

INVALID_COMMAND: Final = "SCPI_ERR_INVALID_CMD"  # [V2]
PARAMETER_TYPE: Final = "SCPI_ERR_PARAM_TYPE"  # [V2]; out of range has no code of its own and uses it too [INF]
JOINER: Final = ";"  # [V2] between the replies of a line; firmware-dependent, a vendor script shows "\n"

_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:E[+-]?\d+)?)\s*([A-Z]*)")
_TOKEN = re.compile(r"([A-Z]+)(\d*)")

TIME_UNITS_PS: Final[dict[str, float]] = {
    "": 1.0, "TB": 1.0, "KTB": 1e3, "MTB": 1e6, "GTB": 1e9, "PS": 1.0, "NS": 1e3, "US": 1e6, "MS": 1e9, "S": 1e12,
}  # fmt: skip
"""TB is the time base of 1 ps and GTB a thousand million of them [V2]; the SI spellings are tolerance [INF]."""
LONGEST_PS: Final = 9e18
VOLT_UNITS: Final[dict[str, float]] = {"": 1.0, "V": 1.0, "MV": 1e-3, "UV": 1e-6}
NO_UNITS: Final[dict[str, float]] = {"": 1.0}


class ID900Error(Exception):
    """The command is refused; the text ends the reply."""


def number(text: str, low: float, high: float, units: dict[str, float] = NO_UNITS) -> float:
    """Read a value with an optional unit; floats are good for integers."""
    match = _NUMBER.fullmatch(text.strip().upper())
    if match is None or match[2] not in units:
        raise ID900Error(PARAMETER_TYPE)
    value = float(match[1]) * units[match[2]]
    if not low <= value <= high:
        raise ID900Error(PARAMETER_TYPE)
    return value


def time_ps(text: str, low: int = 0) -> int:
    """Read a time in whole ps."""
    return round(number(text, low, LONGEST_PS, TIME_UNITS_PS))


def choice(text: str, words: Sequence[str]) -> str:
    """Read one of the manual's words, abbreviated to three letters or more."""
    given = text.strip().upper()
    hits = [word for word in words if word == given] or [
        word for word in words if len(given) >= 3 and (word.startswith(given) or given.startswith(word))
    ]
    if len(hits) != 1:
        raise ID900Error(PARAMETER_TYPE)
    return hits[0]


def switch(text: str) -> bool:
    """Read ON, OFF, 1 or 0."""
    words = {"ON": True, "1": True, "OFF": False, "0": False}
    try:
        return words[text.strip().upper()]
    except KeyError:
        raise ID900Error(PARAMETER_TYPE) from None


@dataclass(frozen=True, slots=True)
class Node:
    """One row of the command table: what answers the query, what carries out the command."""

    pattern: str
    query: Callable[[int], str] | None = None
    command: Callable[[int, str], str] | None = None
    numbers: range = range(1, 2)


@dataclass(frozen=True, slots=True)
class _Step:
    """One mnemonic of a pattern."""

    short: str
    long: str
    numbered: bool
    optional: bool

    def fits(self, word: str, digits: str) -> bool:
        """Compare with a typed mnemonic: the short form, the long one, or anything between."""
        return word.startswith(self.short) and self.long.startswith(word) and (self.numbered or not digits)


def _compile(pattern: str) -> tuple[_Step, ...]:
    steps = []
    for part in re.findall(r"\[[^\]]*\]|[^:\[\]]+", pattern):
        optional = part.startswith("[")
        word = part.strip("[]:")
        name = word.rstrip("#")
        short = "".join(char for char in name if char.isupper())
        steps.append(_Step(short, name.upper(), word.endswith("#"), optional))
    return tuple(steps)


class Table:
    """The command table of one instrument."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._rows = [(_compile(node.pattern), node) for node in nodes]
        self._found: dict[tuple[str, ...], tuple[Node, int]] = {}

    def execute(self, line: str) -> str:
        """Carry out one request frame and return its reply; an error ends the line and the reply."""
        replies: list[str] = []
        subtree: tuple[str, ...] = ()
        for part in line.replace("\r", "\n").replace("\n", ";").split(";"):
            text = part.strip()
            if not text:
                continue
            head, _, argument = text.partition(" ")
            path = tuple(head.lstrip(":").upper().rstrip("?").split(":"))
            if not head.startswith(":"):
                path = subtree + path
            subtree = path[:-1]
            try:
                replies.append(self._run(path, argument.strip(), is_query=head.endswith("?")))
            except ID900Error as error:
                replies.append(f"{text} {error}")
                break
        return JOINER.join(replies) if replies else INVALID_COMMAND

    def _run(self, path: tuple[str, ...], argument: str, *, is_query: bool) -> str:
        node, index = self._find(path)
        if is_query:
            if node.query is None:
                raise ID900Error(INVALID_COMMAND)
            return node.query(index)
        if node.command is None:
            raise ID900Error(INVALID_COMMAND)
        return node.command(index, argument)

    def _find(self, path: tuple[str, ...]) -> tuple[Node, int]:
        if path in self._found:
            return self._found[path]
        for steps, node in self._rows:
            index = _match(steps, path)
            if index is not None and index in node.numbers:
                if len(self._found) < 4096:  # a bound against hosts that send noise
                    self._found[path] = node, index
                return node, index
        raise ID900Error(INVALID_COMMAND)


def _match(steps: tuple[_Step, ...], path: tuple[str, ...]) -> int | None:
    """Return the block number if the typed path names this row; an omitted number is 1."""
    if not steps or not path:
        return 1 if not steps and not path else _match(steps[1:], path) if steps and steps[0].optional else None
    typed = _TOKEN.fullmatch(path[0])
    if typed is not None and steps[0].fits(typed[1], typed[2]):
        rest = _match(steps[1:], path[1:])
        if rest is not None:
            return int(typed[2][:6]) if typed[2] else rest
    return _match(steps[1:], path) if steps[0].optional else None
