"""What SCPI parameters may look like, and how replies are written.

A `Kind` reads one parameter; commands name theirs behind the header pattern, as the manual's table does:

    @command("CONFigure:SCALe", number(0.0, 10.0, units="V"), optional(boolean, default=False))
    def _scale(self, volts: float, invert: bool) -> None: ...
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from qlab.twin.scpi_status import ScpiError
from qlab.twin.scpi_syntax import SPACE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "Kind",
    "NumberError",
    "block",
    "boolean",
    "choice",
    "integer",
    "number",
    "optional",
    "parse_bool",
    "parse_choice",
    "parse_limited",
    "parse_number",
    "parse_whole",
    "short_form",
    "string",
    "to_text",
    "word",
]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

LARGEST_WHOLE = 2**32
"""What does not fit into 32 bits is told apart from what is out of a range."""

_DECIMAL = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:\s*E\s*[-+]?\d+)?)\s*([A-Z%/]*[A-Z0-9%/]*)", re.ASCII)
_RADIX = {"H": 16, "Q": 8, "B": 2}
_PREFIX = {"EX": 1e18, "PE": 1e15, "T": 1e12, "G": 1e9, "MA": 1e6, "K": 1e3, "": 1.0}
_PREFIX |= {"M": 1e-3, "U": 1e-6, "N": 1e-9, "P": 1e-12, "F": 1e-15, "A": 1e-18}
_MEGA_UNITS = ("HZ", "OHM")
"""Behind these `M` means mega, not milli (IEEE 488.2, 7.7.3.4)."""
_NAMED = {"INF": math.inf, "INFINITY": math.inf, "NINF": -math.inf, "NINFINITY": -math.inf, "NAN": math.nan}
NAN, INFINITY = "9.91E+37", "9.9E+37"
"""SCPI-1999, 7.2.1.4 and 7.2.1.5."""


@dataclass(frozen=True, slots=True)
class Kind(Generic[T_co]):
    """How one parameter is read; `missing` stands in where it is left out."""

    parse: Callable[[str], T_co]
    missing: Callable[[], T_co] | None = None


class NumberError(ScpiError):
    """A mistake in a number, for instruments that tell more of it than SCPI does.

    Parameters
    ----------
    code:
        SCPI's.
    what:
        "radix" for bad digits behind #H, #Q or #B, "whole" for a whole number that is none, "overflow" for one of more than
        32 bits.
    """

    def __init__(self, code: int, what: str) -> None:
        super().__init__(code)
        self.what = what


class _Reply(Protocol):
    """Marks what `to_text` takes: str, bool, int, float, bytes."""


def parse_number(text: str, units: str = "") -> float:
    """Read a decimal or non-decimal number with an optional unit.

    Parameters
    ----------
    text:
        What the client wrote.
    units:
        The unit that the value is in; prefixed forms are scaled, other units are refused with -131.  Without one, any
        unit is taken and only its prefix counts.
    """
    text = text.strip(SPACE).upper()
    if not text:
        raise ScpiError(-109)
    if text in _NAMED:
        return _NAMED[text]
    if text[0] == "#" and text[1:2] in _RADIX:
        try:
            return float(int(text[2:], _RADIX[text[1]]))
        except ValueError:
            raise NumberError(-120, "radix") from None
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise ScpiError(-120 if text[0] in "+-.0123456789" else -104)
    try:
        return float(re.sub(r"\s", "", match[1])) * _scale(match[2], units.upper())
    except OverflowError:
        raise ScpiError(-222) from None


def _scale(suffix: str, units: str) -> float:
    if suffix in ("", units):
        return 1.0
    for prefix in sorted(_PREFIX, key=len, reverse=True):
        unit = suffix.removeprefix(prefix)
        if not suffix.startswith(prefix) or not unit or (units and unit != units):
            continue
        return 1e6 if prefix == "M" and unit in _MEGA_UNITS else _PREFIX[prefix] if units or len(unit) == 1 else 1.0
    raise ScpiError(-131)


def parse_limited(text: str, low: float, high: float, default: float, units: str = "") -> float:
    """Read a number within inclusive limits, or MIN, MAX, DEF; -222 outside."""
    match text.strip(SPACE).upper():
        case "MIN" | "MINIMUM":
            return low
        case "MAX" | "MAXIMUM":
            return high
        case "DEF" | "DEFAULT":
            return default
        case _:
            value = parse_number(text, units)
    if not low <= value <= high:
        raise ScpiError(-222)
    return value


def parse_whole(text: str, low: float, high: float, default: float, units: str = "") -> float:
    """Read a number that stands for a whole one, as `parse_limited` does; `NumberError` says what is wrong with it."""
    try:
        value = parse_limited(text, -math.inf, math.inf, default, units)
    except NumberError:
        raise
    except ScpiError as error:
        if error.code in (-104, -120):
            raise NumberError(error.code, "whole") from error
        raise
    if math.isfinite(value) and abs(value) > LARGEST_WHOLE:
        raise NumberError(-222, "overflow")
    return parse_limited(text, low, high, default, units)


def parse_bool(text: str) -> bool:
    """Read ON, OFF, or a number that is rounded to zero or not."""
    said = text.strip(SPACE).upper()
    if said in ("ON", "OFF"):
        return said == "ON"
    value = parse_number(text)
    if not math.isfinite(value):
        raise ScpiError(-222)
    return round(value) != 0


def short_form(choice: str) -> str:
    """Return the short form of a word in the manual's spelling."""
    return "".join(char for char in choice if not char.islower())


def parse_choice(text: str, choices: Sequence[str]) -> str:
    """Read one of several words, short or long; returns the short form."""
    said = text.strip(SPACE).upper()
    for each in choices:
        if said in (short_form(each), each.upper()):
            return short_form(each)
    raise ScpiError(-224)


def _parse_string(text: str) -> str:
    text = text.strip(SPACE)
    if len(text) < 2 or text[0] not in "\"'" or text[-1] != text[0]:
        raise ScpiError(-151)
    return text[1:-1].replace(text[0] * 2, text[0])


def _parse_word(text: str) -> str:
    return text.strip(SPACE)


def _parse_block(text: str) -> bytes:
    if text[:1] != "#" or not "0" <= text[1:2] <= "9":
        raise ScpiError(-161)
    if text[1] == "0":
        return text[2:].encode("latin-1")
    head = 2 + int(text[1])
    digits = text[2:head]
    if not (digits.isascii() and digits.isdigit()) or head + int(digits) > len(text):
        raise ScpiError(-161)
    return text[head : head + int(digits)].encode("latin-1")


boolean: Kind[bool] = Kind(parse_bool)
"""ON, OFF, 1, 0."""
string: Kind[str] = Kind(_parse_string)
"""Text in single or double quotes."""
word: Kind[str] = Kind(_parse_word)
"""Whatever stands there."""
block: Kind[bytes] = Kind(_parse_block)
"""An arbitrary block; the conversation then reads blocks that hold line feeds."""


def number(
    low: float = -math.inf, high: float = math.inf, *, units: str = "", default: float | None = None
) -> Kind[float]:
    """Make the kind of a number within inclusive limits; `default` is what DEF means (else `low`)."""
    return Kind(lambda text: parse_limited(text, low, high, low if default is None else default, units))


def integer(low: int, high: int, *, default: int | None = None) -> Kind[int]:
    """Make the kind of a whole number; others are rounded, as IEEE 488.2 has it."""

    def parse(text: str) -> int:
        value = parse_whole(text, -math.inf, math.inf, low if default is None else default)
        value = {-math.inf: float(low), math.inf: float(high)}.get(value, value)
        if math.isnan(value) or not low <= round(value) <= high:
            raise ScpiError(-222)
        return round(value)

    return Kind(parse)


def choice(*choices: str) -> Kind[str]:
    """Make the kind of one of several words in the manual's spelling; the method gets the short form."""
    return Kind(lambda text: parse_choice(text, choices))


def optional(kind: Kind[T], default: T) -> Kind[T]:
    """Make a parameter that may be left out."""
    return Kind(kind.parse, lambda: default)


def to_text(value: str | bool | float | bytes, fmt: str = ".6E") -> str:
    """Write a reply: booleans as 1 or 0, numbers in `fmt`, NaN and infinity as SCPI has them, bytes as a block."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        length = str(len(value))
        return f"#{len(length)}{length}" + value.decode("latin-1")
    if isinstance(value, bool | int):
        return str(int(value))
    if math.isnan(value):
        return NAN
    if math.isinf(value):
        return INFINITY if value > 0 else f"-{INFINITY}"
    return format(value, fmt)
