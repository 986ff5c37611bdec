"""DeCoP, the language of Toptica controllers: calls in parentheses, values as Scheme writes them.

Written from protocol sheet 05.  A `Tree` is what a controller knows by name.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["DecopError", "Item", "Tree", "Value", "as_number", "encode", "parse_call"]

Value: TypeAlias = "bool | int | float | str | bytes | tuple[Value, ...]"

NO_VALUE, UNAVAILABLE = -3, -20  # [V1] seen on hardware
UNKNOWN, READ_ONLY, OUT_OF_RANGE, WRONG_TYPE, SYNTAX = -21, -22, -23, -24, -25  # [INF]
WORDS = {
    NO_VALUE: "value not available",
    UNAVAILABLE: "unavailable on your system",
    UNKNOWN: "unknown name",
    READ_ONLY: "not writable",
    OUT_OF_RANGE: "value out of range",
    WRONG_TYPE: "wrong type",
    SYNTAX: "syntax error",
}
_TOKEN = re.compile(r"""\s*('?\([^()]*\)|"[^"]*"|'?[^\s()"']+)""")
_INTEGER = re.compile(r"[-+]?\d{1,18}", re.ASCII)
_REAL = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d{1,3})?", re.ASCII | re.IGNORECASE)


class DecopError(Exception):
    """The controller refuses."""

    def __init__(self, code: int) -> None:
        self.code = code
        self.words = WORDS[code]
        super().__init__(f"Error: {code} {self.words}")


def parse_call(text: str) -> list[str]:
    """Return the words of `(verb word ...)`; strings keep their quotes."""
    if not (text.startswith("(") and text.endswith(")")):
        raise DecopError(SYNTAX)
    words, at, inside = [], 0, text[1:-1].rstrip()
    while at < len(inside):
        found = _TOKEN.match(inside, at)
        if found is None:
            raise DecopError(SYNTAX)
        words.append(found[1])
        at = found.end()
    if not words:
        raise DecopError(SYNTAX)
    return words


def name_of(words: list[str]) -> str:
    """Return the name in `(verb 'name ...)`."""
    if len(words) < 2 or not words[1].startswith("'") or words[1].startswith("'("):
        raise DecopError(SYNTAX)
    return words[1][1:]


def encode(value: Value) -> str:
    """Write a value."""
    if isinstance(value, bool):
        return "#t" if value else "#f"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, bytes):
        return f'"{base64.b64encode(value).decode()}"'
    if isinstance(value, tuple):
        return f"({' '.join(encode(each) for each in value)})"
    if isinstance(value, int):
        return str(value)
    text = f"{value:.6f}".rstrip("0")
    return text + "0" if text.endswith(".") else text


def decode(text: str, like: Value) -> Value:
    """Read a value of the same type as `like`; a tuple has a quotation mark before it."""
    if isinstance(like, bytes) and len(text) > 1 and text[0] == text[-1] == '"':
        try:
            return base64.b64decode(text[1:-1], validate=True)
        except binascii.Error:
            raise DecopError(WRONG_TYPE) from None
    if isinstance(like, tuple) and text.startswith("'("):
        parts = parse_call(text[1:])
        if len(parts) == len(like):
            return tuple(decode(part, each) for part, each in zip(parts, like, strict=True))
    if isinstance(like, bool) and text.lower() in ("#t", "#f"):
        return text.lower() == "#t"
    if isinstance(like, str) and len(text) > 1 and text[0] == text[-1] == '"':
        return text[1:-1]
    if isinstance(like, int) and not isinstance(like, bool) and _INTEGER.fullmatch(text):
        return int(text)
    if isinstance(like, float) and _REAL.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    raise DecopError(WRONG_TYPE)


def as_number(value: Value) -> float:
    """Return a number or a switch as a number."""
    if isinstance(value, bool | int | float):
        return float(value)
    raise DecopError(WRONG_TYPE)


@dataclass(frozen=True, slots=True)
class Item:
    """One parameter: how it is read and, where it can be, written."""

    get: Callable[[], Value]
    put: Callable[[Value], None] | None = None
    limits: Callable[[], tuple[float, float]] | None = None


class Tree:
    """Parameters by name; `absent` are the beginnings of names that this controller has no hardware for."""

    def __init__(self, items: Mapping[str, Item], absent: tuple[str, ...] = ()) -> None:
        self._items = dict(items)
        self._absent = absent

    def with_items(self, items: Mapping[str, Item]) -> Tree:
        """Return a tree with more in it."""
        return Tree({**self._items, **items}, self._absent)

    def get(self, name: str) -> Value:
        """Return a parameter's value."""
        return self._item(name).get()

    def get_set_value(self, name: str) -> Value:
        """Return the set value of a parameter that can be set."""
        if self._item(name).put is None:
            raise DecopError(NO_VALUE)
        return self.get(name)

    def put(self, name: str, text: str) -> None:
        """Set a parameter as the client wrote it."""
        item = self._item(name)
        if item.put is None:
            raise DecopError(READ_ONLY)
        value = decode(text, item.get())
        if item.limits is not None:
            low, high = item.limits()
            if not low <= as_number(value) <= high:
                raise DecopError(OUT_OF_RANGE)
        item.put(value)

    def display(self, name: str) -> list[str]:
        """List a parameter or a branch, indented by depth; the layout of branches is [INF]."""
        if name in self._items:
            return [f"{name.rpartition(':')[2]} = {encode(self.get(name))}"]
        below = sorted(each for each in self._items if each.startswith(f"{name}:"))
        if not below:
            self._item(name)
        lines, shown = [name], [""]
        for each in below:
            *branches, leaf = each.removeprefix(f"{name}:").split(":")
            for depth, branch in enumerate(branches, 1):
                if shown[depth : depth + 1] != [branch]:
                    del shown[depth:]
                    shown.append(branch)
                    lines.append("  " * depth + branch)
            del shown[len(branches) + 1 :]
            lines.append("  " * (len(branches) + 1) + f"{leaf} = {encode(self.get(each))}")
        return lines

    def _item(self, name: str) -> Item:
        item = self._items.get(name)
        if item is None:
            raise DecopError(UNAVAILABLE if name.startswith(self._absent) else UNKNOWN)
        return item
