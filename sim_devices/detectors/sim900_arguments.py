"""Arguments as a SIM900 reads them: numbers, tokens, strings and blocks, each with the error numbers of its mistakes."""

from __future__ import annotations

import re

__all__ = ["QUEUE", "MainframeError", "command", "integer", "parse_string", "split_arguments", "token"]

QUEUE = 512
"""[V2] Bytes of every queue, and of a command."""
ARGUMENT = re.compile(rb"""\s*("(?:[^"]|"")*"|'(?:[^']|'')*'|#([0-9]).*|[^,]*)\s*(,|$)""", re.DOTALL)
NAME = re.compile(r"(\*?[A-Za-z]{3,4})(\?*)\s*(.*)", re.DOTALL)
# `LCME?`, of protocol sheet 07 [V2].
ILLEGAL_FIRST, ILLEGAL_NAME, UNDEFINED, EXTRA_MARK, NO_QUERY, QUERY_ONLY, MISSING, NONE_ALLOWED = range(1, 9)
MESSAGE_OVERFLOW, COMMAND_OVERFLOW, BAD_STRING, BAD_COUNT, SHORT_BLOCK = 10, 12, 13, 16, 17
NULL, EXTRA, ILLEGAL_PORT, BAD_INTEGER, UNKNOWN_TOKEN = 18, 19, 20, 21, 24
# `LEXE?` [V2].
PORT, TOKEN, FAILED, TIMED_OUT, BIT, VALUE = range(1, 7)


class MainframeError(Exception):
    """A command that is not carried out.

    Parameters
    ----------
    code:
        The number that stands in `LCME?`, or in `LEXE?` where `executing`.
    """

    def __init__(self, code: int, *, executing: bool = False) -> None:
        super().__init__(code)
        self.code = code
        self.executing = executing


def command(message: bytes) -> tuple[str, list[bytes]]:
    """Return the command's name with its question mark, and its arguments; raises `MainframeError`."""
    if len(message) > QUEUE:
        raise MainframeError(COMMAND_OVERFLOW)
    text = message.lstrip()  # a block at the end may have blanks of its own
    if not re.match(rb"[*A-Za-z]", text):
        raise MainframeError(ILLEGAL_FIRST)
    found = NAME.fullmatch(text.decode("latin-1"))
    if found is None:
        raise MainframeError(ILLEGAL_NAME)
    if len(found[2]) > 1:
        raise MainframeError(EXTRA_MARK)
    rest = found[3].encode("latin-1")
    return found[1].upper() + found[2], split_arguments(rest if b"#" in rest else rest.rstrip())


def split_arguments(text: bytes) -> list[bytes]:
    """Split at commas outside strings and blocks."""
    found: list[bytes] = []
    at, more = 0, bool(text)
    while more:
        match = ARGUMENT.match(text, at)
        if match is None:  # behind a string stands something that is no comma
            raise MainframeError(BAD_STRING)
        found.append(match[1] if match[2] else match[1].strip())
        at, more = match.end(), match[3] == b","
    return found


def parse_string(text: bytes) -> bytes:
    """Return what stands in quotes, or in a definite-length block."""
    if text[:1] in (b'"', b"'"):
        if len(text) < 2 or text[-1:] != text[:1]:
            raise MainframeError(BAD_STRING)
        return _fitting(text[1:-1].replace(text[:1] * 2, text[:1]))
    if text[:1] != b"#":
        raise MainframeError(BAD_STRING if text else NULL)
    digits = text[2 : 2 + int(text[1:2])] if text[1:2].isdigit() else b""
    if not digits.isdigit() or len(digits) < int(text[1:2]):
        raise MainframeError(BAD_COUNT)
    data = text[2 + len(digits) :][: int(digits)]
    if len(data) < int(digits):
        raise MainframeError(SHORT_BLOCK)
    return _fitting(data)


def _fitting(data: bytes) -> bytes:
    if len(data) > QUEUE:
        raise MainframeError(MESSAGE_OVERFLOW)
    return data


def integer(text: bytes, least: int, most: int) -> int:
    """Return a whole number within its range."""
    if not text:
        raise MainframeError(NULL)
    if not re.fullmatch(rb"[+-]?\d{1,9}", text):
        raise MainframeError(BAD_INTEGER)
    if not least <= int(text) <= most:
        raise MainframeError(VALUE, executing=True)
    return int(text)


def token(text: bytes, words: tuple[str, ...]) -> int:
    """Return a token's number, as it may also be written."""
    if re.fullmatch(rb"\d{1,3}", text):
        if int(text) >= len(words):
            raise MainframeError(TOKEN, executing=True)
        return int(text)
    name = text.decode("latin-1").upper()
    if name not in words:
        raise MainframeError(UNKNOWN_TOKEN if name else NULL)
    return words.index(name)
