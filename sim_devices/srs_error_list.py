"""What a DG645 has instead of a SCPI error queue: a list of numbers, the oldest first."""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, ClassVar

from qlab.twin.framing import LineFramer
from qlab.twin.scpi import ScpiError, ScpiTwin, command, query
from qlab.twin.scpi_status import CME, EXE
from qlab.twin.scpi_values import NumberError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qlab.clock import Clock
    from qlab.twin.conversation import Framer, Script
    from qlab.twin.scpi import Reply

__all__ = ["SrsErrorList"]

LISTED: Mapping[int, int] = {
    -113: 111,
    -109: 116,
    -108: 115,
    -103: 114,
    -104: 118,
    -120: 118,
    -131: 118,
    -102: 126,
    -222: 10,
    -224: 10,
    -200: 15,
}
"""[V2] Codes of `LERR?`: 111 undefined, 116 missing, 115 extra, 114 null, 118 bad float, 126 syntax, 10 illegal value, 15
not allowed."""
NUMBERS: Mapping[str, int] = {"whole": 120, "overflow": 121, "radix": 122}
"""[V2] What is wrong with a number."""
ILLEGAL_COMMAND, ILLEGAL_QUERY, ILLEGAL_SET, TOO_LONG, TOO_MANY = 110, 112, 113, 117, 254  # [V2]
LONGEST_PARAMETER = 255  # [INF] characters
UNDEFINED = -113
DEPTH = 20  # [INF] of the list
NAME = re.compile(r"([A-Za-z]{4}|\*[A-Za-z]{3})\??")
"""[V2] Four letters, or a star and three: anything else is 110, not 111."""
QUESTION = re.compile(rb"\?(?=[^\s;])")


class SrsErrorList(ScpiTwin):
    """`LERR?`: the oldest error's code, 0 when there is none; and `DLAY?2` for `DLAY? 2`."""

    status_groups: ClassVar[Sequence[str]] = ()

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.error_codes: deque[int] = deque()

    def _scpi_framer(self) -> Framer:
        """Take CR and LF for the end of a line."""
        return LineFramer(b"\r\n")

    def answer(self, message: bytes) -> Script:
        """Carry out one message; a parameter may follow the question mark at once."""
        yield from super().answer(QUESTION.sub(b"? ", message))

    def _scpi_call(self, header: str, tokens: list[str], arguments: list[str]) -> Reply:
        if any(len(argument) > LONGEST_PARAMETER for argument in arguments):
            raise ScpiError(TOO_LONG)
        try:
            return super()._scpi_call(header, tokens, arguments)
        except ScpiError as error:
            asks = header.endswith("?")
            if error.code == UNDEFINED and self._knows(tokens, is_query=not asks):
                raise ScpiError(ILLEGAL_QUERY if asks else ILLEGAL_SET) from error
            if error.code == UNDEFINED and not NAME.fullmatch(header):
                raise ScpiError(ILLEGAL_COMMAND) from error
            raise

    def _knows(self, tokens: list[str], *, is_query: bool) -> bool:
        try:
            self._scpi_find(tokens, is_query=is_query)
        except ScpiError:
            return False
        return True

    def fail(self, error: ScpiError) -> None:
        """Add to the list; SCPI's codes are translated, positive ones are the instrument's own."""
        if isinstance(error, NumberError):
            code = NUMBERS[error.what]
        else:
            code = error.code if error.code > 0 else LISTED.get(error.code, ILLEGAL_COMMAND)
        self.esr |= CME if code >= ILLEGAL_COMMAND else EXE
        if len(self.error_codes) < DEPTH:
            self.error_codes.append(code)
        else:
            self.error_codes[-1] = TOO_MANY

    def power_on_status(self) -> None:
        """Forget errors too."""
        super().power_on_status()
        self.error_codes.clear()

    @command("*CLS")
    def _clear(self) -> None:
        self.esr = 0
        self.error_codes.clear()

    @query("LERR?")
    def _error(self) -> int:
        return self.error_codes.popleft() if self.error_codes else 0
