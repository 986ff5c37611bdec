"""The command table of a SCPI twin: decorators and declarations that look like the manual's, and how they are found."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar, overload

from qlab.errors import TwinError
from qlab.twin.conversation import Later
from qlab.twin.scpi_status import ScpiError
from qlab.twin.scpi_tree import Header
from qlab.twin.scpi_values import Kind, parse_bool, parse_choice, parse_limited, parse_whole, to_text

if TYPE_CHECKING:
    from qlab.twin.scpi import ScpiTwin

__all__ = ["Entry", "Parameter", "Reply", "command", "entries_of", "parameter", "query"]

Reply: TypeAlias = str | bool | float | bytes | Later | None
"""What a command method returns; None is no reply."""

T = TypeVar("T", bool, int, float, str)
Method = TypeVar("Method", bound=Callable[..., Reply])
Run: TypeAlias = "Callable[[ScpiTwin, tuple[int, ...], list[str]], Reply]"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the command table."""

    header: Header
    run: Run
    blocks: bool = False


@dataclass(frozen=True, slots=True)
class _Mark:
    """What a decorator leaves on a method."""

    header: Header
    kinds: tuple[Kind[object], ...]


def command(*table: str | Kind[object]) -> Callable[[Method], Method]:
    """Serve these headers by the method.

    Parameters
    ----------
    table:
        Header patterns as the manual prints them, then the kinds of the parameters.  Without kinds the method gets the
        parameters as text; how many there may be is read from its signature.  Suffixes captured by `#` come first.
    """
    kinds = tuple(item for item in table if isinstance(item, Kind))
    headers = [Header(item) for item in table if isinstance(item, str)]

    def mark(method: Method) -> Method:
        marks: list[_Mark] = method.__dict__.setdefault("scpi_marks", [])
        marks.extend(_Mark(header, kinds) for header in headers)
        return method

    return mark


def query(*table: str | Kind[object]) -> Callable[[Method], Method]:
    """Serve these headers, which end with a question mark, by the method; it returns the reply."""
    for item in table:
        if isinstance(item, str) and not item.endswith("?"):
            msg = f"query {item!r} has no question mark"
            raise TwinError(msg)
    return command(*table)


class Parameter(Generic[T]):
    """A setting with a set and a query form; reads and writes like an attribute of the twin.

    Parameters are those of `parameter`.
    """

    def __init__(
        self,
        pattern: str,
        default: T,
        limits: tuple[float, float] | None,
        choices: Sequence[str],
        fmt: str,
        units: str,
        changed: str | None,
        *,
        stored: bool,
    ) -> None:
        self.header = Header(pattern)
        self.default: T = default
        self.limits = limits
        self.choices = choices
        self.fmt = fmt
        self.units = units
        self.changed = changed
        self.stored = stored
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, twin: None, owner: type) -> Parameter[T]: ...
    @overload
    def __get__(self, twin: ScpiTwin, owner: type) -> T: ...
    def __get__(self, twin: ScpiTwin | None, owner: type) -> Parameter[T] | T:
        """Return the setting."""
        if twin is None:
            return self
        value = twin.values.get(self.name, self.default)
        if type(value) is not type(self.default):
            return type(self.default)(value)
        return value

    def __set__(self, twin: ScpiTwin, value: T) -> None:
        """Change the setting from inside the twin, without limits and without calling `changed`."""
        twin.values[self.name] = value

    def stored_in(self, values: Mapping[str, object]) -> bool:
        """Tell whether this is a setting that outlives a reset and was set."""
        return self.stored and self.name in values

    def entries(self) -> list[Entry]:
        """Return the set and the query form."""
        return [Entry(self.header, self._set), Entry(Header(self.header.pattern + "?"), self._query)]

    def _set(self, twin: ScpiTwin, numbers: tuple[int, ...], arguments: list[str]) -> None:
        del numbers
        if len(arguments) != 1:
            raise ScpiError(-108 if arguments else -109)
        twin.values[self.name] = self._parse(twin, arguments[0])
        if self.changed is not None:
            getattr(twin, self.changed)()

    def _query(self, twin: ScpiTwin, numbers: tuple[int, ...], arguments: list[str]) -> str:
        del numbers
        if len(arguments) > 1:
            raise ScpiError(-108)
        value = self._parse(twin, arguments[0]) if arguments else twin.values.get(self.name, self.default)
        if isinstance(self.default, bool):
            return str(int(bool(value)))
        return value if isinstance(value, str) else to_text(type(self.default)(value), self.fmt)

    def _parse(self, twin: ScpiTwin, text: str) -> bool | float | str:
        default = self.default
        if isinstance(default, bool):
            return parse_bool(text)
        if isinstance(default, str):
            return parse_choice(text, self.choices) if self.choices else text
        low, high = twin.limits_of(self.name) or self.limits or (-math.inf, math.inf)
        if isinstance(default, float):
            return float(parse_limited(text, low, high, default, self.units))
        value = parse_whole(text, low, high, default, self.units)
        if not math.isfinite(value):
            raise ScpiError(-222)
        return round(value)


def parameter(
    pattern: str,
    default: T,
    *,
    limits: tuple[float, float] | None = None,
    choices: Sequence[str] = (),
    fmt: str = ".6E",
    units: str = "",
    changed: str | None = None,
    stored: bool = False,
) -> Parameter[T]:
    """Declare a setting.

    Parameters
    ----------
    pattern:
        The header as the manual prints it, without question mark.
    default:
        The value after `*RST`; its type decides what is accepted: a number, a whole number, a boolean, or a word.
    limits:
        Inclusive limits, -222 outside, which MIN and MAX mean.  A twin with moving limits overrides `limits_of`.
    choices:
        Words in the manual's spelling; the setting holds the short form.
    fmt:
        How a number is written in replies.
    units:
        The unit that a client may write, with any prefix.
    changed:
        Name of a method to call after each set.
    stored:
        Whether the setting survives `*RST` and power cycles.
    """
    return Parameter(pattern, default, limits, choices, fmt, units, changed, stored=stored)


def entries_of(cls: type) -> list[Entry]:
    """Return what one class (without its bases) declares; raises `TwinError` for a header declared twice."""
    entries: list[Entry] = []
    for name, value in vars(cls).items():
        if isinstance(value, Parameter):
            entries += value.entries()
        for mark in getattr(value, "scpi_marks", ()):
            entries.append(_method_entry(name, value, mark))
    seen: set[str] = set()
    for entry in entries:
        if entry.header.pattern in seen:
            msg = f"{cls.__name__} declares {entry.header.pattern!r} twice"
            raise TwinError(msg)
        seen.add(entry.header.pattern)
    return entries


def _method_entry(name: str, method: Callable[..., Reply], mark: _Mark) -> Entry:
    kinds = mark.kinds
    captured = sum(node.suffix == "#" for node in mark.header.nodes)
    if kinds:
        least, most = sum(kind.missing is None for kind in kinds), float(len(kinds))
    else:
        least, most = _counts(method, captured + 1)

    def run(twin: ScpiTwin, numbers: tuple[int, ...], arguments: list[str]) -> Reply:
        if len(arguments) < least:
            raise ScpiError(-109)
        if len(arguments) > most:
            raise ScpiError(-108)
        bound: Callable[..., Reply] = getattr(twin, name)
        if not kinds:
            return bound(*numbers, *arguments)
        values = [kind.parse(text) for kind, text in zip(kinds, arguments, strict=False)]
        values += [kind.missing() for kind in kinds[len(arguments) :] if kind.missing is not None]
        return bound(*numbers, *values)

    return Entry(mark.header, run, blocks=any(kind.parse.__name__ == "_parse_block" for kind in kinds))


def _counts(method: Callable[..., Reply], taken: int) -> tuple[int, float]:
    """Return how many parameters a method takes behind `self` and the captured suffixes."""
    positional = list(inspect.signature(method).parameters.values())
    if any(each.kind is inspect.Parameter.VAR_POSITIONAL for each in positional):
        return 0, math.inf
    named = [each for each in positional if each.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD][taken:]
    return sum(each.default is inspect.Parameter.empty for each in named), float(len(named))
