"""IEEE-488.2 program messages: units between semicolons, parameters between commas, strings and blocks left whole."""

from __future__ import annotations

import re

from qlab.twin.scpi_status import ScpiError

__all__ = ["SPACE", "split_outside", "split_unit"]

SPACE = "".join(chr(code) for code in range(33) if code != 10)
"""White space of IEEE 488.2, 7.4.1.2: all control characters but line feed, and the blank."""

_ATOM = re.compile(
    r"""  "(?:[^"]|"")*"?      # a string, closed or not
        | '(?:[^']|'')*'?
        | \([^()]*\)?        # a channel list
        | .""",
    re.VERBOSE | re.DOTALL,
)


def split_outside(text: str, separator: str) -> list[str]:
    """Split at `separator` where it stands outside strings, parentheses and blocks; parts are stripped of space."""
    parts, start, at = [], 0, 0
    while at < len(text):
        end = _block_end(text, at)
        if end is None:
            if text[at] == separator:
                parts.append(text[start:at])
                start = at + 1
            match = _ATOM.match(text, at)
            end = match.end() if match else at + 1
        at = end
    parts.append(text[start:])
    return [part if "#" in part else part.strip(SPACE) for part in (part.lstrip(SPACE) for part in parts)]


def split_unit(unit: str) -> tuple[str, list[str]]:
    """Split one unit into its header and its parameters; raises `ScpiError` for an empty parameter."""
    header, rest = unit, ""
    for at, char in enumerate(unit):
        if char in SPACE:
            header, rest = unit[:at], unit[at:].lstrip(SPACE)
            break
    if not rest:
        return header, []
    arguments = split_outside(rest, ",")
    if "" in arguments:
        raise ScpiError(-103)
    return header, arguments


def _block_end(text: str, at: int) -> int | None:
    """Return the end of the block that begins here, if one does: `#`, a digit, as many digits of length, the bytes."""
    if text[at] != "#" or (at > 0 and text[at - 1] not in SPACE + ",") or at + 1 >= len(text):
        return None
    if text[at + 1] == "0":
        return len(text)
    if not "1" <= text[at + 1] <= "9":
        return None
    head = at + 2 + int(text[at + 1])
    digits = text[at + 2 : head]
    # int() would take Unicode digits, which Latin-1 has too (superscripts)
    if len(digits) < int(text[at + 1]) or not (digits.isascii() and digits.isdigit()):
        return None
    end = head + int(digits)
    return end if end <= len(text) else None
